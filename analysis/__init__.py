"""Studies and pictures of results; `Run` opens a run directory."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stackelgrid.analysis.run import Run

__all__ = ["Run"]


def __getattr__(name: str) -> Any:
    if name == "Run":  # DuckDB is slow to import and not needed for --help
        from stackelgrid.analysis.run import Run

        return Run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
