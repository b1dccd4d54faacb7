"""Figures of voltages: bands over buses against the limits, phases, unbalance."""

import plotly.graph_objects as go

from stackelgrid.analysis import style
from stackelgrid.analysis.figures.frame import (
    LEVEL_COLORS,
    band_figure,
    marks,
    new_figure,
    rule,
    steps,
    wide,
)
from stackelgrid.analysis.results.axes import Clock, clock, grids_of
from stackelgrid.analysis.results.limits import band_of, has_network, with_limits
from stackelgrid.analysis.run import Run
from stackelgrid.controllers import tolerances

_PHASES = {"a": style.BLUE, "b": style.ORANGE, "c": style.GREEN}


def voltage_band(run: Run, level: str) -> go.Figure:
    """Voltages of a level against the limits: percentiles over buses and copies, p.u.

    Dots are buses beyond their own limit.
    """
    names = grids_of(run, level)
    figure = voltages_of(run, names)
    if has_network(run):
        _beyond(figure, run, names, clock(run))
    return figure


def voltages_of(run: Run, grids: list[str]) -> go.Figure:
    """Voltages of some grids of a level against the limits of most buses, percentiles, p.u."""
    when = clock(run)
    rows = run.bus[run.bus["grid"].isin(grids)]
    values, weights = wide(run, rows, "vm_pu", ["grid", "bus"], when)
    color = LEVEL_COLORS[run.grids[grids[0]].level]
    figure = band_figure(when, values, weights, color, "voltage in p.u.", "p.u.", 4, "buses")
    _limits(figure, run, grids)
    return figure


def _limits(figure: go.Figure, run: Run, grids: list[str]) -> None:
    """Draw the voltage limits of most buses of some grids."""
    limits = band_of(run, grids)
    if limits is not None:
        whose = "limit" if limits.alike else "limit of most buses"
        rule(figure, limits.max_pu, f"{whose} {limits.max_pu:g} p.u.")
        rule(figure, limits.min_pu, f"{whose} {limits.min_pu:g} p.u.", below=True)


def phases(run: Run) -> go.Figure:
    """Lowest and highest voltage of every phase over all buses with a three-phase view, p.u."""
    when = clock(run)
    rows = run.interval[run.interval["verdict_three_phase"] != ""]
    figure = new_figure(when, "phase voltage in p.u.")
    for phase, color in _PHASES.items():
        for side, dash in (("max", "solid"), ("min", "dot")):
            values = rows.groupby("interval")[f"{side}_vm_{phase}_pu"].agg(side)
            name = f"phase {phase} {'highest' if side == 'max' else 'lowest'}"
            line = {"color": color, "dash": dash}
            values = values.reindex(when.intervals)
            figure.add_trace(steps(when, values, name, "p.u.", 4, line=line))
    _limits(figure, run, [str(grid) for grid in rows["grid"].unique()])
    return figure


def unbalance(run: Run) -> go.Figure:
    """Largest unbalance factor (negative over positive sequence voltage) of every grid, percent."""
    when = clock(run)
    rows = run.interval[run.interval["verdict_three_phase"] != ""]
    figure = new_figure(when, "unbalance factor in %")
    for n, (grid, own) in enumerate(rows.groupby("grid", sort=False)):
        values = own.set_index("interval")["unbalance_percent"].reindex(when.intervals)
        figure.add_trace(steps(when, values, str(grid), "%", 3, line=style.line_of(n)))
    figure.update_yaxes(rangemode="tozero")
    return figure


def _beyond(figure: go.Figure, run: Run, names: list[str], when: Clock) -> None:
    table = with_limits(run, names)
    far = table[table["margin_pu"] < -tolerances.AC_LIMIT_PU]
    far = far[far["interval"].isin(when.intervals)].nsmallest(500, "margin_pu")
    if far.empty:
        return
    middle = dict(zip(when.intervals, when.middles, strict=True))
    x = [middle[interval] for interval in far["interval"]]
    mark, hover = {"color": style.VERMILION, "size": 5}, "%{text}: %{y:.4f} p.u."
    figure.add_trace(marks(x, far["vm_pu"], "beyond its limit", mark, hover))
    figure.data[-1].text = [f"bus {b} of {g}" for b, g in zip(far["bus"], far["grid"], strict=True)]
