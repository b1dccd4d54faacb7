"""Read an ensemble's directory and check that the ensemble can be resumed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stackelgrid.analysis.results.errors import ResultsError
from stackelgrid.analysis.results.held import check_members
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.run.resume import begun_study, check_saved
from stackelgrid.scenarios.schema.load import LoadedScenario
from stackelgrid.scenarios.studies.ensemble_design import Ensemble, ensemble_of

# what summary.json says of an ensemble and a resumed one needs
_NEEDED = ("runs_planned", "status", "size", "members", "intervals", "wall_s", "folder", "files")


@dataclass(frozen=True)
class Begun:
    """An ensemble that was begun in a directory: its scenario and its summary.json."""

    directory: Path
    loaded: LoadedScenario
    summary: Mapping[str, Any]

    @property
    def done(self) -> bool:
        """True if all requested runs are done, and tables and pictures written."""
        return bool(self.summary["status"] == "done")

    def ensemble(self, size: str | None = None, members: int | None = None) -> Ensemble:
        """The ensemble to go on with; its own size and number of members if not given.

        Raises ScenarioError for a size whose runs are of another length than those it holds.
        """
        s = self.summary
        wanted = ensemble_of(self.loaded, size or s["size"] or None, members or s["members"])
        if wanted.intervals != s["intervals"]:
            raise ScenarioError(
                f"--resume {self.directory}: holds runs of {s['intervals']} intervals, those of "
                f"size {wanted.size} have {wanted.intervals}; as many are accepted"
            )
        return wanted


def begun(directory: Path, asked: LoadedScenario | None = None) -> Begun:
    """Look at a directory that an ensemble has left behind, and at whether it can go on.

    Raises ScenarioError where there is none, or one of another version, of another scenario than
    `asked` or with other files, naming what differs.
    """
    own, summary = begun_study(directory, "ensemble", _NEEDED, asked)
    try:
        check_members(check_saved(directory, (), missing=True))
    except ResultsError as error:
        raise ScenarioError(
            f"--resume {directory}: {error}; remove the folder of that run, and it is run again"
        ) from error
    return Begun(directory, replace(own, folder=Path(summary["folder"])), summary)
