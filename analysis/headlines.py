"""Headline table of a comparison: a row for each scheme or quality, six columns with units.

All other indicators are in the tables and the report of the comparison.
"""

from dataclasses import dataclass

import numpy as np

from stackelgrid.analysis.comparison import CLOSED_LOOP, COSTS, DONE, PLAN, Comparison
from stackelgrid.analysis.kpis.indicators import CURTAILED
from stackelgrid.analysis.results.significant import significant
from stackelgrid.controllers import tolerances
from stackelgrid.controllers.words import words
from stackelgrid.profiles.arrays import Floats

NO_VALUE, SAME = "-", "same"
_NEARLY_EQUAL = 0.01  # of the first row's value: the others are shown as differences
_WITHOUT_CENTS = 1e5  # EUR from which cents are left out


@dataclass(frozen=True)
class Headline:
    """A column: its head, the unit in the last line, and the indicators that it sums.

    `money` is in EUR; with `against_first` it is a difference to the first row where all values are
    nearly equal. Other values have `digits` after the point, or an exponent if they are `tiny`.
    """

    head: str
    indicators: tuple[str, ...]
    money: bool = False
    against_first: bool = False
    digits: int = 2
    tiny: bool = False


@dataclass(frozen=True)
class Headlines:
    """Texts of the table: heads, rows with the name first, and notes below it."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


def _costs(basis: str) -> tuple[Headline, ...]:
    names = ("system", "leaders", "follower")
    return tuple(
        Headline(f"{name}\nEUR", (indicator,), money=True, against_first=True)
        for name, indicator in zip(names, COSTS[basis], strict=True)
    )


_CURTAILED = Headline("curtailed\nMWh", tuple(f"{kind.kind}_curtailed" for kind in CURTAILED))
_BEYOND = Headline("intervals\nbeyond\nlimits", ("intervals_beyond_limits",), digits=0)
_SOLVE = Headline("solve\ns", ("solve_s",), digits=1)
SCHEMES = {
    PLAN: (*_costs(PLAN), _CURTAILED, Headline("proven\ngap", ("gap",), tiny=True), _SOLVE),
    CLOSED_LOOP: (*_costs(CLOSED_LOOP), _CURTAILED, _BEYOND, _SOLVE),
}
QUALITIES = (
    Headline("system\nEUR", ("total_cost_corrected",), money=True),
    Headline("extra cost\nEUR", ("extra_cost",)),
    Headline("rounds\nmean", ("rounds_mean",), digits=1),
    Headline("agreement\nafter, s", ("agreement_mean",), digits=1),
    Headline("old plans\nkept", ("agents_fallback",), digits=0),
    _BEYOND,
)


def headlines(comparison: Comparison, basis: str, columns: tuple[Headline, ...]) -> Headlines:
    """Return the headline table of a basis; `columns` are SCHEMES[basis] or QUALITIES.

    A row that failed has no values, and its reason is a note.
    """
    names = comparison.schemes(basis)
    filled, signed = [], False
    for column in columns:
        values = _values(comparison, basis, column)
        differ = column.against_first and _nearly_equal(values)
        signed |= differ
        filled.append(_differences(values) if differ else [_text(v, column) for v in values])
    rows = tuple((words(name), *cells) for name, *cells in zip(names, *filled, strict=True))
    notes = [f"With a sign: difference to {words(names[0])}."] if signed else []
    notes += [
        f"{words(name)} {status}"
        for name in names
        if (status := comparison.status[basis, name]) != DONE
    ]
    return Headlines(("", *(column.head for column in columns)), rows, tuple(notes))


def _values(comparison: Comparison, basis: str, column: Headline) -> Floats:
    """Return the sum of a column's known indicators by row; NaN where none is known."""
    names = list(comparison.schemes(basis))
    parts = [comparison.totals(basis, name).reindex(names) for name in column.indicators]
    table = np.array([np.asarray(part, dtype=np.float64) for part in parts])
    known = ~np.isnan(table)
    return np.where(known.any(axis=0), np.where(known, table, 0.0).sum(axis=0), np.nan)


def _nearly_equal(values: Floats) -> bool:
    """Return True if the first row has a value, and all others are close to it."""
    if np.isfinite(values).sum() < 2 or np.isnan(values[0]):
        return False
    apart = np.abs(values - values[0])
    return bool(np.nanmax(apart) <= _NEARLY_EQUAL * abs(values[0]))


def _differences(values: Floats) -> list[str]:
    first = float(values[0])
    texts = [_money(first)]
    for value in values[1:] - first:
        if abs(value) <= tolerances.COST_ALIKE * max(abs(first), 1.0):
            texts.append(SAME)
        elif abs(value) < 0.1:  # cents would show one digit
            texts.append(("+" if value > 0.0 else "-") + significant(abs(float(value)), 2))
        else:
            texts.append(NO_VALUE if np.isnan(value) else f"{value:+,.2f}")
    return texts


def _text(value: float, column: Headline) -> str:
    if np.isnan(value):
        return NO_VALUE
    if column.money:
        return _money(value)
    return f"{value:.1e}" if column.tiny else _fixed(value, column.digits)


def _money(value: float) -> str:
    return _fixed(value, 2 if abs(value) < _WITHOUT_CENTS else 0)


def _fixed(value: float, digits: int) -> str:
    return f"{round(value, digits) + 0.0:,.{digits}f}"  # no minus sign before a zero
