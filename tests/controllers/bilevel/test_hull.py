"""Hull of disjunctions against enumeration of complementarity patterns, on small markets.

The follower dispatches two generators with quadratic costs in every period for what a leader
draws; the leader pays the follower's price for it. The oracle shares nothing with the package: of
every pattern of the follower's limits it solves the optimality conditions, and maximises the
leader's quadratic over the interval in which they hold.
"""

from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pyomo.environ as pyo
import pytest
from scipy.sparse import csr_array, triu

from stackelgrid.controllers.bilevel.hull.disjuncts import Disjunct
from stackelgrid.controllers.bilevel.hull.relaxation import (
    DisjunctiveHull,
    FollowerCost,
    HullInstance,
)
from stackelgrid.controllers.bilevel.hull.search import HullOptions, HullSearch
from stackelgrid.controllers.errors import ModelError
from stackelgrid.controllers.solvers import ClarabelSolver, compile_model
from stackelgrid.controllers.solvers.payment import exchange_payment

GENERATORS = range(2)


@dataclass(frozen=True)
class Market:
    """Load and the leader's worth (EUR/MWh) by period; costs c y + d y^2 / 2, limits 0 and most.

    The leader draws x within `least` and `largest`; over all periods at most `total`, and with
    `steps` only multiples of `largest / steps`.
    """

    load: tuple[float, ...]
    worth: tuple[float, ...]
    c: tuple[float, float] = (10.0, 30.0)
    d: tuple[float, float] = (1.0, 2.0)
    most: tuple[float, float] = (5.0, 6.0)
    least: float = 0.0
    largest: float = 6.0
    total: float | None = None
    steps: int | None = None

    @property
    def periods(self):
        return range(len(self.load))

    def leader(self):
        m = pyo.ConcreteModel()
        m.x = pyo.Var(self.periods, bounds=(self.least, self.largest))
        if self.total is not None:
            m.whole = pyo.Constraint(expr=sum(m.x[t] for t in self.periods) <= self.total)
        if self.steps is not None:
            m.on = pyo.Var(self.periods, domain=pyo.Integers, bounds=(0, self.steps))
            m.size = pyo.Constraint(
                self.periods, rule=lambda m, t: m.x[t] == self.largest / self.steps * m.on[t]
            )
        m.cost = pyo.Objective(expr=sum(-self.worth[t] * m.x[t] for t in self.periods))
        return compile_model(m)

    def follower(self):
        m = pyo.ConcreteModel()
        m.need = pyo.Var(self.periods)  # data
        m.y = pyo.Var(GENERATORS, self.periods)
        m.serve = pyo.Constraint(
            self.periods, rule=lambda m, t: sum(m.y[i, t] for i in GENERATORS) == m.need[t]
        )
        m.lower = pyo.Constraint(GENERATORS, self.periods, rule=lambda m, i, t: m.y[i, t] >= 0.0)
        m.upper = pyo.Constraint(
            GENERATORS, self.periods, rule=lambda m, i, t: m.y[i, t] <= self.most[i]
        )
        m.cost = pyo.Objective(
            expr=sum(
                self.c[i] * m.y[i, t] + 0.5 * self.d[i] * m.y[i, t] ** 2
                for i in GENERATORS
                for t in self.periods
            )
        )
        return compile_model(m, [m.need])

    def parts(self):
        """Leader, follower, link, paid quadratic, parameters without the leader."""
        leader, follower = self.leader(), self.follower()
        count = follower.program.b_parameters.shape[1]
        rows, columns = follower.parameters["need"], leader.columns["x"]
        link = csr_array(
            (np.ones(len(rows)), (rows, columns)), shape=(count, leader.program.variables)
        )
        upper = csr_array(follower.program.quadratic)
        paid = csr_array(upper + triu(upper, 1).T)
        parameters = np.zeros(count)
        parameters[rows] = self.load
        return leader.program, follower.program, link, paid, parameters

    def search(self, **options):
        leader, follower, link, paid, parameters = self.parts()
        data = follower.data(parameters)
        return HullSearch(leader, follower, link, paid).solve(
            leader.data(np.zeros(0)),
            parameters,
            FollowerCost(data.q, data.b),
            HullOptions(**{"gap": 1e-5, **options}),
        )

    # ------------------------------------------------------------------ by hand

    def pieces(self, t):
        """Pieces (from, to, a, b) of the price a + b x, one for each pattern of the limits."""
        found = []
        for states in product(("low", "free", "high"), repeat=len(GENERATORS)):
            free = [i for i, s in enumerate(states) if s == "free"]
            fixed = sum(self.most[i] for i, s in enumerate(states) if s == "high")
            if not free:
                continue  # the price is open at one point only; a neighbour holds its best end
            slope = 1.0 / sum(1.0 / self.d[i] for i in free)
            base = sum(self.c[i] / self.d[i] for i in free)
            a, b = slope * (self.load[t] - fixed + base), slope
            low, high = self.least, self.largest
            for i, state in enumerate(states):
                if state == "free":  # 0 <= (price - c) / d <= most
                    ends = (self.c[i], self.c[i] + self.d[i] * self.most[i])
                elif state == "low":  # price <= c
                    ends = (-np.inf, self.c[i])
                else:
                    ends = (self.c[i] + self.d[i] * self.most[i], np.inf)
                low, high = max(low, (ends[0] - a) / b), min(high, (ends[1] - a) / b)
            if low <= high:
                found.append((low, high, a, b))
        return found

    def cost_at(self, t, x):
        """The leader's least cost of drawing x in a period; infinite where nobody can serve it."""
        costs = [
            (a + b * x - self.worth[t]) * x
            for low, high, a, b in self.pieces(t)
            if low - 1e-9 <= x <= high + 1e-9
        ]
        return min(costs, default=np.inf)

    def optimum(self):
        """Least cost of the leader over all patterns of the follower."""
        if self.steps is not None:
            grid = self.largest / self.steps * np.arange(self.steps + 1)
            choices = product(grid, repeat=len(self.load))
            return min(
                sum(self.cost_at(t, x) for t, x in enumerate(choice))
                for choice in choices
                if self.total is None or sum(choice) <= self.total + 1e-9
            )
        best = np.inf
        for pieces in product(*(self.pieces(t) for t in self.periods)):
            best = min(best, self._least(pieces))
        return best

    def _least(self, pieces):
        """Minimum of sum (a + b x - worth) x over a box, and a limit of the sum by bisection."""
        low, high, a, b = (np.array(v) for v in zip(*pieces, strict=True))
        gain = a - np.array(self.worth)

        def at(multiplier):
            return np.clip((-gain - multiplier) / (2.0 * b), low, high)

        x = at(0.0)
        if self.total is not None and x.sum() > self.total:
            if low.sum() > self.total + 1e-9:
                return np.inf
            smallest, largest = 0.0, 1e4
            for _ in range(100):
                middle = (smallest + largest) / 2
                smallest, largest = (
                    (middle, largest) if at(middle).sum() > self.total else (smallest, middle)
                )
            x = at(largest)
        return float(((gain + b * x) * x).sum())


ONE = Market((3.0,), (60.0,))
TWO = Market((2.0, 6.0), (45.0, 60.0))
MARKETS = {
    "one_period": ONE,
    "withholds_at_the_kink": replace(ONE, worth=(31.0,)),
    "draws_nothing": replace(ONE, worth=(5.0,)),
    "sells_where_the_price_jumps": Market((8.0,), (20.0,), least=-6.0, largest=1.0),
    "two_periods": TWO,
    "two_periods_one_budget": replace(TWO, total=3.0),
    "steep": replace(TWO, d=(0.1, 8.0), total=4.0),
    "equal_generators": replace(TWO, c=(20.0, 20.0), d=(1.0, 1.0)),
    "three_periods": Market((1.0, 4.5, 7.0), (40.0, 42.0, 50.0), total=5.0),
    "buys_and_sells": Market((2.0, 6.0), (25.0, 35.0), least=-2.0, total=0.0),
}


@pytest.mark.parametrize("name", MARKETS)
def test_the_search_finds_the_optimum_of_all_patterns(name):
    market = MARKETS[name]
    optimum = market.optimum()
    assert np.isfinite(optimum)
    found = market.search()
    assert found.status == "optimal", found.message
    size = max(1.0, abs(optimum))
    assert found.objective == pytest.approx(optimum, abs=2e-5 * size)
    assert found.bound <= optimum + 1e-6 * size
    assert found.gap <= 1e-5
    for _, _, bound, objective in found.log:
        assert bound <= optimum + 1e-6 * size
        assert not objective < optimum - 2e-5 * size


@pytest.mark.parametrize("name", [n for n in MARKETS if n != "draws_nothing"])
def test_the_unit_of_prices_does_not_count(name):
    """Prices of a hundred times the size, as for power in p.u., take as many iterations.

    Where the optimum is 0 the wanted gap is absolute, so there it does.
    """
    market = MARKETS[name]
    times = lambda values: tuple(100.0 * v for v in values)  # noqa: E731
    other = replace(market, worth=times(market.worth), c=times(market.c), d=times(market.d))
    found, same = other.search(), market.search()
    assert found.objective == pytest.approx(100.0 * same.objective, rel=2e-5, abs=2e-3)
    assert found.relaxations == same.relaxations
    assert found.iterations <= same.iterations + 4


@pytest.mark.parametrize("name", MARKETS)
def test_the_follower_is_optimal_and_paid_at_its_price(name):
    market = MARKETS[name]
    leader, follower, link, _, parameters = market.parts()
    found = market.search()
    data = follower.data(parameters + link @ found.x)
    answer = ClarabelSolver(follower).solve(data)
    assert follower.objective(found.y, data) == pytest.approx(answer.objective, rel=1e-5)
    assert follower.violation(found.y, data.b)[0] <= 1e-6
    # signs: nu is never negative on an inequality, and zero where there is room
    slack = data.b - follower.matrix @ found.y
    nu, room = found.nu[follower.zero :], slack[follower.zero :]
    assert nu.min() >= -1e-6
    assert (np.maximum(room, 0.0) * nu).max() <= 1e-3
    x = found.x[: len(market.load)]
    price = follower.b_parameters[: len(market.load)].T @ found.nu[: len(market.load)]
    payment = exchange_payment(follower, follower.data(parameters), found.y, found.nu)
    assert payment == pytest.approx(float(price @ x), rel=1e-4, abs=1e-3)
    own = leader.objective(found.x, leader.data(np.zeros(0)))
    assert found.objective == pytest.approx(own + payment, rel=1e-4, abs=1e-4)


def drawn(seed):
    """One to three periods with any prices; the leader may sell a little."""
    rng = np.random.default_rng(seed)
    periods = int(rng.integers(1, 4))
    return Market(
        tuple(rng.uniform(0.5, 8.0, periods)),
        tuple(rng.uniform(5.0, 70.0, periods)),
        c=tuple(rng.uniform(5.0, 40.0, 2)),
        d=tuple(rng.uniform(0.2, 6.0, 2)),
        most=(6.0, 8.0),
        least=float(rng.choice([0.0, -0.4])),
        largest=5.0,
        total=float(rng.uniform(0.5, 4.0)) if rng.random() < 0.6 else None,
    )


# in 5, 6 and 7 no generator is at a limit at the optimum
@pytest.mark.parametrize("seed", [*range(12), 16, 35, 122])
def test_drawn_markets(seed):
    market = drawn(seed)
    optimum, found = market.optimum(), market.search()
    size = max(1.0, abs(optimum))
    assert found.status == "optimal", found.message
    assert found.bound <= optimum + 1e-6 * size
    assert found.objective == pytest.approx(optimum, abs=2e-5 * size)


@pytest.mark.parametrize("market", [replace(ONE, steps=2), replace(TWO, steps=3, total=6.0)])
def test_a_leader_with_integers(market):
    optimum, found = market.optimum(), market.search()
    size = max(1.0, abs(optimum))
    assert found.bound <= optimum + 1e-6 * size
    assert found.status == "optimal", found.message
    assert found.objective == pytest.approx(optimum, abs=2e-5 * size)
    on = found.x[market.leader().columns["on"]]
    np.testing.assert_allclose(on, np.round(on), atol=1e-6)


def test_a_leader_that_has_no_point():
    found = replace(ONE, least=1.0, total=0.5).search()
    assert found.status == "infeasible"
    assert len(found.x) == len(found.y) == 0
    assert np.isnan(found.objective)


def test_a_follower_that_cannot_serve_any_exchange():
    found = replace(ONE, load=(20.0,)).search()
    # its multipliers have a ray as well, which is what the conic solver may report
    assert found.status == "infeasible"
    assert len(found.x) == 0


def test_a_limit_leaves_a_valid_bound():
    market = drawn(122)
    optimum, whole = market.optimum(), market.search()
    assert whole.status == "optimal"
    assert whole.relaxations > 3
    size = max(1.0, abs(optimum))
    bounds = []
    for limit in (1, 2, 3):
        found = market.search(relaxation_limit=limit)
        assert found.status == "limit"
        assert found.relaxations == limit
        assert np.isfinite(found.bound)
        assert found.bound <= optimum + 1e-6 * size
        assert found.objective >= optimum - 1e-5 * size
        assert found.gap > 1e-5
        bounds.append(found.bound)
    assert bounds == sorted(bounds)


def test_copies_are_a_convex_combination_with_quadratic_in_perspective():
    """Two disjuncts of one period: copies add up, and the best disjunct is the hull's optimum."""
    market = ONE
    leader, follower, link, paid, parameters = market.parts()
    data = follower.data(parameters)
    instance = HullInstance(leader.data(np.zeros(0)), data, FollowerCost(data.q, data.b))
    hull = DisjunctiveHull(leader, follower, link, paid)
    assert len(hull.blocks) == 1
    first = follower.zero  # rows of the limits; each is one pair
    one, other = Disjunct(multiplier_zero=(first,)), Disjunct(slack_zero=(first,))
    assert Disjunct().split([first]) == (one, other)

    def value(*disjuncts):
        built = hull.program(instance, {0: disjuncts} if disjuncts else {})
        found = ClarabelSolver(built.program).solve(built.data)
        return built, found

    open_program, open_found = value()
    ends = [value(d)[1] for d in (one, other)]
    built, found = value(one, other)
    # the hull's optimum is that of its best disjunct, and no disjunct at all is weaker
    least = min(f.objective for f in ends if f.status == "optimal")
    assert found.objective == pytest.approx(least, abs=1e-5)
    assert open_found.objective <= found.objective + 1e-6
    assert open_program.program.cones == ()
    # weights, copies of y and of the exchange add up, and every copy keeps its own rows scaled
    states = hull.states(built, instance, found.x)
    assert sum(s.weight for s in states) == pytest.approx(1.0, abs=1e-7)
    block = hull.blocks[0]
    drawn = sum(found.x[c.p : c.p + len(block.parameters)] for c in built.copies)
    np.testing.assert_allclose(drawn, (link @ found.x[: leader.variables])[block.parameters],
                               atol=1e-6)  # fmt: skip
    for copy, state in zip(built.copies, states, strict=True):
        assert state.slack.min() >= -1e-6
        y = found.x[copy.y : copy.y + len(block.columns)]
        above = found.x[copy.weight + 1]
        scale = float((block.factor.data**2).max())
        square = float(((block.factor @ y) ** 2).sum())
        assert square <= scale * above * state.weight + 1e-5
    assert len(built.program.cones) == 2


def test_pairs_split_into_disjuncts_that_cover():
    parts = Disjunct((7,), (8,)).split([1, 2])
    assert parts == (
        Disjunct((7, 1), (8,)),
        Disjunct((7, 2), (8, 1)),
        Disjunct((7,), (8, 1, 2)),
    )


def test_pairs_that_change_sides_together_split_into_every_combination():
    parts = Disjunct((7,)).split([1, 2, 3], [0, 1, 1])
    assert parts == (
        Disjunct((7, 1), ()),
        Disjunct((7, 2, 3), (1,)),
        Disjunct((7, 2), (1, 3)),
        Disjunct((7, 3), (1, 2)),
        Disjunct((7,), (1, 2, 3)),
    )
    # each assignment of sides to the three rows lies in a disjunct
    for sides in product((False, True), repeat=3):
        off = {r for r, zero in zip((1, 2, 3), sides, strict=True) if not zero}
        on = {1, 2, 3} - off
        assert any(set(p.multiplier_zero) - {7} <= off and set(p.slack_zero) <= on for p in parts)


def test_periods_are_blocks_of_their_own():
    leader, follower, link, paid, _ = MARKETS["three_periods"].parts()
    hull = DisjunctiveHull(leader, follower, link, paid)
    assert [len(b.columns) for b in hull.blocks] == [2, 2, 2]
    assert [b.equations for b in hull.blocks] == [1, 1, 1]
    seen = np.sort(np.concatenate([b.rows for b in hull.blocks]))
    np.testing.assert_array_equal(seen, np.arange(follower.rows))
    with pytest.raises(ModelError, match="cones are not accepted"):
        DisjunctiveHull(
            leader,
            replace(follower, nonneg=follower.nonneg - 3, cones=(3,)),
            link,
            paid,
        )
