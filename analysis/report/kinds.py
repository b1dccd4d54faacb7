"""Choose the report of a study by the content of its directory."""

from collections.abc import Callable
from pathlib import Path

from stackelgrid.analysis.report import comparison, ensemble, exactness
from stackelgrid.analysis.report.page import Page, write_report
from stackelgrid.analysis.results.errors import ResultsError
from stackelgrid.analysis.results.files import read_summary, study_kind

# report of a study by the verb that wrote it
_PAGES: dict[str, Callable[[Path], Page]] = {
    "exactness": exactness.page_of,
    "ensemble": ensemble.page_of,
    "compare": comparison.page_of,
}


def is_study(directory: Path) -> bool:
    """Return True if a directory holds a comparison, sweep or ensemble; raises ResultsError."""
    return study_kind(read_summary(directory)) is not None


def study_page(directory: Path) -> Page:
    """Return the report of a comparison, a sweep or an ensemble; raises ResultsError."""
    kind = study_kind(read_summary(directory))
    if kind is None:
        raise ResultsError(
            f"{directory}: holds no comparison, sweep or ensemble; a directory that stackelgrid "
            "compare, exactness or ensemble has written is accepted"
        )
    return _PAGES[kind.verb](directory)


def write_study_report(directory: Path) -> Path:
    """Write report.html into the directory of a study and return its path; raises ResultsError."""
    return write_report(directory, study_page(directory))
