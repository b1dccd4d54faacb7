"""Every active network its own leader: best responses in turn until none moves (docs/model.md).

What couples the active networks has prices that they take as given. With clearing of trade as a
shared equation any trade would be a fixed point, and with shared limits of the follower many
exchanges would; one common price leaves the variational equilibria.
"""

from dataclasses import dataclass, replace

import numpy as np

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.decision import SchemeDecision
from stackelgrid.controllers.leaders.feeder_agent import FeederPoint, Variant
from stackelgrid.controllers.leaders.leader_group import leader_points
from stackelgrid.controllers.schemes.best_response import ActiveNetwork, Offer, Response
from stackelgrid.controllers.schemes.market_maker import Market, MarketMaker
from stackelgrid.controllers.stage.stage import Stage, StageInstance
from stackelgrid.profiles.arrays import Floats

ROUNDS = 30
# EUR/MWh by which a price moves when a network's whole power is out of balance
_PRICE_RANGE = 100.0
# price of leaving the exchange of an equilibrium that the follower cannot quite serve, EUR/MWh
_DEVIATION_EUR_PER_MWH = 1000.0


@dataclass
class _Game:
    """Final state of the turns: last answers, market, and reason for the end."""

    market: Market
    answers: dict[str, Response]
    rounds: int = 0
    change: float = np.inf
    settled: bool = False
    period: int = 0


class Diagonalization:
    """Best responses in turn (Gauss-Seidel), trade across and shared limits at common prices.

    Under a tariff nothing else connects the active networks. With nodal prices each one foresees
    the follower's answer to its own exchange and takes the others' as given. An active network's
    remaining gain is its cost at the end less a proven bound of its best response, trade and
    limits at the final prices: zero for all of them is an equilibrium.
    """

    name = "diagonalization"

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self._makers: dict[bool, MarketMaker] = {}

    def decide(self, instance: StageInstance) -> SchemeDecision:
        """Decide for one instance; the messages describe the end of the turns."""
        follower, parameters = self.stage.follower, instance.parameters
        nodal = self.stage.pricing == "lmp" and follower is not None
        maker = self._maker(nodal)
        market = maker.open(instance, limits=False, nodal=nodal)
        game = self._play(maker, instance, market, nodal=nodal)
        rounds = game.rounds
        if not nodal and follower is not None and parameters is not None:
            served = self._served(maker, game.market, parameters)
            if not served and all(a.x is not None for a in game.answers.values()):
                shared = maker.open(instance, limits=True, nodal=False)
                if shared.message:
                    game.market.message = f"limits of {follower.grid_name}: {shared.message}"
                else:
                    game = self._play(maker, instance, shared, nodal=False)
                    rounds += game.rounds
        return self._decision(maker, game, instance, rounds, nodal)

    def _maker(self, nodal: bool) -> MarketMaker:
        if nodal not in self._makers:
            stage = self.stage
            groups = [set(group.names) for group in stage.groups]
            trading = any(
                len(g) > 1 and all("across_net" in stage.leaders[n].compiled.columns for n in g)
                for g in groups
            )
            variant = Variant(tariff=not nodal, across=trading)
            sizes = [ActiveNetwork(stage, n, variant, 1.0).size_mw for n in stage.leaders]
            slope = _PRICE_RANGE / max(float(np.mean(sizes)), 1e-6)
            networks = {n: ActiveNetwork(stage, n, variant, slope) for n in stage.leaders}
            self._makers[nodal] = MarketMaker(stage, networks, variant, slope)
        return self._makers[nodal]

    # ------------------------------------------------------------------ turns

    def _play(
        self, maker: MarketMaker, instance: StageInstance, market: Market, *, nodal: bool
    ) -> _Game:
        game = _Game(market, {})
        seen: list[Floats] = []
        asked: dict[str, Offer] = {}
        while game.rounds < ROUNDS and not game.settled and not game.period:
            game.rounds += 1
            for name, network in maker.networks.items():
                offer = maker.offer(market, name, instance.parameters if nodal else None)
                if name in asked and same_offer(asked[name], offer):
                    continue
                asked[name] = offer
                answer = network.respond(instance.leaders[name], offer, nodal=nodal)
                if name in game.answers and not self._moves(
                    network, instance, offer, game.answers[name], answer, nodal
                ):
                    continue
                game.answers[name] = answer
                if answer.x is not None:
                    market.trade[name] = network.trade(answer.x)
                    market.exchange[name] = network.exchange(answer.x)
            maker.clear(market, instance.parameters)
            state = _state(maker, market)
            if seen:
                game.change = float(np.abs(state - seen[-1]).max())
                game.settled = game.change <= tolerances.EQUILIBRIUM and _cleared(maker, market)
            if not game.settled:
                back = [k for k, old in enumerate(seen[:-1])
                        if np.abs(state - old).max() <= tolerances.EQUILIBRIUM]  # fmt: skip
                still = game.change <= tolerances.EQUILIBRIUM
                game.period = len(seen) - back[-1] if back and not still else 0
            seen.append(state)
        return game

    def _moves(
        self,
        network: ActiveNetwork,
        instance: StageInstance,
        offer: Offer,
        current: Response,
        answer: Response,
        nodal: bool,
    ) -> bool:
        """Return whether a new answer replaces the current one; at nodal prices it must gain."""
        if answer.x is None:
            return False
        if not nodal or current.x is None:
            return True
        leader = instance.leaders[network.name]
        stays = network.cost(leader, current.x, offer) + network.distance_cost(current.x, offer)
        stays += self._payment(network, offer, network.exchange(current.x))
        wanted = tolerances.EQUILIBRIUM_GAIN * max(1.0, abs(stays))
        return not stays <= answer.objective + wanted

    def _payment(self, network: ActiveNetwork, offer: Offer, exchange: Floats) -> float:
        """Nodal payment of all copies in EUR; NaN where the follower cannot serve them."""
        follower = self.stage.follower
        assert follower is not None
        assert offer.parameters is not None
        x = network.multiplicity * exchange
        answer = follower.solve(follower.with_exchange(offer.parameters, {network.name: x}))
        if answer.status != "optimal":
            return float("nan")
        return float(follower.horizon.dt_h @ (follower.prices(answer)[network.name] * x))

    def _served(self, maker: MarketMaker, market: Market, parameters: Floats) -> bool:
        """Return whether the follower can serve the active networks' exchange."""
        follower = self.stage.follower
        assert follower is not None
        x = {n: network.multiplicity * market.exchange[n] for n, network in maker.networks.items()}
        return follower.solve(follower.with_exchange(parameters, x)).status == "optimal"

    # ------------------------------------------------------------------ end

    def _decision(
        self,
        maker: MarketMaker,
        game: _Game,
        instance: StageInstance,
        rounds: int,
        nodal: bool,
    ) -> SchemeDecision:
        market, messages = game.market, [_told(maker, game)]
        if game.market.message:
            messages.append(game.market.message)
        points = {
            n: FeederPoint(answer.x, answer.report, maker.variant)
            for n, answer in game.answers.items()
        }
        failed = [n for n, point in points.items() if point.x is None]
        if failed:
            messages.append(f"no best response of {', '.join(failed)}")
            return SchemeDecision(points, rounds=rounds, messages=tuple(messages))
        x = {n: point.x for n, point in points.items() if point.x is not None}
        cut = maker.cut_long_side(x)
        if not game.settled and cut > 0.0:
            messages.append(f"trade across that does not clear is cut: {cut:.3g} MWh")
        points = {n: replace(point, x=x[n]) for n, point in points.items()}
        shared = instance.parameters if market.limits else None
        if shared is not None and not self._served(maker, market, shared):
            points = self._within_limits(maker, market, instance, points, messages)
            x = {n: point.x for n, point in points.items() if point.x is not None}
        for n, network in maker.networks.items():
            market.trade[n], market.exchange[n] = network.trade(x[n]), network.exchange(x[n])
        costs, gains = {}, {}
        for n, network in maker.networks.items():
            offer = maker.offer(market, n, instance.parameters if nodal else None)
            leader = instance.leaders[n]
            cost = network.cost(leader, x[n], offer)
            if nodal:
                cost += self._payment(network, offer, market.exchange[n])
            best = network.respond(leader, offer, nodal=nodal, alone=True)
            gains[n] = cost - best.bound
            prices = offer.trade_price @ market.trade[n]
            prices += offer.exchange_price @ market.exchange[n]
            costs[n] = cost - network.multiplicity * float(prices)
            report = replace(points[n].report, objective_eur=costs[n] / network.multiplicity)
            points[n] = replace(points[n], report=report)
        objective = sum(costs.values())
        return SchemeDecision(
            points,
            objective,
            objective - sum(gains.values()),
            remaining_gain_eur=gains,
            rounds=rounds,
            messages=tuple(messages),
        )

    def _within_limits(
        self,
        maker: MarketMaker,
        market: Market,
        instance: StageInstance,
        points: dict[str, FeederPoint],
        messages: list[str],
    ) -> dict[str, FeederPoint]:
        """Points nearest to the equilibrium's exchange that the follower can serve."""
        program = self.stage.program(
            maker.variant, follower=True, deviation_eur_per_mwh=_DEVIATION_EUR_PER_MWH
        )
        solution = program.solve(program.data(instance.leaders, instance.parameters, market.held))
        if not len(solution.x):
            messages.append(f"the follower cannot serve the exchange ({solution.status})")
            return points
        found = dict(leader_points(program, instance.leaders, solution).points)
        moved = max(
            float(np.abs(network.exchange(point.x) - market.exchange[n]).max())
            for n, network in maker.networks.items()
            if (point := found[n]).x is not None
        )
        messages.append(f"exchange moved by at most {moved:.2g} MW into the follower's limits")
        return found


def _state(maker: MarketMaker, market: Market) -> Floats:
    """Quantities and prices of a round, scaled to be compared with EQUILIBRIUM."""
    parts = [market.trade_price / _PRICE_RANGE]
    for n, network in maker.networks.items():
        size = max(network.size_mw, 1e-9)
        parts += [market.trade[n] / size, market.exchange[n] / size]
        parts.append(market.exchange_price[n] / _PRICE_RANGE)
    return np.concatenate(parts)


def _cleared(maker: MarketMaker, market: Market) -> bool:
    """Return whether trade clears and the follower can serve the answers."""
    size = float(np.mean([network.size_mw for network in maker.networks.values()]))
    worst = float(np.abs(maker.imbalance(market)).max())
    if market.limits:
        apart = [np.abs(market.exchange[n] - market.held[n]).max() for n in maker.networks]
        worst = max(worst, float(max(apart)))
    return worst <= tolerances.EQUILIBRIUM * max(size, 1e-9)


def same_offer(one: Offer, other: Offer) -> bool:
    """Return whether two offers agree to 1e-9."""
    if one.limits != other.limits:
        return False
    pairs = [
        (one.trade_price, other.trade_price),
        (one.trade_target, other.trade_target),
        (one.exchange_price, other.exchange_price),
        (one.exchange_target, other.exchange_target),
    ]
    if one.parameters is not None and other.parameters is not None:
        pairs.append((one.parameters, other.parameters))
    return all(np.allclose(a, b, rtol=0.0, atol=1e-9) for a, b in pairs)


def _told(maker: MarketMaker, game: _Game) -> str:
    """Describe the end of the turns."""
    if game.settled:
        how = f"settled after {game.rounds} rounds"
    elif game.period:
        how = f"cycles: best responses repeat every {game.period} rounds"
    else:
        how = f"not settled after {game.rounds} rounds"
    open_mw = float(np.abs(maker.imbalance(game.market)).max())
    return (
        f"{how}; last change {game.change:.1e} of the devices' power, trade open by at most "
        f"{open_mw:.1e} MW a network"
    )
