"""Exceptions of the decision layers; see `stackelgrid.profiles.errors` for their base."""

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


class SolverError(StackelgridError):
    """Raised when a solver fails or returns a point that violates the given program."""


class SchemeError(StackelgridError):
    """Raised when a coordination scheme is not defined for a request; the message names both."""
