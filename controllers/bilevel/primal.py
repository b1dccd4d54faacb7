"""Leader together with its follower's constraints, without the follower's optimality."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.sparse import block_array, block_diag, csc_array, csr_array

from stackelgrid.controllers.errors import ModelError
from stackelgrid.controllers.solvers.compile.rows import NamePart, RowNames
from stackelgrid.controllers.solvers.conic import ConicProgram, ProgramData, stacked_rows
from stackelgrid.controllers.solvers.varying import Varying
from stackelgrid.profiles.arrays import Floats


class PrimalForm:
    """Columns [x | y]: min the weighted sum of both objectives over both constraint sets.

    Built once. The follower's parameters are p = data + link x. `weights` are the leader's and the
    follower's; 0 for the follower leaves feasibility only. The follower's prices must not depend
    on x.
    """

    def __init__(
        self,
        leader: ConicProgram,
        follower: ConicProgram,
        link: csr_array,
        weights: tuple[float, float],
    ) -> None:
        self.leader, self.follower, self.weights = leader, follower, weights
        self._order, (self._leader_rows, self._follower_rows) = stacked_rows([leader, follower])
        own, below = csr_array(leader.matrix), csr_array(follower.matrix)
        coupling = csr_array(follower.b_parameters @ link)
        matrix = block_array([[own, None], [coupling, below]], format="csr")
        quadratic = [weights[0] * leader.quadratic, weights[1] * follower.quadratic]
        # its parameters are the leader's and, behind them, the follower's
        sides = block_diag([leader.b_parameters, follower.b_parameters], format="csr")
        prices = [weights[0] * leader.q_parameters, weights[1] * follower.q_parameters]
        self.program = ConicProgram(
            quadratic=csc_array(block_diag(quadratic)),
            matrix=csc_array(matrix[self._order]),
            zero=leader.zero + follower.zero,
            nonneg=leader.nonneg + follower.nonneg,
            cones=(*leader.cones, *follower.cones),
            q0=np.concatenate([weights[0] * leader.q0, weights[1] * follower.q0]),
            q_parameters=csr_array(block_diag(prices)),
            b0=np.concatenate([leader.b0, follower.b0])[self._order],
            b_parameters=csr_array(sides[self._order]),
            offset0=0.0,
            offset_linear=np.zeros(0),
            offset_quadratic=csr_array((0, 0)),
            integer=leader.integer,
            rare=np.concatenate(
                [self._leader_rows[leader.rare], self._follower_rows[follower.rare]]
            ),
            varying=self._varying(),
            steps=leader.steps,
        )

    def _varying(self) -> Varying | None:
        """Return the leader's entries that depend on data; a follower has none."""
        found, below = self.leader.varying, self.follower.b_parameters.shape[1]
        if self.follower.varying is not None:
            raise ModelError("data may not be coefficients of a follower's rows")
        if found is None:
            return None
        m = found.of_parameters
        wide = csr_array((m.data, m.indices, m.indptr), shape=(m.shape[0], m.shape[1] + below))
        return replace(found, rows=self._leader_rows[found.rows], of_parameters=wide)

    def data(self, leader: ProgramData, parameters: Floats) -> ProgramData:
        """Vectors of one instance; `parameters` are the follower's without the leader's share."""
        below = self.follower.data(parameters)
        b = np.concatenate([leader.b, below.b])[self._order]
        above_weight, below_weight = self.weights
        q = np.concatenate([above_weight * leader.q, below_weight * below.q])
        offset = above_weight * leader.offset + below_weight * below.offset
        return ProgramData(q, b, offset, coefficients=leader.coefficients)

    def row_names(self, leader: Sequence[str], follower: Sequence[str]) -> RowNames:
        """Names of the program's rows from those of its two parts."""
        return RowNames(
            [
                NamePart(names, np.flatnonzero(program.kinds == kind))
                for kind in range(3)
                for names, program in ((leader, self.leader), (follower, self.follower))
            ]
        )

    def follower_dual(self, dual: Floats) -> Floats:
        """Multipliers of the follower's rows among those of the program."""
        return dual[self._follower_rows]

    def leader_dual(self, dual: Floats) -> Floats:
        """Multipliers of the leader's rows among those of the program."""
        return dual[self._leader_rows]
