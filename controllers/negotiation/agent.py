"""A feeder in a negotiation by LDD-ADMM: it answers terms with its own program, finally bindingly.

Its loads, devices and network stay here; only the exchange and the trade of an `Answer` leave it,
and the reactive exchange of a binding schedule.
"""

from dataclasses import dataclass, replace

import msgspec
import numpy as np
from scipy.sparse import csc_array, diags_array

from stackelgrid.controllers.decision import SchemeDecision
from stackelgrid.controllers.leaders.feeder_agent import FeederAgent
from stackelgrid.controllers.leaders.feeder_records import FeederInstance, FeederPoint, Variant
from stackelgrid.controllers.leaders.priced_feeder import PricedFeeder
from stackelgrid.controllers.negotiation.commit.messages import Terms
from stackelgrid.controllers.negotiation.coordinator import Answer, PublicTerms
from stackelgrid.controllers.protocol import ControllerSettings
from stackelgrid.controllers.schedule import BoundaryProfile, Plan, SolveReport, solve_report
from stackelgrid.controllers.solvers.conic import ConicSolver, ProgramData, Solution
from stackelgrid.controllers.solvers.mixed_integer.incumbent import MixedOptions
from stackelgrid.controllers.solvers.reduce.restricted import RestrictedProgram
from stackelgrid.controllers.solvers.registry import conic_solver, mixed_integer_solver
from stackelgrid.controllers.solvers.snapping import snap_by_direction
from stackelgrid.controllers.stage.recovery import recover
from stackelgrid.profiles.arrays import Floats


@dataclass(frozen=True)
class BindingSchedule:
    """Schedule that an agent commits itself to, certified and recovered; one copy, (steps,).

    The point is empty where the schedule is none of the model (curtailed without planning).
    """

    plan: Plan
    point: FeederPoint
    exchange: BoundaryProfile
    trade_mw: Floats


class NegotiatingAgent(PricedFeeder):
    """One feeder with its model, as a party of a negotiation; built once.

    Programs follow the penalties of the terms and are kept until these change. `applied_steps` are
    the steps that recovery repairs.
    """

    _instance: FeederInstance
    _across_price: Floats

    def __init__(
        self,
        agent: FeederAgent,
        variant: Variant,
        settings: ControllerSettings,
        applied_steps: tuple[int, ...],
    ) -> None:
        super().__init__(agent, variant)
        self.settings, self.name = settings, agent.feeder.name
        self._applied_steps = applied_steps
        self._snap = snap_by_direction(
            self.compiled.program.integer, list(agent.snap_rules(variant))
        )
        self._restricted: RestrictedProgram | None = None
        # of the relaxed program (False) and of the one with fixed binaries
        self.solvers: dict[bool, tuple[tuple[bytes, bytes], ConicSolver]] = {}
        self._values: Floats | None = None  # of the binaries, once they are fixed
        self._answered: tuple[Terms, Solution, Floats] | None = None

    def public_terms(self, instance: FeederInstance) -> PublicTerms:
        """Return the public data."""
        forecast, trade = instance.forecast, self.agent.feeder.options.trade
        return PublicTerms(
            multiplicity=self.multiplicity,
            import_eur_per_mwh=forecast.import_eur_per_mwh,
            export_eur_per_mwh=forecast.export_eur_per_mwh,
            retail_margin=0.0 if trade is None else trade.retail_margin,
            fee_across=0.0 if trade is None else trade.fee_across,
            trades=self.trades,
        )

    def begin(self, instance: FeederInstance, across_price: Floats) -> None:
        """Take the data of an interval; trade is settled at `across_price` (steps,)."""
        self._instance, self._across_price = instance, across_price
        self._values = self._answered = None

    def respond(self, terms: Terms) -> Answer | None:
        """Return exchange and trade at some terms; None where the program has no solution."""
        found = self._solved(terms, self._instance)
        return None if found is None else Answer(self.exchange(found[1]), self.trade(found[1]))

    def bind(self, terms: Terms) -> BindingSchedule | None:
        """Return a schedule with binaries at some terms, certified and recovered; None if none.

        The answer to the same terms is taken if there was one.
        """
        terms = msgspec.structs.replace(terms, fixed=True)
        known = self._answered
        if known is not None and known[0] == terms:
            solved: tuple[Solution, Floats] | None = known[1:]
        else:
            solved = self._solved(terms, self._instance)
        if solved is None:
            return None
        found = self._planned(self._point(*solved, self._instance))
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
        trade = np.zeros(self.steps) if point.x is None else self.trade(point.x)
        return BindingSchedule(plan, point, self.boundary(plan), trade)

    def _planned(self, point: FeederPoint) -> SchemeDecision:
        """Return the decision of this agent alone: a point with its certified plan."""
        plan = self.agent.plan(self._instance, point, self._across_price)
        return SchemeDecision({self.name: point}, plans={self.name: plan})

    def settle(self, agreed: BindingSchedule, cleared_mw: Floats) -> BindingSchedule:
        """Return the same schedule with its cleared trade (steps,); the grid has the rest."""
        x = agreed.point.x
        if x is None or not self.trades:
            return agreed
        offered = agreed.trade_mw
        kept = np.divide(cleared_mw, offered, out=np.ones_like(offered), where=offered != 0.0)
        for side, of_side in (("buy", offered > 0.0), ("sell", offered < 0.0)):
            # only the net of simultaneous purchase and sale is offered
            gross = self.across(x, side)
            cut = np.where(of_side, (1.0 - kept) * np.abs(offered), 0.0)
            share = np.divide(gross - cut, gross, out=np.ones_like(gross), where=gross > 0.0)
            x = self.with_share(x, side, np.clip(share, 0.0, 1.0))
        point = replace(agreed.point, x=x)
        plan = self.agent.plan(self._instance, point, self._across_price)
        plan = replace(plan, recovery=agreed.plan.recovery)
        return replace(agreed, plan=plan, point=point, trade_mw=cleared_mw)

    def held(self, reason: str) -> Plan:
        """Return the plan that continues the last schedule, for a reason."""
        nan = float("nan")
        report = SolveReport("held", "held", nan, nan, nan, 0, 0.0, fallback=reason)
        return self.agent.plan(
            self._instance, FeederPoint(None, report, self.variant), self._across_price
        )

    def boundary(self, plan: Plan) -> BoundaryProfile:
        """Return the exchange (steps,) of one copy, with the AC losses that a held plan omits."""
        p, q = plan.schedule.p_import_mw, plan.schedule.q_import_mvar
        certificate = plan.certificate
        if plan.schedule.flows is None and certificate is not None:
            p = p + np.nan_to_num(certificate.loss_mw - certificate.loss_planned_mw)
            q = q + np.nan_to_num(certificate.import_error_mvar)
        return BoundaryProfile(p, q)

    def cost(self, point: FeederPoint) -> float:
        """Return the cost of all copies in EUR; NaN for a held schedule.

        The payment at the tariff is included where the model has one.
        """
        if point.x is None:
            return float("nan")
        return self.multiplicity * self._cost(self._instance, point.x)

    def lower_bound(self, trade_price: Floats, exchange_price: Floats) -> float:
        """Return the proven least cost of all copies in EUR at prices (steps,); NaN if none."""
        nothing = np.zeros(self.steps)
        trade, exchange = (trade_price, nothing, nothing), (exchange_price, nothing, nothing)
        solver = conic_solver(self.settings.conic)(self.compiled.program)
        found = solver.solve(self.data(self._instance, trade, exchange))
        return self.multiplicity * found.bound if found.status == "optimal" else float("nan")

    # ------------------------------------------------------------------ programs

    def _solved(self, terms: Terms, instance: FeederInstance) -> tuple[Solution, Floats] | None:
        """Solve at some terms, relaxed or with the binaries that the relaxed solution points to.

        Returns the solution of the continuous program and the point; None if there is none.
        """
        trade, exchange = _parts(terms)
        data, penalties = self.data(instance, trade, exchange), (trade[2], exchange[2])
        values = self._values if terms.fixed else None
        found: tuple[Solution, Floats] | None = None
        if values is None or not len(values):
            relaxed = self._solver(False, *penalties).solve(data)
            if relaxed.status != "optimal":
                return None
            found = relaxed, relaxed.x
            if terms.fixed:
                values = self._values = np.round(self._snap(relaxed.x))
        if values is not None and len(values):
            found = self._with_binaries(data, values, *penalties)
            if found is None:  # no solution in the direction of the relaxation
                values = self._searched(data, *penalties)
                if values is None:
                    return None
                self._values = values
                found = self._with_binaries(data, values, *penalties)
        if found is not None:
            self._answered = (terms, *found)
        return found

    def _with_binaries(
        self, data: ProgramData, values: Floats, trade_penalty: Floats, exchange_penalty: Floats
    ) -> tuple[Solution, Floats] | None:
        """Solve with the binaries fixed at `values`."""
        restricted = self._restricted_program()
        if not restricted.admits(data, values):
            return None
        solver = self._solver(True, trade_penalty, exchange_penalty)
        solution = solver.solve(restricted.data(data, values))
        if solution.status != "optimal":
            return None
        return solution, restricted.join(solution.x, values)

    def _searched(
        self, data: ProgramData, trade_penalty: Floats, exchange_penalty: Floats
    ) -> Floats | None:
        """Search for binaries that have a solution."""
        program = self.program(trade_penalty, exchange_penalty)
        search = mixed_integer_solver(
            self.settings.mixed_integer,
            program,
            snap=self._snap,
            row_names=self.compiled.row_names,
            options=MixedOptions(
                gap=self.settings.gap,
                node_limit=self.settings.node_limit,
                round_limit=self.settings.round_limit,
            ),
        ).solve(data, self.settings.gap)
        return np.round(search.x[program.integer]) if len(search.x) else None

    def _restricted_program(self) -> RestrictedProgram:
        if self._restricted is None:
            self._restricted = RestrictedProgram(self.compiled.program)
        return self._restricted

    def _solver(self, fixed: bool, trade_penalty: Floats, exchange_penalty: Floats) -> ConicSolver:
        """Return the solver of the relaxed or of the restricted program with these penalties."""
        key = (trade_penalty.tobytes(), exchange_penalty.tobytes())
        known = self.solvers.get(fixed)
        if known is None or known[0] != key:
            program = self.program(trade_penalty, exchange_penalty)
            if fixed:
                restricted = self._restricted_program()
                added = self.added_diagonal(trade_penalty, exchange_penalty)[restricted.free]
                quadratic = csc_array(restricted.program.quadratic + diags_array(added))
                program = replace(restricted.program, quadratic=quadratic)
            known = (key, conic_solver(self.settings.conic)(program))
            self.solvers[fixed] = known
        return known[1]

    def _cost(self, instance: FeederInstance, x: Floats) -> float:
        cost = self.agent.own_cost(instance, x, self.variant)
        if self.variant.tariff:
            cost += self.agent.tariff_payment(instance, x, self.variant)
        return cost

    def _point(self, solution: Solution, x: Floats, instance: FeederInstance) -> FeederPoint:
        report = solve_report(self.settings.conic.name, solution)
        cost, nan = self._cost(instance, x), float("nan")
        report = replace(report, objective_eur=cost, gap=nan, gap_eur=nan)
        return FeederPoint(x, report, self.variant)

    def decide_at(self, terms: Terms, instance: FeederInstance) -> FeederPoint:
        """Return a point at some terms for other data of the same interval, for recovery."""
        self._values = None
        found = self._solved(terms, instance)
        if found is None:
            nan = float("nan")
            failed = SolveReport(
                self.settings.conic.name, "infeasible", nan, nan, nan, 0, 0.0,
                fallback="no solution at the terms of the negotiation",
            )  # fmt: skip
            return FeederPoint(None, failed, self.variant)
        return self._point(*found, instance)


def _parts(
    terms: Terms,
) -> tuple[tuple[Floats, Floats, Floats], tuple[Floats, Floats, Floats]]:
    """Return price, target and penalty (steps,) of trade and of exchange."""
    trade = (terms.trade_price, terms.trade_target, terms.trade_penalty)
    exchange = (terms.exchange_price, terms.exchange_target, terms.exchange_penalty)
    first, second = (tuple(np.array(p) for p in part) for part in (trade, exchange))
    return (first[0], first[1], first[2]), (second[0], second[1], second[2])
