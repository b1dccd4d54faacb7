"""A small linear program that makes points of joined parts fit by what settles their links."""

import numpy as np
from scipy.sparse import csr_array

from stackelgrid.controllers.solvers.conic import ConicProgram, ProgramData
from stackelgrid.controllers.solvers.highs import LinearMaster
from stackelgrid.profiles.arrays import Floats, Ints


class Settling:
    """Bound to one joined program; `settling` are columns that occur in linear rows only."""

    def __init__(self, program: ConicProgram, settling: Ints) -> None:
        self._program, self._settling = program, settling
        free = csr_array(program.matrix[:, settling])
        self._rows = np.flatnonzero(np.diff(free.indptr))
        self._matrix = csr_array(free[self._rows])
        self._equal = self._rows < program.zero
        self._linear = bool((self._rows < program.zero + program.nonneg).all())

    def point(self, data: ProgramData, x: Floats) -> Floats | None:
        """The point with the settling columns chosen at least cost; None where none fit."""
        if not self._linear:
            return None
        fixed = x.copy()
        fixed[self._settling] = 0.0
        side = (data.b - self._program.matrix @ fixed)[self._rows]
        count = len(self._settling)
        master = LinearMaster(
            data.q[self._settling],
            np.full(count, -np.inf),
            np.full(count, np.inf),
            np.zeros(0, dtype=np.int64),
            self._matrix,
            np.where(self._equal, side, -np.inf),
            side,
        )
        found = master.solve(relaxed=True)
        if found.status != "optimal" or found.x is None:
            return None
        fixed[self._settling] = found.x
        return fixed
