"""One member of an ensemble, as a worker runs it: scenario in, files out, nothing shared."""

import time
import tomllib
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from distributed import get_worker

from stackelgrid.analysis.kpis.runs import run_indicators
from stackelgrid.analysis.run import Run
from stackelgrid.profiles.errors import StackelgridError
from stackelgrid.scenarios.run.run import RunResult, run_scenario
from stackelgrid.scenarios.schema.load import LoadedScenario
from stackelgrid.scenarios.schema.scenario import Scenario
from stackelgrid.scenarios.studies.ensemble_design import MemberRun
from stackelgrid.simulators.results.manifest import FILE, ManifestWriter

INDICATORS = "indicators.parquet"
_KEPT = ("*.parquet", "summary.json", "scenario.toml", "log.jsonl")


@dataclass(frozen=True)
class MemberResult:
    """Result of a member: its files by name, or the reason of its failure."""

    number: int
    wall_s: float
    reason: str = ""
    traceback: str = ""
    files: dict[str, bytes] = field(default_factory=dict, repr=False)


def run_member(run: MemberRun) -> MemberResult:
    """Run a member in a directory of this machine; a failure is a result like another."""
    started = time.perf_counter()
    try:
        scenario = Scenario.model_validate(tomllib.loads(run.scenario))
        loaded = LoadedScenario(scenario, run.source, Path(run.folder))
        with TemporaryDirectory(prefix="stackelgrid-member-", dir=_scratch()) as scratch:
            result = run_scenario(loaded, Path(scratch) / "run")
            _write_indicators(result)
            found = [p for pattern in _KEPT for p in sorted(result.directory.glob(pattern))]
            ManifestWriter(result.directory).only(
                p.name for p in found if p.suffix in (".parquet", ".toml")
            )
            files = {path.name: path.read_bytes() for path in (*found, result.directory / FILE)}
    except StackelgridError as error:
        return MemberResult(run.number, time.perf_counter() - started, str(error))
    except Exception as error:  # a defect in one member must not hide the others
        reason = f"{type(error).__name__}: {error}"
        wall_s = time.perf_counter() - started
        return MemberResult(run.number, wall_s, reason, traceback.format_exc())
    return MemberResult(run.number, time.perf_counter() - started, files=files)


def _scratch() -> str | None:
    """Directory of the worker: Dask removes it even where the worker is killed."""
    try:
        return str(get_worker().local_directory)
    except ValueError:  # not on a worker
        return None


def _write_indicators(result: RunResult) -> None:
    """Write the realised indicators of a run (docs/results.md) into its directory."""
    scenario = result.built.scenario
    table = run_indicators(Run(result.directory), scenario.controller, scenario.pricing)
    # the partition says the scheme
    table.drop(columns="scheme").to_parquet(result.directory / INDICATORS, index=False)
