"""Every active network its own leader: best responses in turn until none moves (docs/model.md).

What couples the active networks has prices that they take as given. With clearing of trade as a
shared equation any trade would be a fixed point, and with shared limits of the follower many
exchanges would; one common price leaves the variational equilibria.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.decision import SchemeDecision
from stackelgrid.controllers.leaders.feeder_records import FeederPoint, Variant
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
        game = _Game(maker, instance, maker.open(instance, limits=False, nodal=nodal), nodal)
        game.play()
        rounds = game.rounds
        if not nodal and follower is not None and parameters is not None:
            found = all(answer.x is not None for answer in game.answers.values())
            if not game.served(parameters) and found:
                shared = maker.open(instance, limits=True, nodal=False)
                if shared.message:
                    game.market.message = f"limits of {follower.grid_name}: {shared.message}"
                else:
                    game = _Game(maker, instance, shared, nodal=False)
                    game.play()
                    rounds += game.rounds
        return replace(game.decision(), rounds=rounds)

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


@dataclass
class _Game:
    """Turns of the active networks at one instance: market, last answers, reason for the end."""

    maker: MarketMaker
    instance: StageInstance
    market: Market
    nodal: bool
    answers: dict[str, Response] = field(default_factory=dict)
    rounds: int = 0
    change: float = np.inf
    settled: bool = False
    period: int = 0

    def play(self) -> None:
        """Let the networks answer in turn until no answer moves, or answers repeat."""
        market, seen = self.market, list[Floats]()
        asked: dict[str, Offer] = {}
        while self.rounds < ROUNDS and not self.settled and not self.period:
            self.rounds += 1
            for name, network in self.maker.networks.items():
                offer = self._offer(name)
                if name in asked and same_offer(asked[name], offer):
                    continue
                asked[name] = offer
                answer = network.respond(self.instance.leaders[name], offer, nodal=self.nodal)
                if name in self.answers and not self._moves(name, offer, answer):
                    continue
                self.answers[name] = answer
                if answer.x is not None:
                    market.trade[name] = network.trade(answer.x)
                    market.exchange[name] = network.exchange(answer.x)
            self.maker.clear(market, self.instance.parameters)
            state = self._state()
            if seen:
                self.change = float(np.abs(state - seen[-1]).max())
                self.settled = self.change <= tolerances.EQUILIBRIUM and self._cleared()
            if not self.settled:
                back = [k for k, old in enumerate(seen[:-1])
                        if np.abs(state - old).max() <= tolerances.EQUILIBRIUM]  # fmt: skip
                still = self.change <= tolerances.EQUILIBRIUM
                self.period = len(seen) - back[-1] if back and not still else 0
            seen.append(state)

    def _offer(self, name: str) -> Offer:
        parameters = self.instance.parameters if self.nodal else None
        return self.maker.offer(self.market, name, parameters)

    def _moves(self, name: str, offer: Offer, answer: Response) -> bool:
        """Return whether a new answer replaces the current one; at nodal prices it must gain."""
        network, current = self.maker.networks[name], self.answers[name]
        if answer.x is None:
            return False
        if not self.nodal or current.x is None:
            return True
        leader = self.instance.leaders[name]
        stays = network.cost(leader, current.x, offer) + network.distance_cost(current.x, offer)
        stays += self._payment(network, offer, network.exchange(current.x))
        wanted = tolerances.EQUILIBRIUM_GAIN * max(1.0, abs(stays))
        return not stays <= answer.objective + wanted

    def _payment(self, network: ActiveNetwork, offer: Offer, exchange: Floats) -> float:
        """Nodal payment of all copies in EUR; NaN where the follower cannot serve them."""
        follower = self.maker.stage.follower
        assert follower is not None
        assert offer.parameters is not None
        x = network.multiplicity * exchange
        answer = follower.solve(follower.with_exchange(offer.parameters, {network.name: x}))
        if answer.status != "optimal":
            return float("nan")
        return float(follower.horizon.dt_h @ (follower.prices(answer)[network.name] * x))

    def served(self, parameters: Floats) -> bool:
        """Return whether the follower can serve the active networks' exchange."""
        follower, networks = self.maker.stage.follower, self.maker.networks
        assert follower is not None
        x = {n: network.multiplicity * self.market.exchange[n] for n, network in networks.items()}
        return follower.solve(follower.with_exchange(parameters, x)).status == "optimal"

    def _state(self) -> Floats:
        """Quantities and prices of a round, scaled to be compared with EQUILIBRIUM."""
        market, parts = self.market, [self.market.trade_price / _PRICE_RANGE]
        for n, network in self.maker.networks.items():
            size = max(network.size_mw, 1e-9)
            parts += [market.trade[n] / size, market.exchange[n] / size]
            parts.append(market.exchange_price[n] / _PRICE_RANGE)
        return np.concatenate(parts)

    def _cleared(self) -> bool:
        """Return whether trade clears and the follower can serve the answers."""
        market, networks = self.market, self.maker.networks
        size = float(np.mean([network.size_mw for network in networks.values()]))
        worst = float(np.abs(self.maker.imbalance(market)).max())
        if market.limits:
            apart = [np.abs(market.exchange[n] - market.held[n]).max() for n in networks]
            worst = max(worst, float(max(apart)))
        return worst <= tolerances.EQUILIBRIUM * max(size, 1e-9)

    # ------------------------------------------------------------------ end

    def decision(self) -> SchemeDecision:
        """Decision at the end of the turns, what does not clear cut, with remaining gains."""
        market, networks, parameters = self.market, self.maker.networks, self.instance.parameters
        messages = [self._end(), *([market.message] if market.message else [])]
        points = {
            n: FeederPoint(answer.x, answer.report, self.maker.variant)
            for n, answer in self.answers.items()
        }
        failed = [n for n, point in points.items() if point.x is None]
        if failed:
            messages.append(f"no best response of {', '.join(failed)}")
            return SchemeDecision(points, messages=tuple(messages))
        x = {n: point.x for n, point in points.items() if point.x is not None}
        cut = self.maker.cut_long_side(x)
        if not self.settled and cut > 0.0:
            messages.append(f"trade across that does not clear is cut: {cut:.3g} MWh")
        points = {n: replace(point, x=x[n]) for n, point in points.items()}
        if market.limits and parameters is not None and not self.served(parameters):
            points, message = self._within_limits(points)
            messages.append(message)
            x = {n: point.x for n, point in points.items() if point.x is not None}
        for n, network in networks.items():
            market.trade[n], market.exchange[n] = network.trade(x[n]), network.exchange(x[n])
        costs, gains = {}, {}
        for n, network in networks.items():
            offer, leader = self._offer(n), self.instance.leaders[n]
            cost = network.cost(leader, x[n], offer)
            if self.nodal:
                cost += self._payment(network, offer, market.exchange[n])
            best = network.respond(leader, offer, nodal=self.nodal, alone=True)
            gains[n] = cost - best.bound
            prices = offer.trade_price @ market.trade[n]
            prices += offer.exchange_price @ market.exchange[n]
            costs[n] = cost - network.multiplicity * float(prices)
            report = replace(points[n].report, objective_eur=costs[n] / network.multiplicity)
            points[n] = replace(points[n], report=report)
        objective = sum(costs.values())
        bound = objective - sum(gains.values())
        return SchemeDecision(
            points, objective, bound, remaining_gain_eur=gains, messages=tuple(messages)
        )

    def _within_limits(self, points: dict[str, FeederPoint]) -> tuple[dict[str, FeederPoint], str]:
        """Points nearest to the equilibrium's exchange that the follower can serve; a message."""
        program = self.maker.stage.program(
            self.maker.variant, follower=True, deviation_eur_per_mwh=_DEVIATION_EUR_PER_MWH
        )
        leaders, market = self.instance.leaders, self.market
        solution = program.solve(program.data(leaders, self.instance.parameters, market.held))
        if not len(solution.x):
            return points, f"the follower cannot serve the exchange ({solution.status})"
        found = dict(leader_points(program, leaders, solution).points)
        moved = max(
            float(np.abs(network.exchange(point.x) - market.exchange[n]).max())
            for n, network in self.maker.networks.items()
            if (point := found[n]).x is not None
        )
        return found, f"exchange moved by at most {moved:.2g} MW into the follower's limits"

    def _end(self) -> str:
        """Describe the end of the turns."""
        if self.settled:
            how = f"settled after {self.rounds} rounds"
        elif self.period:
            how = f"cycles: best responses repeat every {self.period} rounds"
        else:
            how = f"not settled after {self.rounds} rounds"
        open_mw = float(np.abs(self.maker.imbalance(self.market)).max())
        return (
            f"{how}; last change {self.change:.1e} of the devices' power, trade open by at most "
            f"{open_mw:.1e} MW a network"
        )


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
