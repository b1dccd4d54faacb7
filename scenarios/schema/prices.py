"""Sections `tariffs` and `costs` of a scenario."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from stackelgrid.profiles.section import (
    ClockTime,
    Finite,
    NonNegative,
    Positive,
    Section,
    TableFile,
)


class Costs(Section):
    """Prices outside of the tariffs.

    `stored_energy_eur_per_mwh` is the value of the increase in stored energy over a run; the
    default is the mean import price of the grid's tariff.
    """

    generation_factor: Positive = 1.0
    """Factor of the generation costs of a transmission grid."""
    curtailment_eur_per_mwh: NonNegative = 0.0
    """Price of available PV energy that is not fed in."""
    loss_eur_per_mwh: NonNegative = 0.0
    """Price of losses in the objective of feeders."""
    terminal: Literal["initial", "value"] = "initial"
    """Stored energy at the end of a horizon: at least the scenario's initial one, or a value."""
    terminal_value_eur_per_mwh: NonNegative = 0.0
    """That value, with `terminal = "value"`."""
    stored_energy_eur_per_mwh: NonNegative | None = None
    """Value of energy stored over the run; default: mean import price."""


class TariffPeriod(Section):
    """Prices from a clock time until the next period begins."""

    from_: Annotated[ClockTime, Field(alias="from")]
    """Local clock time of its beginning; the first period begins at 00:00."""
    import_: Annotated[Finite, Field(alias="import")]
    """Price of import."""
    export: Finite
    """Price of export, at most that of import."""


class TariffSection(Section):
    """A tariff: `flat`, `time_of_use` or `series` (CSV or Parquet)."""

    kind: Literal["flat", "time_of_use", "series"]
    """One price, prices by the clock, or a series of prices."""
    import_: Annotated[Finite | None, Field(alias="import")] = None
    """Price of import, with `flat`."""
    export: Finite | None = None
    """Price of export, with `flat`; at most that of import."""
    periods: tuple[TariffPeriod, ...] = ()
    """Prices by the clock, with `time_of_use`, see below."""
    file: TableFile | None = None
    """CSV or Parquet file of prices, with `series`."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        given = {
            "import": self.import_ is not None,
            "export": self.export is not None,
            "periods": bool(self.periods),
            "file": self.file is not None,
        }
        wanted = {"flat": {"import", "export"}, "time_of_use": {"periods"}, "series": {"file"}}
        have = {k for k, v in given.items() if v}
        if have != wanted[self.kind]:
            raise ValueError(
                f"a {self.kind} tariff takes {' and '.join(sorted(wanted[self.kind]))}, "
                f"found {' and '.join(sorted(have)) or 'nothing'}"
            )
        return self


class TradeSection(Section):
    """Peer-to-peer trade of the prosumers (buses with a device that may trade), EUR/MWh.

    Without `fee_across_eur_per_mwh` prosumers do not trade with other grids of the same parent.
    """

    retail_margin_eur_per_mwh: NonNegative
    """Margin on purchases from and sales to the grid, which trade avoids."""
    fee_inside_eur_per_mwh: NonNegative
    """Fee of trade inside the grid, paid by the buyer."""
    fee_across_eur_per_mwh: NonNegative | None = None
    """Fee of trade with other grids of the same parent; default: no such trade."""
