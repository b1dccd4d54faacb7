"""Joined programs taken apart at prices of their links: a proven bound and a full point.

With prices pi on the links A x = b the parts can be solved alone, and the sum of their bounds less
pi'b bounds the whole (Lagrangian duality). Prices known from elsewhere need no solve of the whole;
those of a relaxation leave only the parts to solve whose integers the relaxed point leaves open. A
linear program over the columns that settle the links (trade, payments) makes the parts' points fit.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.solvers.backends.highs import LinearMaster
from stackelgrid.controllers.solvers.conic import ConicProgram, ProgramData, Solution, stacked_rows
from stackelgrid.controllers.solvers.mixed_integer.incumbent import MixedSolution
from stackelgrid.profiles.arrays import Floats, Ints

PartSolver = Callable[[ProgramData, float], MixedSolution]
"""Solves one part, aiming at a relative gap."""


@dataclass(frozen=True)
class Part:
    """One of the joined programs, the weight of its objective, and its solver."""

    program: ConicProgram
    weight: float
    solve: PartSolver


@dataclass(frozen=True)
class Improvement:
    """A proven bound of the joined program and a point that may satisfy it (None for none).

    `own_gap` is the sum of the parts' own gaps, `relaxation` the joined relaxations of the parts
    where all were solved.
    """

    bound: float
    x: Floats | None
    own_gap: float = 0.0
    relaxation: Solution | None = None


class Decomposition:
    """Bound to one joined program (compile/join.py): link rows first, parts side by side.

    `settling` are columns that occur in linear rows only, with bounds among these rows. Parts are
    solved on `threads` threads; no result depends on how many.
    """

    def __init__(
        self,
        program: ConicProgram,
        links: int,
        parts: Sequence[Part],
        settling: Ints,
        threads: int = 2,
    ) -> None:
        self.threads = threads
        self.program, self.links, self.parts = program, links, parts
        programs = [p.program for p in parts]
        ends = np.cumsum([p.variables for p in programs])
        self._columns = np.split(np.arange(ends[-1], dtype=np.int64), ends[:-1])
        self._rows = [links + rows for rows in stacked_rows(programs)[1]]
        self._linking = csr_array(csr_array(program.matrix)[:links])
        count = [0 if p.varying is None else len(p.varying.rows) for p in programs]
        self._entries = np.cumsum([0, *count])
        self.settling = _Settling(program, settling)

    def improvements(
        self, data: ProgramData, relaxation: Solution, snapped: Floats, gap: float
    ) -> Iterator[Improvement]:
        """Yield better bounds and points, cheap ones first; `snapped` has integral integers.

        First the settled snapped point, then the one with the open parts solved alone.
        """
        yield Improvement(relaxation.bound, self.settling.point(data, snapped))
        open_parts = self._open(data, snapped)
        if not open_parts:
            return
        found = self._alone(data, relaxation.dual[: self.links], open_parts, gap)
        bound, x = relaxation.bound, snapped.copy()
        for k, result in found.items():
            if np.isfinite(result.bound):
                share = self._share(data, relaxation, k)
                bound += max(self.parts[k].weight * result.bound - share, 0.0)
            if len(result.x):
                x[self._columns[k]] = result.x
        yield Improvement(bound, self.settling.point(data, x))

    def at_prices(self, data: ProgramData, prices: Floats, gap: float) -> Improvement:
        """Bound and settled point with every part solved alone at `prices` (links,).

        Parts aim at the relative `gap`. Without a point of every part there is none of the whole
        and the bound is -inf.
        """
        found = list(self._alone(data, prices, range(len(self.parts)), gap).values())
        if not all(len(r.x) and np.isfinite(r.bound) for r in found):
            return Improvement(-np.inf, None)
        weights = [part.weight for part in self.parts]
        base = data.offset - float(prices @ data.b[: self.links])
        bound = base + sum(w * r.bound for w, r in zip(weights, found, strict=True))
        own = sum(w * (r.objective - r.bound) for w, r in zip(weights, found, strict=True))
        settled = self.settling.point(data, np.concatenate([r.x for r in found]))
        return Improvement(bound, settled, own, self._joined(data, prices, found, base))

    def _alone(
        self, data: ProgramData, prices: Floats, chosen: Sequence[int], gap: float
    ) -> dict[int, MixedSolution]:
        """Solve some parts at prices of the links, on threads."""
        priced = data.q + self._linking.T @ prices
        instances = [self._instance(data, priced, k) for k in chosen]
        with ThreadPoolExecutor(self.threads) as pool:
            found = pool.map(lambda k, d: self.parts[k].solve(d, gap / 4), chosen, instances)
            return dict(zip(chosen, found, strict=True))

    def _joined(
        self, data: ProgramData, prices: Floats, found: Sequence[MixedSolution], base: float
    ) -> Solution:
        """The parts' relaxations as one of the whole, with links that are not cleared."""
        relaxed = [r.relaxation for r in found]
        dual = np.zeros(self.program.rows)
        dual[: self.links] = prices
        for part, rows, solution in zip(self.parts, self._rows, relaxed, strict=True):
            dual[rows] = part.weight * solution.dual
        x = np.concatenate([r.x for r in relaxed])
        return Solution(
            status="optimal",
            x=x,
            dual=dual,
            objective=self.program.objective(x, data),
            bound=base + sum(p.weight * r.bound for p, r in zip(self.parts, relaxed, strict=True)),
            violation=self.program.at(data).violation(x, data.b)[0],
            iterations=sum(r.iterations for r in relaxed),
            solve_s=sum(r.solve_s for r in relaxed),
            message="part by part",
        )

    def _open(self, data: ProgramData, snapped: Floats) -> list[int]:
        """Parts whose rows the snapped point violates."""
        violations = self.program.at(data).violations(snapped, data.b)
        return [
            k
            for k, rows in enumerate(self._rows)
            if violations[rows].max(initial=0.0) > tolerances.POINT_VIOLATION
        ]

    def _share(self, data: ProgramData, relaxation: Solution, k: int) -> float:
        """Return part k's share of the relaxation's dual objective, without its offset."""
        columns, rows = self._columns[k], self._rows[k]
        part = self.parts[k]
        x = relaxation.x[columns]
        none = ProgramData(np.zeros(len(x)), np.zeros(0), 0.0)
        curved = part.weight * part.program.objective(x, none)
        return float(-curved - data.b[rows] @ relaxation.dual[rows])

    def _instance(self, data: ProgramData, priced: Floats, k: int) -> ProgramData:
        weight, rows = self.parts[k].weight, self._rows[k]
        own = priced[self._columns[k]] / weight
        found, part = data.coefficients, slice(self._entries[k], self._entries[k + 1])
        varies = found is not None and self.parts[k].program.varying is not None
        coefficients = found[part] if found is not None and varies else None
        return ProgramData(own, data.b[rows], 0.0, data.binding_among(rows), coefficients)


class _Settling:
    """Linear program that makes points of joined parts fit by the columns that settle the links."""

    def __init__(self, program: ConicProgram, settling: Ints) -> None:
        self._program, self._settling = program, settling
        free = csr_array(program.matrix[:, settling])
        self._rows = np.flatnonzero(np.diff(free.indptr))
        self._matrix = csr_array(free[self._rows])
        self._equal = self._rows < program.zero
        self._linear = bool((self._rows < program.linear).all())

    def point(self, data: ProgramData, x: Floats) -> Floats | None:
        """The point with the settling columns chosen at least cost; None where none fit."""
        if not self._linear:
            return None
        fixed = x.copy()
        fixed[self._settling] = 0.0
        side = (data.b - self._program.at(data).matrix @ fixed)[self._rows]
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
