"""Registry of solvers, their availability, and the choice for a run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from textwrap import wrap
from typing import Literal

from stackelgrid.controllers.errors import SolverError
from stackelgrid.controllers.solvers.backends import external, mosek, scip
from stackelgrid.controllers.solvers.backends.backend import (
    LicenceState,
    MixedIntegerBackend,
    installed_version,
)
from stackelgrid.controllers.solvers.backends.clarabel import ClarabelSolver, RefinedClarabelSolver
from stackelgrid.controllers.solvers.conic import ConicProgram, ConicSolver, ProgramData
from stackelgrid.controllers.solvers.mixed_integer.decomposition import Decomposition
from stackelgrid.controllers.solvers.mixed_integer.incumbent import (
    MixedOptions,
    MixedSolution,
    Snap,
)
from stackelgrid.controllers.solvers.mixed_integer.misocp import MixedIntegerConicSolver
from stackelgrid.profiles.arrays import Floats

Kind = Literal["conic", "milp master", "mixed-integer conic"]
CONIC_KIND: Kind = "conic"
MASTER_KIND: Kind = "milp master"
MIXED_KIND: Kind = "mixed-integer conic"

CONIC = ("clarabel", "mosek")
MIXED_INTEGER = ("misocp", "mosek", "scip", *(solver.name for solver in external.EXTERNALS))
_LISTED = (
    *((name, CONIC_KIND) for name in CONIC),
    ("highs", MASTER_KIND),
    *((name, MIXED_KIND) for name in MIXED_INTEGER),
)

_WIDTH = 80  # characters of a line of the table's notes
_OWN_SOLVER = (
    "misocp: the project's solver of mixed-integer conic programs, on HiGHS (its master problems) "
    "and Clarabel (conic programs)"
)

_FREE = LicenceState(True, "open source")
_EXPLICIT_WAIT_S = 30.0  # a solver named by the user is waited for, for its licence server


@dataclass(frozen=True)
class Backend:
    """One solver in one role; `used` states that a run without a named solver uses it."""

    name: str
    kind: Kind
    version: str | None
    licence: LicenceState
    used: bool


@dataclass(frozen=True)
class Choice:
    """The solver a run takes; `fallback_reason` is why it is not MOSEK, None if it is."""

    name: str
    version: str
    fallback_reason: str | None


OPEN_CONIC = Choice("clarabel", ClarabelSolver.version, None)
OPEN_MIXED_INTEGER = Choice("misocp", ClarabelSolver.version, None)


def available_backends() -> tuple[Backend, ...]:
    """List every solver the project knows, installed or not, and which ones a run would take."""
    mixed = choose(True).name
    used = {(choose(False).name, CONIC_KIND), (mixed, MIXED_KIND)}
    if mixed == "misocp":
        used.add(("highs", MASTER_KIND))
    return tuple(Backend(n, kind, *_found(n), (n, kind) in used) for n, kind in _LISTED)


def choose(mixed_integer: bool, wanted: str | None = None) -> Choice:
    """Choose the solver of a run; `wanted` names one, None takes MOSEK where a licence answers.

    Without a licence that is Clarabel for conic programs and "misocp", our driver on Clarabel and
    HiGHS, for mixed-integer ones. Raises SolverError for a wanted solver that is unknown or not
    available, naming what is missing.
    """
    if wanted is not None:
        return _explicit(mixed_integer, wanted)
    licence = mosek.licence_state()
    if licence.available:
        return Choice("mosek", mosek.version(), None)
    if mixed_integer:
        return Choice("misocp", _driver_version(), licence.text)
    return Choice("clarabel", ClarabelSolver.version, licence.text)


def conic_solver(choice: Choice) -> Callable[[ConicProgram], ConicSolver]:
    """Return the solver class of a conic choice."""
    if choice.name == "clarabel":
        return ClarabelSolver
    if choice.name == "mosek":
        return mosek.MosekConicSolver
    raise SolverError(f"{choice.name} is no conic solver; accepted are {', '.join(CONIC)}")


def multiplier_solver(choice: Choice) -> Callable[[ConicProgram], ConicSolver]:
    """Return the solver class of a conic choice for programs that hold multipliers."""
    return RefinedClarabelSolver if choice.name == "clarabel" else conic_solver(choice)


def mixed_integer_solver(
    choice: Choice,
    program: ConicProgram,
    snap: Snap | None = None,
    row_names: Sequence[str] | None = None,
    options: MixedOptions | None = None,
    decomposition: Decomposition | None = None,
) -> MixedIntegerBackend:
    """Bind the solver of a mixed-integer choice to a program.

    Only our driver uses `snap`, `decomposition` and the reproducible limits in `options`.
    """
    if choice.name == "misocp":
        solver = MixedIntegerConicSolver(
            program, snap, row_names=row_names, decomposition=decomposition
        )
        return Driver(solver, options or MixedOptions())
    if choice.name == "mosek":
        return mosek.MosekSolver(program, row_names)
    if choice.name == "scip":
        return scip.ScipSolver(program, row_names)
    return external.ExternalSolver(program, choice.name, row_names)


@dataclass
class Driver:
    """Our mixed-integer driver (mixed_integer/misocp.py) behind the protocol of every backend."""

    solver: MixedIntegerConicSolver
    options: MixedOptions
    name: str = "misocp"
    version: str = field(default_factory=lambda: _driver_version())

    def solve(
        self,
        data: ProgramData,
        gap: float,
        time_limit_s: float | None = None,
        prices: Floats | None = None,
    ) -> MixedSolution:
        """Solve one instance to the relative gap, within the time limit in seconds.

        `prices` are those of a joined program's links (MixedIntegerConicSolver.solve).
        """
        options = replace(self.options, gap=gap, time_limit_s=time_limit_s)
        return self.solver.solve(data, options, prices)


def solver_table() -> str:
    """Return the text that `stackelgrid solvers` prints: one line a solver and role, then notes.

    The notes say what the project's own solver is, and why a solver cannot be used.
    """
    rows, reasons = [("solver", "solves", "version", "state")], {}
    for backend in available_backends():
        rows.append((backend.name, backend.kind, backend.version or "-", _state(backend)))
        if not backend.licence.available:
            reasons[backend.name] = backend.licence.text
    width = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(w) for cell, w in zip(row, width, strict=True)).rstrip()
        for row in rows
    ]
    notes = [_OWN_SOLVER, *(f"{name}: {reason}" for name, reason in reasons.items())]
    wrapped = (line for note in notes for line in wrap(note, _WIDTH, subsequent_indent="  "))
    return "\n".join([lines[0], "  ".join("-" * w for w in width), *lines[1:], "", *wrapped])


def _state(backend: Backend) -> str:
    if backend.used:
        return "used by default"
    if backend.version is None:
        return "not installed"
    return "available" if backend.licence.available else "no licence"


def _explicit(mixed_integer: bool, wanted: str) -> Choice:
    accepted, kind = (MIXED_INTEGER, MIXED_KIND) if mixed_integer else (CONIC, CONIC_KIND)
    if wanted not in accepted:
        raise SolverError(f"solver {wanted!r} is not {kind}; accepted are {', '.join(accepted)}")
    version, state = _found(wanted, _EXPLICIT_WAIT_S)
    if version is None or not state.available:
        raise SolverError(f"solver {wanted!r} is not available: {state.text}")
    return Choice(wanted, version, None)


def _found(name: str, *wait_s: float) -> tuple[str | None, LicenceState]:
    """Installed version of a solver (None: none), and its licence, waited for as stated."""
    if name == "clarabel":
        return ClarabelSolver.version, _FREE
    if name == "misocp":
        return _driver_version(), _FREE
    if name == "highs":
        return installed_version("highspy"), _FREE
    if name == "mosek":
        return installed_version("mosek"), mosek.licence_state(*wait_s)
    if name == "scip":
        try:
            return scip.version(), _FREE
        except SolverError as error:
            return None, LicenceState(False, str(error))
    return external.version(external.external(name)), external.licence_state(name, *wait_s)


def _driver_version() -> str:
    return f"clarabel {ClarabelSolver.version} + highs {installed_version('highspy')}"
