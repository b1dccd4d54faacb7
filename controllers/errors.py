"""Exceptions of the decision layers; see `stackelgrid.profiles.errors` for their base."""

from stackelgrid.profiles.errors import StackelgridError

__all__ = [
    "ImportReferenceError",
    "ModelError",
    "NetworkError",
    "ObjectiveTermError",
    "PowerFlowError",
    "SchemeError",
    "SolverError",
    "StackelgridError",
]


class NetworkError(StackelgridError):
    """Raised when a grid cannot be used; the message names the elements."""


class PowerFlowError(StackelgridError):
    """Raised when an AC power flow diverges; the message names the grid and the worst bus.

    grid, time: grid and start of the interval where a simulated grid diverges, else empty.
    """

    def __init__(self, text: str, grid: str = "", time: str = "") -> None:
        super().__init__(text)
        self.grid, self.time = grid, time


class ModelError(StackelgridError):
    """Raised when an optimisation model cannot be compiled; the message names the component."""


class ImportReferenceError(StackelgridError):
    """Raised when `package.module:name` of a user cannot be imported."""


class ObjectiveTermError(StackelgridError):
    """Raised when a user's term of an objective is not usable; names grid and function."""


class SolverError(StackelgridError):
    """Raised when a solver fails or returns a point that violates the given program."""


class SchemeError(StackelgridError):
    """Raised when a coordination scheme is not defined for a request; the message names both."""
