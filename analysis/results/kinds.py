"""Kinds of directories of results, recognised by the keys of summary.json."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class StudyKind:
    """A kind of study: its name, the key of its summary that identifies it, and its verb."""

    name: str
    key: str
    of: type
    verb: str
    resumes: bool


# the summary of an ensemble also has the key schemes, but as a list
STUDIES = (
    StudyKind("a sweep", "points_planned", int, "exactness", resumes=True),
    StudyKind("an ensemble", "runs_planned", int, "ensemble", resumes=True),
    StudyKind("a comparison of schemes", "schemes", dict, "compare", resumes=False),
    StudyKind("a comparison of qualities", "qualities", dict, "compare", resumes=False),
)
_NAMED = 4  # largest number of directories named in a message


def study_kind(summary: Mapping[str, Any]) -> StudyKind | None:
    """Return the kind of study that a summary belongs to; None for runs and other content."""
    return next((k for k in STUDIES if isinstance(summary.get(k.key), k.of)), None)


def no_run(directory: Path, kind: StudyKind) -> str:
    """Return a message for a study given in place of a run: the verb to use, and its runs."""
    text = f"{directory}: holds {kind.name}, not a run; stackelgrid report {directory} shows it"
    runs = results_in(directory)
    return f"{text}, and its runs are {runs}" if runs else text


def results_in(directory: Path) -> str:
    """Return a text with the directories of results below a directory; empty without any."""
    found = sorted({path.parent for path in directory.glob("*/summary.json")})
    found = found or sorted({path.parent for path in directory.glob("*/*/*/*/*/summary.json")})
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return ", ".join(str(path) for path in found[:_NAMED]) + more
