"""Leader together with its follower's constraints, without the follower's optimality."""

from collections.abc import Sequence

import numpy as np
from scipy.sparse import block_array, block_diag, csc_array, csr_array

from stackelgrid.controllers.solvers.compile.rows import NamePart, RowNames
from stackelgrid.controllers.solvers.conic import ConicProgram, ProgramData
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
        own, below = csr_array(leader.matrix), csr_array(follower.matrix)
        coupling = csr_array(follower.b_parameters @ link)
        kinds = (
            (slice(0, leader.zero), slice(0, follower.zero)),
            (
                slice(leader.zero, leader.zero + leader.nonneg),
                slice(follower.zero, follower.zero + follower.nonneg),
            ),
            (
                slice(leader.zero + leader.nonneg, leader.rows),
                slice(follower.zero + follower.nonneg, follower.rows),
            ),
        )
        self._kinds = kinds
        parts = []
        for above, under in kinds:
            parts += [[own[above], None], [coupling[under], below[under]]]
        leader_end = leader.zero + leader.nonneg  # leader's equations and inequalities come first
        quadratic = [weights[0] * leader.quadratic, weights[1] * follower.quadratic]
        # its parameters are the leader's and, behind them, the follower's
        given = [csr_array(leader.b_parameters), csr_array(follower.b_parameters)]
        sides = []
        for above, under in kinds:
            sides += [[given[0][above], None], [None, given[1][under]]]
        prices = [weights[0] * leader.q_parameters, weights[1] * follower.q_parameters]
        self.program = ConicProgram(
            quadratic=csc_array(block_diag(quadratic)),
            matrix=csc_array(block_array(parts)),
            zero=leader.zero + follower.zero,
            nonneg=leader.nonneg + follower.nonneg,
            cones=(*leader.cones, *follower.cones),
            q0=np.concatenate([weights[0] * leader.q0, weights[1] * follower.q0]),
            q_parameters=csr_array(block_diag(prices)),
            b0=np.concatenate([part for a, u in kinds for part in (leader.b0[a], follower.b0[u])]),
            b_parameters=csr_array(block_array(sides)),
            offset0=0.0,
            offset_linear=np.zeros(0),
            offset_quadratic=csr_array((0, 0)),
            integer=leader.integer,
            rare=np.concatenate([leader.rare + follower.zero, follower.rare + leader_end]),
        )

    def data(self, leader: ProgramData, parameters: Floats) -> ProgramData:
        """Vectors of one instance; `parameters` are the follower's without the leader's share."""
        below = self.follower.data(parameters)
        b = np.concatenate(
            [part for above, under in self._kinds for part in (leader.b[above], below.b[under])]
        )
        above_weight, below_weight = self.weights
        q = np.concatenate([above_weight * leader.q, below_weight * below.q])
        return ProgramData(q, b, above_weight * leader.offset + below_weight * below.offset)

    def row_names(self, leader: Sequence[str], follower: Sequence[str]) -> RowNames:
        """Names of the program's rows from those of its two parts."""
        return RowNames(
            [
                NamePart(names, np.arange(rows.start, rows.stop))
                for above, under in self._kinds
                for names, rows in ((leader, above), (follower, under))
            ]
        )

    def follower_dual(self, dual: Floats) -> Floats:
        """Multipliers of the follower's rows among those of the program."""
        at, parts = 0, []
        for above, under in self._kinds:
            at += above.stop - above.start
            parts.append(dual[at : at + under.stop - under.start])
            at += under.stop - under.start
        return np.concatenate(parts)

    def leader_dual(self, dual: Floats) -> Floats:
        """Multipliers of the leader's rows among those of the program."""
        at, parts = 0, []
        for above, under in self._kinds:
            parts.append(dual[at : at + above.stop - above.start])
            at += above.stop - above.start + under.stop - under.start
        return np.concatenate(parts)
