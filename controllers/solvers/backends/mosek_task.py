"""A conic program as a MOSEK task: built, written to a file and read back; no licence needed.

Written against the MOSEK Optimizer API for Python 11.2.
"""

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import coo_array, csr_array

from stackelgrid.controllers.errors import SolverError
from stackelgrid.controllers.solvers.conic import ConicProgram, ProgramData
from stackelgrid.controllers.solvers.quadratics import factor
from stackelgrid.profiles.arrays import Floats, Ints

_FORMATS = (".ptf", ".cbf", ".task", ".task.gz")


_REASONS = {
    "err_missing_license_file": "no file at MOSEKLM_LICENSE_FILE or ~/mosek/mosek.lic",
    "err_license_cannot_connect": "the server cannot be reached",
    "err_license_expired": "expired",
    "err_license_max": "all licences are in use",
    "err_license_version": "it is for another version",
    "err_flexlm": "the licence file or server is not usable",
}


def library() -> Any:
    """Import MOSEK; raises SolverError where it is missing or broken."""
    try:
        return importlib.import_module("mosek")
    except Exception as error:  # a broken shared library raises what it likes
        raise SolverError(f"mosek cannot be imported ({error}): pip install mosek") from error


def reason(error: Exception) -> str:
    """Return one line about an exception, then MOSEK's response code if it has one."""
    code = short_name(getattr(error, "errno", type(error).__name__))
    text = _REASONS.get(code) or " ".join(str(error).split())
    return f"{text} ({code})" if text else code


def short_name(code: object) -> str:
    """Return the name of one of MOSEK's constants without its class."""
    return str(code).rsplit(".", 1)[-1]


def fill_task(task: Any, program: ConicProgram, data: ProgramData) -> None:
    """Write one instance into an empty MOSEK task.

    Variables are free; those of `program.integer` are integer. Equations and inequalities are
    constraints, each second-order cone is one affine conic constraint. A quadratic objective
    becomes an epigraph variable t, the last one, in the rotated cone 2 t 1 >= |F x|^2, the last
    affine conic constraint (a task with a quadratic objective could not be exported).
    """
    mosek = library()
    n, linear = program.variables, program.linear
    squares = factor(program.quadratic)
    epigraph = squares.shape[0] > 0
    columns = n + int(epigraph)
    task.appendvars(columns)
    task.putvarboundsliceconst(0, columns, mosek.boundkey.fr, -np.inf, np.inf)
    task.putcslice(0, n, data.q)
    task.putcfix(data.offset)
    task.putobjsense(mosek.objsense.minimize)
    if len(program.integer):
        kinds = [mosek.variabletype.type_int] * len(program.integer)
        task.putvartypelist(program.integer.astype(np.int32), kinds)

    rows = csr_array(program.matrix)
    rows.sum_duplicates()  # MOSEK would keep the last of two entries at one place
    task.appendcons(linear)
    if linear:
        keys = [mosek.boundkey.fx] * program.zero + [mosek.boundkey.up] * program.nonneg
        lower = np.where(np.arange(linear) < program.zero, data.b[:linear], -np.inf)
        task.putconboundslice(0, linear, keys, lower, data.b[:linear])
        a = coo_array(rows[:linear])
        task.putaijlist(a.row.astype(np.int32), a.col.astype(np.int32), a.data)

    cone_rows = program.rows - linear
    task.appendafes(cone_rows + (squares.shape[0] + 2 if epigraph else 0))
    if cone_rows:
        _put_affine(task, 0, -rows[linear:], data.b[linear:])
        at = 0
        for size in program.cones:
            task.appendaccseq(task.appendquadraticconedomain(size), at, None)
            at += size
    if epigraph:
        task.putcj(n, 1.0)
        task.putafefentry(cone_rows, n, 1.0)
        task.putafeg(cone_rows + 1, 1.0)
        _put_affine(task, cone_rows + 2, squares, np.zeros(squares.shape[0]))
        size = squares.shape[0] + 2
        task.appendaccseq(task.appendrquadraticconedomain(size), cone_rows, None)


def export(program: ConicProgram, data: ProgramData, path: Path) -> None:
    """Write one instance as .ptf, .cbf, .task or .task.gz; needs MOSEK but no licence.

    PTF and task files keep the matrices exactly. CBF knows no rows: MOSEK writes them as cones.
    """
    _require_format(path)
    mosek = library()
    try:
        with mosek.Env() as env, env.Task() as task:
            fill_task(task, program, data)
            task.writedata(str(path))
    except mosek.Error as error:
        raise SolverError(f"MOSEK could not write {path}: {reason(error)}") from error


@dataclass(frozen=True)
class TaskArrays:
    """A MOSEK task as arrays: min c'x + constant, l <= A x <= u, F x + g in cones, bounds on x.

    `cones` are (kind, size) in the order of the rows of F; kinds are MOSEK's domain types, e.g.
    "quadratic_cone" and "rquadratic_cone" (2 x y >= |w|^2). Bounds may be infinite.
    """

    cost: Floats
    constant: float
    matrix: csr_array
    row_lower: Floats
    row_upper: Floats
    column_lower: Floats
    column_upper: Floats
    affine: csr_array
    affine_constant: Floats
    cones: tuple[tuple[str, int], ...]
    integer: Ints


def read_task(path: Path) -> TaskArrays:
    """Read a .ptf, .cbf, .task or .task.gz file into arrays; needs MOSEK but no licence.

    Raises SolverError for an unreadable file, a maximisation, or content that is not linear or
    affine conic.
    """
    _require_format(path)
    mosek = library()
    try:
        with mosek.Env() as env, env.Task() as task:
            task.readdata(str(path))
            return _task_arrays(mosek, task, str(path))
    except mosek.Error as error:
        raise SolverError(f"MOSEK could not read {path}: {reason(error)}") from error


def _require_format(path: Path) -> None:
    if not path.name.endswith(_FORMATS):
        raise SolverError(f"{path}: the accepted endings are {', '.join(_FORMATS)}")


def _put_affine(task: Any, first: int, matrix: csr_array, constant: Floats) -> None:
    f = coo_array(matrix)
    task.putafefentrylist(first + f.row.astype(np.int64), f.col.astype(np.int32), f.data)
    task.putafegslice(first, first + len(constant), constant)


def _task_arrays(mosek: Any, task: Any, label: str) -> TaskArrays:
    if task.getobjsense() != mosek.objsense.minimize:
        raise SolverError(f"{label}: a minimisation is accepted, this is a maximisation")
    others = {
        "quadratic objective terms": task.getnumqobjnz(),
        "semidefinite variables": task.getnumbarvar(),
        "old-style cones": task.getnumcone(),
        "disjunctions": task.getnumdjc(),
    }
    for name, count in others.items():
        if count:
            raise SolverError(f"{label}: holds {count} {name}; linear rows and affine cones do")
    n, m = task.getnumvar(), task.getnumcon()
    i, j, v = task.getatrip()
    row, column, value = task.getaccftrip()
    constant = np.array(task.getaccgvector()) + np.array(task.getaccs()[2])
    domains = [task.getaccdomain(k) for k in range(task.getnumacc())]
    kinds = task.getvartypelist(np.arange(n, dtype=np.int32)) if n else []
    row_lower, row_upper = _bounds(mosek, *task.getconboundslice(0, m))
    column_lower, column_upper = _bounds(mosek, *task.getvarboundslice(0, n))
    return TaskArrays(
        cost=np.array(task.getcslice(0, n)),
        constant=float(task.getcfix()),
        matrix=csr_array((np.array(v), (np.array(i), np.array(j))), shape=(m, n)),
        row_lower=row_lower,
        row_upper=row_upper,
        column_lower=column_lower,
        column_upper=column_upper,
        affine=csr_array(
            (np.array(value), (np.array(row), np.array(column))), shape=(len(constant), n)
        ),
        affine_constant=constant,
        cones=tuple((short_name(task.getdomaintype(d)), int(task.getdomainn(d))) for d in domains),
        integer=np.flatnonzero([kind == mosek.variabletype.type_int for kind in kinds]),
    )


def _bounds(mosek: Any, keys: Any, lower: Any, upper: Any) -> tuple[Floats, Floats]:
    """Bounds with infinities where the key says there is none."""
    below = [key in (mosek.boundkey.up, mosek.boundkey.fr) for key in keys]
    above = [key in (mosek.boundkey.lo, mosek.boundkey.fr) for key in keys]
    low, high = np.array(lower, dtype=float), np.array(upper, dtype=float)
    low[below], high[above] = -np.inf, np.inf
    return low, high
