"""Check a directory of results against its manifest."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stackelgrid.analysis.results.errors import ResultsError
from stackelgrid.simulators.results.manifest import FILE, Manifest, ManifestError

__all__ = ["check_held", "check_member", "check_members", "notice_of"]


def check_held(
    manifest: Manifest, summary: Mapping[str, Any], tables: Sequence[str], done: int
) -> str:
    """Check a directory of results against its manifest.

    manifest: the manifest.
    summary: content of summary.json.
    tables: names of the tables.
    done: number of recorded parts.

    Returns a notice if there is no manifest, which version 0.1 did not write. Raises ResultsError
    that names the first missing or changed file.
    """
    if not manifest.exists:
        if summary.get("manifest") is not None:
            raise ResultsError(f"{manifest.directory / FILE}: is missing; summary.json names it")
        return notice_of(manifest.directory, summary)
    try:
        manifest.check(tables, done=done)
    except ManifestError as error:
        raise ResultsError(str(error)) from error
    return ""


def notice_of(directory: Path, summary: Mapping[str, Any]) -> str:
    """Return a notice for a directory that cannot be checked; empty for any other."""
    if "manifest" in summary:
        return ""
    return f"{directory} has no {FILE} (version 0.1 wrote none): its files are not checked"


def check_members(manifest: Manifest) -> None:
    """Check the runs listed in a study's manifest, after the study itself has been checked.

    Raises ResultsError.
    """
    for files in (manifest.base, *manifest.parts.values()):
        for name in files:
            path = manifest.directory / name
            if path.name == FILE and path.exists():
                check_member(path.parent)


def check_member(directory: Path) -> None:
    """Check one run of a study; raises ResultsError."""
    check_held(Manifest(directory), {"manifest": FILE}, (), 0)
