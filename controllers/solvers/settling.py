"""Small programs that make points of joined parts fit: what settles the links, and new prices."""

from collections.abc import Sequence

import numpy as np
from scipy.sparse import coo_array, csc_array, csr_array, hstack, vstack

from stackelgrid.controllers.solvers.clarabel import ClarabelSolver
from stackelgrid.controllers.solvers.conic import ConicProgram, ProgramData
from stackelgrid.controllers.solvers.highs import LinearMaster
from stackelgrid.profiles.arrays import Floats, Ints

# prices are only a start: relative gap
_TOLERANCE = 1e-7
# what trades at least is taken to size a price's response, in the unit of the links
_LEAST_VOLUME = 1e-6


class Settling:
    """Bound to one joined program, its first rows the links (`links` of them).

    Free are the columns `settling`, which occur in linear rows only, and the weights with which
    every part mixes its known points (Dantzig-Wolfe columns without what settles).
    """

    def __init__(
        self, program: ConicProgram, links: int, parts: Sequence[Ints], settling: Ints
    ) -> None:
        self._program, self._links, self._parts, self._settling = program, links, parts, settling
        free = csr_array(program.matrix[:, settling])
        self._rows = np.flatnonzero(np.diff(free.indptr))
        self._matrix = csr_array(free[self._rows])
        self._fixed = csr_array(csr_array(program.matrix)[self._rows])
        self._equal = self._rows < program.zero
        self._linear = bool((self._rows < program.zero + program.nonneg).all())
        # link rows among the settled ones
        self._link_at = np.searchsorted(self._rows, np.arange(links))
        self._linked = bool(np.isin(np.arange(links), self._rows).all())

    def point(self, data: ProgramData, points: Sequence[Sequence[Floats]]) -> Floats | None:
        """Settled mixture of `points` (known ones of every part) at least cost; None if none fits.

        The cost of a mixture is that of its points (an upper bound where it is curved).
        """
        if not self._linear:
            return None
        known = [self._whole(k, x) for k, own in enumerate(points) for x in own]
        matrix, cost, owner = self._columns(data, known, points)
        free, mixed = len(self._settling), len(known)
        side = data.b[self._rows]
        master = LinearMaster(
            cost,
            np.concatenate([np.full(free, -np.inf), np.zeros(mixed)]),
            np.full(free + mixed, np.inf),
            np.zeros(0, dtype=np.int64),
            csr_array(vstack([matrix, owner])),
            np.concatenate([np.where(self._equal, side, -np.inf), np.ones(len(points))]),
            np.concatenate([side, np.ones(len(points))]),
        )
        found = master.solve(relaxed=True)
        if found.status != "optimal" or found.x is None:
            return None
        x = np.zeros(self._program.variables)
        for share, point in zip(found.x[free:], known, strict=True):
            x += share * point
        x[self._settling] = found.x[:free]
        return x

    def prices(
        self, data: ProgramData, points: Sequence[Sequence[Floats]], centre: Floats
    ) -> Floats | None:
        """Prices of the links (links,) near `centre` at which the settled mixture is best.

        A link may stay open at its central price and a quadratic cost (proximal bundle method,
        Lemarechal 1978): prices move by what stays open, and by no more than that pays for.
        """
        if not (self._linear and self._linked):
            return None
        known = [self._whole(k, x) for k, own in enumerate(points) for x in own]
        matrix, cost, owner = self._columns(data, known, points)
        free, mixed, links = len(self._settling), len(known), self._links
        stiffness = self._stiffness(data, points, centre)
        width = free + mixed + links
        opened = coo_array(
            (-np.ones(links), (self._link_at, np.arange(links))), shape=(len(self._rows), links)
        )
        rows = csr_array(hstack([matrix, opened]))
        shares = csr_array(hstack([owner, csr_array((len(points), links))]))
        at = np.arange(mixed)
        positive = coo_array((-np.ones(mixed), (at, free + at)), shape=(mixed, width))
        last = free + mixed + np.arange(links)
        squares = coo_array((np.full(links, stiffness), (last, last)), shape=(width, width))
        equal, side = self._equal, data.b[self._rows]
        none = csr_array((width, 0))
        program = ConicProgram(
            quadratic=csc_array(squares),
            matrix=csc_array(vstack([rows[equal], shares, rows[~equal], positive])),
            zero=int(equal.sum()) + len(points),
            nonneg=int((~equal).sum()) + mixed,
            cones=(),
            q0=np.concatenate([cost, centre]),
            q_parameters=none,
            b0=np.concatenate([side[equal], np.ones(len(points)), side[~equal], np.zeros(mixed)]),
            b_parameters=csr_array((len(side) + len(points) + mixed, 0)),
            offset0=0.0,
            offset_linear=np.zeros(0),
            offset_quadratic=csr_array((0, 0)),
            integer=np.zeros(0, dtype=np.int64),
        )
        solver = ClarabelSolver(program, once=True)
        found = solver.solve(program.data(np.zeros(0)), _TOLERANCE)
        if found.status != "optimal":
            return None
        return np.asarray(centre + stiffness * found.x[last])

    def _whole(self, k: int, x: Floats) -> Floats:
        """A part's point in the columns of the whole, without what settles."""
        whole = np.zeros(self._program.variables)
        whole[self._parts[k]] = x
        whole[self._settling] = 0.0
        return whole

    def _stiffness(
        self, data: ProgramData, points: Sequence[Sequence[Floats]], centre: Floats
    ) -> float:
        """Change of price by one unit that stays open: prices over what the parts exchange."""
        volume = 0.5 * sum(np.abs(self._traded(k, own[-1])) for k, own in enumerate(points))
        unit = float(abs(self._fixed[self._link_at, :]).max()) or 1.0
        price = np.abs(data.q[self._settling]).max(initial=0.0) / unit
        price = max(price, np.abs(centre).max(initial=0.0))
        return float(price / max(np.max(volume, initial=0.0), _LEAST_VOLUME))

    def _traded(self, k: int, x: Floats) -> Floats:
        """What a part's point adds to the links (links,)."""
        columns = self._parts[k]
        rows = self._fixed[self._link_at, :]
        return np.asarray(rows[:, columns] @ x)

    def _columns(
        self, data: ProgramData, known: Sequence[Floats], points: Sequence[Sequence[Floats]]
    ) -> tuple[csr_array, Floats, csr_array]:
        """Settled rows and costs of what settles and of the known points, and whose these are."""
        values = np.column_stack([self._fixed @ x for x in known])
        matrix = csr_array(hstack([self._matrix, csr_array(values)]))
        plain = ProgramData(data.q, data.b, 0.0)
        costs = [self._program.objective(x, plain) for x in known]
        of = np.repeat(np.arange(len(points)), [len(own) for own in points])
        shape = (len(points), len(self._settling) + len(known))
        owner = coo_array((np.ones(len(of)), (of, len(self._settling) + np.arange(len(of)))), shape)
        return matrix, np.concatenate([data.q[self._settling], costs]), csr_array(owner)
