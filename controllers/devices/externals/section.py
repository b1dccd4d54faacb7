"""Sections of a scenario about the entities of users' simulators at a grid."""

import re
from typing import Literal, Self

from pydantic import model_validator

from stackelgrid.controllers.devices.placement import Phase, Placement
from stackelgrid.profiles.errors import shown
from stackelgrid.profiles.section import Finite, NonNegative, Positive, Section, TableFile
from stackelgrid.profiles.tables.units import UNITS, is_milli

_UNITS = {u.suffix: u.factor for u in UNITS if u.series in ("mw", "mvar") and not u.energy}
_UNIT_AT_END = re.compile(r"(?:_|\[)\s*([mk]?(?:w|var))\s*\]?$", re.IGNORECASE)


class PowerAttribute(Section):
    """Attribute of an entity with a power; the short form is its name.

    Without `unit` it is in the unit at the end of its name (`P[kW]`, `p_kw`), else in MW or MVAr.
    """

    attribute: str
    """Name of the attribute."""
    unit: Literal["MW", "kW", "W", "MVAr", "kVAr", "VAr"] | None = None
    """Unit; default: that in the name of the attribute, else MW or MVAr."""
    sign: Literal["consumption", "generation"] = "consumption"
    """Meaning of positive values."""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, data: object) -> object:
        return {"attribute": data} if isinstance(data, str) else data

    @model_validator(mode="after")
    def _one_unit(self) -> Self:
        named = _UNIT_AT_END.search(self.attribute)
        milli = named is not None and is_milli(named[1])
        if named and milli and self.unit is None:
            raise ValueError(
                f"attribute {shown(self.attribute)} is named after {named[1]}, a thousandth of "
                f"{named[1][1:]}; a unit beside it is accepted, such as kW"
            )
        if self.unit and named and not milli and named[1].lower() != self.unit.lower():
            raise ValueError(
                f"attribute {shown(self.attribute)} is named after {named[1]}, and unit is "
                f"{self.unit}; one of them is accepted"
            )
        return self

    @property
    def shown_unit(self) -> str:
        """The unit as stated; empty without a statement."""
        named = _UNIT_AT_END.search(self.attribute)
        return self.unit or (named[1] if named else "")

    @property
    def reactive(self) -> bool | None:
        """Return whether the unit is one of reactive power; None without a statement."""
        return self.shown_unit.lower().endswith("var") if self.shown_unit else None

    @property
    def factor(self) -> float:
        """Factor from a value to MW or MVAr, consumption positive."""
        sign = 1.0 if self.sign == "consumption" else -1.0
        return sign * _UNITS[(self.shown_unit or "MW").lower()]


class ExternalForecast(Section):
    """Forecast of the power: the last delivered one, a file, or what the simulator announces.

    The short form is `"persistence"`.
    """

    file: TableFile | None = None
    """Profile: a column for each device, or one for all, in MW or kW and in the sign of `p`."""
    attribute: str | None = None
    """Attribute with a list of the powers of the next intervals, in the unit and sign of `p`."""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, data: object) -> object:
        if isinstance(data, str) and data != "persistence":
            raise ValueError(
                f'{shown(data)}: "persistence", {{ file = ... }} or {{ attribute = ... }} is '
                "accepted"
            )
        return {} if isinstance(data, str) else data

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.file is not None and self.attribute is not None:
            raise ValueError("one of file and attribute is accepted")
        return self


class ExternalSection(Placement):
    """Forecast, limits and price of the entities of a simulator at a grid."""

    forecast: ExternalForecast = ExternalForecast()
    """Forecast of their power: `"persistence"`, `{ file }` or `{ attribute }`."""
    p_initial_mw: Finite = 0.0
    """Power of each that is expected before the first interval, positive when consuming."""
    p_min_mw: Finite | None = None
    """Least power of a set point, positive when consuming; with `p_max_mw` the agent plans."""
    p_max_mw: Finite | None = None
    """Largest power of a set point."""
    p_rated_mw: Positive | None = None
    """Largest power of each; required where agents negotiate by messages, unless it is planned."""
    price_eur_per_mwh: NonNegative = 0.0
    """Price of energy below `p_max_mw`: of demand that is not served, or of generation."""
    phase: Phase | None = None
    """Connection; without it that of the customer at the bus."""

    @model_validator(mode="after")
    def _limits(self) -> Self:
        low, high = self.p_min_mw, self.p_max_mw
        if (low is None) != (high is None):
            raise ValueError("p_min_mw and p_max_mw come together")
        if low is not None and high is not None and low > high:
            raise ValueError(f"p_min_mw must be at most p_max_mw = {high:g}")
        if self.price_eur_per_mwh and low is None:
            raise ValueError("price_eur_per_mwh needs p_min_mw and p_max_mw")
        return self

    @property
    def planned(self) -> bool:
        """Return whether the agent plans their power."""
        return self.p_max_mw is not None
