"""Best response of one active network to the market maker's prices and to the other networks."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import coo_array, csr_array

from stackelgrid.controllers.followers.upstream import UpstreamAgent
from stackelgrid.controllers.leaders.feeder_records import FeederInstance, Variant
from stackelgrid.controllers.leaders.priced_feeder import PricedFeeder
from stackelgrid.controllers.schedule import SolveReport
from stackelgrid.controllers.schemes.nodal import NodalSearch
from stackelgrid.controllers.solvers.backends.backend import MixedIntegerBackend
from stackelgrid.controllers.solvers.conic import ConicProgram, ProgramData
from stackelgrid.controllers.solvers.registry import mixed_integer_solver
from stackelgrid.controllers.solvers.snapping import snap_by_direction
from stackelgrid.controllers.stage.stage import Stage
from stackelgrid.profiles.arrays import Floats

# relaxations of one nodal best response
_RELAXATIONS = 40


@dataclass(frozen=True)
class Offer:
    """Data of a best response of an active network; one copy, (steps,).

    Prices in EUR/MW of each step, for what it buys across and (with `limits`) for its exchange;
    the targets in MW are where the market maker last saw the two settle. `parameters` are the
    follower's with the exchange of all others.
    """

    trade_price: Floats
    trade_target: Floats
    exchange_price: Floats
    exchange_target: Floats
    limits: bool
    parameters: Floats | None


@dataclass(frozen=True)
class Response:
    """Point of one copy (None without a solution), cost of all copies and its proven bound."""

    x: Floats | None
    objective: float
    bound: float
    report: SolveReport


# no distance term: the offer whose answer proves a remaining gain
_ALONE = (False, False)
# most rounds of outer approximation for it, and most binaries; a gap left open counts as a gain
_PROOF_ROUNDS = 5
_PROOF_BINARIES = 500


class ActiveNetwork(PricedFeeder):
    """One active network as a leader of its own; programs are built when first needed.

    `slope` in EUR/MWh per MW is by how much a price moves with the distance from a target: a
    price taker alone is indifferent at the price that clears, and would jump.
    """

    def __init__(self, stage: Stage, name: str, variant: Variant, slope: float) -> None:
        super().__init__(stage.leaders[name], variant)
        self.stage, self.name = stage, name
        self.curvature = slope * self.agent.horizon.dt_h
        devices = self.agent.feeder.devices
        self.size_mw = float(
            self.agent.feeder.load_peak_mw.sum()
            + sum(member.rated_mw[member.trading].sum() for member in devices)
        )
        self._programs: dict[tuple[bool, bool], ConicProgram] = {}
        self._solvers: dict[tuple[bool, bool], MixedIntegerBackend] = {}
        self._searches: dict[tuple[bool, bool], NodalSearch] = {}

    def cost(self, instance: FeederInstance, x: Floats, offer: Offer) -> float:
        """Cost of all copies in EUR without a nodal payment: trade and limits at their prices."""
        cost = self.agent.own_cost(instance, x, self.variant)
        if self.variant.tariff:
            cost += self.agent.tariff_payment(instance, x, self.variant)
        cost += float(offer.trade_price @ self.trade(x) + offer.exchange_price @ self.exchange(x))
        return self.multiplicity * cost

    def distance_cost(self, x: Floats, offer: Offer) -> float:
        """Return the cost of the trade's distance from its target in a response, all copies."""
        if not self.trades:
            return 0.0
        distance = self.trade(x) - offer.trade_target
        return float(0.5 * self.multiplicity * self.curvature @ distance**2)

    def respond(
        self, instance: FeederInstance, offer: Offer, *, nodal: bool, alone: bool = False
    ) -> Response:
        """Best response near the targets; `alone`: their distance does not count, prices do."""
        near = _ALONE if alone else (self.trades, offer.limits)
        if not nodal:
            return self._priced(instance, offer, near)
        gap = self.stage.settings.gap
        return self._nodal(instance, offer, near, 0.1 * gap if alone else gap)

    # ------------------------------------------------------------------ programs

    def _near_program(self, near: tuple[bool, bool]) -> ConicProgram:
        """Program of one copy, with the distance from the targets where it counts."""
        if near not in self._programs:
            self._programs[near] = self.program(*(counts * self.curvature for counts in near))
        return self._programs[near]

    def _data(self, instance: FeederInstance, offer: Offer, near: tuple[bool, bool]) -> ProgramData:
        trade, exchange = (counts * self.curvature for counts in near)
        return self.data(
            instance,
            (offer.trade_price, offer.trade_target, trade),
            (offer.exchange_price, offer.exchange_target, exchange),
        )

    def _snap(self) -> Callable[[Floats], Floats]:
        rules = self.agent.snap_rules(self.variant)
        return snap_by_direction(self.compiled.program.integer, list(rules))

    # ------------------------------------------------------------------ tariff

    def _priced(self, instance: FeederInstance, offer: Offer, near: tuple[bool, bool]) -> Response:
        settings = self.stage.settings
        if near not in self._solvers:
            self._solvers[near] = mixed_integer_solver(
                settings.mixed_integer,
                self._near_program(near),
                snap=self._snap(),
                row_names=self.compiled.row_names,
                options=replace(self.stage.options, round_limit=self._rounds(near)),
            )
        solution = self._solvers[near].solve(self._data(instance, offer, near), settings.gap)
        found = len(solution.x) > 0
        failed = f"{settings.mixed_integer.name} returned {solution.status} ({solution.message})"
        report = SolveReport(
            solver=settings.mixed_integer.name,
            status=solution.status,
            objective_eur=solution.objective,
            gap=solution.gap,
            violation=solution.violation,
            iterations=0,
            solve_s=solution.solve_s,
            fallback="" if found else failed,
            nodes=solution.nodes,
        )
        x = solution.x if found else None
        objective, bound = (self.multiplicity * v for v in (solution.objective, solution.bound))
        return Response(x, objective, bound, report)

    def _rounds(self, near: tuple[bool, bool]) -> int:
        """Rounds of outer approximation: for proofs of programs that close, not in every turn."""
        closes = len(self.compiled.program.integer) <= _PROOF_BINARIES
        if near != _ALONE or not closes:
            return 0
        return min(self.stage.options.round_limit, _PROOF_ROUNDS)

    # ------------------------------------------------------------------ nodal prices

    def _nodal(
        self, instance: FeederInstance, offer: Offer, near: tuple[bool, bool], gap: float
    ) -> Response:
        follower = self.stage.follower
        assert follower is not None
        assert offer.parameters is not None
        if near not in self._searches:
            program = self._near_program(near)
            whole = replace(program, quadratic=self.multiplicity * program.quadratic)
            self._searches[near] = NodalSearch(
                whole, follower, self._link(follower), self._snap(), self.stage.settings.conic
            )
        search, one = self._searches[near], self._data(instance, offer, near)
        weight = self.multiplicity
        data = replace(one, q=weight * one.q, offset=weight * one.offset)
        # the others' exchange is part of the parameters, so what is paid is this network's payment
        solution = search.solve(data, offer.parameters, gap, _RELAXATIONS)
        report = search.report(solution, solution.objective / self.multiplicity)
        x = solution.x if len(solution.x) else None
        return Response(x, solution.objective, solution.bound, report)

    def _link(self, follower: UpstreamAgent) -> csr_array:
        """Matrix (follower's parameters, columns): this network's exchange is a load."""
        at, per_mw = follower.exchange(self.name)
        columns = self.compiled.columns["p_import"]
        values = np.full(len(at), per_mw * self.multiplicity * self.base)
        shape = (follower.compiled.program.b_parameters.shape[1], self.compiled.program.variables)
        return csr_array(coo_array((values, (at, columns)), shape=shape))
