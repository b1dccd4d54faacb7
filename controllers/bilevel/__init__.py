"""A leader and its follower as one level: KKT, strong duality, branching, and the audit."""

from stackelgrid.controllers.bilevel.duals import follower_duals
from stackelgrid.controllers.bilevel.presolve.proof import (
    PresolveLimits,
    ProvenPairs,
    prove_inactive,
)
from stackelgrid.controllers.bilevel.problem import (
    BilevelData,
    BilevelOptions,
    BilevelProgram,
    BilevelSolution,
    ProgramNames,
)
from stackelgrid.controllers.bilevel.solve import BilevelSolver
from stackelgrid.controllers.bilevel.solve_model import BilevelResult, solve_bilevel

__all__ = [
    "BilevelData",
    "BilevelOptions",
    "BilevelProgram",
    "BilevelResult",
    "BilevelSolution",
    "BilevelSolver",
    "PresolveLimits",
    "ProgramNames",
    "ProvenPairs",
    "follower_duals",
    "prove_inactive",
    "solve_bilevel",
]
