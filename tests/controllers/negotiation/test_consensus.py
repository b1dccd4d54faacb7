"""Consensus on a good: prices by hand, limits, absent parties, and a grid split into two areas."""

import numpy as np
import pytest
from scipy.sparse import csc_array, csr_array
from support.pandapower_nets import shipped_net

from stackelgrid.controllers.devices.devices import read_devices
from stackelgrid.controllers.negotiation.consensus import (
    PENALTY_RANGE,
    AdmmState,
    Consensus,
    DualAscent,
    StepPenalties,
)
from stackelgrid.controllers.networks.conversion.normalise import normalise
from stackelgrid.controllers.networks.meshed import meshed_network
from stackelgrid.controllers.solvers import ClarabelSolver
from stackelgrid.controllers.solvers.conic import ConicProgram, ProgramData

UNLIMITED = (np.full(3, -np.inf), np.full(3, np.inf))


class QuadraticParties:
    """Parties with curvature / 2 (s - wish)^2; both (n, steps)."""

    def __init__(self, curvature, wish):
        self.curvature, self.wish = curvature, wish

    def answers(self, consensus):
        """Argmin of own cost, price times s, and penalty / 2 (s - target)^2."""
        pull = self.curvature * self.wish - consensus.price + consensus.penalty * consensus.target
        return pull / (self.curvature + consensus.penalty)

    def clearing(self, copies):
        """Price at which copies @ s = 0, from s = wish - price / curvature."""
        return (copies @ self.wish) / (copies @ (1.0 / self.curvature))


@pytest.fixture
def parties():
    curvature = np.array([[2.0, 1.0, 40.0], [4.0, 8.0, 0.5], [1.0, 2.0, 3.0]])
    wish = np.array([[3.0, 1.0, -0.5], [-1.0, -4.0, 1.0], [0.5, 2.0, 1.0]])
    return QuadraticParties(curvature, wish)


def negotiate(consensus, parties, rounds=60, present=None):
    for _ in range(rounds):
        residuals = consensus.update(parties.answers(consensus), present)
    return residuals


def test_two_equal_parties_meet_in_the_middle_at_once():
    # s1 = 2 - price, s2 = -1 - price: price 1/2, s = 3/2
    parties = QuadraticParties(np.ones((2, 1)), np.array([[2.0], [-1.0]]))
    consensus = Consensus(np.ones(2), np.zeros(1), np.ones(1), np.full(1, -9.0), np.full(1, 9.0))
    residuals = negotiate(consensus, parties, 40)
    assert consensus.price == pytest.approx(0.5, abs=1e-9)
    assert consensus.target[:, 0] == pytest.approx([1.5, -1.5], abs=1e-9)
    assert abs(residuals.open[0]) < 1e-9
    assert max(residuals.apart[0], residuals.moved[0]) < 1e-9


@pytest.mark.parametrize("scale", [0.1, 1.0, 100.0])
@pytest.mark.parametrize("copies", [(1.0, 1.0, 1.0), (300.0, 20.0, 1.0)])
def test_price_is_the_clearing_one_with_copies_from_any_first_penalty(parties, copies, scale):
    copies = np.array(copies)
    consensus = Consensus(copies, np.zeros(3), np.full(3, scale), *UNLIMITED)
    negotiate(consensus, parties, 200)
    np.testing.assert_allclose(consensus.price, parties.clearing(copies), rtol=1e-5, atol=1e-5)
    answers = parties.answers(consensus)
    np.testing.assert_allclose(copies @ answers / copies.sum(), 0.0, atol=1e-5)
    np.testing.assert_allclose(
        parties.curvature * (parties.wish - answers), np.tile(consensus.price, (3, 1)), atol=1e-3
    )


def test_one_party_with_many_copies_is_many_parties(parties):
    copies = np.array([2.0, 1.0, 3.0])
    one = Consensus(copies, np.zeros(3), np.ones(3), *UNLIMITED)
    rows = [0, 0, 1, 2, 2, 2]
    many = Consensus(np.ones(6), np.zeros(3), np.ones(3), *UNLIMITED)
    each = QuadraticParties(parties.curvature[rows], parties.wish[rows])
    for _ in range(5):
        one.update(parties.answers(one))
        many.update(each.answers(many))
        np.testing.assert_allclose(many.price, one.price, rtol=1e-12)
        np.testing.assert_allclose(many.target, one.target[rows], rtol=1e-12)
        np.testing.assert_allclose(many.penalty, one.penalty, rtol=1e-12)


def test_price_stays_within_limits_and_the_rest_is_left_open(parties):
    copies = np.ones(3)
    free = parties.clearing(copies)
    low, high = free + np.array([0.2, -1.0, -2.0]), free + np.array([1.0, -0.3, 2.0])
    consensus = Consensus(copies, np.zeros(3), np.ones(3), low, high)
    assert (consensus.price >= low).all()
    assert (consensus.price <= high).all()
    residuals = negotiate(consensus, parties, 100)
    np.testing.assert_allclose(consensus.price, [low[0], high[1], free[2]], atol=1e-5)
    # too dear: they take less than nothing; too cheap: more
    assert residuals.open[0] < -1e-2
    assert residuals.open[1] > 1e-2
    assert abs(residuals.open[2]) < 1e-5


def test_an_absent_party_neither_trades_nor_sets_the_price(parties):
    consensus = Consensus(np.ones(3), np.zeros(3), np.ones(3), *UNLIMITED)
    present = np.array([1.0, 0.0, 1.0])
    residuals = negotiate(consensus, parties, 100, present)
    expected = parties.clearing(present)
    np.testing.assert_allclose(consensus.price, expected, atol=1e-5)
    np.testing.assert_allclose(residuals.open, 0.0, atol=1e-5)
    assert np.abs(parties.clearing(np.ones(3)) - expected).min() > 0.1


def test_nobody_present_moves_nothing():
    consensus = Consensus(np.ones(2), np.ones(3), np.ones(3), *UNLIMITED)
    consensus.update(np.ones((2, 3)), np.zeros(2))
    np.testing.assert_array_equal(consensus.price, np.ones(3))
    assert np.isfinite(consensus.target).all()
    assert np.isfinite(consensus.penalty).all()


def test_a_restart_goes_on_where_it_was_left(parties):
    copies = np.array([3.0, 1.0, 2.0])
    first = Consensus(copies, np.zeros(3), np.ones(3), *UNLIMITED)
    negotiate(first, parties, 100)
    second = Consensus(copies, np.zeros(3), np.ones(3), *UNLIMITED)
    second.restart(first.state)
    np.testing.assert_allclose(copies @ second.target, 0.0, atol=1e-12)
    residuals = second.update(parties.answers(second))
    assert np.abs(residuals.open).max() < 1e-5
    np.testing.assert_allclose(second.price, parties.clearing(copies), atol=1e-5)
    # from a state that does not clear and beyond the limits it comes back to one that does
    bounded = Consensus(copies, np.zeros(3), np.ones(3), np.full(3, -1.0), np.full(3, 1.0))
    bounded.restart(
        AdmmState(np.array([-7.0, 0.5, 7.0]), np.array([1e-9, 1.0, 1e9]), np.ones((3, 3)))
    )
    np.testing.assert_array_equal(bounded.price, [-1.0, 0.5, 1.0])
    np.testing.assert_allclose(bounded.target, 0.0, atol=1e-12)
    np.testing.assert_allclose(bounded.penalty, [PENALTY_RANGE[0], 1.0, PENALTY_RANGE[1]])


def test_penalties_follow_curvature_within_their_range_and_settle():
    penalties = StepPenalties(np.ones(4))
    weights = np.array([0.5, 0.5])
    curvature = np.array([0.05, 2.0, 1e9, 1e-9])
    rng = np.random.default_rng(7)
    changes = []
    for _ in range(80):
        answers = rng.normal(size=(2, 4))
        before = penalties.values
        penalties.follow(weights, answers, curvature * answers)
        changes.append(np.abs(np.log(penalties.values / before)).max())
    np.testing.assert_allclose(penalties.values, [0.05, 2.0, PENALTY_RANGE[1], PENALTY_RANGE[0]],
                               rtol=0.02)  # fmt: skip
    assert changes[0] == 0.0  # one answer shows no curvature
    # changes of what follows are summable: another curvature hardly moves it any more
    settled = penalties.values
    for _ in range(80):
        answers = rng.normal(size=(2, 4))
        penalties.follow(weights, answers, 3.0 * answers)
    assert np.abs(np.log(penalties.values / settled)).max() < 0.4 * np.log(3.0 / PENALTY_RANGE[0])


def test_answers_that_do_not_move_give_no_curvature():
    penalties = StepPenalties(np.full(2, 3.0))
    still = np.ones((1, 2))
    for _ in range(5):
        penalties.follow(np.ones(1), still, still)
    assert np.isfinite(penalties.values).all()
    assert (penalties.values <= PENALTY_RANGE[1] * 3.0).all()


# ---------------------------------------------------------------- outside check: two areas


class Area:
    """DC optimal power flow of some buses; buses at the other end of tie lines are copies.

    The program minimises cost, price times sign times angle, and the distance of sign times angle
    from a target; angles in rad, power in MW.
    """

    def __init__(self, network, units, load_mw, inside, boundary, sign):
        ends = list(zip(network.from_bus.tolist(), network.to_bus.tolist(), strict=True))
        branches = [k for k, (f, t) in enumerate(ends) if f in inside or t in inside]
        buses = sorted(inside | set(boundary))
        where = {bus: i for i, bus in enumerate(buses)}
        self.sign, self.count = sign, len(boundary)
        self.angles = np.array([where[bus] for bus in boundary])
        position = {b: i for i, b in enumerate(network.bus_index)}
        mine = [g for g, bus in enumerate(units.bus) if position[int(bus)] in inside]
        n, m = len(buses), len(mine)
        balance = np.zeros((len(inside), n + m))
        row = {bus: i for i, bus in enumerate(sorted(inside))}
        for k in branches:
            f, t = ends[k]
            mw = network.base_mva * network.b[k]
            for bus, sense in ((f, 1.0), (t, -1.0)):
                if bus in row:
                    balance[row[bus], where[f]] += sense * mw
                    balance[row[bus], where[t]] -= sense * mw
        for j, g in enumerate(mine):
            balance[row[position[int(units.bus[g])]], n + j] -= 1.0
        right = -load_mw[sorted(inside)]
        if network.reference in inside:
            pinned = np.zeros((1, n + m))
            pinned[0, where[network.reference]] = 1.0
            balance, right = np.vstack([balance, pinned]), np.append(right, 0.0)
        limits = np.zeros((2 * m, n + m))
        limits[:m, n:], limits[m:, n:] = np.eye(m), -np.eye(m)
        b = np.concatenate([right, units.p_max_mw[mine], -units.p_min_mw[mine]])
        self.quadratic = np.concatenate([np.zeros(n), 2.0 * units.c2[mine]])
        self.linear = np.concatenate([np.zeros(n), units.c1[mine]])
        self.constant = float(units.c0[mine].sum())
        self.rows, self.data = (np.vstack([balance, limits]), len(balance)), b

    def answer(self, price, target, penalty):
        """Angles that it takes, signed, and its own cost."""
        columns = len(self.linear)
        diagonal, q = self.quadratic.copy(), self.linear.copy()
        diagonal[self.angles] += penalty
        q[self.angles] += self.sign * (price - penalty * target)
        matrix, zero = self.rows
        program = ConicProgram(
            quadratic=csc_array(np.diag(diagonal)), matrix=csc_array(matrix), zero=zero,
            nonneg=len(self.data) - zero, cones=(), q0=q,
            q_parameters=csr_array((columns, 0)), b0=self.data,
            b_parameters=csr_array((len(self.data), 0)), offset0=self.constant,
            offset_linear=np.zeros(0), offset_quadratic=csr_array((0, 0)),
            integer=np.zeros(0, dtype=np.int64),
        )  # fmt: skip
        found = ClarabelSolver(program).solve(ProgramData(q, self.data, self.constant))
        assert found.status == "optimal", found.message
        cost = 0.5 * self.quadratic @ found.x**2 + self.linear @ found.x + self.constant
        return self.sign * found.x[self.angles], float(cost)


def test_two_areas_of_case14_agree_on_matpowers_optimum(reference):
    """Buses 1-5 and 6-14, tie lines 4-7, 4-9 and 5-6: the angles at both ends are the goods."""
    net = normalise(shipped_net("case14"), "case14")
    network = meshed_network(net, "case14")
    devices = read_devices(net, "case14", slack_is_unit=True)
    position = {b: i for i, b in enumerate(network.bus_index)}
    load = np.zeros(network.buses)
    np.add.at(load, [position[int(b)] for b in devices.loads.bus], devices.loads.p_mw)
    first, second = set(range(5)), set(range(5, 14))
    branches = zip(network.from_bus.tolist(), network.to_bus.tolist(), strict=True)
    ties = [k for k, (f, t) in enumerate(branches) if (f in first) != (t in first)]
    ends = sorted({int(end[k]) for k in ties for end in (network.from_bus, network.to_bus)})
    assert [e + 1 for e in ends] == [4, 5, 6, 7, 9]
    areas = [Area(network, devices.units, load, buses, ends, sign)
             for buses, sign in ((first, 1.0), (second, -1.0))]  # fmt: skip
    # a MW costs about 40 $/h; the tie lines carry some 60 MW over their susceptance
    mw_per_rad = network.base_mva * float(np.abs(network.b[ties]).sum())
    penalty = np.full(5, 40.0 * mw_per_rad**2 / 60.0)
    free = np.full(5, np.inf)
    consensus = Consensus(np.ones(2), np.zeros(5), penalty, -free, free)
    rounds = 0
    open_mw = np.inf
    while open_mw > 1e-2:
        rounds += 1
        found = [a.answer(consensus.price, consensus.target[i], consensus.penalty)
                 for i, a in enumerate(areas)]  # fmt: skip
        residuals = consensus.update(np.array([f[0] for f in found]))
        open_mw = np.abs(residuals.open).max() * mw_per_rad
        assert rounds <= 120
    cost = sum(f[1] for f in found)
    assert cost == pytest.approx(reference["dc_opf"]["case14"]["cost_per_h"], rel=5e-4)
    # far from what each area does alone with what the other one pushes at the start
    assert np.abs(consensus.price).min() > 1.0


def _taken(price, target, penalty):
    """A buyer that pays up to 10 and takes 1 MW at most, and two sellers at 2 and 4 of 0.4 each."""
    values = []
    for sign, limit, worth in ((1.0, 1.0, 10.0), (-1.0, 0.4, 2.0), (-1.0, 0.4, 4.0)):
        at = len(values)
        gain = sign * (worth - price)  # per MW that is traded
        if penalty > 0.0:
            power = sign * target[at] + gain / penalty
        else:
            power = limit if gain > 0.0 else 0.0
        values.append([sign * min(max(power, 0.0), limit)])
    return np.array(values)


def test_plain_dual_ascent_jumps_where_consensus_settles():
    """Linear parties: 0.8 MW trade at the buyer's price of 10, at which it is indifferent."""
    opened = {}
    for kind in (Consensus, DualAscent):
        one = kind(np.ones(3), np.array([5.0]), np.array([4.0]), np.array([0.0]), np.array([20.0]))
        rounds = [
            abs(float(one.update(_taken(one.price[0], one.target[:, 0], one.penalty[0])).open[0]))
            for _ in range(60)
        ]
        opened[kind] = max(rounds[-10:])
    assert opened[Consensus] < 1e-3
    assert opened[DualAscent] > 0.05
