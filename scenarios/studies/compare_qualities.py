"""Comparison of runs over communication links of several qualities."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from stackelgrid.analysis.comparison.qualities import extra_costs, with_extra_costs, write_tables
from stackelgrid.analysis.comparison.schemes import CLOSED_LOOP, DONE, Comparison
from stackelgrid.analysis.pictures.studies import write_qualities
from stackelgrid.profiles.errors import StackelgridError
from stackelgrid.scenarios.build.system import BuiltScenario, build_scenario
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.run.directory import RunLog, check_out, finite, write_summary
from stackelgrid.scenarios.run.progress import RunProgress
from stackelgrid.scenarios.run.run import run_scenario
from stackelgrid.scenarios.run.summary import stored_energy_prices
from stackelgrid.scenarios.schema.communication import CommunicationSection
from stackelgrid.scenarios.schema.load import LoadedScenario
from stackelgrid.scenarios.studies.compare import (
    add_run,
    after,
    attempt,
    open_directory,
    say_end,
    total_eur,
)
from stackelgrid.simulators.results.manifest import FILE, ManifestWriter


@dataclass(frozen=True)
class QualitiesResult:
    """Directory of a comparison, its numbers with the extra costs, and its summary."""

    directory: Path
    comparison: Comparison
    summary: dict[str, Any]


@dataclass
class _Work:
    """Data shared by all runs of a comparison."""

    loaded: dict[str, LoadedScenario]
    built: BuiltScenario
    out: Path
    comparison: Comparison
    log: RunLog
    started: float


def compare_qualities(
    loaded: LoadedScenario,
    out: Path,
    names: tuple[str, ...],
    progress: Callable[[int], None] = lambda done: None,
    say: Callable[[str], None] = lambda line: None,
) -> QualitiesResult:
    """Run the scenario once for each quality and write one directory (docs/results.md).

    `progress` receives the number of finished intervals. A run that fails is recorded with
    its reason, the others go on. Raises a StackelgridError for a bad scenario, quality or directory
    before anything is written.
    """
    started = time.perf_counter()
    runs = {name: with_quality(loaded, name) for name in names}
    check_out(out)
    built = build_scenario(loaded)
    open_directory(loaded, out)
    comparison = Comparison(loaded.scenario.pricing)
    work = _Work(runs, built, out, comparison, RunLog(out), started)
    work.log.event("start", scenario=loaded.scenario.name, qualities=list(names))
    write_summary(out, _summary(work, "running"))
    status, scenario = "interrupted", loaded.scenario.name
    try:
        for k, name in enumerate(names):
            first = k * loaded.scenario.time.intervals
            run = partial(_run, work, after(progress, first))
            attempt(comparison, (CLOSED_LOOP, name), "quality", run, work.log, say)
            # what an interruption leaves can be reported
            told = with_extra_costs(comparison)
            write_tables(told, out, f"Qualities of communication compared on {scenario}")
            write_summary(out, _summary(work, "running"))
            progress(first + loaded.scenario.time.intervals)
        write_qualities(told, out)
        ManifestWriter(out).begin(["scenario.toml", "qualities.parquet"])
        status = "failed" if comparison.failed() else "done"
    except OSError as error:
        raise StackelgridError(f"{out}: cannot be written ({error.strerror})") from error
    finally:
        summary = _summary(work, status)
        say_end(work.log, out, comparison, summary)
    return QualitiesResult(out, told, summary)


def with_quality(loaded: LoadedScenario, name: str) -> LoadedScenario:
    """The same scenario over links of another quality; raises ScenarioError."""
    section = loaded.scenario.communication
    if section is None:
        raise ScenarioError(
            f"{loaded.source}: communication: is missing; --qualities compares runs with "
            'coordination = "ldd_admm" and a section communication'
        )
    if name not in section.known_qualities:
        known = ", ".join(section.known_qualities)
        raise ScenarioError(f"--qualities {name}: no such quality; accepted: {known}")
    content = section.model_dump(by_alias=True, exclude_none=True) | {"quality": name}
    try:
        other = CommunicationSection.model_validate(content)
    except ValidationError as error:  # a link that does not suit this quality
        text = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ScenarioError(f"--qualities {name}: {text}") from error
    return replace(loaded, scenario=loaded.scenario.model_copy(update={"communication": other}))


def _run(work: _Work, progress: Callable[[RunProgress], None], name: str) -> None:
    directory = work.out / name
    run_scenario(work.loaded[name], directory, progress)
    add_run(work.comparison, directory, name)


def _summary(work: _Work, status: str) -> dict[str, Any]:
    """Contents of summary.json; a cost is null where it is not defined."""
    comparison, scenario = work.comparison, work.built.scenario
    qualities: dict[str, dict[str, Any]] = {name: {} for name in work.loaded}
    extra = extra_costs(comparison) if comparison.status else None
    for (basis, name), state in comparison.status.items():
        costs = {
            f"{indicator}_eur": total_eur(comparison, basis, name, indicator)
            for indicator in ("total_cost", "total_cost_corrected")
        }
        if extra is not None:
            costs["extra_cost_eur"] = float(extra["extra_cost"][name])
        qualities[name] = {"status": state, **(finite(costs) if state == DONE else {})}
    return {
        "scenario": scenario.name,
        "seed": scenario.seed,
        "version": version("stackelgrid"),
        "manifest": None if status in ("running", "interrupted") else FILE,
        "status": status,
        "pricing": comparison.pricing,
        "stored_energy_eur_per_mwh": stored_energy_prices(work.built),
        "qualities": qualities,
        "wall_s": time.perf_counter() - work.started,
        "solver": {
            "conic": work.built.solvers.conic.name,
            "mixed_integer": work.built.solvers.mixed_integer.name,
        },
    }
