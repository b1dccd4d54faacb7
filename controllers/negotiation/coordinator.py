"""The coordinator of a negotiation by LDD-ADMM: prices, targets and penalties from round to round.

It knows its agents' messages (exchange and trade), public data (tariffs, fees, multiplicity) and
its own network, the follower. Trade across is cleared by consensus (consensus.py). The boundary
exchange has a price where the follower's limits bind, or always where the follower's cost counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.decision import Round
from stackelgrid.controllers.fallback import shifted
from stackelgrid.controllers.followers.upstream import UpstreamAgent
from stackelgrid.controllers.negotiation.commit.messages import Profile, Terms
from stackelgrid.controllers.negotiation.consensus import (
    AdmmState,
    Consensus,
    Residuals,
    TradeMemory,
)
from stackelgrid.controllers.negotiation.served_exchange import ServedExchange
from stackelgrid.controllers.schedule import BoundaryProfile
from stackelgrid.controllers.solvers.registry import Choice
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.stateful import Carrying
from stackelgrid.profiles.time_axis import Horizon

# first penalty: share of the price range over the mean exchange of an agent
FIRST_PENALTY = 0.1


@dataclass(frozen=True)
class Answer:
    """Exchange and trade across (steps,) of one copy in MW, imports and purchases positive."""

    exchange_mw: Floats
    trade_mw: Floats


@dataclass(frozen=True)
class PublicTerms:
    """Public data of an agent: multiplicity, tariff (steps,) and charges in EUR/MWh.

    `trades`: whether it may trade across.
    """

    multiplicity: float
    import_eur_per_mwh: Floats
    export_eur_per_mwh: Floats
    retail_margin: float
    fee_across: float
    trades: bool


class Coordinator(Carrying):
    """Clears trade and exchange of the agents of one follower; one object serves all intervals.

    With `nodal` the follower's cost counts: the agents' own cost and the follower's are minimised
    together and the exchange is priced at its nodes. Without, the follower only has to be able to
    serve the exchange. `consensus` clears trade.
    """

    trade: Consensus
    _began: AdmmState  # where the relaxed rounds of this interval began

    def __init__(
        self,
        terms: Mapping[str, PublicTerms],
        follower: UpstreamAgent | None,
        horizon: Horizon,
        conic: Choice,
        *,
        nodal: bool = False,
        consensus: type[Consensus] = Consensus,
    ) -> None:
        self.names = tuple(terms)
        self._consensus = consensus
        self.horizon, self.nodal = horizon, nodal
        self._public = dict(terms)
        self.multiplicity = {n: terms[n].multiplicity for n in self.names}
        self._weights = np.array(list(self.multiplicity.values()))
        self._trading = np.array([terms[n].trades for n in self.names])
        self._exchange: ServedExchange | None = None
        if follower is not None:
            self._exchange = ServedExchange(follower, self.multiplicity, conic, nodal=nodal)
        self._memory = TradeMemory(horizon)
        self.rounds: list[Round] = []
        self.fixed = self.done = self.warm = False

    def state(self) -> dict[str, Any]:
        """Return public terms, and the starts of the next interval's rounds."""
        self._remember_unfinished()
        exchange = None if self._exchange is None else self._exchange.state()
        return {"public": self._public, "trade": self._memory.state(), "exchange": exchange}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore public terms and starts."""
        self._public = dict(state["public"])
        self._memory.restore(state["trade"])
        if self._exchange is not None:
            self._exchange.restore(state["exchange"])

    # ------------------------------------------------------------------ an interval

    def begin(
        self,
        interval: int,
        terms: Mapping[str, PublicTerms],
        held: Mapping[str, BoundaryProfile],
        own_parameters: Floats | None,
    ) -> None:
        """Open the negotiation of an interval, from the prices of the one before where known.

        interval: the one that the horizon begins with.
        terms: public data of each agent.
        held: reported exchange (steps,) of each agent without a decision, one copy.
        own_parameters: the follower's, without any exchange.
        """
        self._public = dict(terms)
        self._held = {n: np.asarray(held[n].p_mw, dtype=float) for n in self.names}
        self._remember_unfinished()
        self.warm = self._memory.warm
        self._memory.advance(interval)
        self.trade = self._opened()
        self._memory.see(self.trade.state)
        if (start := self._memory.start()) is not None:
            self.trade.restart(start)
        self._began = self.trade.state
        if self._exchange is not None and own_parameters is not None:
            tariff = np.max([np.abs(p.import_eur_per_mwh) for p in terms.values()], axis=0)
            self._exchange.begin(
                np.array([self._held[n] for n in self.names]),
                np.array([held[n].q_mvar for n in self.names]),
                own_parameters,
                tariff * self.horizon.dt_h,
                self._memory.later if self.warm else None,
            )
        self.rounds, self.fixed, self.done = [], False, False

    def terms(self, name: str, *, binding: bool = False) -> Terms:
        """Return the terms for an agent in the next round, or for its binding answer.

        A binding exchange has a larger penalty on its distance from the feasible ones.
        """
        at = self.names.index(name)
        trade = exchange = (np.zeros(self.horizon.length),) * 3
        if self._trading[at]:
            trade = (self.trade.price, self.trade.target[at], self.trade.penalty)
        if self._exchange is not None:
            exchange = self._exchange.terms(at, binding=binding)
        profiles = (tuple(values.tolist()) for values in (*trade, *exchange))
        return Terms(len(self.rounds), self.fixed, *profiles)

    def receive(self, answers: Mapping[str, Answer]) -> Round:
        """Update the terms by the answers of a round; others keep their held exchange."""
        present = np.array([n in answers for n in self.names], dtype=float)
        none = np.zeros(self.horizon.length)
        trade = np.array([answers[n].trade_mw if n in answers else none for n in self.names])
        exchange = np.array([answers[n].exchange_mw if n in answers else self._held[n]
                             for n in self.names])  # fmt: skip
        prices = self.trade.price
        residuals = self.trade.update(trade, present * self._trading)
        served = Residuals(*np.zeros((3, self.horizon.length)))
        if self._exchange is not None:
            served = self._exchange.update(exchange, present)
        found = self._round(residuals, prices, trade, present, served)
        self.rounds.append(found)
        self._advance(found)
        return found

    @property
    def agreed(self) -> bool:
        """Return whether the last round is near enough to agreement to be committed."""
        if not self.rounds:
            return False
        last = self.rounds[-1]
        return (
            (self._exchange is None or self._exchange.possible)
            and last.cut_eur <= tolerances.NEGOTIATION_ACCEPTED * self._turnover_eur()
            and last.price_apart <= tolerances.NEGOTIATION_ACCEPTED_PRICE
        )

    def shifted(self, profile: Profile, intervals: int) -> Profile:
        """Return a profile as seen some intervals later."""
        values = np.array(profile)[None, :]
        return tuple(shifted(values, self.horizon, intervals)[0].tolist())

    @property
    def trade_price(self) -> Floats:
        """Price of trade across (steps,) in EUR/MW of a step."""
        return self.trade.price

    @property
    def exchange_price(self) -> dict[str, Floats]:
        """Prices of the exchanges (steps,) in EUR/MW of a step; empty where they have none."""
        return {} if self._exchange is None else self._exchange.price

    def follower_cost(self, exchange: Mapping[str, BoundaryProfile]) -> float:
        """Return the follower's cost in EUR at exchanges (steps,) of all copies; NaN if none."""
        return 0.0 if self._exchange is None else self._exchange.cost(exchange)

    def lower_bound(self, exchange: Mapping[str, BoundaryProfile]) -> float:
        """Return the follower's part of the Lagrangian bound in EUR at the exchange's prices.

        Of the exchanges (steps,) of all copies only the reactive ones count.
        """
        return 0.0 if self._exchange is None else self._exchange.lower_bound(exchange)

    # ------------------------------------------------------------------ parts

    def _opened(self) -> Consensus:
        """Return the consensus on trade across with a first guess of prices and penalties.

        A buyer pays at most the grid's price (import price plus margin less fee), a seller takes no
        less than the grid pays. Where the held exchanges are imports, energy is scarce and the
        price is near the upper end. The price of the same hour of the day before is better.
        """
        public = [self._public[n] for n in self.names]
        trading = [p for p in public if p.trades] or public
        dt = self.horizon.dt_h
        # at nodal prices the energy itself is paid where it flows: trade only saves charges
        grid = [(np.zeros_like(dt),) * 2 if self.nodal else
                (p.import_eur_per_mwh, p.export_eur_per_mwh) for p in trading]  # fmt: skip
        sides = list(zip(trading, grid, strict=True))
        high = np.max([g[0] + p.retail_margin - p.fee_across for p, g in sides], axis=0)
        low = np.min([g[1] - p.retail_margin for p, g in sides], axis=0)
        span = np.maximum(high - low, tolerances.PRICE_SPREAD)
        held = np.array([self._held[n] for n in self.names])
        bought = self._weights @ np.maximum(held, 0.0)
        sold = self._weights @ np.maximum(-held, 0.0)
        scarce = np.divide(bought, bought + sold, out=np.full(len(dt), 0.5),
                           where=bought + sold > 0.0)  # fmt: skip
        size = max(float(np.mean(np.abs(held))), tolerances.NEGOTIATION_EXCHANGE_MW)
        price, penalty = (low + scarce * span) * dt, FIRST_PENALTY * span / size * dt
        price = self._memory.guess(price)
        weights = self._weights * self._trading
        return self._consensus(weights, price, penalty, low * dt, (low + span) * dt)

    def _round(
        self, residuals: Residuals, price: Floats, trade: Floats, present: Floats, served: Residuals
    ) -> Round:
        dt, consensus = self.horizon.dt_h, self.trade
        weights = self._weights * self._trading * present
        net = weights @ trade
        volume = float(dt @ (weights @ np.abs(trade))) / 2.0
        # buyers that are cut pay the grid's price, sellers get it
        loss = np.where(net > 0.0, consensus.high - price, price - consensus.low)
        span = consensus.high - consensus.low
        open_mwh = float(dt @ np.abs(net))
        penalty = consensus.penalty
        return Round(
            number=len(self.rounds) + 1,
            fixed=self.fixed,
            answers=int(present.sum()),
            open_share=open_mwh / volume if volume > 0.0 else 0.0,
            volume_mwh=volume,
            cut_eur=float(np.abs(net) @ np.maximum(loss, 0.0)),
            price_apart=max(_rms(residuals.apart / span), _rms(served.apart)),
            price_moved=max(_rms(residuals.moved / span), _rms(served.moved)),
            exchange_apart_mw=float(served.open.max(initial=0.0)),
            penalty=(float(penalty.min()), float(penalty.max())),
            price_eur_per_mwh=price / dt,
            limits=self._exchange is not None and self._exchange.priced,
        )

    def _advance(self, last: Round) -> None:
        """Fix the binaries when the relaxed rounds have settled, end when the fixed ones have."""
        settled = (
            last.cut_eur <= tolerances.NEGOTIATION_CUT * self._turnover_eur()
            and max(last.price_apart, last.price_moved) <= tolerances.NEGOTIATION_PRICE
        )
        # with nodal prices two goods have to find a price
        cold = tolerances.MOST_ROUNDS if self.nodal else tolerances.COLD_ROUNDS
        limit = tolerances.WARM_ROUNDS if self.warm else cold
        fixed_share = tolerances.FIXED_ROUNDS if not self.warm else tolerances.WARM_FIXED_ROUNDS
        if not self.fixed:
            if settled or last.number >= limit - fixed_share:
                self._fix()
        elif (
            settled
            or (last.number >= limit and self.agreed)
            or last.number >= tolerances.MOST_ROUNDS
        ):
            self.done = True
            self._remember()

    def _remember(self) -> None:
        """Keep the end of this kind of rounds as a start for the next interval."""
        self._memory.remember(self.trade.state, fixed=self.fixed)

    def _remember_unfinished(self) -> None:
        """Keep the last relaxed round where the gate closed before the binaries were fixed."""
        if self.rounds and not self.fixed:
            self._remember()

    def _fix(self) -> None:
        """Turn to rounds with fixed binaries."""
        self._remember()
        self.fixed = True
        span = self.trade.high - self.trade.low
        start = self._memory.fixed_start(self._began, self.trade.state, span)
        if start is not None and self.warm:
            self.trade.restart(start)
        else:
            self.trade.penalties.forget()
        if self._exchange is not None:
            self._exchange.forget()

    def _turnover_eur(self) -> float:
        """Return the cost of held exchanges at the tariffs, as a scale of money."""
        dt = self.horizon.dt_h
        return max(1.0, sum(
            p.multiplicity * float(np.abs(self._held[n]) * dt @ np.abs(p.import_eur_per_mwh))
            for n, p in self._public.items()
        ))  # fmt: skip


def _rms(values: Floats) -> float:
    return float(np.sqrt(np.mean(values**2)))
