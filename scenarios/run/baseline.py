"""The baseline of a run: the same world without control, in a folder of the run's directory.

It is computed before the first interval, from the nets and series that the run has built. Its
files are those of any run; `summary.json` is written last, so a folder with one is complete.
"""

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mosaik.exceptions import SimulationError

from stackelgrid.analysis.results.errors import ResultsError
from stackelgrid.analysis.results.record import BASELINE
from stackelgrid.analysis.run import Run
from stackelgrid.controllers.errors import PowerFlowError
from stackelgrid.profiles.errors import StackelgridError
from stackelgrid.scenarios.build.at_rest import at_rest, why_left_out, without_control
from stackelgrid.scenarios.build.system import BuiltScenario
from stackelgrid.scenarios.remote.externals import external_simulators
from stackelgrid.scenarios.run.directory import write_scenario, write_summary
from stackelgrid.scenarios.run.hosting import hosted
from stackelgrid.scenarios.run.networks import NETS, NETWORK
from stackelgrid.scenarios.run.summary import summary
from stackelgrid.scenarios.run.world import run_world
from stackelgrid.scenarios.schema.load import LoadedScenario
from stackelgrid.simulators.results.manifest import ManifestWriter
from stackelgrid.simulators.results.tables import SCHEMAS, RunTables, WholeTables
from stackelgrid.simulators.results.whole_file import own_folder
from stackelgrid.simulators.timings import Timings


def baseline_section(
    loaded: LoadedScenario,
    built: BuiltScenario,
    out: Path,
    building: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Run the baseline unless it is there; return the section `baseline` of the run's summary.

    loaded: scenario of the run.
    built: what was built of it; it is not changed.
    out: directory of the run, with its nets.
    building: called with the progress.

    A baseline that cannot be left to its end is recorded with the reason, and the run goes on.
    """
    reason = why_left_out(loaded.scenario)
    if reason:
        return _section("off", reason)
    directory = out / BASELINE
    found = _finished(directory)
    if found is not None:
        return _section("done", "", found)
    shutil.rmtree(directory, ignore_errors=True)
    content, reason = _run(loaded, built, out, building)
    return _section("failed" if reason else "done", reason, content)


def _section(status: str, reason: str, content: Mapping[str, Any] | None = None) -> dict[str, Any]:
    found = content or {}
    return {
        "status": status,
        "reason": reason,
        "intervals_done": found.get("intervals_done", 0),
        "cost_eur": found.get("cost_eur") if status == "done" else None,
        "wall_s": found.get("wall_s"),
    }


def _finished(directory: Path) -> Mapping[str, Any] | None:
    """Return the summary of a complete baseline; None if it has to be run."""
    try:
        run = Run(directory)
    except ResultsError:  # there is none, or it was changed
        return None
    return run.summary if run.status == "done" else None


def _run(
    loaded: LoadedScenario, built: BuiltScenario, out: Path, building: Callable[[str], None]
) -> tuple[dict[str, Any], str]:
    """Run the baseline into its folder; return its summary, and why it ended early."""
    started = time.perf_counter()
    resting = without_control(loaded)
    directory, timings = own_folder(out / BASELINE), Timings()
    world = at_rest(built, resting)
    intervals = world.scenario.time.intervals

    def progress(done: int, rows: Sequence[Mapping[str, Any]]) -> None:
        building(f"baseline without control, {done} of {intervals} intervals")

    write_scenario(directory, resting.resolved())
    nets = [NETWORK, *(f"{NETS}/{name}.json" for name in built.grids)]
    own_folder(directory / NETS)
    for name in nets:
        shutil.copyfile(out / name, directory / name)
    reason = ""
    timings.build_s = time.perf_counter() - started
    with WholeTables(directory) as writer:
        tables = RunTables(writer, world.axis.index)
        try:
            with external_simulators(resting) as users:
                run_world(hosted(world, users), tables, timings, progress)
        except (StackelgridError, SimulationError) as error:
            reason = _reason(error)
    timings.world_s = time.perf_counter() - started - timings.build_s
    ManifestWriter(directory).complete(
        ["scenario.toml", *nets, *(f"{table}.parquet" for table in SCHEMAS)]
    )
    wall_s = time.perf_counter() - started
    status, folder = "interrupted" if reason else "done", resting.folder.resolve()
    content = summary(world, folder, tables, timings, status, wall_s)
    content["baseline"] = _section("off", why_left_out(world.scenario))
    write_summary(directory, content)
    return content, reason


def _reason(error: Exception) -> str:
    if isinstance(error, PowerFlowError) and error.grid:
        return f"without control the power flow of {error.grid} diverges at {error.time}"
    return f"without control the run ends early: {error}"
