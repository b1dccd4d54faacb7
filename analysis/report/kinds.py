"""Which report a directory of results has: by the keys of its summary."""

from collections.abc import Callable
from pathlib import Path

from stackelgrid.analysis.errors import ResultsError
from stackelgrid.analysis.report import comparison, ensemble, exactness
from stackelgrid.analysis.report.page import Page, write_report
from stackelgrid.analysis.run import read_summary

# key of summary.json by which a study is known, and its report; an ensemble names schemes, too,
# but as a list
_STUDIES: tuple[tuple[str, type, Callable[[Path], Page]], ...] = (
    ("points_planned", int, exactness.page_of),
    ("runs_planned", int, ensemble.page_of),
    ("schemes", dict, comparison.page_of),
    ("qualities", dict, comparison.page_of),
)


def is_study(directory: Path) -> bool:
    """Whether a directory holds a comparison, a sweep or an ensemble; raises ResultsError."""
    summary = read_summary(directory)
    return any(isinstance(summary.get(key), kind) for key, kind, _ in _STUDIES)


def study_page(directory: Path) -> Page:
    """Return the report of a comparison, a sweep or an ensemble; raises ResultsError."""
    summary = read_summary(directory)
    for key, kind, page_of in _STUDIES:
        if isinstance(summary.get(key), kind):
            return page_of(directory)
    raise ResultsError(
        f"{directory}: holds no comparison, sweep or ensemble; a directory that stackelgrid "
        "compare, exactness or ensemble has written is accepted"
    )


def write_study_report(directory: Path) -> Path:
    """Write report.html into the directory of a study and return its path; raises ResultsError."""
    page = study_page(directory)
    try:
        return write_report(directory, page)
    except OSError as error:
        raise ResultsError(f"{directory}: cannot be written ({error.strerror})") from error
