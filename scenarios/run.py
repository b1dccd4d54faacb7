"""One run: build, simulate, and leave a directory that says truthfully what is in it."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tomli_w

from stackelgrid.controllers.decision import Decision
from stackelgrid.profiles.errors import StackelgridError
from stackelgrid.scenarios.build import BuiltScenario, build_scenario
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.load import LoadedScenario
from stackelgrid.scenarios.notices import notices, programs
from stackelgrid.scenarios.remote import Remotes, remote_simulators
from stackelgrid.scenarios.world import run_world
from stackelgrid.simulators.negotiation_tables import NegotiationRecorder
from stackelgrid.simulators.negotiation_totals import negotiation_events
from stackelgrid.simulators.stages import StageRecorder
from stackelgrid.simulators.tables import TableWriter
from stackelgrid.simulators.timings import Timings
from stackelgrid.simulators.totals import Totals


@dataclass(frozen=True)
class RunResult:
    """Where a run's results are, its summary, and what it was built from."""

    directory: Path
    summary: dict[str, Any]
    built: BuiltScenario = field(repr=False)


def run_scenario(
    loaded: LoadedScenario,
    out: Path,
    progress: Callable[[int], None] = lambda done: None,
    say: Callable[[str], None] = lambda line: None,
) -> RunResult:
    """Run a scenario into a new directory.

    Raises a StackelgridError for anything bad in the scenario (then no directory is left behind)
    or in the run (then summary.json says "interrupted" and the parts written so far are there).
    """
    started = time.perf_counter()
    check_out(out)
    # remote simulators build what they host while this process builds
    with remote_simulators(loaded, resolved(loaded)) as remotes:
        return _run(loaded, out, progress, say, remotes, started)


def _run(
    loaded: LoadedScenario,
    out: Path,
    progress: Callable[[int], None],
    say: Callable[[str], None],
    remotes: Remotes,
    started: float,
) -> RunResult:
    timings = Timings()
    built = remotes.placed(build_scenario(loaded))
    timings.build_s = time.perf_counter() - started
    scenario = loaded.scenario
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / "scenario.toml").write_text(tomli_w.dumps(resolved(loaded)), encoding="utf-8")
    except OSError as error:
        raise ScenarioError(f"--out {out}: cannot be written ({error.strerror})") from error
    totals = Totals(has_transmission=built.system.transmission is not None)
    writer = TableWriter(out)
    log = RunLog(out)
    log.event("start", scenario=scenario.name, seed=scenario.seed, version=_version())
    for line in notices(built):
        log.event("notice", text=line)
        say(line)
    for label, health in programs(built):
        log.event("program", grids=label, **asdict(health))
    logged: set[int] = set()

    stages = StageRecorder(writer, built.axis.index, built.devices)
    negotiations = NegotiationRecorder(writer, built.axis.index)

    def on_decision(interval: int, decision: Decision) -> None:
        stages.write(interval, decision)
        negotiations.write(interval, decision)
        for outcome in decision.outcomes:
            totals.add_follower_gap(outcome.follower_gap)
            totals.negotiation.add(interval, outcome)
            for event in negotiation_events(interval, outcome):
                log.event(event.kind, **event.fields)
            if outcome.follower_gap != outcome.follower_gap:
                text = f"{outcome.follower}: its dispatch could not be audited"
                log.event("warning", interval=interval, text=text)
        for text in decision.messages:
            log.event("warning", interval=interval, text=text)
        for name, plan in decision.plans.items():
            if plan.step == 0:
                log.event("solve", interval=interval, grid=name, **asdict(plan.report))

    def on_interval(done: int) -> None:
        for interval in sorted(totals.fallback_intervals - logged):
            logged.add(interval)
            log.event("fallback", interval=interval, reasons=totals.fallback_reasons[interval])
        write_summary(out, summary(built, totals, timings, "running", started))
        progress(done)

    status = "interrupted"
    try:
        world_started = time.perf_counter()
        try:
            run_world(built, writer, totals, timings, on_interval, on_decision)
        finally:
            timings.world_s = time.perf_counter() - world_started
        writer.merge()
        if totals.negotiation.summary() is not None:
            _draw_negotiations(out, scenario.name)
        status = "done"
    except OSError as error:
        raise StackelgridError(f"{out}: cannot be written ({error.strerror})") from error
    finally:
        final = summary(built, totals, timings, status, started)
        log.event(status, intervals_done=totals.intervals_done)
        write_summary(out, final)
    return RunResult(out, final, built)


def _draw_negotiations(out: Path, name: str) -> None:
    """Write the pictures of a run's negotiations; the library that draws is heavy to import."""
    from stackelgrid.analysis.negotiation import read_negotiations
    from stackelgrid.analysis.negotiation_plots import write_plots

    write_plots(read_negotiations(out), out, name)


def resolved(loaded: LoadedScenario) -> dict[str, Any]:
    """Content of a scenario that can be run from anywhere: its file names are absolute."""
    content = loaded.scenario.model_dump(mode="json", by_alias=True, exclude_none=True)
    folder = loaded.folder.resolve()
    sections = [*content["tariffs"].values()]
    for grid in content["grids"]:
        sections += [grid["loads"], *grid["pv"]]
        if grid["case"].endswith(".json"):
            grid["case"] = str(folder / grid["case"])
    forecast, deviations = content.get("forecast", {}), content.get("deviations", {})
    for section in (*sections, forecast):
        if "file" in section:
            section["file"] = str(folder / section["file"])
    for section in (forecast, deviations):
        if isinstance(section.get("correlation_sites"), str):
            section["correlation_sites"] = str(folder / section["correlation_sites"])
    return content


def check_out(out: Path) -> None:
    """Refuse a directory that already holds something, or cannot become one."""
    if out.exists() and not out.is_dir():
        raise ScenarioError(f"--out {out}: is a file; a new or empty directory is accepted")
    if out.is_dir() and any(out.iterdir()):
        what = "holds a run" if (out / "summary.json").exists() else "is not empty"
        raise ScenarioError(f"--out {out}: {what}; a new or empty directory is accepted")


def summary(
    built: BuiltScenario, totals: Totals, timings: Timings, status: str, started: float
) -> dict[str, Any]:
    """Contents of summary.json; null where the run has no such quantity."""
    scenario, solvers = built.scenario, built.solvers
    wall = time.perf_counter() - started
    timed = timings
    if status == "running":
        timed = Timings(**{**vars(timings), "world_s": wall - timings.build_s})
    return {
        "scenario": scenario.name,
        "seed": scenario.seed,
        "version": _version(),
        "status": status,
        "intervals_planned": scenario.time.intervals,
        "intervals_done": totals.intervals_done,
        "intervals_fallback": len(totals.fallback_intervals),
        "wall_s": wall,
        "timings": timed.breakdown(wall),
        "certificate_s": getattr(built.controller, "certificate_s", None),  # part of solve_s
        "solver": {
            "conic": solvers.conic.name,
            "mixed_integer": solvers.mixed_integer.name,
            "version": solvers.mixed_integer.version,
            "fallback_reason": solvers.mixed_integer.fallback_reason,
        },
        "cost_eur": {
            "total": totals.total_eur,
            "leader": totals.leader_eur,
            "follower": totals.follower_eur,
        },
        "bilevel": {
            "scheme": scenario.controller,
            "pricing": scenario.pricing,
            "max_relative_gap": totals.max_gap,
            "max_gap_eur": totals.max_gap_eur,
            "max_gap_of_flexible_cost": totals.max_flexible_gap,
            "max_follower_gap": totals.max_follower_gap,
            "big_m_active": False,  # no scheme of a run uses a big M
        },
        "certificate": totals.certificate.summary(),
        "negotiation": totals.negotiation.summary(),
        "interface": {
            "max_mismatch_mva": totals.max_mismatch_mva,
            "max_mismatch_pu": totals.max_mismatch_pu,
            "max_rounds": totals.max_rounds,
        },
        "max_simultaneous_charge_discharge_mw": totals.max_simultaneous_mw,
        "max_balance_error_mw": totals.max_balance_error_mw,
        "energy_handover_max_error_mwh": totals.max_handover_error_mwh,
    }


class RunLog:
    """log.jsonl: one JSON object a line."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "log.jsonl"

    def event(self, kind: str, **fields: Any) -> None:
        """Append one event."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"event": kind, **fields}) + "\n")


def write_summary(out: Path, content: dict[str, Any]) -> None:
    """Replace summary.json at once: a reader never sees half of it."""
    unfinished = out / "summary.json.tmp"
    unfinished.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    unfinished.rename(out / "summary.json")


def _version() -> str:
    return version("stackelgrid")
