"""A conic program as a MOSEK task, which needs no licence to be built.

Written against the MOSEK Optimizer API for Python 11.2.
"""

import importlib
from typing import Any

import numpy as np
from scipy.sparse import coo_array, csr_array

from stackelgrid.controllers.errors import SolverError
from stackelgrid.controllers.solvers.conic import ConicProgram, ProgramData
from stackelgrid.controllers.solvers.quadratics import factor
from stackelgrid.profiles.arrays import Floats

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


def _put_affine(task: Any, first: int, matrix: csr_array, constant: Floats) -> None:
    f = coo_array(matrix)
    task.putafefentrylist(first + f.row.astype(np.int64), f.col.astype(np.int32), f.data)
    task.putafegslice(first, first + len(constant), constant)
