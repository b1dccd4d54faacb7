"""Table of key figures: the run beside the run without control."""

from collections.abc import Mapping

import numpy as np

from stackelgrid.analysis.figures import flexible
from stackelgrid.analysis.kpis.system import (
    CORRECTED,
    COST,
    ENERGY,
    EXCHANGE,
    LEADERS,
    LIMITS,
    NEEDS,
    KeyFigure,
    figure_names,
    key_figures,
)
from stackelgrid.analysis.report.page import ReportTable
from stackelgrid.analysis.results.axes import levels, root_of
from stackelgrid.analysis.results.baseline import compared_with
from stackelgrid.analysis.run import Run

_RELATIVE = ("EUR", "MWh", "MW")  # units of which a share of the difference says something
_LARGE_EUR = 1000.0  # from here without cents
# by unit: its thousandth, where values are small
_SMALLER = {"MWh": "kWh", "MW": "kW"}
_SMALL, _NOTHING = 0.1, 1e-5  # MWh or MW: below, in thousandths; rounding
_DIGITS = 4  # of energies and powers, significant


Figures = Mapping[str, KeyFigure]


def figures_beside(run: Run) -> tuple[Figures, Figures]:
    """Return the key figures of a run and of the run without control, by name; {} without it."""
    other = compared_with(run)
    own, without = (
        {figure.name: figure for figure in key_figures(one)} if one is not None else {}
        for one in (run, other)
    )
    return own, without


def key_table(run: Run, own: Figures, without: Figures) -> ReportTable:
    """Build the table of energy, exchange, costs and limits, beside the run without control."""
    rows: list[tuple[str, ...]] = []
    order = figure_names()
    for heading, title in _titles(run).items():
        figures = [f for f in {**without, **own}.values() if f.heading == heading]
        figures.sort(key=lambda f: order.index(f.name))
        if figures:
            rows.append((title,))
        for figure in figures:
            rows.append(
                _row(figure, own.get(figure.name), without.get(figure.name), compared=bool(without))
            )
    compared = ("without control", "difference") if without else ()
    return ReportTable(
        "The system in numbers", ("", "this run", *compared), tuple(rows), _note(run), compact=True
    )


def gain(own: Figures, without: Figures) -> str:
    """Return in a sentence what control changes in the costs; empty without a run to compare."""
    parts = [
        _change(words, own[name].value, without[name].value)
        for name, words in ((CORRECTED, "the system costs"), (LEADERS, "leaders pay"))
        if name in own and name in without
    ]
    if not parts:
        return ""
    text = " and ".join(parts)
    return (
        "Against the same system without control (devices left to themselves, no trade) "
        f"{text}, corrected by stored energy."
    )


def _change(words: str, eur: float, before: float) -> str:
    places = 0 if max(abs(eur), abs(before)) >= _LARGE_EUR else 2
    off = abs(eur - before)
    if not float(f"{off:.{places}f}"):
        return f"{words} the same"
    share = f" ({off / abs(before):.1%})" if before else ""
    return f"{words} {off:,.{places}f} EUR{share} {'less' if eur < before else 'more'}"


def _titles(run: Run) -> dict[str, str]:
    root = root_of(run)
    outside = (
        f"Exchange of the feeders with {root.name}"
        if root.level == "transmission"
        else "Exchange with the grid outside"
    )
    several = " of the whole system" if len(run.grids) > 1 else ""
    energy, needs = f"Energy{several}", "Needs that were not met"
    return {ENERGY: energy, EXCHANGE: outside, COST: "Cost", NEEDS: needs, LIMITS: "Limits"}


def _note(run: Run) -> str:
    supply = "Generated" if "transmission" in levels(run) else "Generated and net imported"
    text = (
        f"All grids with all their copies. {supply} energy is used, lost, or added to storage. "
        "Self-consumption: share of the available energy that is fed in and not exported; "
        "self-sufficiency: share of their consumption that is not imported."
    )
    if len(run.grids) > 1:
        text += " Leaders include what they pay at their boundary, a transfer within the system."
    text += " Corrected: less the value of the increase of stored energy"
    kept = [kind.label for kind in flexible.controlled(run) if kind.consumes and kind.stored()]
    return f"{text}, that kept by {' and '.join(kept)} included." if kept else f"{text}."


def _row(
    shown: KeyFigure, own: KeyFigure | None, without: KeyFigure | None, *, compared: bool
) -> tuple[str, ...]:
    """Return name with unit, and values: what one of the runs lacks is zero there."""
    values = [0.0 if figure is None else figure.value for figure in (own, without)]
    unit, factor, places = _scale(shown.unit, max(abs(value) for value in values))
    name = f"{shown.name}, {unit}" if unit else shown.name
    mine, other = (_number(factor * value, places) for value in values)
    if not compared:
        return (name, mine)
    off = values[0] - values[1]
    text = _number(factor * off, places, sign="+")
    if shown.unit in _RELATIVE and values[1] and text != "0":
        text += f" ({off / abs(values[1]):+.1%})"
    return (name, mine, other, text)


def _scale(unit: str, largest: float) -> tuple[str, float, int]:
    """Return unit, factor and decimal places for values up to `largest`."""
    if unit == "EUR":
        return unit, 1.0, 0 if largest >= _LARGE_EUR else 2
    if unit in _SMALLER:
        factor = 1000.0 if _NOTHING < largest < _SMALL else 1.0
        power = np.floor(np.log10(max(largest * factor, _NOTHING)))
        places = int(np.clip(_DIGITS - 1 - power, 0, 3))
        return _SMALLER[unit] if factor > 1.0 else unit, factor, places
    return unit, 1.0, {"p.u.": 4, "": 0}.get(unit, 1)


def _number(value: float, places: int, *, sign: str = "") -> str:
    text = f"{value:{sign},.{places}f}"
    return text if float(text.replace(",", "")) else "0"
