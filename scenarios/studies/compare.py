"""Comparison of coordination schemes on one scenario, by plans and optionally by whole runs."""

import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tomli_w

from stackelgrid.analysis.comparison.schemes import CLOSED_LOOP, PLAN, Comparison, write_tables
from stackelgrid.analysis.kpis.indicators import TOTAL
from stackelgrid.analysis.kpis.plans import plan_exchange, plan_indicators
from stackelgrid.analysis.kpis.runs import run_exchange, run_indicators
from stackelgrid.analysis.pictures.studies import write_comparison
from stackelgrid.analysis.run import Run
from stackelgrid.controllers.decision import Outcome, Pricing
from stackelgrid.controllers.protocol import ControllerSettings
from stackelgrid.controllers.schedule import Measurement
from stackelgrid.controllers.system import System
from stackelgrid.profiles.errors import StackelgridError
from stackelgrid.scenarios.build.system import BuiltScenario, build_scenario, controller_settings
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.run.directory import RunLog, check_out, finite, write_summary
from stackelgrid.scenarios.run.progress import RunProgress
from stackelgrid.scenarios.run.run import run_scenario
from stackelgrid.scenarios.run.summary import stored_energy_prices
from stackelgrid.scenarios.schema.load import LoadedScenario
from stackelgrid.simulators.blas_threads import one_blas_thread
from stackelgrid.simulators.results.manifest import FILE, ManifestWriter
from stackelgrid.simulators.results.whole_file import whole_file

DecidePlan = Callable[
    [System, ControllerSettings, str, Pricing, Mapping[str, Measurement]], Sequence[Outcome]
]
"""Plans of a scheme at interval 0: system, settings, scheme, pricing, measurements."""


@dataclass(frozen=True)
class CompareOptions:
    """Options: schemes, pricing at the boundary, and whole runs of each scheme."""

    schemes: tuple[str, ...]
    pricing: Pricing = "tariff"
    closed_loop: bool = False


@dataclass(frozen=True)
class CompareResult:
    """Directory of a comparison, its numbers and its summary."""

    directory: Path
    comparison: Comparison
    summary: dict[str, Any]


@dataclass
class _Work:
    """Data shared by all steps of a comparison."""

    loaded: LoadedScenario
    built: BuiltScenario
    out: Path
    options: CompareOptions
    comparison: Comparison
    log: RunLog
    say: Callable[[str], None]
    done: int = 0
    started: float = field(default_factory=time.perf_counter)


@one_blas_thread()
def compare_schemes(
    loaded: LoadedScenario,
    out: Path,
    options: CompareOptions,
    decide: DecidePlan,
    progress: Callable[[int], None] = lambda done: None,
    say: Callable[[str], None] = lambda line: None,
) -> CompareResult:
    """Evaluate every scheme and write one directory (docs/results.md).

    `decide` gives the plans of a scheme; `progress` receives the number of finished `steps_of`. A
    scheme that fails is recorded with its reason, the others go on. Raises a StackelgridError for
    a bad scenario or directory before anything is written.
    """
    started = time.perf_counter()
    check_out(out)
    built = build_scenario(loaded)
    if not any(f.boundary.parent for f in built.system.feeders):
        raise ScenarioError(
            f"{loaded.source}: grids: no grid has a parent; schemes are compared where an active "
            "network lies below another grid"
        )
    open_directory(loaded, out)
    comparison = Comparison(options.pricing)
    work = _Work(loaded, built, out, options, comparison, RunLog(out), say, 0, started)
    work.log.event("start", scenario=loaded.scenario.name, schemes=list(options.schemes))
    write_summary(out, _summary(work, "running"))
    status = "interrupted"
    try:
        for scheme in options.schemes:
            _attempt(work, PLAN, scheme, partial(_plan, work, decide))
            work.done += 1
            progress(work.done)
        for scheme in options.schemes if options.closed_loop else ():
            first = work.done
            _attempt(work, CLOSED_LOOP, scheme, partial(_run, work, after(progress, first)))
            work.done = first + loaded.scenario.time.intervals
            progress(work.done)
        write_comparison(comparison, out)
        ManifestWriter(out).begin(["scenario.toml", "compare.parquet", "compare_exchange.parquet"])
        status = "failed" if comparison.failed() else "done"
    except OSError as error:
        raise StackelgridError(f"{out}: cannot be written ({error.strerror})") from error
    finally:
        summary = _summary(work, status)
        say_end(work.log, out, comparison, summary)
    return CompareResult(out, comparison, summary)


def project_schemes() -> DecidePlan:
    """Return the project's own schemes; imported late because they are heavy."""
    from stackelgrid.controllers.cascade.cascade import decide_plan

    return decide_plan


def steps_of(loaded: LoadedScenario, options: CompareOptions) -> int:
    """Return the number of steps of a comparison: one for each plan and interval of a run."""
    run = loaded.scenario.time.intervals if options.closed_loop else 0
    return len(options.schemes) * (1 + run)


def _attempt(work: _Work, basis: str, scheme: str, step: Callable[[str], None]) -> None:
    """Evaluate one scheme, and say so in the summary."""
    attempt(work.comparison, (basis, scheme), "scheme", step, work.log, work.say)
    _write(work)  # what an interruption leaves can be reported
    write_summary(work.out, _summary(work, "running"))


def _write(work: _Work) -> None:
    title = f"Schemes compared on {work.loaded.scenario.name}"
    write_tables(work.comparison, work.out, title)


def say_end(log: RunLog, out: Path, comparison: Comparison, summary: dict[str, Any]) -> None:
    """Log how a comparison ended and write its summary, where an interrupted one still can."""
    status = str(summary["status"])
    with suppress(OSError) if status == "interrupted" else nullcontext():
        log.event(status, failed=list(comparison.failed()))
        write_summary(out, summary)


def attempt(
    comparison: Comparison,
    key: tuple[str, str],
    kind: str,
    step: Callable[[str], None],
    log: RunLog,
    say: Callable[[str], None],
) -> None:
    """Evaluate one column, (basis, name); whatever it fails with must not hide the others.

    `kind` is what the columns are, in the log.
    """
    basis, name = key
    started = time.perf_counter()
    try:
        step(name)
    except Exception as error:  # a defect in one column is reported there
        known = isinstance(error, StackelgridError)
        reason = str(error) if known else f"{type(error).__name__}: {error}"
        comparison.fail(basis, name, reason)
        told = {"basis": basis, kind: name, "reason": reason}
        told |= {} if known else {"traceback": traceback.format_exc()}
        log.event(f"failed_{kind}", **told)
        say(f"{name}, {basis}: {comparison.status[basis, name]}")
    else:
        wall_s = time.perf_counter() - started
        total = total_eur(comparison, basis, name)
        log.event(kind, **{"basis": basis, kind: name, "total_cost_eur": total, "wall_s": wall_s})
        say(f"{name}, {basis}: total cost {total:.2f} EUR in {wall_s:.1f} s")


def _plan(work: _Work, decide: DecidePlan, scheme: str) -> None:
    built = work.built
    settings = controller_settings(built.scenario, built.solvers)
    outcomes = decide(built.system, settings, scheme, work.options.pricing, first_measured(built))
    for outcome in outcomes:
        for text in outcome.messages:
            work.log.event("message", scheme=scheme, follower=outcome.follower, text=text)
    work.comparison.add(
        PLAN,
        scheme,
        plan_indicators(built.system, outcomes),
        plan_exchange(built.system, outcomes),
    )


def after(progress: Callable[[int], None], first: int) -> Callable[[RunProgress], None]:
    """Progress of a run that begins after `first` steps."""
    return lambda told: progress(first + told.intervals_done)


def _run(work: _Work, progress: Callable[[RunProgress], None], scheme: str) -> None:
    scenario = work.loaded.scenario.model_copy(
        update={
            "controller": scheme,
            "pricing": work.options.pricing,
            # schemes are compared without messages: not every one can be negotiated
            "coordination": "central",
            "communication": None,
        }
    )
    directory = work.out / scheme
    run_scenario(replace(work.loaded, scenario=scenario), directory, progress)
    add_run(work.comparison, directory, scheme)


def add_run(comparison: Comparison, directory: Path, name: str) -> None:
    """Add the finished run in a directory as a column of a closed loop."""
    run = Run(directory)
    indicators = run_indicators(run, name, comparison.pricing)
    comparison.add(CLOSED_LOOP, name, indicators, run_exchange(run, name))


def open_directory(loaded: LoadedScenario, out: Path) -> None:
    """Make the directory of a comparison, with its scenario; raises ScenarioError."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        with whole_file(out / "scenario.toml") as unfinished:
            unfinished.write_text(tomli_w.dumps(loaded.resolved()), encoding="utf-8")
    except OSError as error:
        raise ScenarioError(f"--out {out}: cannot be written ({error.strerror})") from error


def first_measured(built: BuiltScenario) -> dict[str, Measurement]:
    """Return the measurements that agents receive at interval 0, as in a run."""
    return {
        name: Measurement(
            vm_pu=built.simulated[name].vm_pu,
            tap_pos=built.simulated[name].tap_pos,
            devices=built.fleets[name].states,
        )
        for name in built.grids
    }


def total_eur(
    comparison: Comparison, basis: str, scheme: str, indicator: str = "total_cost"
) -> float:
    """Total of an indicator in EUR; NaN where it is not defined or has no row."""
    t = comparison.indicators
    row = t[
        (t["basis"] == basis)
        & (t["scheme"] == scheme)
        & (t["grid"] == TOTAL)
        & (t["indicator"] == indicator)
    ]
    return float(row["value"].iloc[0]) if len(row) else float("nan")


def _summary(work: _Work, status: str) -> dict[str, Any]:
    """Contents of summary.json; a cost is null where it is not defined."""
    schemes: dict[str, dict[str, Any]] = {s: {} for s in work.options.schemes}
    for (basis, scheme), state in work.comparison.status.items():
        cost = total_eur(work.comparison, basis, scheme)
        schemes[scheme][basis] = {"status": state, "total_cost_eur": finite(cost)}
    solvers = work.built.solvers
    return {
        "scenario": work.loaded.scenario.name,
        "seed": work.loaded.scenario.seed,
        "version": version("stackelgrid"),
        "manifest": None if status in ("running", "interrupted") else FILE,
        "status": status,
        "pricing": work.options.pricing,
        "closed_loop": work.options.closed_loop,
        "stored_energy_eur_per_mwh": stored_energy_prices(work.built),
        "schemes": schemes,
        "wall_s": time.perf_counter() - work.started,
        "solver": {
            "conic": solvers.conic.name,
            "mixed_integer": solvers.mixed_integer.name,
            "version": solvers.mixed_integer.version,
            "fallback_reason": solvers.mixed_integer.fallback_reason,
        },
    }
