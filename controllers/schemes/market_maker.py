"""The market maker between active networks that decide each for itself (docs/model.md).

It quotes one price for trade across and, where the follower's limits bind, one for the exchange at
every boundary; it moves them by what does not clear and cuts the long side at the end.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from stackelgrid.controllers.leaders.feeder_records import Variant
from stackelgrid.controllers.negotiation.served_exchange import FollowerBlock
from stackelgrid.controllers.schemes.best_response import ActiveNetwork, Offer
from stackelgrid.controllers.stage.stage import Stage, StageInstance
from stackelgrid.profiles.arrays import Floats


@dataclass
class Market:
    """Prices in EUR/MW of each step and quantities of one copy in MW, all (steps,).

    `held` are the exchanges nearest to the answers that the follower can serve together.
    """

    limits: bool
    trade_price: Floats
    exchange_price: dict[str, Floats]
    trade: dict[str, Floats]
    exchange: dict[str, Floats]
    held: dict[str, Floats]
    message: str = ""


class MarketMaker:
    """Opens a market at the prices of the joint relaxation and moves them as the answers come."""

    def __init__(
        self, stage: Stage, networks: Mapping[str, ActiveNetwork], variant: Variant, slope: float
    ) -> None:
        self.stage, self.networks, self.variant = stage, dict(networks), variant
        self.trading = tuple(n for n, network in networks.items() if network.trades)
        self._curvature = slope * next(iter(networks.values())).agent.horizon.dt_h
        self._block: FollowerBlock | None = None

    def open(self, instance: StageInstance, *, limits: bool, nodal: bool) -> Market:
        """Prices and quantities of the joint relaxation; all zero where nothing is shared."""
        stage, nothing = self.stage, np.zeros(len(self._curvature))
        names = tuple(self.networks)
        market = Market(
            limits,
            nothing.copy(),
            dict.fromkeys(names, nothing),
            dict.fromkeys(names, nothing),
            dict.fromkeys(names, nothing),
            dict.fromkeys(names, nothing),
        )
        if not (self.trading or limits or nodal):
            return market
        joint = limits or nodal
        program = stage.program(self.variant, follower=joint, weights=(1.0, 1.0 if nodal else 0.0))
        data = program.data(instance.leaders, instance.parameters if joint else None)
        relaxed = stage.relaxation(program).solve(data)
        if relaxed.status != "optimal":
            market.message = f"no prices to begin with ({relaxed.status}: {relaxed.message})"
            return market
        own, form = relaxed.dual, program.form
        if form is not None:
            own = form.leader_dual(relaxed.dual)
        if self.trading:
            market.trade_price = own[program.compiled.rows["link.across_clearing"]]
        for name, network in self.networks.items():
            part = program.part(name, relaxed.x)
            market.trade[name] = network.trade(part)
            market.exchange[name] = market.held[name] = network.exchange(part)
        if limits and form is not None:
            assert stage.follower is not None
            below = stage.follower.compiled.program
            slope = below.b_parameters.T @ form.follower_dual(relaxed.dual)
            for name in names:
                at, per_mw = stage.follower.exchange(name)
                market.exchange_price[name] = per_mw * slope[at]
        return market

    def offer(self, market: Market, name: str, parameters: Floats | None) -> Offer:
        """Return a network's next offer; its trade should move by its share of the imbalance."""
        others = None
        if parameters is not None and self.stage.follower is not None:
            exchange = {
                n: network.multiplicity * market.exchange[n]
                for n, network in self.networks.items()
                if n != name
            }
            others = self.stage.follower.with_exchange(parameters, exchange)
        return Offer(
            trade_price=market.trade_price,
            trade_target=market.trade[name] - self.imbalance(market),
            exchange_price=market.exchange_price[name],
            exchange_target=market.held[name],
            limits=market.limits,
            parameters=others,
        )

    def imbalance(self, market: Market) -> Floats:
        """Purchases across less sales (steps,) in MW, by the number of trading networks."""
        if not self.trading:
            return np.zeros(len(self._curvature))
        multiplicity = {n: self.networks[n].multiplicity for n in self.trading}
        total = sum(m * market.trade[n] for n, m in multiplicity.items())
        return np.asarray(total / sum(multiplicity.values()))

    def clear(self, market: Market, parameters: Floats | None) -> None:
        """Move the prices at the end of a round: exchange ADMM on trade, and on shared limits."""
        market.trade_price = market.trade_price + self._curvature * self.imbalance(market)
        if not market.limits or parameters is None:
            return
        wanted = {
            n: market.exchange[n] + market.exchange_price[n] / self._curvature
            for n in self.networks
        }
        if self._block is None:
            assert self.stage.follower is not None
            multiplicity = {n: network.multiplicity for n, network in self.networks.items()}
            conic = self.stage.settings.conic
            self._block = FollowerBlock(self.stage.follower, multiplicity, conic)
        held = self._block.nearest(wanted, self._curvature, parameters)
        if held is None:
            return
        for n in self.networks:
            market.held[n] = held[n]
            market.exchange_price[n] = self._curvature * (wanted[n] - held[n])

    def cut_long_side(self, points: dict[str, Floats]) -> float:
        """Cut purchases or sales across in proportion until they clear; return the cut in MWh.

        The grid buys or sells the rest.
        """
        if not self.trading:
            return 0.0
        sides = {}
        for side in ("buy", "sell"):
            sides[side] = sum(
                (self.networks[n].multiplicity * self.networks[n].across(points[n], side)
                 for n in self.trading),
                np.zeros(len(self._curvature)),
            )  # fmt: skip
        cleared = np.minimum(sides["buy"], sides["sell"])
        for side, total in sides.items():
            kept = np.divide(cleared, total, out=np.ones_like(total), where=total > 0.0)
            for n in self.trading:
                points[n] = self.networks[n].with_share(points[n], side, kept)
        dt = self.networks[self.trading[0]].agent.horizon.dt_h
        return float(dt @ np.abs(sides["buy"] - sides["sell"]))
