"""Units of columns, declared by the suffix of their names."""

from dataclasses import dataclass
from typing import Literal

SeriesUnit = Literal["mw", "mvar", "eur_per_mwh", "factor", "q_factor", "c", "kg_per_mwh"]


@dataclass(frozen=True)
class Unit:
    """A unit of a column.

    suffix: end of the column's name, after an underscore.
    series: unit of the engine to which it converts.
    factor: one unit in that of the engine.
    energy: whether values are energies of a row, whose mean power is the energy by its length.
    symbol: the unit in tables.
    """

    suffix: str
    series: SeriesUnit
    factor: float
    symbol: str
    energy: bool = False


UNITS = (
    Unit("mw", "mw", 1.0, "MW"),
    Unit("kw", "mw", 1e-3, "kW"),
    Unit("w", "mw", 1e-6, "W"),
    Unit("mwh", "mw", 1.0, "MWh", energy=True),
    Unit("kwh", "mw", 1e-3, "kWh", energy=True),
    Unit("wh", "mw", 1e-6, "Wh", energy=True),
    Unit("mvar", "mvar", 1.0, "MVAr"),
    Unit("kvar", "mvar", 1e-3, "kVAr"),
    Unit("var", "mvar", 1e-6, "VAr"),
    Unit("mvarh", "mvar", 1.0, "MVArh", energy=True),
    Unit("kvarh", "mvar", 1e-3, "kVArh", energy=True),
    Unit("varh", "mvar", 1e-6, "VArh", energy=True),
    Unit("eur_per_mwh", "eur_per_mwh", 1.0, "EUR/MWh"),
    Unit("eur_per_kwh", "eur_per_mwh", 1e3, "EUR/kWh"),
    Unit("ct_per_kwh", "eur_per_mwh", 10.0, "ct/kWh"),
    Unit("factor", "factor", 1.0, "factor"),
    Unit("q_factor", "q_factor", 1.0, "factor"),
    Unit("c", "c", 1.0, "degC"),
    Unit("kg_per_mwh", "kg_per_mwh", 1.0, "kg/MWh"),
    Unit("g_per_kwh", "kg_per_mwh", 1.0, "g/kWh"),
)
_LONGEST_FIRST = sorted(UNITS, key=lambda unit: -len(unit.suffix))
SERIES_UNITS: tuple[SeriesUnit, ...] = tuple(dict.fromkeys(unit.series for unit in UNITS))


def declared_unit(column: str) -> tuple[str, Unit] | None:
    """Split a column into its name and the unit that its suffix declares; None without a unit.

    Capitals in the suffix are accepted (`_kW`, `_MWh`), but for `_mW`, which is a milliwatt.
    """
    for unit in _LONGEST_FIRST:
        name, mark, suffix = column[: -len(unit.suffix) - 1], *_end(column, len(unit.suffix))
        if mark == "_" and name and suffix.lower() == unit.suffix:
            of_another = name.lower().endswith("_per")  # such as _usd_per_mwh
            return None if is_milli(suffix) or of_another else (name, unit)
    return None


def is_milli(unit: str) -> bool:
    """Return whether a unit is a thousandth, such as mW, and not one in small letters."""
    return unit[0] == "m" and unit != unit.lower()


def _end(column: str, length: int) -> tuple[str, str]:
    """Return the character before the last `length` ones, and these."""
    return column[-length - 1 : -length], column[-length:]


def suffixes_of(*series: SeriesUnit) -> tuple[str, ...]:
    """Return the suffixes of all units that convert to one of the engine's."""
    return tuple(unit.suffix for one in series for unit in UNITS if unit.series == one)
