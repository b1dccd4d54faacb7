"""Conic standard form, the compiler that produces it and the solvers that take it."""

from stackelgrid.controllers.solvers.backends.clarabel import ClarabelSolver
from stackelgrid.controllers.solvers.compile.compiled import CompiledModel
from stackelgrid.controllers.solvers.compile.compiler import compile_model
from stackelgrid.controllers.solvers.conic import ConicProgram, Solution, SolverStatus

__all__ = [
    "ClarabelSolver",
    "CompiledModel",
    "ConicProgram",
    "Solution",
    "SolverStatus",
    "compile_model",
]
