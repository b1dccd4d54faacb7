"""The run without control that a run is compared with."""

from typing import TypeVar

from stackelgrid.analysis.results.record import RunRecord

Recorded = TypeVar("Recorded", bound=RunRecord)


def compared_with(run: Recorded) -> Recorded | None:
    """Return the run without control if it has the intervals of a run, else None."""
    other = run.baseline
    if other is None or other.intervals_done != run.intervals_done:
        return None
    return other
