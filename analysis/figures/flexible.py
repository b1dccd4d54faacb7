"""Figures of controlled consumers: power and its parts, presence, energy, comfort, unmet needs."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from stackelgrid.analysis import style
from stackelgrid.analysis.figures.frame import (
    area,
    band_figure,
    faded,
    interval_bars,
    new_figure,
    steps,
    wide,
)
from stackelgrid.analysis.figures.power import devices_of
from stackelgrid.analysis.kpis.indicators import CONTROLLED
from stackelgrid.analysis.results.axes import Clock, by_grid, clock, copies, grids_of
from stackelgrid.analysis.results.baseline import compared_with
from stackelgrid.analysis.results.needs import Need, unmet_needs
from stackelgrid.analysis.run import Run
from stackelgrid.controllers.devices.kind import DeviceKind
from stackelgrid.controllers.devices.quantities import Quantity
from stackelgrid.controllers.devices.registry import kind_named
from stackelgrid.profiles.arrays import Floats

_PART_OPACITY = (0.75, 0.4, 0.95, 0.6)
_NOTHING = 1e-9  # MW or MWh: what stays below is left out
_SEEN_SHARE = 1e-3  # of the largest power: a smaller part cannot be seen
_WITHOUT = {"color": style.GREY, "width": 2}
_LIMIT = {"color": style.INK, "width": 1.5, "dash": "dot"}


def controlled(run: Run) -> list[type[DeviceKind]]:
    """Return the kinds of consumers with set points that draw power, in it or without control."""
    drawn: set[str] = set()
    for one in (run, compared_with(run)):
        if one is not None:
            most = one.device["p_mw"].abs().groupby(one.device["kind"]).max()
            drawn |= {str(kind) for kind, power in most.items() if power > _NOTHING}
    return [kind for kind in CONTROLLED if kind.kind in drawn]


def demand(run: Run, kind: str) -> go.Figure:
    """Power of all devices of a kind by its parts, all copies; without control; the most."""
    when, own, other = clock(run), kind_named(kind), compared_with(run)
    power, most = (total(run, kind, column, when) for column in ("p_mw", "limit_mw"))
    rest = None if other is None else total(other, kind, "p_mw", when)
    factor, unit = _scale(power, rest)
    figure = new_figure(when, f"power in {unit}")
    for n, (name, part) in enumerate(_parts(run, own, power, when)):
        opacity = _PART_OPACITY[n % len(_PART_OPACITY)]
        figure.add_trace(area(when, factor * part, name, own.colour, kind, opacity, unit=unit))
    if rest is not None:
        figure.add_trace(steps(when, factor * rest, "without control", unit, line=_WITHOUT))
    if np.isfinite(most).any() and np.nanmax(power, initial=0.0) > _NOTHING:
        name = _meaning(own, "limit_mw")
        figure.add_trace(steps(when, factor * most, name, unit, line=_LIMIT))
    return figure


def _parts(run: Run, own: type[DeviceKind], power: Floats, when: Clock) -> list[tuple[str, Floats]]:
    """Return the parts of the power of a kind with their names; those without power left out."""
    parts = {_meaning(own, c): total(run, own.kind, c, when) for c in own.parts}
    least = _SEEN_SHARE * np.nanmax(np.abs(power), initial=0.0)
    shown = [(name, v) for name, v in parts.items() if np.nanmax(v, initial=0.0) > least]
    return shown or [("this run", power)]


def presence(run: Run, kind: str) -> go.Figure:
    """Number of devices of a kind that can draw power, all copies, and of all."""
    when, own = clock(run), kind_named(kind)
    number = total(run, kind, own.presence, when)
    first = devices_of(run, kind, list(run.grids)).drop_duplicates(["grid", "element", "index"])
    all_of = float(first["grid"].map(copies(run)).sum())
    figure = new_figure(when, f"number of {own.label}")
    figure.add_trace(area(when, number, own.presence, own.colour, kind, unit=""))
    every = np.full(len(when.intervals), all_of)
    figure.add_trace(steps(when, every, "all", "", 0, line=_LIMIT))
    figure.update_yaxes(rangemode="tozero")
    return figure


def energy(run: Run, kind: str) -> go.Figure:
    """Energy of all devices of a kind, all copies, with and without control, and what is needed.

    Bars: energy that is wanted in an interval, and what of it is missing.
    """
    when, own, other = clock(run), kind_named(kind), compared_with(run)
    stored = total(run, kind, "e_mwh", when)
    rest = None if other is None else total(other, kind, "e_mwh", when)
    factor, unit = _scale(stored, rest)
    figure = new_figure(when, f"energy in {unit}h", barmode="overlay", bargap=0)
    hover = f"%{{y:.3f}} {unit}h"
    needed = total(run, kind, "needed_mwh", when)
    if np.nanmax(needed, initial=0.0) > _NOTHING:
        pale, name = faded(own.colour, 0.35), _meaning(own, "needed_mwh")
        figure.add_trace(interval_bars(when, factor * needed, name, pale, hover))
        missing = run.dt_h * total(run, kind, "unmet_mw", when)
        if np.nanmax(missing, initial=0.0) > _NOTHING:
            bars = interval_bars(when, factor * missing, "missing", style.VERMILION, hover)
            figure.add_trace(bars)
    if rest is not None:
        figure.add_trace(steps(when, factor * rest, "without control", f"{unit}h", line=_WITHOUT))
    line = {"color": own.colour, "width": 2.5}
    figure.add_trace(steps(when, factor * stored, "this run", f"{unit}h", line=line))
    least = total(run, kind, "required_mwh", when)
    if np.nanmax(least, initial=0.0) > _NOTHING:
        name = _meaning(own, "required_mwh")
        figure.add_trace(steps(when, factor * least, name, f"{unit}h", line=_LIMIT))
    figure.update_yaxes(rangemode="tozero")
    return figure


def has_energy(run: Run, kind: str) -> bool:
    """Return whether devices of a kind keep energy for their own use."""
    own = kind_named(kind)
    kept = devices_of(run, kind, list(run.grids))["e_mwh"]
    return own.consumes and bool(own.filling("e_mwh")) and bool((kept > 0.0).any())


def condition(run: Run, kind: str, column: str, level: str) -> go.Figure:
    """Values of a column of a level's devices: bands of percentiles over devices and copies.

    Dashed: the wanted range, the median over the devices.
    """
    when, own = clock(run), kind_named(kind)
    rows, key = devices_of(run, kind, grids_of(run, level)), ["grid", "element", "index"]
    values, weights = wide(run, rows, column, key, when)
    quantity = _quantity(own, column)
    unit = "" if quantity.unit == "1" else style.UNIT_TEXTS.get(quantity.unit, quantity.unit)
    title = _short(quantity.meaning) + (f" in {unit}" if unit else " (1)")
    digits = 1 if unit else 2
    figure = band_figure(when, values, weights, own.colour, title, unit, digits, own.label)
    for name in quantity.between:
        ends = rows.groupby("interval")[name].median().reindex(when.intervals)
        if ends.notna().any():
            line = {"color": style.INK, "width": 1.5, "dash": "dash"}
            meaning = _meaning(own, name)
            figure.add_trace(steps(when, ends, meaning, unit, digits, line=line))
    return figure


def titled(own: type[DeviceKind], column: str) -> str:
    """Return the label of a kind and the meaning of a column as a title."""
    meaning = column if column == own.presence else _short(_meaning(own, column))
    return f"{own.label[0].upper()}{own.label[1:]}: {meaning}"


def unmet(run: Run) -> go.Figure:
    """Power that consumers did not get, by need, all copies."""
    when = clock(run)
    lost = {n: by_grid(run, n.quantity.name, when).sum(axis=1) for n in power_needs(run)}
    factor, unit = _scale(*lost.values())
    figure = new_figure(when, f"power in {unit}")
    for need, power in lost.items():
        name = need.quantity.lacked
        part = area(when, factor * power, name, need.kind.colour, "unmet", 0.7, unit=unit)
        figure.add_trace(part)
    return figure


def power_needs(run: Run) -> Sequence[Need]:
    """Return the needs in MW that a run did not meet."""
    return [need for need in unmet_needs(run) if need.quantity.unit == "MW"]


def total(run: Run, kind: str, column: str, when: Clock) -> Floats:
    """Return the sum (intervals,) of a column over the devices of a kind, all copies."""
    rows = devices_of(run, kind, list(run.grids))
    values = rows[column] * rows["grid"].map(copies(run)).astype(float)
    summed = values.groupby(rows["interval"]).sum(min_count=1)
    found: Floats = summed.reindex(when.intervals).to_numpy(np.float64)
    return found


def _quantity(own: type[DeviceKind], column: str) -> Quantity:
    return next(q for q in own.quantities if q.column == column)


def _short(meaning: str) -> str:
    return meaning.removesuffix(" of the interval").removesuffix(" at the end")


def _meaning(own: type[DeviceKind], column: str) -> str:
    return _quantity(own, column).meaning


def _scale(*values: "Floats | pd.Series | None") -> tuple[float, str]:
    """Return factor and unit that make powers in MW, or energies in MWh, readable."""
    known = (v for v in values if v is not None)
    largest = max((float(np.nanmax(np.abs(v), initial=0.0)) for v in known), default=0.0)
    return (1.0, "MW") if largest >= 1.0 else (1000.0, "kW")
