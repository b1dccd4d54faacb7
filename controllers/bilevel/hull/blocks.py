"""Independent blocks of a follower, for example its periods, coupled by the leader alone."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csc_array, csr_array, triu

from stackelgrid.controllers.bilevel.presolve.parts import follower_parts
from stackelgrid.controllers.solvers.conic import ConicProgram
from stackelgrid.controllers.solvers.quadratics import factor
from stackelgrid.profiles.arrays import Ints


@dataclass(frozen=True)
class FollowerBlock:
    """One connected component of a follower: A y + B p + s = b, stationarity P y + q + A'nu = 0.

    `rows` and `columns` are those of the follower, `parameters` the linked ones that occur;
    `equations` counts the leading rows that are equations. `factor` F has F'F = the block of the
    leader's quadratic objective (its columns are those of the block).
    """

    rows: Ints
    columns: Ints
    parameters: Ints
    equations: int
    matrix: csr_array
    transposed: csr_array
    coupling: csr_array
    curvature: csr_array
    factor: csr_array


def follower_blocks(
    follower: ConicProgram, linked: Ints, paid_quadratic: csr_array
) -> tuple[FollowerBlock, ...]:
    """Split a follower with linear rows into its connected components, in order of first column.

    `linked` are the parameters that the leader decides, `paid_quadratic` (symmetric) the part of
    the leader's objective that is quadratic in y; it must not couple two blocks.
    """
    matrix = csr_array(follower.matrix)
    curvature = follower.hessian
    coupling = csr_array(follower.b_parameters)
    is_linked = np.zeros(coupling.shape[1], dtype=bool)
    is_linked[linked] = True
    blocks = []
    for connected in follower_parts(follower, abs(paid_quadratic)):
        rows, columns = connected.rows, connected.columns
        own = coupling[rows]
        used = np.unique(own.indices[is_linked[own.indices]]).astype(np.int64)
        part = csr_array(matrix[rows][:, columns])
        blocks.append(
            FollowerBlock(
                rows=rows,
                columns=columns,
                parameters=used,
                equations=int(np.count_nonzero(rows < follower.zero)),
                matrix=part,
                transposed=csr_array(part.T),
                coupling=csr_array(own[:, used]),
                curvature=csr_array(curvature[columns][:, columns]),
                factor=factor(csc_array(triu(paid_quadratic[columns][:, columns]))),
            )
        )
    return tuple(blocks)
