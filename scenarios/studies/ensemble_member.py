"""One member of an ensemble, as a worker runs it: scenario in, files out, nothing shared."""

from pathlib import Path
from tempfile import TemporaryDirectory

from distributed import get_worker

from stackelgrid.analysis.kpis.runs import run_indicators
from stackelgrid.analysis.run import Run
from stackelgrid.scenarios.run.run import run_scenario
from stackelgrid.scenarios.studies.ensemble_design import MemberRun
from stackelgrid.simulators.results.manifest import FILE, ManifestWriter

_KEPT = ("*.parquet", "summary.json", "scenario.toml", "log.jsonl")


def run_member(run: MemberRun) -> dict[str, bytes]:
    """Run a member in a directory of this machine; return its files by name."""
    with TemporaryDirectory(prefix="stackelgrid-member-", dir=_scratch()) as scratch:
        directory = Path(scratch) / "run"
        scenario = run_scenario(run.loaded, directory).built.scenario
        # realised indicators (docs/results.md); the partition says the scheme
        table = run_indicators(Run(directory), scenario.controller, scenario.pricing)
        table.drop(columns="scheme").to_parquet(directory / "indicators.parquet", index=False)
        found = [path for pattern in _KEPT for path in sorted(directory.glob(pattern))]
        listed = [path.name for path in found if path.suffix in (".parquet", ".toml")]
        ManifestWriter(directory).only(listed)
        return {path.name: path.read_bytes() for path in (*found, directory / FILE)}


def _scratch() -> str | None:
    """Return the directory of the worker: Dask removes it even where the worker is killed."""
    try:
        return str(get_worker().local_directory)
    except ValueError:  # not on a worker
        return None
