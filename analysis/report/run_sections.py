"""Sections of the report of a run; one without data is left out."""

from collections.abc import Callable, Iterator

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
from stackelgrid.analysis.figures.frame import LEVELS, Clock, copies, grids_of, levels
from stackelgrid.analysis.limits import has_network
from stackelgrid.analysis.negotiation import NegotiationTables, cold_and_warm
from stackelgrid.analysis.report.page import Chart, Section
from stackelgrid.analysis.report.run_tables import (
    cost_table,
    extremes_table,
    grid_table,
    worst_table,
)
from stackelgrid.analysis.run import Run
from stackelgrid.controllers import tolerances

SectionOf = Callable[[Run, Clock], Section | None]


def what_ran(run: Run, when: Clock) -> Section:
    """Solvers and why these, notices of the log, grids."""
    solver = run.summary["solver"]
    text = [
        f"Conic programs were solved by {solver['conic']}, mixed-integer ones by "
        f"{solver['mixed_integer']} ({solver['version']})."
    ]
    if solver["fallback_reason"]:
        text.append(f"They stand in for MOSEK: {solver['fallback_reason']}.")
    notices = [str(e["text"]) for e in run.events if e.get("event") == "notice"]
    text += [_sentence(told) for told in notices if "stands in for" not in told]  # told above
    warnings = sum(e.get("event") == "warning" for e in run.events)
    if warnings:
        text.append(f"{warnings} warnings of single intervals are in log.jsonl.")
    return Section("What ran", tuple(text), tables=(grid_table(run),))


def _sentence(told: str) -> str:
    return f"{told[:1].upper()}{told[1:]}."


def certificate(run: Run, when: Clock) -> Section:
    """Strip of verdicts, cone gaps, violations, the worst intervals."""
    charts = [
        Chart(
            "Certificate of every grid by interval",
            certificates.certificate_strip(run),
            "Strip of verdicts: one row a grid, one cell an interval.",
            "Plan against AC power flow at the planned injections. Exact: the relaxation is tight "
            "and the voltages agree; infeasible: a limit is violated.",
        )
    ]
    largest = certificates.largest_violations(run, when).to_numpy(np.float64)
    if np.nanmax(largest, initial=0.0) > tolerances.AC_LIMIT_PU:
        charts.append(
            Chart(
                "Largest violation of a limit",
                certificates.violations(run),
                "Largest violation over all grids by interval, planned and in reality.",
                "Of a voltage limit in p.u., of a rating as a share of it.",
            )
        )
    if run.interval["cone_gap_pu"].notna().any():
        charts += [
            Chart(
                "Cone gap",
                certificates.cone_gap(run),
                "Largest cone gap at the applied step by level, logarithmic.",
                "How far l v and P² + Q² of a branch are apart in the relaxation.",
                wide=False,
            ),
            Chart(
                "Fictitious losses",
                certificates.fictitious_loss(run),
                "Largest share of losses that no flow explains, by level, logarithmic.",
                "Losses of the relaxation that no flow explains, as a share of the load.",
                wide=False,
            ),
        ]
    table = worst_table(run, when)
    text = (
        ()
        if table
        else ("No interval needed a recovery or a fallback, and none was beyond a limit.",)
    )
    return Section("Certificate", text, tuple(charts), (table,) if table else ())


def money(run: Run, when: Clock) -> Section:
    """Costs by interval and kind, leaders and follower, prices."""
    charts = [
        Chart(
            "Cost of the system by interval",
            costs.costs(run),
            "Cost of every interval, stacked by kind.",
            "Without payments between grids of the system. Below zero: earned.",
        ),
        Chart(
            "Cost since the start",
            costs.cumulative_costs(run),
            "Costs of leaders, follower and system, added up.",
            "The system is the follower and the leaders without what leaders pay the follower."
            if "transmission" in levels(run)
            else "",
            wide=False,
        ),
    ]
    if len(run.boundary):
        charts.append(
            Chart(
                "Prices",
                costs.prices(run),
                "Import and export prices by tariff, and the range of nodal prices.",
                wide=False,
            )
        )
    return Section("Costs and prices", (), tuple(charts), (cost_table(run),))


def powers(run: Run, when: Clock) -> Section:
    """Balances, imports, PV, storage, trade, units."""
    return Section("Power", (), tuple(_power_charts(run)))


def _power_charts(run: Run) -> Iterator[Chart]:
    for level in levels(run):
        name = LEVELS[level]
        yield Chart(
            f"Balance, {name}",
            power.balance(run, level),
            f"Supply and use of all {name} grids by interval.",
            "All copies. Supply above zero, use below; both sides are equal.",
        )
    lower = [level for level in levels(run) if level != "transmission"]
    for level in lower:
        yield Chart(
            f"Imports, {LEVELS[level]}",
            power.imports(run, level),
            f"Planned and real import of every {LEVELS[level]} grid, and their difference.",
            "All copies; below zero a grid exports.",
            wide=False,
        )
    if run.interval["pv_available_mw"].max() > 0.0:
        yield Chart(
            "PV and curtailment",
            power.photovoltaics(run),
            "PV fed in by level, and what was curtailed.",
            "All copies.",
            wide=False,
        )
    if power.has_trade(run):
        yield Chart(
            "Trade between prosumers",
            power.trade(run),
            "Power bought from prosumers of the same feeder and of others.",
            "All copies.",
            wide=False,
        )
    for level in levels(run):
        if power.has_devices(run, "battery", level):
            yield Chart(
                f"State of charge, {LEVELS[level]}",
                power.state_of_charge(run, level),
                f"Percentiles of the state of charge of all {LEVELS[level]} batteries.",
                "At the end of each interval.",
                wide=False,
            )
    for level in levels(run):
        if power.has_devices(run, "unit", level):
            yield Chart(
                f"Dispatchable units, {LEVELS[level]}",
                power.units(run, level),
                f"Power of every dispatchable unit, {LEVELS[level]}.",
                "All copies.",
                wide=False,
            )


def voltage(run: Run, when: Clock) -> Section:
    """Bands against limits, phases, maps of the worst interval of every grid."""
    charts = [
        Chart(
            f"Voltages, {LEVELS[level]}",
            voltages.voltage_band(run, level),
            f"Percentiles of the voltages of all {LEVELS[level]} buses against the limits.",
            "Balanced, as it happened; every copy counts.",
            wide=False,
        )
        for level in levels(run)
    ]
    if (run.interval["verdict_three_phase"] != "").any():
        charts += [
            Chart(
                "Phase voltages",
                voltages.phases(run),
                "Lowest and highest voltage of every phase against the limits.",
                "Of the plan, over all grids with a three-phase view.",
                wide=False,
            ),
            Chart(
                "Unbalance",
                voltages.unbalance(run),
                "Largest unbalance factor of every grid.",
                "Negative over positive sequence voltage, of the plan.",
                wide=False,
            ),
        ]
    return Section("Voltages", (), tuple(charts), (extremes_table(run, when),))


def grid_maps(run: Run, when: Clock) -> Section:
    """Map of every grid in the interval in which it is closest to a voltage limit."""
    if not has_network(run):
        return Section(
            "Maps",
            ("Left out: the run has no network.parquet, which runs of this version write.",),
        )
    count, charts = copies(run), []
    for level in levels(run):
        names = grids_of(run, level)
        span = maps.voltage_range(run, names)
        for name in names:
            at = maps.worst_interval(run, name)
            many = f", {count[name]} copies" if count[name] > 1 else ""
            charts.append(
                Chart(
                    f"{name} at {when.text(at)}{many}",
                    maps.voltage_map(run, name, at, span),
                    f"Map of {name}: voltage of every bus in the worst interval.",
                    wide=False,
                )
            )
    return Section(
        "Maps",
        (
            "Every grid in the interval in which a bus is closest to its limit, or furthest beyond "
            "it. Red: above 1 p.u., blue: below; grids of one level share their colours.",
        ),
        tuple(charts),
    )


def loading(run: Run, when: Clock) -> Section | None:
    """Bands of loadings, and the fullest branches by name."""
    rated = [level for level in levels(run) if voltages.has_rated_branches(run, level)]
    if not rated:
        return None
    charts = [
        Chart(
            f"Loading, {LEVELS[level]}",
            voltages.loading_band(run, level),
            f"Percentiles of the loading of all rated {LEVELS[level]} branches.",
            "Lines and transformers with a rating; every copy counts.",
            wide=False,
        )
        for level in rated
    ]
    fullest = Chart(
        "Fullest branches",
        voltages.fullest_branches(run),
        "Largest loading of the fullest branches, with the time of it.",
    )
    return Section("Loading", (), (*charts, fullest))


def interface(run: Run, when: Clock) -> Section | None:
    """Rounds and mismatches of the same-time loop between grids."""
    if run.boundary.empty:
        return None
    rounds = Chart(
        "Rounds until the interfaces agreed",
        interfaces.interface_rounds(run),
        "Most power flows of a grid by interval.",
        wide=False,
    )
    if not run.boundary["mismatch_mva"].max() > 0.0:
        return Section("Interfaces between grids", ("No mismatch was left.",), (rounds,))
    mismatch = Chart(
        "Mismatch that was left",
        interfaces.interface_mismatch(run),
        "Largest mismatch at an interface by interval, logarithmic.",
        "Power the upper grid used less power the lower grid drew.",
        wide=False,
    )
    return Section("Interfaces between grids", (), (rounds, mismatch))


def negotiations(run: Run, when: Clock) -> Section | None:
    """Rounds, residuals, times to agreement and doubts of negotiations."""
    tables = NegotiationTables(run.round, run.negotiation, run.commitment)
    charts = []
    for grid in tables.round["grid"].unique():
        cold, warm = cold_and_warm(tables, str(grid))
        for at, which in ((cold, "first"), (warm, "typical later")):
            if at is not None:
                charts.append(
                    Chart(
                        f"Residuals with {grid}, {which} negotiation ({when.text(at)})",
                        negotiation.rounds(tables, str(grid), at),
                        "Residuals of a negotiation round by round, logarithmic.",
                        wide=False,
                    )
                )
    if len(tables.commitment):
        charts.append(
            Chart(
                "Schedules held at the gate",
                negotiation.schedules_held(tables),
                "What every agent held in every interval: new, old, or in doubt.",
            )
        )
    if tables.negotiation["agreement_after_sec"].notna().any():
        charts.append(
            Chart(
                "Time to agreement",
                negotiation.agreement(tables),
                "Simulated time to the decision to commit by interval.",
            )
        )
    return Section("Negotiations", (), tuple(charts)) if charts else None


def time(run: Run, when: Clock) -> Section:
    """Where the wall-clock time went."""
    charts = [
        Chart(
            "Where the time went",
            interfaces.time_spent(run),
            "Wall-clock time by part of the run.",
            wide=False,
        )
    ]
    if len(run.stage):
        charts.append(
            Chart(
                "Time of the decisions",
                interfaces.time_of_decisions(run),
                "Wall-clock time of every decision by follower.",
                wide=False,
            )
        )
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
