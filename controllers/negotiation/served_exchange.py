"""Exchanges that a follower can serve, as its part in a negotiation: local copies with prices.

Consensus ADMM (Boyd et al. 2011, section 7.1) between the agents' exchanges and the follower's
local copies of them, with over-relaxation. Without the follower's cost a price is needed only where
its limits bind: the copies are made in the first round in which it cannot serve the answers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import coo_array, csc_array, csr_array, diags_array

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.bilevel.primal import PrimalForm
from stackelgrid.controllers.followers.upstream import UpstreamAgent
from stackelgrid.controllers.negotiation.consensus import (
    OVER_RELAXATION,
    AdmmState,
    Residuals,
    StepPenalties,
    normalised,
)
from stackelgrid.controllers.schedule import BoundaryProfile
from stackelgrid.controllers.solvers.conic import ConicProgram, ConicSolver, ProgramData
from stackelgrid.controllers.solvers.registry import Choice, conic_solver
from stackelgrid.profiles.arrays import Floats

Later = Callable[[Floats, Floats], Floats]


@dataclass
class _LocalCopies:
    """Prices and targets (n, steps), penalties, and the typical price (steps,) in EUR/MW."""

    price: Floats
    target: Floats
    penalties: StepPenalties
    typical: Floats


class FollowerBlock:
    """Projection of exchanges on those that a follower can serve; programs built when needed.

    `multiplicity` of each active network by name. `cost_weight` is the weight of the follower's own
    cost against the distances (0: feasibility only). Its limits are kept with a small margin, so
    that answers near a served exchange can be served too, and without it where that is impossible.
    """

    def __init__(
        self,
        follower: UpstreamAgent,
        multiplicity: Mapping[str, float],
        choice: Choice,
        cost_weight: float = 0.0,
    ) -> None:
        self.follower, self.multiplicity = follower, dict(multiplicity)
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
        total = {n: c * exchange[n] for n, c in self.multiplicity.items()}
        data = program.data(self.follower.with_exchange(parameters, total))
        data = _within_margin(program, data) if margin else data
        return self._alone.solve(data).status == "optimal"

    def nearest(
        self, wanted: Mapping[str, Floats], penalty: Floats, parameters: Floats
    ) -> dict[str, Floats] | None:
        """Return exchanges (steps,) of one copy in MW nearest to the wanted ones; None if none.

        The cost of a distance is multiplicity times penalty / 2 (steps,) in EUR/MW^2 times its
        square; `parameters` are the follower's without these exchanges.
        """
        if self._known is None or not np.array_equal(self._known[0], penalty):
            self._known = (penalty.copy(), *self._programs(penalty))
        _, form, solver = self._known
        q = -np.concatenate([c * penalty * wanted[n] for n, c in self.multiplicity.items()])
        data = form.data(ProgramData(q, np.zeros(0), 0.0), parameters)
        found = solver.solve(_within_margin(form.program, data))
        if found.status != "optimal":
            found = solver.solve(data)
        if found.status != "optimal":
            return None
        steps = len(penalty)
        parts = found.x[: steps * len(self.multiplicity)].reshape(-1, steps)
        return dict(zip(self.multiplicity, parts, strict=True))

    def lower_bound(self, price: Mapping[str, Floats], parameters: Floats) -> float:
        """Return the least weighted cost less revenue of the exchanges in EUR; NaN if none.

        Prices (steps,) in EUR/MW of a step; exchanges count with their multiplicity.
        """
        steps = len(next(iter(price.values())))
        form, solver = self._programs(np.zeros(steps))
        q = -np.concatenate([c * price[n] for n, c in self.multiplicity.items()])
        found = solver.solve(form.data(ProgramData(q, np.zeros(0), 0.0), parameters))
        return found.bound if found.status == "optimal" else float("nan")

    def _programs(self, penalty: Floats) -> tuple[PrimalForm, ConicSolver]:
        """Return form and solver of the follower with its local copies of the exchanges."""
        steps, program = len(penalty), self.follower.compiled.program
        weights = np.concatenate([c * penalty for c in self.multiplicity.values()])
        n = len(weights)
        quadratic = csc_array(diags_array(weights))
        mirror = ConicProgram.constant(csc_array((0, n)), np.zeros(0), 0, 0, quadratic=quadratic)
        rows, values = [], []
        for name, count in self.multiplicity.items():
            at, per_mw = self.follower.exchange(name)
            rows.append(at)
            values.append(np.full(steps, per_mw * count))
        triplets = (np.concatenate(values), (np.concatenate(rows), np.arange(n)))
        link = csr_array(coo_array(triplets, shape=(program.b_parameters.shape[1], n)))
        form = PrimalForm(mirror, program, link, (1.0, self._cost_weight))
        return form, conic_solver(self._choice)(form.program)


class ServedExchange:
    """Exchanges of agents below a follower, by `multiplicity`; one object for all intervals.

    With `nodal` the follower's cost counts and every exchange has a price; without, only where
    limits bind.
    """

    def __init__(
        self,
        follower: UpstreamAgent,
        multiplicity: Mapping[str, float],
        conic: Choice,
        *,
        nodal: bool,
    ) -> None:
        self.follower, self.nodal = follower, nodal
        self.names = tuple(multiplicity)
        self._multiplicity = np.array(list(multiplicity.values()))
        self._block = FollowerBlock(follower, multiplicity, conic, 1.0 if nodal else 0.0)
        self._local: _LocalCopies | None = None
        self.possible = True  # whether it can serve the answers of the last round as they are
        self._hopeless = False  # in this interval: the follower can serve nothing at all
        self._own: Floats = np.zeros(0)  # the follower's parameters without any exchange
        self._parameters: Floats = np.zeros(0)  # with the reactive exchanges that are held
        self._held: Floats = np.zeros(0)
        self._tariff: Floats = np.zeros(0)

    def state(self) -> AdmmState | None:
        """Return the start of the next interval; None where exchanges have no prices."""
        local = self._local
        if local is None:
            return None
        return AdmmState(local.price, local.penalties.values, local.target)

    def restore(self, state: AdmmState | None) -> None:
        """Restore the start of the next interval."""
        self._local = None
        if state is not None:  # first penalties and typical prices are those of an interval
            penalties = StepPenalties(state.penalty)
            self._local = _LocalCopies(state.price, state.target, penalties, np.zeros(0))

    @property
    def priced(self) -> bool:
        """Return whether exchanges have prices."""
        return self._local is not None

    @property
    def price(self) -> dict[str, Floats]:
        """Prices (steps,) in EUR/MW of a step; empty where exchanges have none."""
        if self._local is None:
            return {}
        return dict(zip(self.names, self._local.price, strict=True))

    def begin(
        self,
        held: Floats,
        reactive: Floats,
        own_parameters: Floats,
        tariff: Floats,
        later: Later | None,
    ) -> None:
        """Open an interval.

        held, reactive: exchanges (n, steps) without a decision in MW and MVAr.
        own_parameters: the follower's, without any exchange.
        tariff: import price (steps,) in EUR/MW of a step.
        later: shifts values of the interval before to this one; None to start anew.
        """
        self._held, self._own, self._tariff = held, own_parameters, tariff
        total = dict(zip(self.names, self._multiplicity[:, None] * reactive, strict=True))
        self._parameters = self.follower.with_reactive(own_parameters, total)
        self._hopeless, self.possible = False, True
        before = self._local
        if before is None or later is None:
            self._local = self._first() if self.nodal else None
            return
        fresh = self._first()
        fresh.penalties.restart(later(before.penalties.values, fresh.penalties.values))
        fresh.price = later(before.price, fresh.price)
        fresh.target = later(before.target, fresh.target)
        self._local = fresh

    def terms(self, at: int, *, binding: bool) -> tuple[Floats, Floats, Floats]:
        """Price, target and penalty (steps,) of one agent.

        A binding exchange has a large penalty on its distance from the feasible ones.
        """
        if self._local is None:
            nothing = np.zeros(self._held.shape[1])
            return nothing, nothing, nothing
        local = self._local
        penalty = local.penalties.values
        if binding:
            penalty = np.maximum(penalty, tolerances.NEGOTIATION_STIFFER * local.penalties.first)
        return local.price[at], local.target[at], penalty

    def update(self, answers: Floats, present: Floats) -> Residuals:
        """Update the local copies by answers (n, steps); agents without one keep theirs.

        `open` is then the largest distance of an answer from what can be served, in MW, and the
        others are shares of a typical price.
        """
        nothing, opened = Residuals(*np.zeros((3, answers.shape[1]))), False
        wanted = dict(zip(self.names, answers, strict=True))
        self.possible = True
        if self._local is None:
            if self._hopeless or self._block.serves(wanted, self._parameters, margin=True):
                return nothing
            self._local = self._first()
            self._local.target = answers.copy()
            opened = True
        local = self._local
        self.possible = self._block.serves(wanted, self._parameters)
        penalty, before = local.penalties.values, local.target
        seen = local.price + penalty * (answers - before)  # of each agent at its answer
        relaxed = OVER_RELAXATION * answers + (1.0 - OVER_RELAXATION) * before
        relaxed = np.where(present[:, None] > 0.0, relaxed, answers)
        wanted = dict(zip(self.names, relaxed + local.price / penalty, strict=True))
        held = self._block.nearest(wanted, penalty, self._parameters)
        if held is None:  # the follower can serve nothing near; known prices stay
            self._hopeless = opened
            self._local = None if opened else local
            self.possible = opened
            return nothing
        target = np.array([held[n] for n in self.names])
        local.price = local.price + penalty * (relaxed - target)
        local.target = target
        weights = normalised(self._multiplicity * present)
        local.penalties.follow(weights, answers, seen)
        unit = penalty / local.typical
        distance = np.abs(answers - target) * (present[:, None] > 0.0)
        return Residuals(
            distance.max(axis=0),
            unit * np.sqrt(weights @ distance**2),
            unit * np.sqrt(weights @ (target - before) ** 2),
        )

    def forget(self) -> None:
        """Ignore the curvature of earlier answers, as the agents' programs have changed."""
        if self._local is not None:
            self._local.penalties.forget()

    def cost(self, exchange: Mapping[str, BoundaryProfile]) -> float:
        """Return the follower's cost in EUR at exchanges (steps,) of all copies; NaN if none."""
        answer = self.follower.solve(self.follower.with_boundaries(self._own, exchange))
        return answer.objective if answer.status == "optimal" else float("nan")

    def lower_bound(self, exchange: Mapping[str, BoundaryProfile]) -> float:
        """Return the follower's part of the Lagrangian bound in EUR; zero without prices.

        Of the exchanges (steps,) of all copies only the reactive ones count.
        """
        if not self.priced:
            return 0.0
        q_mvar = {name: boundary.q_mvar for name, boundary in exchange.items()}
        return self._block.lower_bound(self.price, self.follower.with_reactive(self._own, q_mvar))

    def _first(self) -> _LocalCopies:
        """Return local copies at the held exchanges.

        Prices are nodal ones if the follower's cost counts, else zero. The first penalty is a
        typical price over a typical exchange.
        """
        size = max(float(np.mean(np.abs(self._held))), tolerances.NEGOTIATION_EXCHANGE_MW)
        price, typical = np.zeros_like(self._held), np.abs(self._tariff)
        dt = self.follower.horizon.dt_h
        if self.nodal:
            total = dict(zip(self.names, self._multiplicity[:, None] * self._held, strict=True))
            answer = self.follower.solve(self.follower.with_exchange(self._parameters, total))
            if answer.status == "optimal":
                nodal = self.follower.prices(answer)
                price = np.array([nodal[n] for n in self.names]) * dt
                typical = np.full(len(dt), np.abs(price / dt).mean()) * dt
        typical = np.maximum(typical, tolerances.PRICE_SPREAD * dt)
        return _LocalCopies(price, self._held, StepPenalties(typical / size), typical)


def _within_margin(program: ConicProgram, data: ProgramData) -> ProgramData:
    """The same data with a margin to every limit that is not zero."""
    b = data.b.copy()
    limits = slice(program.zero, program.zero + program.nonneg)
    b[limits] -= tolerances.NEGOTIATION_MARGIN * np.abs(b[limits])
    return replace(data, b=b)
