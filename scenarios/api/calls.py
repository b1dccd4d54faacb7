"""Arguments and interruption, shared by runs and studies from Python."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stackelgrid.scenarios.api.inputs import Source
from stackelgrid.scenarios.api.notebook import NotebookOutput, in_notebook
from stackelgrid.scenarios.cli.console import Output, new_directory
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.schema.load import LoadedScenario

Place = str | os.PathLike[str]
Settings = Mapping[str, Any]


@contextmanager
def interruptible(target: Path, hint: str) -> Iterator[None]:
    """Add a hint to a KeyboardInterrupt once the directory holds a scenario."""
    try:
        yield
    except KeyboardInterrupt:
        more = f"; {hint}" if (target / "scenario.toml").exists() else ""
        raise KeyboardInterrupt(f"interrupted{more}") from None


def output_of(quiet: bool) -> Output:
    """Return the output for progress: the notebook cell or the terminal."""
    return NotebookOutput(quiet) if in_notebook() else Output(quiet)


def target_of(out: Place | None, loaded: LoadedScenario, verb: str = "") -> Path:
    """Return the directory of the results."""
    return Path(out) if out is not None else new_directory(loaded.scenario.name, verb)


def needed(scenario: Source | None) -> Source:
    """Return the scenario; raises ScenarioError if none is given."""
    if scenario is None:
        raise ScenarioError(
            "scenario: is missing; a shipped name, a path, a Scenario, a mapping or resume is "
            "accepted"
        )
    return scenario


def nothing_beside_resume(*others: object) -> None:
    """Refuse arguments that contradict `resume`; raises ScenarioError."""
    if any(other is not None for other in others):
        raise ScenarioError(
            "resume: goes on as begun; scenario, out, set and seed are not accepted"
        )
