"""Exceptions of the decision layers; see `stackelgrid.profiles.errors` for the root of the tree."""

from stackelgrid.profiles.errors import StackelgridError

__all__ = [
    "ModelError",
    "NetworkError",
    "PowerFlowError",
    "SchemeError",
    "SolverError",
    "StackelgridError",
]


class NetworkError(StackelgridError):
    """A grid cannot be used; the message names the offending elements."""


class PowerFlowError(StackelgridError):
    """An AC power flow diverged; the message names the grid and the bus with the worst mismatch."""


class ModelError(StackelgridError):
    """An optimisation model cannot be compiled; the message names the component."""


class SolverError(StackelgridError):
    """A solver failed, or returned a point that does not satisfy the program it was given."""


class SchemeError(StackelgridError):
    """A coordination scheme is not defined for what it was asked; the message names both."""
