"""Sections of the report of a run, in the order in which people ask; empty ones are left out."""

from collections.abc import Callable, Iterator
from itertools import product

import numpy as np

from stackelgrid.analysis.figures import (
    certificates,
    costs,
    flexible,
    forecasts,
    heat_map,
    hierarchy,
    loading,
    maps,
    power,
    taps,
    voltages,
    waterfall,
)
from stackelgrid.analysis.figures.grid_map import equal_grids
from stackelgrid.analysis.report.key_tables import figures_beside, gain, key_table
from stackelgrid.analysis.report.page import Chart, Choice, Section
from stackelgrid.analysis.report.run_process import grids, interface, negotiations, time
from stackelgrid.analysis.report.run_tables import (
    cost_table,
    extremes_table,
    unmet_table,
    worst_table,
)
from stackelgrid.analysis.results.axes import LEVELS, Clock, copies, grids_of, levels, with_copies
from stackelgrid.analysis.results.baseline import compared_with, why_not_compared
from stackelgrid.analysis.results.limits import has_network
from stackelgrid.analysis.run import Run
from stackelgrid.controllers import tolerances
from stackelgrid.controllers.devices.registry import kinds

SectionOf = Callable[[Run, Clock], Section | None]
_ALL_COPIES = "All copies."
_FULLEST = "The fullest line and transformer of each level in every interval."


def key_numbers(run: Run, when: Clock) -> Section | None:
    """Build the section on energy, exchange, costs and limits of the whole system."""
    if "stored_energy" not in run.summary:  # version 0.1 wrote none
        return None
    figures, reason = figures_beside(run), why_not_compared(run)
    text = f"No run without control to compare with: {reason}." if reason else gain(*figures)
    return Section("Key figures", (text,) if text else (), tables=(key_table(run, *figures),))


def hierarchy_map(run: Run, when: Clock) -> Section | None:
    """Build the section with the map of the hierarchy."""
    if len(run.grids) == 1:
        return None
    note = (
        "A bar is a grid with all its copies, in the colour of its smallest margin to a voltage "
        "limit; a line is the exchange of all copies with the grid above. The slider starts at the "
        "smallest margin."
    )
    chart = Chart.of("Grids and their exchange", hierarchy.hierarchy, run, note=note, wide=True)
    return Section("Map of the system", (), (chart,))


def powers(run: Run, when: Clock) -> Section:
    """Build the section on balances, exchange, trade, and devices by kind."""
    return Section("Balance and exchange", (), tuple(_power_charts(run)))


def _power_charts(run: Run) -> Iterator[Chart]:
    if len(run.grids) > 1 or compared_with(run):
        note = "All feeders together at their boundary, all copies; below zero they export."
        yield Chart.of("Exchange of the feeders", power.exchange, run, note=note, wide=True)
    for level in levels(run):
        note = "All copies. Supply above zero, use below; both sides are equal."
        title = f"Balance, {LEVELS[level]}"
        yield Chart.of(title, power.balance, run, level, note=note, wide=True)
    for level in levels(run):
        if level != "transmission":
            note = "All copies; below zero a grid exports."
            yield Chart.of(f"Imports, {LEVELS[level]}", power.imports, run, level, note=note)
    for kind in kinds():
        if power.has_available(run, kind.kind):
            title = f"{kind.label} and curtailment"
            yield Chart.of(title, power.available, run, kind.kind, note=_ALL_COPIES)
    if power.has_trade(run):
        yield Chart.of("Trade between prosumers", power.trade, run, note=_ALL_COPIES)
    for kind, level in product(kinds(), levels(run)):
        if kind.one_by_one and power.has_devices(run, kind.kind, level):
            title = f"{kind.label.capitalize()} one by one, {LEVELS[level]}"
            yield Chart.of(title, power.one_by_one, run, kind.kind, level, note=_ALL_COPIES)


def money(run: Run, when: Clock) -> Section:
    """Build the section on the waterfall of costs, costs by interval, and prices."""
    charts = list(_waterfalls(run))
    note = "Without payments between grids of the system. Below zero: earned."
    charts.append(Chart.of("Cost of the system by interval", costs.costs, run, note=note))
    if compared_with(run) is None:
        note = (
            "Follower and leaders, without payments of the leaders to the follower."
            if "transmission" in levels(run)
            else ""
        )
        charts.append(Chart.of("Cost since the start", costs.cumulative_costs, run, note=note))
    else:
        note = "Cost without control less that of this run; stored energy is not valued."
        charts.append(Chart.of("Saved since the start", costs.savings, run, note=note))
    if len(run.boundary):
        charts.append(Chart.of("Prices", costs.prices, run))
    return Section("Costs and prices", (), tuple(charts), (cost_table(run),))


def _waterfalls(run: Run) -> Iterator[Chart]:
    compared = compared_with(run) is not None
    sides = [waterfall.SYSTEM]
    if len(run.grids) > 1:
        sides += [waterfall.LEADERS, waterfall.FOLLOWER]
    for side in sides:
        steps = waterfall.waterfall_steps(run, side)
        if not steps or any(np.isnan(step.eur) for step in steps):
            continue
        if side == waterfall.FOLLOWER and len(steps) == 1:  # it is in that of the system
            continue
        title = f"Cost of the {side}"
        if compared:
            title += ", from no control to this run"
        yield Chart.of(title, waterfall.waterfall, run, side, wide=side == waterfall.SYSTEM)


def voltage(run: Run, when: Clock) -> Section:
    """Build the section on voltages over time and bus, bands, phases, and extremes."""
    charts: list[Chart | Choice] = []
    for level in levels(run):
        note = (
            "Realised, balanced. Colours are the room to the limits: blue towards the lower one, "
            "red towards the upper one, the end colours beyond. Buses in the order of the tree."
        )
        charts.append(_heat(run, level, note))
    note = "Balanced, realised; every copy counts."
    charts += [
        Chart.of(f"Voltages, {LEVELS[level]}", voltages.voltage_band, run, level, note=note)
        for level in levels(run)
    ]
    if (run.interval["verdict_three_phase"] != "").any():
        note = "Of the plan, over all grids with a three-phase view."
        charts.append(Chart.of("Phase voltages", voltages.phases, run, note=note))
        note = "Negative over positive sequence voltage, of the plan."
        charts.append(Chart.of("Unbalance", voltages.unbalance, run, note=note))
    return Section("Voltages", (), tuple(charts), (extremes_table(run, when),))


def _heat(run: Run, level: str, note: str) -> Chart | Choice:
    title = f"Voltage of every bus, {LEVELS[level]}"
    if heat_map.stacked(run, level):
        return Chart.of(title, heat_map.voltage_heat_maps, run, level, note=note, wide=True)
    names = heat_map.shown_grids(run, level)
    left = len(grids_of(run, level)) - len(names)
    if left:
        note += f" {left} more grids are further from their limits."
    charts = tuple(
        Chart.of(with_copies(run, name), heat_map.voltage_heat_map, run, name) for name in names
    )
    return Choice(title, "Grid", charts, f"The closest to a limit is first. {note}")


def grid_maps(run: Run, when: Clock) -> Section:
    """Build the section of maps, each in the interval closest to a voltage limit."""
    if not has_network(run):
        return Section(
            "Maps",
            ("Left out: the run has no network.parquet, which runs of this version write.",),
        )
    figures: list[Chart | Choice] = []
    for level in levels(run):
        names = grids_of(run, level)
        span = maps.voltage_range(run, names)
        for equal in equal_grids(run.network, names):
            charts = tuple(_map(run, when, name, span) for name in equal)
            title = f"{LEVELS[level].capitalize()}: {len(charts)} grids of the same network"
            figures.append(charts[0] if len(charts) == 1 else Choice(title, "Grid", charts))
    text = (
        "Every grid in the interval in which a bus is closest to its limit, or furthest beyond it. "
        "Red: above 1 p.u., blue: below; grids of one level share their colours. Radial grids are "
        "drawn as trees from the bus that supplies them."
    )
    return Section("Maps", (text,), tuple(figures))


def _map(run: Run, when: Clock, name: str, span: float) -> Chart:
    at, count = maps.worst_interval(run, name), copies(run)[name]
    title = f"{name} at {when.text(at)}{f', {count} copies' if count > 1 else ''}"
    return Chart.of(title, maps.voltage_map, run, name, at, span, wide=True)


def loadings(run: Run, when: Clock) -> Section | None:
    """Build the section on durations of loadings, and the fullest branches by name."""
    if not any(loading.has_rated_branches(run, level) for level in levels(run)):
        return None
    note = (
        "Lines and transformers with a rating: the fullest one of a level in each interval, sorted."
    )
    return Section(
        "Loading",
        (),
        (
            Chart.of("Loading over time", loading.over_time, run, note=_FULLEST, wide=True),
            Chart.of("Duration of loadings", loading.durations, run, note=note, wide=True),
            Chart.of("Fullest branches", loading.fullest_branches, run, wide=True),
        ),
    )


def storage(run: Run, when: Clock) -> Section | None:
    """Build the section on states of charge: bands by level, and devices of a chosen grid."""
    charts: list[Chart | Choice] = []
    note = "At the end of each interval."
    for kind in power.stores():
        for level in levels(run):
            if power.has_charge(run, kind.kind, grids_of(run, level)):
                title = f"State of charge, {kind.label}, {LEVELS[level]}"
                charts.append(
                    Chart.of(title, power.state_of_charge, run, kind.kind, level, note=note)
                )
        names = [n for n in run.grids if power.has_charge(run, kind.kind, [n])]
        each = tuple(Chart.of(name, power.charge_by_device, run, kind.kind, name) for name in names)
        if each:
            title = f"State of charge of each device, {kind.label}"
            charts.append(Choice(title, "Grid", each, note))
    return Section("State of charge", (), tuple(charts)) if charts else None


def flexible_demand(run: Run, when: Clock) -> Section | None:
    """Build the section on power, presence and energy of controlled consumers."""
    charts = []
    for own in flexible.controlled(run):
        kind, title = own.kind, flexible.titled(own, "p_mw")
        charts.append(Chart.of(title, flexible.demand, run, kind, note=_ALL_COPIES))
        if own.presence:
            title = flexible.titled(own, own.presence)
            note = "Those that are there for a part of an interval count by that part. All copies."
            charts.append(Chart.of(title, flexible.presence, run, kind, note=note))
        if flexible.has_energy(run, kind):
            title, note = flexible.titled(own, "e_mwh"), "At the end of each interval, all copies."
            charts.append(Chart.of(title, flexible.energy, run, kind, note=note))
    return Section("Flexible demand", _uncontrolled(run), tuple(charts)) if charts else None


def _uncontrolled(run: Run) -> tuple[str, ...]:
    """Return in a sentence what consumers do without control; none without such a run."""
    found = [f"{k.label} {k.uncontrolled}" for k in flexible.controlled(run) if k.uncontrolled]
    return (f"Without control {'; '.join(found)}.",) if found and compared_with(run) else ()


def needs(run: Run, when: Clock) -> Section | None:
    """Build the section on comfort and other conditions, and on needs that were not met."""
    charts = []
    for kind in kinds():
        having = [level for level in levels(run) if power.has_devices(run, kind.kind, level)]
        for level, column in product(having, kind.bands):
            title = flexible.titled(kind, column)
            title += f", {LEVELS[level]}" if len(having) > 1 else ""
            note = "Every copy counts."
            made = Chart.of(title, flexible.condition, run, kind.kind, column, level, note=note)
            charts.append(made)
    if flexible.power_needs(run):
        note = "The energy of an interval as power over it. All copies."
        charts.append(Chart.of("Needs that were not met", flexible.unmet, run, note=note))
    table = unmet_table(run, when)
    if not charts and table is None:
        return None
    texts = () if table else ("All needs were met.",)
    return Section("Comfort and needs", texts, tuple(charts), (table,) if table else ())


def tap_changers(run: Run, when: Clock) -> Section | None:
    """Build the section on tap positions over time."""
    if not taps.tap_changers(run):
        return None
    chart = Chart.of("Tap positions", taps.taps, run, note="Of one copy of each grid.", wide=True)
    return Section("Tap changers", (), (chart,))


def forecast(run: Run, when: Clock) -> Section | None:
    """Build the section on forecasts and reality, where they differ."""
    if run.interval["p_import_planned_mw"].isna().all():
        return None
    title = "Forecast and reality"
    if not forecasts.apart(run):
        return Section(title, ("Loads, PV and exchange were as the applied plans expected.",))
    note = (
        "All feeders, all copies. Expected: by the plan that was applied in the interval; a plan "
        "that is not exact also expects losses that do not come."
    )
    chart = Chart.of("Expected and real power", forecasts.forecasts, run, note=note, wide=True)
    return Section(title, (), (chart,))


def certificate(run: Run, when: Clock) -> Section:
    """Build the section on verdicts, cone gaps, violations and the worst intervals."""
    meaning = (
        "Plan against AC power flow at the planned injections. Exact: the relaxation is tight and "
        "the voltages agree; infeasible: a limit is violated."
    )
    table = worst_table(run, when)
    if table is None:
        text = "No interval needed recovery or a fallback, and none was beyond a limit."
        strip = certificates.certificate_of_levels
        charts = [Chart.of("Worst certificate of a level", strip, run, note=meaning, wide=True)]
        return Section("Certificate", (text,), (*charts, *_gaps(run)))
    charts = [
        Chart.of(
            "Certificate of every grid by interval",
            certificates.certificate_strip,
            run,
            note=meaning,
            wide=True,
        )
    ]
    largest = certificates.largest_violations(run, when).to_numpy(np.float64)
    if np.nanmax(largest, initial=0.0) > tolerances.AC_LIMIT_PU:
        note = "Of a voltage limit in p.u., of a rating as a share of it."
        title = "Largest violation of a limit"
        charts.append(Chart.of(title, certificates.violations, run, note=note, wide=True))
    return Section("Certificate", (), (*charts, *_gaps(run)), (table,))


def _gaps(run: Run) -> Iterator[Chart]:
    if run.interval["cone_gap_pu"].notna().any():
        note = "Difference of l v and P² + Q² of a branch in the relaxation."
        yield Chart.of("Cone gap", certificates.cone_gap, run, note=note)
        note = "Fictitious losses of the relaxation, as a share of the load."
        yield Chart.of("Fictitious losses", certificates.fictitious_loss, run, note=note)


SECTIONS: tuple[SectionOf, ...] = (
    key_numbers,
    hierarchy_map,
    powers,
    money,
    voltage,
    grid_maps,
    loadings,
    flexible_demand,
    needs,
    storage,
    tap_changers,
    forecast,
    certificate,
    interface,
    negotiations,
    time,
    grids,
)
