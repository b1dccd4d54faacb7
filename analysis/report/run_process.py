"""Sections on how a run came about: interfaces, negotiations, solver and time, its grids."""

from collections.abc import Iterator

from stackelgrid.analysis.figures import interfaces, negotiation
from stackelgrid.analysis.kpis.negotiation import cold_and_warm
from stackelgrid.analysis.report.page import Chart, ReportTable, Section
from stackelgrid.analysis.report.qualities import negotiation_charts
from stackelgrid.analysis.report.run_tables import grid_table
from stackelgrid.analysis.report.study import instead_of_mosek
from stackelgrid.analysis.results.axes import Clock
from stackelgrid.analysis.run import Run
from stackelgrid.controllers.words import words


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
    """Build the section on solvers and their choice, warnings, gaps, and wall-clock time."""
    solver = run.summary["solver"]
    text = [
        f"Conic programs were solved by {words(solver['conic'])}, mixed-integer ones by "
        f"{words(solver['mixed_integer'])} ({solver['version']})."
    ]
    text += instead_of_mosek(run.summary)
    notices = [str(e["text"]) for e in run.events if e.get("event") == "notice"]
    text += [_sentence(notice) for notice in notices if "MOSEK" not in notice]  # see above
    warnings = sum(e.get("event") == "warning" for e in run.events)
    if warnings:
        text.append(f"{warnings} warnings of single intervals are in log.jsonl.")
    charts = [Chart.of("Wall-clock time", interfaces.time_spent, run)]
    if len(run.stage):
        charts.append(Chart.of("Time of the decisions", interfaces.time_of_decisions, run))
    rows = tuple(_solving(run))
    table = ReportTable("Solving", ("", "value"), rows, compact=True)
    return Section("Solver and time", tuple(text), tuple(charts), (table,))


def _solving(run: Run) -> Iterator[tuple[str, str]]:
    s = run.summary
    yield "wall-clock time", f"{s['wall_s']:,.1f} s"
    yield "largest gap of a plan", known(s["bilevel"]["max_relative_gap"], ".1e")
    yield "largest cone gap", known(s["certificate"]["max_cone_gap_pu"], ".1e", " p.u.")
    yield "recovered intervals", str(s["certificate"]["recovered"])
    yield "intervals by fallback", str(s["intervals_fallback"])
    yield "seed", str(s["seed"])
    yield "version", str(s["version"])


def known(value: float | None, form: str, unit: str = "") -> str:
    """Format a number of summary.json, which is null if it is not finite."""
    return "not known" if value is None else f"{value:{form}}{unit}"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def grids(run: Run, when: Clock) -> Section:
    """Build the section on the grids of the scenario."""
    return Section("Scenario and grids", tables=(grid_table(run),))
