"""Protocol of mixed-integer conic backends, their solutions, and the check of these."""

import importlib.metadata
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

import numpy as np

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.solvers.checks import check_data, check_program, row_name
from stackelgrid.controllers.solvers.conic import ConicProgram, ProgramData, SearchStatus
from stackelgrid.profiles.arrays import Floats

_T = TypeVar("_T")


@dataclass(frozen=True)
class MixedIntegerSolution:
    """Solution of one instance, after an independent check of the point.

    "optimal" means within the wanted gap; "limit" may carry a feasible point. Without a point `x`
    is empty and `objective`, `gap` and `violation` are NaN. `violation` is relative (see
    ConicProgram.violation).
    """

    status: SearchStatus
    x: Floats
    objective: float
    bound: float
    violation: float
    nodes: int
    solve_s: float
    message: str

    @property
    def gap(self) -> float:
        """(objective - bound) / max(1, |objective|), never negative."""
        gap = (self.objective - self.bound) / max(1.0, abs(self.objective))
        return max(gap, 0.0) if gap == gap else gap


class MixedIntegerBackend(Protocol):
    """A solver of mixed-integer conic programs bound to one program."""

    name: str
    version: str

    def solve(
        self, data: ProgramData, gap: float, time_limit_s: float | None = None
    ) -> MixedIntegerSolution:
        """Solve one instance to the relative gap, within the time limit in seconds."""


@dataclass(frozen=True)
class Claim:
    """Unchecked result of a solver; `x` is None if it gave no point."""

    status: SearchStatus
    x: Floats | None
    bound: float
    nodes: int
    message: str


@dataclass(frozen=True)
class LicenceState:
    """Usability of a solver at present, with the reason in one line."""

    available: bool
    text: str


class CheckedBackend(ABC):
    """A backend whose programs and data are checked before, and whose claims after each solve.

    Raises ModelError, before a solver is called, for non-finite data, an empty cone or an integer
    column without bounds; `row_names` makes the message name the row.
    """

    name: str
    version: str

    def __init__(self, program: ConicProgram, row_names: Sequence[str] | None = None) -> None:
        check_program(program, row_names)
        self.program = program
        self.row_names = row_names

    def solve(
        self, data: ProgramData, gap: float, time_limit_s: float | None = None
    ) -> MixedIntegerSolution:
        """Solve one instance to the relative gap; any exception of the solver becomes "failed"."""
        check_data(self.program, data, self.row_names)
        if data.coefficients is not None:
            constant = copy(self)
            constant.program = self.program.at(data)
            return constant.solve(replace(data, coefficients=None), gap, time_limit_s)
        started = time.perf_counter()
        try:
            claim = self.claim(data, gap, time_limit_s)
        except Exception as error:  # a foreign library may raise anything
            claim = Claim("failed", None, float("nan"), 0, self.describe(error))
        result = self.judged(data, claim, gap, started)
        if result.status == "failed":
            second = self.repaired(data, claim)
            if second is not None:
                again = self.judged(data, second, gap, started)
                return again if again.status != "failed" else result
        return result

    @abstractmethod
    def claim(self, data: ProgramData, gap: float, time_limit_s: float | None) -> Claim:
        """Run the solver; may raise anything."""

    def describe(self, error: Exception) -> str:
        """Return one line about an exception of the solver."""
        return f"{self.name}: {type(error).__name__}: {' '.join(str(error).split())}"

    def repaired(self, data: ProgramData, claim: Claim) -> Claim | None:
        """Return a better version of a claim that did not hold, if the backend knows one."""
        return None

    def judged(
        self, data: ProgramData, claim: Claim, gap: float, started: float
    ) -> MixedIntegerSolution:
        """Return the claim as a solution, "failed" where it does not hold."""
        seconds, nan = time.perf_counter() - started, float("nan")
        if claim.status in ("infeasible", "unbounded", "failed"):
            return _without_point(claim.status, nan, claim, claim.message, seconds)
        if claim.x is None and claim.status == "limit":
            return _without_point("limit", claim.bound, claim, claim.message, seconds)
        x, reason = self._admitted(data, claim)
        if not reason:
            violation, _ = self.program.violation(x, data.b)
            found = MixedIntegerSolution(
                status=claim.status,
                x=x,
                objective=self.program.objective(x, data),
                bound=claim.bound,
                violation=violation,
                nodes=claim.nodes,
                solve_s=seconds,
                message=claim.message,
            )
            size = max(1.0, abs(found.objective))
            if found.bound <= found.objective + tolerances.BOUND_CONTRADICTION * size:
                return _within(found, gap)
            reason = f"its bound {found.bound:.9g} is above the objective {found.objective:.9g}"
        return _without_point("failed", nan, claim, f"{claim.message}, but {reason}", seconds)

    def _admitted(self, data: ProgramData, claim: Claim) -> tuple[Floats, str]:
        """Return the point with its integers rounded, and why it is refused, or ""."""
        if claim.x is None:
            return np.zeros(0), "no point was returned"
        if claim.x.shape != (self.program.variables,) or not np.isfinite(claim.x).all():
            return np.zeros(0), f"the point is not {self.program.variables} finite values"
        x, integer = claim.x.copy(), self.program.integer
        x[integer] = np.round(x[integer])
        away = np.abs(claim.x - x)
        if away.max(initial=0.0) > tolerances.INTEGRALITY:
            column = int(np.argmax(away))
            return x, f"integer column {column} is {claim.x[column]:g}"
        worst, row = self.program.violation(x, data.b)
        if not worst <= tolerances.POINT_VIOLATION:
            return x, f"{row_name(row, self.row_names)} is violated by {worst:.1e}"
        return x, ""


def _within(found: MixedIntegerSolution, gap: float) -> MixedIntegerSolution:
    """Return the solution, "limit" where it was called optimal but its gap is wider than asked."""
    if found.status != "optimal" or found.gap <= gap + tolerances.BOUND_CONTRADICTION:
        return found
    message = f"{found.message}, but the gap is {found.gap:.1e} where {gap:.1e} was asked for"
    return replace(found, status="limit", message=message)


def _without_point(
    status: SearchStatus, bound: float, claim: Claim, message: str, seconds: float
) -> MixedIntegerSolution:
    nan = float("nan")
    return MixedIntegerSolution(status, np.zeros(0), nan, bound, nan, claim.nodes, seconds, message)


def installed_version(package: str) -> str | None:
    """Version of an installed package, None where there is none."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def answer_within(wait_s: float, ask: Callable[[], _T]) -> _T | None:
    """Return what `ask` answers within `wait_s` seconds, else None; `ask` must not raise.

    A licence server that accepts a connection and stays silent holds its client for 20 seconds.
    """
    answers: list[_T] = []
    thread = threading.Thread(target=lambda: answers.append(ask()), daemon=True)
    thread.start()
    thread.join(wait_s)
    return answers[0] if answers else None
