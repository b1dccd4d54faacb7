"""An agent in a negotiation by LDD-ADMM: it answers terms with its own program, at last bindingly.

Its loads, devices and network stay here; what leaves are the exchange and the trade of an `Answer`
(and with a bound answer the reactive exchange).
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csc_array, diags_array

from stackelgrid.controllers.decision import SchemeDecision
from stackelgrid.controllers.leaders.feeder_agent import (
    FeederAgent,
    FeederInstance,
    FeederPoint,
    Variant,
)
from stackelgrid.controllers.leaders.priced_feeder import EXCHANGE, TRADE, PricedFeeder
from stackelgrid.controllers.negotiation.commit.two_phase_commit import Terms
from stackelgrid.controllers.negotiation.coordinator_terms import Answer, PublicTerms
from stackelgrid.controllers.protocol import ControllerSettings
from stackelgrid.controllers.schedule import BoundaryProfile, Plan, SolveReport, solve_report
from stackelgrid.controllers.solvers.conic import ConicProgram, ConicSolver, ProgramData, Solution
from stackelgrid.controllers.solvers.mixed_search import MixedOptions
from stackelgrid.controllers.solvers.registry import conic_solver, mixed_integer_solver
from stackelgrid.controllers.solvers.restricted import RestrictedProgram
from stackelgrid.controllers.solvers.snapping import snap_by_direction
from stackelgrid.controllers.stage.recovery import recover
from stackelgrid.profiles.arrays import Floats


@dataclass(frozen=True)
class Bound:
    """A schedule that an agent binds itself to, certified and mended; one copy, (steps,).

    `x` is empty where the schedule is not a point of the model (PV curtailed without planning).
    """

    plan: Plan
    point: FeederPoint
    exchange_mw: Floats
    exchange_mvar: Floats
    trade_mw: Floats


class NegotiatingAgent:
    """One feeder with its model, as a party of a negotiation; built once.

    Programs follow the penalties of the terms and are kept until these change. `applied_steps` are
    the steps that recovery has to mend.
    """

    def __init__(
        self,
        agent: FeederAgent,
        variant: Variant,
        settings: ControllerSettings,
        applied_steps: tuple[int, ...],
    ) -> None:
        self.agent, self.variant, self.settings = agent, variant, settings
        self.name = agent.feeder.name
        self.priced = PricedFeeder(agent, variant)
        self._applied_steps = applied_steps
        self._snap = snap_by_direction(
            self.priced.compiled.program.integer, list(agent.snap_rules(variant))
        )
        self._restricted: RestrictedProgram | None = None
        self._solvers: dict[bool, tuple[tuple[bytes, bytes], ConicSolver]] = {}
        self._instance: FeederInstance | None = None
        self._across_price: Floats = np.zeros(0)
        self._values: Floats | None = None
        self._relaxed: Solution | None = None
        self._answered: tuple[Terms, Solution, Floats] | None = None

    def public_terms(self, instance: FeederInstance) -> PublicTerms:
        """Return the public data: copies, tariff and charges."""
        forecast, trade = instance.forecast, self.agent.feeder.options.trade
        return PublicTerms(
            copies=self.priced.copies,
            import_eur_per_mwh=forecast.import_eur_per_mwh,
            export_eur_per_mwh=forecast.export_eur_per_mwh,
            retail_margin=0.0 if trade is None else trade.retail_margin,
            fee_across=0.0 if trade is None else trade.fee_across,
            trades=self.priced.trades,
        )

    def begin(self, instance: FeederInstance, across_price: Floats) -> None:
        """Take the data of an interval; `across_price` (steps,) is what trade is settled at."""
        self._instance, self._across_price = instance, across_price
        self._values = self._relaxed = self._answered = None

    def respond(self, terms: Terms) -> Answer | None:
        """Exchange and trade at some terms; None where the program has no solution."""
        assert self._instance is not None
        found = self._solved(terms, self._instance)
        if found is None:
            return None
        return Answer(self.priced.exchange(found), self.priced.trade(found))

    def bind(self, terms: Terms) -> Bound | None:
        """A schedule with binaries at some terms, certified and mended; None where there is none.

        The answer to the same terms is taken if there was one.
        """
        assert self._instance is not None
        terms = replace(terms, fixed=True)
        known = self._answered
        if known is None or known[0] != terms:
            if self._solved(terms, self._instance) is None:
                return None
            known = self._answered
        assert known is not None
        point = self._point(known[1], known[2], self._instance)
        found = self._planned(point)
        if self.settings.recovery:
            found = recover(
                {self.name: self.agent},
                {self.name: self._instance},
                found,
                lambda amended: self._planned(self.decide_at(terms, amended[self.name])),
                self._applied_steps,
            )
            self._answered = None  # recovery has solved amended programs
        assert found.plans is not None
        plan, point = found.plans[self.name], found.points[self.name]
        trade = np.zeros(self.priced.steps) if point.x is None else self.priced.trade(point.x)
        boundary = self.boundary(plan)
        return Bound(plan, point, boundary.p_mw, boundary.q_mvar, trade)

    def _planned(self, point: FeederPoint) -> SchemeDecision:
        """A point with its certified plan, as decision of this agent alone."""
        assert self._instance is not None
        plan = self.agent.plan(self._instance, point, self._across_price)
        return SchemeDecision({self.name: point}, plans={self.name: plan})

    def settle(self, bound: Bound, cleared_mw: Floats) -> Bound:
        """The same schedule with what is left of its trade (steps,); the rest goes to the grid."""
        assert self._instance is not None
        x = bound.point.x
        if x is None or not self.priced.trades:
            return bound
        offered = bound.trade_mw
        kept = np.divide(cleared_mw, offered, out=np.ones_like(offered), where=offered != 0.0)
        for side, of_side in (("buy", offered > 0.0), ("sell", offered < 0.0)):
            # of what it buys and sells at once only the net is offered
            gross = self.priced.across(x, side)
            cut = np.where(of_side, (1.0 - kept) * np.abs(offered), 0.0)
            share = np.divide(gross - cut, gross, out=np.ones_like(gross), where=gross > 0.0)
            x = self.priced.with_share(x, side, np.clip(share, 0.0, 1.0))
        point = replace(bound.point, x=x)
        plan = self.agent.plan(self._instance, point, self._across_price)
        plan = replace(plan, recovery=bound.plan.recovery)
        return replace(bound, plan=plan, point=point, trade_mw=cleared_mw)

    def held(self, reason: str) -> Plan:
        """The schedule that goes on where nothing new is agreed."""
        assert self._instance is not None
        nan = float("nan")
        report = SolveReport("held", "held", nan, nan, nan, 0, 0.0, fallback=reason)
        return self.agent.plan(
            self._instance, FeederPoint(None, report, self.variant), self._across_price
        )

    def boundary(self, plan: Plan) -> BoundaryProfile:
        """Exchange (steps,) of one copy; with the AC losses that a held schedule leaves out."""
        p, q = plan.schedule.p_import_mw, plan.schedule.q_import_mvar
        certificate = plan.certificate
        if plan.schedule.flows is None and certificate is not None:
            p = p + np.nan_to_num(certificate.loss_mw - certificate.loss_planned_mw)
            q = q + np.nan_to_num(certificate.import_error_mvar)
        return BoundaryProfile(p, q)

    def cost(self, point: FeederPoint) -> float:
        """Cost of all copies in EUR, payment at the tariff included where the model has one."""
        assert self._instance is not None
        if point.x is None:
            return float("nan")
        cost = self.agent.own_cost(self._instance, point.x, self.variant)
        if self.variant.tariff:
            cost += self.agent.tariff_payment(self._instance, point.x, self.variant)
        return self.priced.copies * cost

    def lower_bound(self, trade_price: Floats, exchange_price: Floats) -> float:
        """Proven least cost of all copies in EUR at prices (steps,) alone; NaN where not found."""
        assert self._instance is not None
        nothing = np.zeros(self.priced.steps)
        solver = conic_solver(self.settings.conic)(self.priced.compiled.program)
        found = solver.solve(
            self.priced.data(
                self._instance,
                (trade_price, nothing, nothing),
                (exchange_price, nothing, nothing),
            )
        )
        return self.priced.copies * found.bound if found.status == "optimal" else float("nan")

    # ------------------------------------------------------------------ programs

    def _solved(self, terms: Terms, instance: FeederInstance) -> Floats | None:
        """Point at some terms, relaxed or with the binaries that the relaxed one points to."""
        trade, exchange = _parts(terms)
        data = self.priced.data(instance, trade, exchange)
        if not terms.fixed or self._values is None:
            relaxed = self._solver(False, trade[2], exchange[2]).solve(data)
            if relaxed.status != "optimal":
                return None
            self._relaxed = relaxed
            if not terms.fixed:
                self._answered = (terms, relaxed, relaxed.x)
                return relaxed.x
            self._values = np.round(self._snap(relaxed.x))
        if not len(self._values):
            return self._continuous(terms, trade, exchange, data)
        x = self._with_binaries(terms, trade, exchange, data)
        if x is None:  # the direction of the relaxation leads nowhere: search for other binaries
            program = self.priced.program(trade[2], exchange[2])
            search = mixed_integer_solver(
                self.settings.mixed_integer,
                program,
                snap=self._snap,
                row_names=self.priced.compiled.row_names,
                options=MixedOptions(
                    gap=self.settings.gap,
                    node_limit=self.settings.node_limit,
                    round_limit=self.settings.round_limit,
                ),
            ).solve(data, self.settings.gap)
            if not len(search.x):
                return None
            self._values = np.round(search.x[program.integer])
            x = self._with_binaries(terms, trade, exchange, data)
        return x

    def _continuous(
        self,
        terms: Terms,
        trade: tuple[Floats, Floats, Floats],
        exchange: tuple[Floats, Floats, Floats],
        data: ProgramData,
    ) -> Floats | None:
        """Without binaries the relaxed program is the program."""
        solution = self._solver(False, trade[2], exchange[2]).solve(data)
        if solution.status != "optimal":
            return None
        self._answered = (terms, solution, solution.x)
        return solution.x

    def _with_binaries(
        self,
        terms: Terms,
        trade: tuple[Floats, Floats, Floats],
        exchange: tuple[Floats, Floats, Floats],
        data: ProgramData,
    ) -> Floats | None:
        """Point with the binaries kept; None where they admit none."""
        values, restricted = self._values, self._restricted_program()
        assert values is not None
        if not restricted.admits(data, values):
            return None
        solver = self._solver(True, trade[2], exchange[2])
        solution = solver.solve(restricted.data(data, values))
        if solution.status != "optimal":
            return None
        x = restricted.join(solution.x, values)
        self._answered = (terms, solution, x)
        return x

    def _restricted_program(self) -> RestrictedProgram:
        if self._restricted is None:
            self._restricted = RestrictedProgram(self.priced.compiled.program)
        return self._restricted

    def _solver(self, fixed: bool, trade_penalty: Floats, exchange_penalty: Floats) -> ConicSolver:
        """Solver of the relaxed or of the restricted program with these penalties."""
        key = (trade_penalty.tobytes(), exchange_penalty.tobytes())
        known = self._solvers.get(fixed)
        if known is None or known[0] != key:
            program = self.priced.program(trade_penalty, exchange_penalty)
            if fixed:
                program = self._penalised(trade_penalty, exchange_penalty)
            known = (key, conic_solver(self.settings.conic)(program))
            self._solvers[fixed] = known
        return known[1]

    def _penalised(self, trade_penalty: Floats, exchange_penalty: Floats) -> ConicProgram:
        """The restricted program with penalties; its continuous columns keep their order."""
        restricted = self._restricted_program()
        diagonal = np.zeros(restricted.program.variables)
        for name, penalty in ((TRADE, trade_penalty), (EXCHANGE, exchange_penalty)):
            if name in self.priced.compiled.columns:
                at = np.searchsorted(restricted.free, self.priced.compiled.columns[name])
                diagonal[at] += self.priced.base**2 * penalty
        quadratic = csc_array(restricted.program.quadratic + diags_array(diagonal))
        return replace(restricted.program, quadratic=quadratic)

    def _point(self, solution: Solution, x: Floats, instance: FeederInstance) -> FeederPoint:
        report = solve_report(self.settings.conic.name, solution)
        cost = self.agent.own_cost(instance, x, self.variant)
        if self.variant.tariff:
            cost += self.agent.tariff_payment(instance, x, self.variant)
        report = replace(report, objective_eur=cost, gap=float("nan"), gap_eur=float("nan"))
        return FeederPoint(x, report, self.variant)

    def decide_at(self, terms: Terms, instance: FeederInstance) -> FeederPoint:
        """Point at some terms for other data of the same interval, for recovery."""
        self._values = None
        found = self._solved(terms, instance)
        if found is None:
            nan = float("nan")
            failed = SolveReport(
                self.settings.conic.name, "infeasible", nan, nan, nan, 0, 0.0,
                fallback="no solution at the terms of the negotiation",
            )  # fmt: skip
            return FeederPoint(None, failed, self.variant)
        assert self._answered is not None
        return self._point(self._answered[1], found, instance)


def _parts(
    terms: Terms,
) -> tuple[tuple[Floats, Floats, Floats], tuple[Floats, Floats, Floats]]:
    """Price, target and penalty (steps,) of trade and of exchange."""
    trade = (terms.trade_price, terms.trade_target, terms.trade_penalty)
    exchange = (terms.exchange_price, terms.exchange_target, terms.exchange_penalty)
    first, second = (tuple(np.array(p) for p in part) for part in (trade, exchange))
    return (first[0], first[1], first[2]), (second[0], second[1], second[2])
