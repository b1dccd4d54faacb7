"""Studies and pictures of results; `Run` opens a run directory."""

from stackelgrid.analysis.run import Run

__all__ = ["Run"]
