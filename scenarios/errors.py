"""Refusals of a scenario; see `stackelgrid.profiles.errors` for the root of the tree."""

from stackelgrid.profiles.errors import StackelgridError


class ScenarioError(StackelgridError):
    """A scenario cannot be run as written; names file, key, value and what is accepted."""
