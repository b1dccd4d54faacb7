"""Errors of scenarios; the base class is in `stackelgrid.profiles.errors`."""

from stackelgrid.profiles.errors import StackelgridError


class ScenarioError(StackelgridError):
    """Raised for a scenario that cannot be run; names file, key, value and accepted values."""
