"""Tasks of MOSEK as files, written and read back: the oracle of what is sent to it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from stackelgrid.controllers.errors import SolverError
from stackelgrid.controllers.solvers.backends.mosek_task import (
    fill_task,
    library,
    reason,
    short_name,
)
from stackelgrid.controllers.solvers.conic import ConicProgram, ProgramData
from stackelgrid.profiles.arrays import Floats, Ints

_FORMATS = (".ptf", ".cbf", ".task", ".task.gz")


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
