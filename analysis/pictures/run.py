"""Pictures of a run for papers: dispatch, voltages, batteries, certificate, prices.

Each function takes a Run and returns a matplotlib Figure, in local time of the scenario:

    dispatch(run, "mv1").savefig("dispatch.pdf")

Interactive figures of the same quantities are in `stackelgrid.analysis.figures`.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from stackelgrid.analysis import style
from stackelgrid.analysis.errors import ResultsError
from stackelgrid.analysis.figures.frame import BANDS, Clock, clock, percentiles
from stackelgrid.analysis.limits import Band, band_of
from stackelgrid.analysis.run import Run
from stackelgrid.analysis.verdict_states import (
    COLORS,
    LABELS,
    NONE,
    STATES,
    exactness_asked,
    number,
)
from stackelgrid.profiles.arrays import Floats

# a column's width in a journal is about half of this
_SIZE = (8.0, 3.6)
# name, column of interval.parquet, sign that makes supply positive, colour; from the axis outwards
_TERMS = (
    ("load", "load_p_mw", -1.0, style.LOAD),
    ("losses", "loss_mw", -1.0, style.LOSS),
    ("import, export", "p_import_mw", 1.0, style.IMPORT),
    ("units", "unit_p_mw", 1.0, style.UNIT),
    ("PV", "pv_p_mw", 1.0, style.PV),
    ("batteries", "battery_p_mw", -1.0, style.BATTERY),
    ("grids below", "lower_p_mw", -1.0, style.LOWER),
)
_OPACITY = 0.75
# of the largest term: below, there is nothing to see
_NOTHING = 1e-3


def dispatch(run: Run, grid: str) -> Figure:
    """Supply (up) and use (down) of one copy of a grid in MW, stacked; both sides are equal.

    Raises ResultsError for an unknown grid, or a run without an interval.
    """
    when = _clock(run)
    own = _of_grid(run, grid, when)
    figure, axes = _figure(when)
    powers = {n: s * own[c].to_numpy(dtype=np.float64) for n, c, s, _ in _TERMS}
    largest = max(float(np.nanmax(np.abs(p))) for p in powers.values())
    up, down = np.zeros(len(own)), np.zeros(len(own))
    for name, _, _, colour in _TERMS:
        power = powers[name]
        if np.nanmax(np.abs(power)) <= _NOTHING * largest:
            continue
        above, below = up + np.maximum(power, 0.0), down + np.minimum(power, 0.0)
        label: str | None = name
        for low, high in ((up, above), (below, down)):
            if np.array_equal(low, high):
                continue
            _band(axes, when, low, high, colour, _OPACITY, label)
            label = None
        up, down = above, below
    axes.axhline(0.0, color=style.INK, linewidth=1.0)
    axes.set_ylabel("use | supply in MW")
    axes.set_title(f"{run.name}: power of {_described(run, grid)}", fontsize=11)
    _legend(figure)
    return figure


def voltages(run: Run, grid: str) -> Figure:
    """Bands of voltages over a grid's buses in p.u., against the limits of most of its buses.

    Raises ResultsError for an unknown grid, or a run without an interval.
    """
    when = _clock(run)
    run.check_grid(grid)
    bus = run.bus[run.bus["grid"] == grid]
    wide = bus.pivot_table("vm_pu", "interval", "bus").reindex(when.intervals)
    values = wide.to_numpy(dtype=np.float64)
    figure, axes = _figure(when)
    _percentile_bands(axes, when, values, style.IMPORT, "buses")
    _limits(axes, band_of(run, [grid]), float(np.nanmin(values)), float(np.nanmax(values)))
    axes.set_ylabel("voltage in p.u.")
    axes.set_title(f"{run.name}: voltages of {_described(run, grid)}", fontsize=11)
    _legend(figure)
    return figure


def state_of_charge(run: Run, grids: Sequence[str] = ()) -> Figure:
    """Bands of the state of charge over all batteries of some grids (all by default), in percent.

    Values are those at the ends of intervals. Raises ResultsError where there is no battery.
    """
    when = _clock(run)
    for grid in grids:
        run.check_grid(grid)
    battery = run.device[run.device["kind"] == "battery"]
    if grids:
        battery = battery[battery["grid"].isin(list(grids))]
    if battery.empty:
        raise ResultsError(f"{run.directory}: no battery in {', '.join(grids) or 'any grid'}")
    wide = battery.pivot_table("soc_percent", "interval", ["grid", "index"])
    values = wide.reindex(when.intervals).to_numpy(dtype=np.float64)
    figure, axes = _figure(when)
    _percentile_bands(axes, when, values, style.BATTERY, "batteries")
    axes.set_ylim(-2.0, 102.0)
    axes.set_ylabel("state of charge in %")
    where = ", ".join(grids) if grids else "all grids"
    told = f"{values.shape[1]} batteries of {where}"
    axes.set_title(f"{run.name}: {told}", fontsize=11)
    _legend(figure)
    return figure


def certificate(run: Run) -> Figure:
    """Verdict of every grid's applied plan by interval, as a strip a grid.

    Raises ResultsError for a run without an interval.
    """
    when = _clock(run)
    wide = run.interval.pivot_table("verdict", "interval", "grid", aggfunc="first", dropna=False)
    names = [g for g in run.grids if g in wide]
    states = np.array(
        [
            [
                number(v, exactness_asked(run.grids[g].level))
                for v in wide[g].reindex(when.intervals)
            ]
            for g in names
        ]
    )
    figure, axes = _figure(when, (_SIZE[0], 1.3 + 0.24 * len(names)))
    norm = BoundaryNorm(np.arange(len(STATES) + 1) - 0.5, len(STATES))
    axes.pcolormesh(
        _edges(when), np.arange(len(names) + 1), states, cmap=ListedColormap(COLORS), norm=norm,
    )  # fmt: skip
    for row in range(1, len(names)):  # strips, not a carpet
        axes.axhline(row, color=style.PAPER, linewidth=2.0)
    axes.set_yticks(np.arange(len(names)) + 0.5, names)
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.set_title(f"{run.name}: verdict of the applied plans", fontsize=11)
    handles = [
        Patch(color=COLORS[k], label=f"{state or LABELS[NONE]}: {int((states == k).sum())}")
        for k, state in enumerate(STATES)
        if (states == k).any()
    ]
    figure.legend(
        handles=handles, loc="outside lower center", ncols=len(handles), fontsize=9, frameon=False
    )
    return figure


def prices(run: Run, grid: str) -> Figure:
    """Import, export and nodal price at a grid's boundary in EUR/MWh.

    Raises ResultsError for an unknown grid, or one without a grid above.
    """
    when = _clock(run)
    run.check_grid(grid)
    own = run.boundary[run.boundary["grid"] == grid].set_index("interval").reindex(when.intervals)
    if own["parent"].isna().all():
        raise ResultsError(f"grid {grid!r} has no grid above, and no prices at a boundary")
    figure, axes = _figure(when)
    for n, (column, label) in enumerate((
        ("import_eur_per_mwh", "import"),
        ("export_eur_per_mwh", "export"),
        ("nodal_price_eur_per_mwh", f"nodal price in {run.grids[grid].parent}"),
    )):  # fmt: skip
        values = own[column].to_numpy(dtype=np.float64)
        if np.isfinite(values).any():
            axes.step(
                _edges(when), _held(values), where="post", label=label, linewidth=1.8,
                color=style.CYCLE[n], linestyle=style.LINE_STYLES[n],
            )  # fmt: skip
    axes.margins(y=0.08)
    axes.set_ylabel("price in EUR/MWh")
    axes.set_title(f"{run.name}: prices at the boundary of {_described(run, grid)}", fontsize=11)
    _legend(figure)
    return figure


def _clock(run: Run) -> Clock:
    when = clock(run)
    if not len(when.intervals):
        raise ResultsError(f"{run.directory}: no interval is done yet")
    return when


def _of_grid(run: Run, grid: str, when: Clock) -> pd.DataFrame:
    run.check_grid(grid)
    own = run.interval[run.interval["grid"] == grid]
    return own.set_index("interval").reindex(when.intervals)


def _described(run: Run, grid: str) -> str:
    copies = run.grids[grid].multiplicity
    return grid if copies == 1 else f"{grid} (one of {copies} copies)"


def _figure(when: Clock, size: tuple[float, float] = _SIZE) -> tuple[Figure, Axes]:
    """Return an empty picture over time."""
    figure = Figure(figsize=size, layout="constrained", dpi=style.DPI)
    axes = figure.add_subplot()
    edges = _edges(when)
    axes.set_xlim(edges[0], edges[-1])
    locator = AutoDateLocator(minticks=4, maxticks=9)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    formatter = ConciseDateFormatter(locator)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_formatter(formatter)
    axes.set_xlabel(when.title)
    axes.grid(color=style.RULE)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def _edges(when: Clock) -> Floats:
    """Edges of the intervals in days, as matplotlib counts them."""
    return (when.edges - np.datetime64("1970-01-01", "s")) / np.timedelta64(1, "D")


def _held(values: Floats) -> Floats:
    """Values with the last one held to the end of its interval."""
    return np.append(values, values[-1:])


def _band(
    axes: Axes, when: Clock, low: Floats, high: Floats, colour: str, opacity: float,
    label: str | None,
) -> None:  # fmt: skip
    axes.fill_between(
        _edges(when), _held(low), _held(high), step="post", color=colour, alpha=opacity,
        linewidth=0.0, label=label,
    )  # fmt: skip


def _percentile_bands(axes: Axes, when: Clock, values: Floats, colour: str, of: str) -> None:
    """Bands over the columns of values (intervals, columns), from all to the middle, and median."""
    weights = np.ones(values.shape[1])
    for (low, high), opacity in zip(BANDS, (0.18, 0.25, 0.4), strict=True):
        below, above = percentiles(values, weights, (low, high))
        label = f"all {of}" if high - low == 100.0 else f"{high - low:.0f} % of {of}"
        _band(axes, when, below, above, colour, opacity, label)
    (median,) = percentiles(values, weights, (50.0,))
    axes.step(
        _edges(when), _held(median), where="post", color=colour, linewidth=1.8, label="median"
    )


def _limits(axes: Axes, band: Band | None, low: float, high: float) -> None:
    """Draw the limits that there are, named; the axis shows them all."""
    if band is None:
        return
    for limit in (band.min_pu, band.max_pu):
        if np.isnan(limit):
            continue
        axes.axhline(limit, color=style.VERMILION, linestyle="--", linewidth=1.4)
        axes.annotate(
            f"limit {limit:g} p.u.", (1.0, limit), xycoords=("axes fraction", "data"),
            xytext=(-4, 3 if limit == band.min_pu else -3), textcoords="offset points",
            ha="right", va="bottom" if limit == band.min_pu else "top",
            color=style.VERMILION, fontsize=8,
        )  # fmt: skip
    low, high = float(np.fmin(band.min_pu, low)), float(np.fmax(band.max_pu, high))
    room = 0.03 * (high - low)
    axes.set_ylim(low - room, high + room)


def _legend(figure: Figure) -> None:
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=min(len(labels), 7), fontsize=9,
        frameon=False,
    )  # fmt: skip
