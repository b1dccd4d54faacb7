"""Errors of users' simulators before the run begins."""

from stackelgrid.controllers.errors import StackelgridError


class WiringError(StackelgridError):
    """Raised when a user's simulator and its section of the scenario do not fit each other."""
