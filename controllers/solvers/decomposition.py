"""Joined programs taken apart at the prices of their links: a better bound and a full point.

The relaxation's multipliers of the links price what the parts exchange. Each part whose integers
the relaxed point leaves open is solved alone at these prices: its proven bound replaces its share
of the relaxation's bound (Lagrangian duality), its point replaces its columns of the relaxed one.
A linear program over the columns that settle the links (trade, payments) makes the whole fit.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
from scipy.sparse import csr_array

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.solvers.conic import ConicProgram, ProgramData, Solution
from stackelgrid.controllers.solvers.highs import LinearMaster
from stackelgrid.profiles.arrays import Floats, Ints

_THREADS = 2


class PartResult(Protocol):
    """What a part's solver returned: a point (empty for none) and a proven bound."""

    @property
    def x(self) -> Floats:
        """Point."""
        ...

    @property
    def bound(self) -> float:
        """Proven bound."""
        ...


class PartSolver(Protocol):
    """Solves one part, aiming at a relative gap."""

    def __call__(self, data: ProgramData, gap: float) -> PartResult:
        """Solve one instance."""
        ...


@dataclass(frozen=True)
class Part:
    """One of the joined programs, the weight of its objective, and its solver."""

    program: ConicProgram
    weight: float
    solve: PartSolver


@dataclass(frozen=True)
class Improvement:
    """A proven bound of the joined program and a point that may satisfy it (None for none)."""

    bound: float
    x: Floats | None


class Decomposition:
    """Bound to one joined program (join.py): link rows first, parts side by side.

    `settling` are columns that occur in linear rows only, with bounds among these rows.
    """

    def __init__(
        self, program: ConicProgram, links: int, parts: Sequence[Part], settling: Ints
    ) -> None:
        self.program, self.links, self.parts, self.settling = program, links, parts, settling
        programs = [p.program for p in parts]
        self._columns = _ranges(0, [p.variables for p in programs])
        zero = _ranges(links, [p.zero for p in programs])
        nonneg = _ranges(program.zero, [p.nonneg for p in programs])
        cones = _ranges(program.zero + program.nonneg, [sum(p.cones) for p in programs])
        self._rows = [np.concatenate(rows) for rows in zip(zero, nonneg, cones, strict=True)]
        self._linking = csr_array(csr_array(program.matrix)[:links])
        free = csr_array(program.matrix[:, settling])
        self._settled_rows = np.flatnonzero(np.diff(free.indptr))
        self._settling_matrix = csr_array(free[self._settled_rows])

    def improvements(
        self, data: ProgramData, relaxation: Solution, snapped: Floats, gap: float
    ) -> Iterator[Improvement]:
        """Yield better bounds and points, cheap ones first; `snapped` has integral integers.

        First the settled snapped point, then the one with the open parts solved alone.
        """
        yield Improvement(relaxation.bound, self._settled(data, snapped))
        open_parts = self._open(data, snapped)
        if not open_parts:
            return
        shares = {k: self._share(data, relaxation, k) for k in open_parts}
        priced = data.q + self._linking.T @ relaxation.dual[: self.links]
        instances = {k: self._instance(data, priced, k) for k in open_parts}
        with ThreadPoolExecutor(_THREADS) as pool:
            found = pool.map(lambda k: self.parts[k].solve(instances[k], gap / 4), open_parts)
        bound, x = relaxation.bound, snapped.copy()
        for k, result in zip(open_parts, found, strict=True):
            if np.isfinite(result.bound):
                bound += max(self.parts[k].weight * result.bound - shares[k], 0.0)
            if len(result.x):
                x[self._columns[k]] = result.x
        yield Improvement(bound, self._settled(data, x))

    def _open(self, data: ProgramData, snapped: Floats) -> list[int]:
        """Parts whose rows the snapped point violates."""
        violations = self.program.violations(snapped, data.b)
        return [
            k
            for k, rows in enumerate(self._rows)
            if violations[rows].max(initial=0.0) > tolerances.POINT_VIOLATION
        ]

    def _share(self, data: ProgramData, relaxation: Solution, k: int) -> float:
        """What part k contributes to the relaxation's dual objective, without its offset."""
        columns, rows = self._columns[k], self._rows[k]
        part = self.parts[k]
        x = relaxation.x[columns]
        none = ProgramData(np.zeros(len(x)), np.zeros(0), 0.0)
        curved = part.weight * part.program.objective(x, none)
        return float(-curved - data.b[rows] @ relaxation.dual[rows])

    def _instance(self, data: ProgramData, priced: Floats, k: int) -> ProgramData:
        weight = self.parts[k].weight
        return ProgramData(priced[self._columns[k]] / weight, data.b[self._rows[k]], 0.0)

    def _settled(self, data: ProgramData, x: Floats) -> Floats | None:
        """The point with the settling columns chosen at least cost; None where none fit."""
        fixed = x.copy()
        fixed[self.settling] = 0.0
        rows = self._settled_rows
        if len(rows) and rows[-1] >= self.program.zero + self.program.nonneg:
            return None
        side = (data.b - self.program.matrix @ fixed)[rows]
        count = len(self.settling)
        master = LinearMaster(
            data.q[self.settling],
            np.full(count, -np.inf),
            np.full(count, np.inf),
            np.zeros(0, dtype=np.int64),
            self._settling_matrix,
            np.where(rows < self.program.zero, side, -np.inf),
            side,
        )
        found = master.solve(relaxed=True)
        if found.status != "optimal" or found.x is None:
            return None
        fixed[self.settling] = found.x
        return fixed


def _ranges(start: int, sizes: Sequence[int]) -> list[Ints]:
    edges = start + np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    return [np.arange(a, b) for a, b in pairwise(edges.tolist())]
