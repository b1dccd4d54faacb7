"""The market maker between active networks that decide each for itself (docs/model.md).

It quotes one price for trade across and, where the follower's limits bind, one for the exchange at
every boundary; it moves them by what does not clear and cuts the long side at the end.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array, csc_array, csr_array, diags_array

from stackelgrid.controllers.agents.feeder_agent import Variant
from stackelgrid.controllers.bilevel.primal import PrimalForm
from stackelgrid.controllers.coordination.best_response import ActiveNetwork, Offer
from stackelgrid.controllers.coordination.stage import Stage, StageInstance
from stackelgrid.controllers.solvers.conic import ConicProgram, ConicSolver, ProgramData
from stackelgrid.controllers.solvers.registry import conic_solver
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
        self._form: PrimalForm | None = None
        self._projection: ConicSolver | None = None

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
        """What a network answers to next; its trade should move by its share of the imbalance."""
        others = None
        if parameters is not None and self.stage.follower is not None:
            exchange = {
                n: network.copies * market.exchange[n]
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
        copies = {n: self.networks[n].copies for n in self.trading}
        total = sum(c * market.trade[n] for n, c in copies.items())
        return np.asarray(total / sum(copies.values()))

    def clear(self, market: Market, parameters: Floats | None) -> None:
        """Move the prices at the end of a round: exchange ADMM on trade, and on shared limits."""
        market.trade_price = market.trade_price + self._curvature * self.imbalance(market)
        if not market.limits or parameters is None:
            return
        wanted = {
            n: market.exchange[n] + market.exchange_price[n] / self._curvature
            for n in self.networks
        }
        held = self._project(wanted, parameters)
        if held is None:
            return
        for n in self.networks:
            market.held[n] = held[n]
            market.exchange_price[n] = self._curvature * (wanted[n] - held[n])

    def cut_long_side(self, points: dict[str, Floats]) -> float:
        """Cut purchases or sales across in proportion until they clear; what is cut in MWh.

        What a prosumer cannot trade it buys from or sells to the grid.
        """
        if not self.trading:
            return 0.0
        sides = {}
        for side in ("buy", "sell"):
            sides[side] = sum(
                (self.networks[n].copies * self.networks[n].across(points[n], side)
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

    # ------------------------------------------------------------------ shared limits

    def _project(
        self, wanted: Mapping[str, Floats], parameters: Floats
    ) -> dict[str, Floats] | None:
        """Exchanges nearest to the wanted ones that the follower can serve."""
        follower = self.stage.follower
        assert follower is not None
        steps = len(self._curvature)
        weights = {n: network.copies * self._curvature for n, network in self.networks.items()}
        if self._form is None:
            n = steps * len(weights)
            empty, program = csr_array((0, n)), follower.compiled.program
            mirror = ConicProgram(
                quadratic=csc_array(diags_array(np.concatenate(list(weights.values())))),
                matrix=csc_array(empty),
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
            for name, network in self.networks.items():
                at, per_mw = follower.exchange(name)
                rows.append(at)
                values.append(np.full(steps, per_mw * network.copies))
            triplets = (np.concatenate(values), (np.concatenate(rows), np.arange(n)))
            shape = (program.b_parameters.shape[1], n)
            link = csr_array(coo_array(triplets, shape=shape))
            self._form = PrimalForm(mirror, program, link, (1.0, 0.0))
            self._projection = conic_solver(self.stage.settings.conic)(self._form.program)
        assert self._projection is not None
        q = -np.concatenate([weights[n] * wanted[n] for n in weights])
        found = self._projection.solve(
            self._form.data(ProgramData(q, np.zeros(0), 0.0), parameters)
        )
        if found.status != "optimal":
            return None
        parts = found.x[: steps * len(weights)].reshape(-1, steps)
        return dict(zip(weights, parts, strict=True))
