"""Sections of the report of a run; sections without data are left out."""

from collections.abc import Callable, Iterator
from itertools import product

import numpy as np

from stackelgrid.analysis.figures import (
    certificates,
    costs,
    interfaces,
    maps,
    negotiation,
    power,
    voltages,
)
from stackelgrid.analysis.figures.grid_map import equal_grids
from stackelgrid.analysis.kpis.negotiation import cold_and_warm
from stackelgrid.analysis.report.page import Chart, Choice, Section
from stackelgrid.analysis.report.qualities import negotiation_charts
from stackelgrid.analysis.report.run_tables import (
    cost_table,
    extremes_table,
    grid_table,
    worst_table,
)
from stackelgrid.analysis.results.axes import LEVELS, Clock, copies, grids_of, levels
from stackelgrid.analysis.results.limits import has_network
from stackelgrid.analysis.run import Run
from stackelgrid.controllers import tolerances
from stackelgrid.controllers.devices.registry import kinds
from stackelgrid.controllers.words import words

SectionOf = Callable[[Run, Clock], Section | None]


def what_ran(run: Run, when: Clock) -> Section:
    """Build the section on solvers and their choice, notices of the log, and grids."""
    solver = run.summary["solver"]
    text = [
        f"Conic programs were solved by {words(solver['conic'])}, mixed-integer ones by "
        f"{words(solver['mixed_integer'])} ({solver['version']})."
    ]
    if solver["fallback_reason"]:
        text.append(f"They stand in for MOSEK: {solver['fallback_reason']}.")
    notices = [str(e["text"]) for e in run.events if e.get("event") == "notice"]
    text += [_sentence(notice) for notice in notices if "stands in for" not in notice]  # see above
    warnings = sum(e.get("event") == "warning" for e in run.events)
    if warnings:
        text.append(f"{warnings} warnings of single intervals are in log.jsonl.")
    return Section("Scenario and solvers", tuple(text), tables=(grid_table(run),))


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def certificate(run: Run, when: Clock) -> Section:
    """Build the section on verdicts, cone gaps, violations and the worst intervals."""
    charts = [
        Chart.of(
            "Certificate of every grid by interval",
            certificates.certificate_strip,
            run,
            note="Plan against AC power flow at the planned injections. Exact: the relaxation is "
            "tight and the voltages agree; infeasible: a limit is violated.",
            wide=True,
        )
    ]
    largest = certificates.largest_violations(run, when).to_numpy(np.float64)
    if np.nanmax(largest, initial=0.0) > tolerances.AC_LIMIT_PU:
        note = "Of a voltage limit in p.u., of a rating as a share of it."
        title = "Largest violation of a limit"
        charts.append(Chart.of(title, certificates.violations, run, note=note, wide=True))
    if run.interval["cone_gap_pu"].notna().any():
        note = "Difference of l v and P² + Q² of a branch in the relaxation."
        charts.append(Chart.of("Cone gap", certificates.cone_gap, run, note=note))
        note = "Fictitious losses of the relaxation, as a share of the load."
        charts.append(Chart.of("Fictitious losses", certificates.fictitious_loss, run, note=note))
    table = worst_table(run, when)
    if table is None:
        text = "No interval needed recovery or a fallback, and none was beyond a limit."
        return Section("Certificate", (text,), tuple(charts))
    return Section("Certificate", (), tuple(charts), (table,))


def money(run: Run, when: Clock) -> Section:
    """Build the section on costs by interval and kind, leaders and follower, and prices."""
    note = "Without payments between grids of the system. Below zero: earned."
    charts = [
        Chart.of("Cost of the system by interval", costs.costs, run, note=note, wide=True),
        Chart.of(
            "Cost since the start",
            costs.cumulative_costs,
            run,
            note="Follower and leaders, without payments of the leaders to the follower."
            if "transmission" in levels(run)
            else "",
        ),
    ]
    if len(run.boundary):
        charts.append(Chart.of("Prices", costs.prices, run))
    return Section("Costs and prices", (), tuple(charts), (cost_table(run),))


def powers(run: Run, when: Clock) -> Section:
    """Build the section on balances, imports, trade, and devices by kind."""
    return Section("Power", (), tuple(_power_charts(run)))


def _power_charts(run: Run) -> Iterator[Chart]:
    all_copies = "All copies."
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
            yield Chart.of(title, power.available, run, kind.kind, note=all_copies)
    if power.has_trade(run):
        yield Chart.of("Trade between prosumers", power.trade, run, note=all_copies)
    note = "At the end of each interval."
    for kind, level in product(power.stores(), levels(run)):
        if power.has_devices(run, kind.kind, level):
            title = f"State of charge, {kind.label}, {LEVELS[level]}"
            yield Chart.of(title, power.state_of_charge, run, kind.kind, level, note=note)
    for kind, level in product(kinds(), levels(run)):
        if kind.one_by_one and power.has_devices(run, kind.kind, level):
            title = f"{kind.label.capitalize()} one by one, {LEVELS[level]}"
            yield Chart.of(title, power.one_by_one, run, kind.kind, level, note=all_copies)


def voltage(run: Run, when: Clock) -> Section:
    """Build the section on voltage bands and limits, phases, and extremes of every grid."""
    note = "Balanced, realised; every copy counts."
    charts = [
        Chart.of(f"Voltages, {LEVELS[level]}", voltages.voltage_band, run, level, note=note)
        for level in levels(run)
    ]
    if (run.interval["verdict_three_phase"] != "").any():
        note = "Of the plan, over all grids with a three-phase view."
        charts.append(Chart.of("Phase voltages", voltages.phases, run, note=note))
        note = "Negative over positive sequence voltage, of the plan."
        charts.append(Chart.of("Unbalance", voltages.unbalance, run, note=note))
    return Section("Voltages", (), tuple(charts), (extremes_table(run, when),))


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


def loading(run: Run, when: Clock) -> Section | None:
    """Bands of loadings, and the fullest branches by name."""
    note = "Lines and transformers with a rating; every copy counts."
    charts = [
        Chart.of(f"Loading, {LEVELS[level]}", voltages.loading_band, run, level, note=note)
        for level in levels(run)
        if voltages.has_rated_branches(run, level)
    ]
    if not charts:
        return None
    fullest = Chart.of("Fullest branches", voltages.fullest_branches, run, wide=True)
    return Section("Loading", (), (*charts, fullest))


def interface(run: Run, when: Clock) -> Section | None:
    """Build the section on rounds and mismatches of the interface loop between grids."""
    if run.boundary.empty:
        return None
    title = "Interfaces between grids"
    rounds = Chart.of("Rounds until the interfaces agreed", interfaces.interface_rounds, run)
    if not run.boundary["mismatch_mva"].max() > 0.0:
        return Section(title, ("There was no remaining mismatch.",), (rounds,))
    note = "Power used by the upper grid less power drawn by the lower grid."
    left = Chart.of("Remaining mismatch", interfaces.interface_mismatch, run, note=note)
    return Section(title, (), (rounds, left))


def negotiations(run: Run, when: Clock) -> Section | None:
    """Build the section on negotiations: rounds, residuals, schedules held, time to agreement."""
    charts = []
    for grid in map(str, run.round["grid"].unique()):
        for at, which in zip(cold_and_warm(run, grid), ("first", "typical later"), strict=True):
            if at is not None:
                title = f"Residuals with {grid}, {which} negotiation ({when.text(at)})"
                charts.append(Chart.of(title, negotiation.rounds, run, grid, at))
    charts += negotiation_charts(run)
    return Section("Negotiations", (), tuple(charts)) if charts else None


def time(run: Run, when: Clock) -> Section:
    """Build the section on wall-clock time."""
    charts = [Chart.of("Wall-clock time", interfaces.time_spent, run)]
    if len(run.stage):
        charts.append(Chart.of("Time of the decisions", interfaces.time_of_decisions, run))
    return Section("Time", (), tuple(charts))


SECTIONS: tuple[SectionOf, ...] = (
    what_ran,
    certificate,
    money,
    powers,
    voltage,
    grid_maps,
    loading,
    interface,
    negotiations,
    time,
)
