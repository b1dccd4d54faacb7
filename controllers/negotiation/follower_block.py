"""The follower's part in a negotiation: exchanges near the wanted ones that it can serve."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from scipy.sparse import coo_array, csc_array, csr_array, diags_array

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.bilevel.primal import PrimalForm
from stackelgrid.controllers.followers.upstream import UpstreamAgent
from stackelgrid.controllers.solvers.conic import ConicProgram, ConicSolver, ProgramData
from stackelgrid.controllers.solvers.registry import Choice, conic_solver
from stackelgrid.profiles.arrays import Floats


class FollowerBlock:
    """Follower of some active networks, `copies` of each by name; programs built when needed.

    `cost_weight` says how much the follower's own cost counts against the distances: 0 asks for
    feasibility only. Its limits are kept with a small margin, so that answers which come near to a
    served exchange can be served too; without it where nothing else can be.
    """

    def __init__(
        self,
        follower: UpstreamAgent,
        copies: Mapping[str, float],
        choice: Choice,
        cost_weight: float = 0.0,
    ) -> None:
        self.follower, self.copies = follower, dict(copies)
        self._choice, self._cost_weight = choice, cost_weight
        self._known: tuple[Floats, PrimalForm, ConicSolver] | None = None
        self._alone: ConicSolver | None = None

    def serves(
        self, exchange: Mapping[str, Floats], parameters: Floats, *, margin: bool = False
    ) -> bool:
        """Return whether the follower can serve exchanges (steps,) of one copy in MW."""
        program = self.follower.compiled.program
        if self._alone is None:
            self._alone = conic_solver(self._choice)(program)
        total = {n: c * exchange[n] for n, c in self.copies.items()}
        data = program.data(self.follower.with_exchange(parameters, total))
        data = _within_margin(program, data) if margin else data
        return self._alone.solve(data).status == "optimal"

    def nearest(
        self, wanted: Mapping[str, Floats], penalty: Floats, parameters: Floats
    ) -> dict[str, Floats] | None:
        """Exchange (steps,) of one copy in MW nearest to the wanted ones; None if there is none.

        Distances count copies times penalty / 2 (steps,) in EUR/MW^2 times their square;
        `parameters` are the follower's without these exchanges.
        """
        if self._known is None or not np.array_equal(self._known[0], penalty):
            self._known = (penalty.copy(), *self._programs(penalty))
        _, form, solver = self._known
        q = -np.concatenate([c * penalty * wanted[n] for n, c in self.copies.items()])
        data = form.data(ProgramData(q, np.zeros(0), 0.0), parameters)
        found = solver.solve(_within_margin(form.program, data))
        if found.status != "optimal":
            found = solver.solve(data)
        if found.status != "optimal":
            return None
        steps = len(penalty)
        parts = found.x[: steps * len(self.copies)].reshape(-1, steps)
        return dict(zip(self.copies, parts, strict=True))

    def lower_bound(self, price: Mapping[str, Floats], parameters: Floats) -> float:
        """Least of the weighed cost less what exchanges earn at prices (steps,); NaN if none.

        In EUR; prices in EUR/MW of a step, for exchanges that count with their copies.
        """
        steps = len(next(iter(price.values())))
        form, solver = self._programs(np.zeros(steps))
        q = -np.concatenate([c * price[n] for n, c in self.copies.items()])
        found = solver.solve(form.data(ProgramData(q, np.zeros(0), 0.0), parameters))
        return found.bound if found.status == "optimal" else float("nan")

    def _programs(self, penalty: Floats) -> tuple[PrimalForm, ConicSolver]:
        """Form and solver of the follower with its copies of the exchanges."""
        steps, program = len(penalty), self.follower.compiled.program
        weights = np.concatenate([c * penalty for c in self.copies.values()])
        n = len(weights)
        mirror = ConicProgram(
            quadratic=csc_array(diags_array(weights)),
            matrix=csc_array((0, n)),
            zero=0,
            nonneg=0,
            cones=(),
            q0=np.zeros(n),
            q_parameters=csr_array((n, 0)),
            b0=np.zeros(0),
            b_parameters=csr_array((0, 0)),
            offset0=0.0,
            offset_linear=np.zeros(0),
            offset_quadratic=csr_array((0, 0)),
            integer=np.zeros(0, dtype=np.int64),
        )
        rows, values = [], []
        for name, count in self.copies.items():
            at, per_mw = self.follower.exchange(name)
            rows.append(at)
            values.append(np.full(steps, per_mw * count))
        triplets = (np.concatenate(values), (np.concatenate(rows), np.arange(n)))
        link = csr_array(coo_array(triplets, shape=(program.b_parameters.shape[1], n)))
        form = PrimalForm(mirror, program, link, (1.0, self._cost_weight))
        return form, conic_solver(self._choice)(form.program)


def _within_margin(program: ConicProgram, data: ProgramData) -> ProgramData:
    """The same data with a margin to every limit that is not zero."""
    b = data.b.copy()
    limits = slice(program.zero, program.zero + program.nonneg)
    b[limits] -= tolerances.NEGOTIATION_MARGIN * np.abs(b[limits])
    return replace(data, b=b)
