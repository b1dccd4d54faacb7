"""Errors of directories of results."""

from stackelgrid.profiles.errors import StackelgridError


class ResultsError(StackelgridError):
    """Raised for a directory of results that is missing, empty, incomplete or of another kind."""
