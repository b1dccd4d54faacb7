"""The run without control that a run is compared with."""

from typing import TypeVar

from stackelgrid.analysis.results.record import RunRecord

Recorded = TypeVar("Recorded", bound=RunRecord)


def compared_with(run: Recorded) -> Recorded | None:
    """Return the run without control over the intervals of a run; None where it has fewer."""
    other, done = run.baseline, run.interval["interval"].nunique()
    if other is None or other.intervals_done < done:
        return None
    return other if other.intervals_done == done else other.first(done)


def why_not_compared(run: RunRecord) -> str:
    """Return why a run is not compared with one without control; empty if it is, or not known."""
    if compared_with(run) is not None:
        return ""
    section = run.summary.get("baseline")
    return "" if section is None else section.get("reason", "")
