"""What analysis refuses."""

from stackelgrid.profiles.errors import StackelgridError


class ResultsError(StackelgridError):
    """A directory of results that is missing, empty, half-written or not what was asked for."""
