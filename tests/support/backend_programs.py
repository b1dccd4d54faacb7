"""Random conic programs for the tests of the backends; every one is feasible and bounded."""

from dataclasses import replace

import numpy as np
from scipy.sparse import csc_array, csr_array, triu, vstack

from stackelgrid.controllers.solvers.conic import ConicProgram, ProgramData


def program_of(matrix, b, zero, nonneg, cones, q, quadratic=None, integer=(), offset=0.0):
    """A program without parameters, and its data."""
    n, m = len(q), len(b)
    quadratic = csc_array((n, n)) if quadratic is None else csc_array(triu(csc_array(quadratic)))
    program = ConicProgram(
        quadratic=quadratic,
        matrix=csc_array(matrix),
        zero=zero,
        nonneg=nonneg,
        cones=tuple(cones),
        q0=np.asarray(q, dtype=float),
        q_parameters=csr_array((n, 0)),
        b0=np.asarray(b, dtype=float),
        b_parameters=csr_array((m, 0)),
        offset0=offset,
        offset_linear=np.zeros(0),
        offset_quadratic=csr_array((0, 0)),
        integer=np.asarray(integer, dtype=np.int64),
    )
    return program, program.data(np.zeros(0))


def random_program(seed, quadratic=False, integers=0, n=8, cones=(3, 4)):
    """Feasible at a point with integral integer columns, and boxed, so bounded."""
    rng = np.random.default_rng(seed)
    point = rng.normal(size=n)
    point[:integers] = rng.integers(-2, 3, size=integers)
    equations = rng.normal(size=(2, n))
    equations[:, :integers] = np.round(equations[:, :integers])
    inequalities = rng.normal(size=(3, n))
    box = np.vstack([np.eye(n), -np.eye(n)])
    cone_rows = rng.normal(size=(sum(cones), n)) * (rng.random((sum(cones), n)) < 0.5)
    slack, at = rng.normal(size=sum(cones)), 0
    for size in cones:
        slack[at] = np.linalg.norm(slack[at + 1 : at + size]) + rng.random() * 0.5
        at += size
    matrix = np.vstack([equations, inequalities, box, cone_rows])
    b = np.concatenate(
        [
            equations @ point,
            inequalities @ point + rng.random(3) * 0.3,
            np.full(2 * n, 5.0),
            cone_rows @ point + slack,
        ]
    )
    hessian = None
    if quadratic:  # a coupled block, a singular one and a diagonal entry
        hessian = np.zeros((n, n))
        root = rng.normal(size=(3, 3))
        hessian[:3, :3] = root @ root.T
        ray = rng.normal(size=2)
        hessian[4:6, 4:6] = np.outer(ray, ray)
        hessian[7, 7] = 2.0
    return program_of(
        matrix, b, 2, 3 + 2 * n, cones, rng.normal(size=n), hessian, range(integers), offset=1 / 3
    )


def fixed_integers(program, data, values):
    """The program with its integer columns held at values by equations in front."""
    rows = csr_array(
        (np.ones(len(values)), (np.arange(len(values)), program.integer)),
        shape=(len(values), program.variables),
    )
    b = np.concatenate([values, data.b])
    fixed = replace(
        program,
        matrix=csc_array(vstack([rows, program.matrix])),
        zero=program.zero + len(values),
        b0=b,
        b_parameters=csr_array((len(b), 0)),
        integer=np.zeros(0, dtype=np.int64),
    )
    return fixed, ProgramData(q=data.q, b=b, offset=data.offset)
