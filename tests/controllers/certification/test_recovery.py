"""Rungs of the recovery ladder: what they price and bound, by hand and by algebra."""

from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.certification.recovery import (
    Excess,
    convex_concave,
    feed_in_cap,
    largest_reward,
    loss_price,
    tightened_limits,
)
from stackelgrid.controllers.leaders.feeder_agent import FeederAgent
from stackelgrid.controllers.models.active_network import (
    ActiveNetworkLibrary,
    ActiveNetworkOptions,
)
from stackelgrid.controllers.networks.radial import radial_network
from stackelgrid.controllers.networks.reduction import FlowState, reduce_network
from stackelgrid.controllers.schedule import Measurement, Schedule
from stackelgrid.profiles.time_axis import Horizon

MARGIN = tolerances.RECOVERY_MARGIN_PU
SEEDS = st.integers(0, 2**32 - 1)


def flat(flows):
    """A point with the columns of a feeder's model, and where they are."""
    parts = {"p_branch": flows.p, "q_branch": flows.q, "current2": flows.current2, "v": flows.v}
    ends = np.cumsum([0, *(part.size for part in parts.values())])
    columns = {n: np.arange(ends[i], ends[i + 1]) for i, n in enumerate(parts)}
    return columns, np.concatenate([part.ravel() for part in parts.values()])


def random_flows(rng, network, steps):
    """Any flows with positive voltages, whether they satisfy the cones or not."""
    shape = (network.branches, steps)
    v = rng.uniform(0.5, 1.5, (network.buses, steps))
    return FlowState(rng.normal(size=shape), rng.normal(size=shape), rng.normal(size=shape), v)


def open_gap(network, flows):
    """l - (P^2 + Q^2) / v of every branch and step, voltage as seen behind its ratio."""
    v_up = network.up[:, None] * flows.v[network.parent]
    return flows.current2 - (flows.p**2 + flows.q**2) / v_up


@pytest.fixture(scope="module")
def tree(radial_net):
    """Two branches behind a first one with a ratio; 0.1 MVA and 1.6 ohm are 1 p.u."""
    network = radial_network(radial_net([0, 1, 1], [0, 5, 5, 5], [0, 1, 1, 1]), "tree")
    return replace(network, up=np.array([1.0, 0.9, 1.2]))


@given(SEEDS)
@settings(max_examples=60)
def test_the_convex_concave_price_is_never_below_the_gap_and_tight_where_it_was_taken(tree, seed):
    rng = np.random.default_rng(seed)
    dt_h = np.array([0.25, 1.0])
    at = random_flows(rng, tree, 2)
    amendment = convex_concave(tree, dt_h, at, 400.0)
    weight = 400.0 * 0.1 * np.hypot(tree.r, tree.x)[:, None] * dt_h  # EUR for 1 p.u. of gap
    assert amendment.cost(*flat(at)) == pytest.approx(np.sum(weight * open_gap(tree, at)), rel=1e-9)
    other = random_flows(rng, tree, 2)
    priced = amendment.cost(*flat(other))
    assert priced >= np.sum(weight * open_gap(tree, other)) - 1e-9
    # a tangent of a homogeneous function passes through the origin
    doubled = FlowState(*(2.0 * part for part in (other.p, other.q, other.current2, other.v)))
    assert amendment.cost(*flat(doubled)) == pytest.approx(2.0 * priced, rel=1e-9, abs=1e-9)


def test_the_convex_concave_price_by_hand(tree):
    # branch 1 (ratio 0.9) alone: P = 0.6, Q = 0.3, v = 0.9 * 1.0, so (P^2 + Q^2) / v = 0.5
    flows = FlowState(*np.zeros((3, 3, 1)), np.ones((4, 1)))
    flows.p[1], flows.q[1], flows.current2[1] = 0.6, 0.3, 2.0
    price = convex_concave(tree, np.array([0.5]), flows, 100.0).price
    # 0.03 ohm and 0.01 ohm on 1.6 ohm; EUR = 100 EUR/MWh * 0.1 MVA * |z| * 0.5 h
    weight = 100.0 * 0.1 * np.hypot(0.03, 0.01) / 1.6 * 0.5
    np.testing.assert_allclose(price["current2"], weight)
    np.testing.assert_allclose(price["p_branch"], [0.0, -weight * 1.2 / 0.9, 0.0])
    np.testing.assert_allclose(price["q_branch"], [0.0, -weight * 0.6 / 0.9, 0.0])
    np.testing.assert_allclose(price["v"], [0.0, weight * 0.45 / 0.81 * 0.9, 0.0, 0.0], atol=1e-15)
    cost = convex_concave(tree, np.array([0.5]), flows, 100.0).cost(*flat(flows))
    assert cost == pytest.approx(weight * (2.0 - 0.5))


def test_a_loss_price_in_eur_by_hand(tree):
    flows = FlowState(*np.zeros((3, 3, 2)), np.ones((4, 2)))
    flows.current2[0, 0], flows.current2[2, 1] = 2.0, 3.0
    amendment = loss_price(tree, np.array([0.25, 1.0]), 80.0)
    # 0.03 / 1.6 p.u.: 2 * 0.01875 * 0.1 MW = 3.75 kW for a quarter, 5.625 kW for an hour
    assert amendment.cost(*flat(flows)) == pytest.approx(80.0 * (0.00375 * 0.25 + 0.005625))
    assert (dict(amendment.upper), dict(amendment.lower)) == ({}, {})


@pytest.mark.parametrize(
    ("prices", "curtailment", "reward"),
    [
        ([50.0, -30.0, -10.0], 80.0, 110.0),
        ([50.0, 20.0], 80.0, 80.0),
        ([50.0, 20.0], 0.0, 0.0),
        ([-0.5], 0.0, 0.5),
        ([], 4.0, 4.0),
    ],
)
def test_the_most_that_burning_saves(prices, curtailment, reward):
    assert largest_reward(np.array(prices), curtailment) == pytest.approx(reward)


def test_feed_in_is_capped_in_per_unit_at_a_share_of_the_schedule():
    pv = np.array([[0.04, 0.03], [0.0, 0.05]])
    schedule = Schedule(0, np.ones(2), np.zeros(2), np.zeros(2), pv_p_mw=pv, pv_q_mvar=0.0 * pv)
    cap = feed_in_cap(0.1, schedule, np.array([0.5, np.inf]))
    np.testing.assert_allclose(cap.upper["pv_p"], [0.2, np.inf, 0.0, np.inf])


@dataclass
class Chain:
    """Buses 0 - 1 - 2 - 3 of which 1 is unloaded and merged; limits 0.95 and 1.05 p.u.

    Planned flows and what AC says of all buses and branches, two steps, at first within the limits.
    Bounds are of the reduced network: buses 0, 2, 3 and branches 0-2, 2-3.
    """

    reduction: object
    flows: FlowState
    high: np.ndarray
    low: np.ndarray
    loading: np.ndarray

    def amendment(self):
        excess = Excess(self.high, self.low, self.loading)
        return tightened_limits(self.reduction, self.flows, excess)

    def limits(self, name, side):
        values = getattr(self.amendment(), side)[name].reshape(-1, 2)
        return np.sqrt(values) if side == "upper" else np.sqrt(np.maximum(values, 0.0))


@pytest.fixture
def chain(radial_net):
    net = radial_net([0, 1, 2], [0, 0, 5, 5], [0, 0, 1, 1])
    net.bus["min_vm_pu"], net.bus["max_vm_pu"] = 0.95, 1.05
    full = radial_network(net, "chain")
    reduction = reduce_network(full, [2, 3])
    assert reduction.network.bus_index == (0, 2, 3)
    np.testing.assert_array_equal(reduction.branch_of, [0, 0, 1])
    planned = np.array([[1.0, 1.0], [1.01, 1.01], [1.02, 1.02], [1.04, 1.04]])
    current = np.array([[2.0, 2.0], [2.0, 2.0], [1.0, 1.0]])
    nothing = np.zeros((3, 2))
    flows = FlowState(nothing, nothing, current**2, planned**2)
    # AC differs from the plan, but violates nothing
    ac = np.array([[1.0, 1.0], [1.01, 1.01], [1.045, 1.045], [1.05, 1.05]])
    return Chain(reduction, flows, ac.copy(), ac.copy(), np.full((3, 2), 0.8))


def test_nothing_is_tightened_where_ac_is_within_the_limits(chain):
    chain.high[3] += 0.4 * tolerances.AC_LIMIT_PU  # less than what is ever judged a violation
    chain.loading[2] = np.nan  # no rating
    amendment = chain.amendment()
    for bounds, none in ((amendment.upper, np.inf), (amendment.lower, -np.inf)):
        for values in bounds.values():
            assert np.all(values == none)


def test_a_ceiling_moves_by_ac_less_plan_at_the_violating_step_only(chain):
    chain.high[2:, 0] = 1.06, 1.07  # at step 0; by 0.01 and 0.02 above the limit
    upper = chain.limits("v", "upper")
    # 1.05 - (1.06 - 1.02), 1.05 - (1.07 - 1.04), each with the margin; the head is given
    np.testing.assert_allclose(upper[:, 0], [np.inf, 1.01 - MARGIN, 1.02 - MARGIN])
    assert np.all(np.isinf(upper[:, 1]))
    assert np.all(np.isinf(chain.amendment().lower["v"]))
    assert np.all(np.isinf(chain.amendment().upper["current2"]))


def test_a_bus_below_its_plan_gets_the_margin_only(chain):
    chain.high[2:, 1] = 1.0, 1.07
    upper = chain.limits("v", "upper")
    np.testing.assert_allclose(upper[:, 1], [np.inf, 1.05 - MARGIN, 1.02 - MARGIN])


def test_a_merged_bus_tightens_its_neighbours_by_what_it_exceeds_them(chain):
    chain.high[1:, 0] = 1.08, 1.06, 1.07  # the merged one 0.01 more than the worst other
    upper = chain.limits("v", "upper")
    np.testing.assert_allclose(upper[:, 0], [np.inf, 1.0 - MARGIN, 1.01 - MARGIN])


def test_a_merged_bus_alone_above_the_limit_is_seen(chain):
    chain.high[1, 0] = 1.06  # the worst other is at its limit of 1.05
    upper = chain.limits("v", "upper")
    np.testing.assert_allclose(
        upper[:, 0], [np.inf, 1.05 - (0.025 + 0.01 + MARGIN), 1.05 - (0.01 + 0.01 + MARGIN)]
    )


def test_a_floor_moves_up(chain):
    chain.flows.v[1:, 1] = np.array([0.98, 0.97, 0.96]) ** 2
    chain.low[1:, 1] = 0.96, 0.94, 0.93
    lower = chain.limits("v", "lower")
    # 0.95 + (0.97 - 0.94), 0.95 + (0.96 - 0.93)
    np.testing.assert_allclose(lower[1:, 1], [0.98 + MARGIN, 0.98 + MARGIN])
    assert np.all(np.isneginf(chain.amendment().lower["v"].reshape(-1, 2)[:, 0]))
    assert np.isneginf(chain.amendment().lower["v"].reshape(-1, 2)[0, 1])
    assert np.all(np.isinf(chain.amendment().upper["v"]))


def test_the_voltage_at_the_head_is_given(chain):
    chain.high[0], chain.low[0] = 1.2, 0.8
    amendment = chain.amendment()
    assert np.all(np.isinf(amendment.upper["v"]))
    assert np.all(np.isneginf(amendment.lower["v"]))


def test_a_ceiling_never_turns_negative(chain):
    chain.high[2:, 0] = 3.0, 3.0
    assert chain.limits("v", "upper")[1, 0] == 0.0


def test_a_current_limit_moves_by_the_share_in_which_ac_exceeds_it(chain):
    chain.loading[:, 0] = 1.1, 1.25, 0.9  # two lines of one merged branch: the worse counts
    current = chain.limits("current2", "upper")
    # planned 2 p.u.; AC would be at the limit with 1.25 times less
    assert current[0, 0] == pytest.approx(2.0 / (1.25 + MARGIN))
    assert np.isinf(current[1, 0])
    assert np.all(np.isinf(current[:, 1]))


def test_both_views_of_a_certificate_count():
    phases = np.array([[[1.0], [1.07]], [[1.0], [0.97]], [[1.0], [np.nan]]])
    seen = SimpleNamespace(
        vm_pu=np.array([[1.0], [1.02]]), loading=np.array([[0.5]]), phases=None
    )  # fmt: skip
    balanced = Excess.of(seen)
    np.testing.assert_array_equal(balanced.high_pu, balanced.low_pu)
    seen.phases = SimpleNamespace(vm_pu=phases[:2], loading=np.array([[0.7]]))
    both = Excess.of(seen)
    np.testing.assert_array_equal(both.high_pu[:, 0], [1.0, 1.07])
    np.testing.assert_array_equal(both.low_pu[:, 0], [1.0, 0.97])
    seen.phases = SimpleNamespace(
        vm_pu=phases, loading=np.array([[0.7]])
    )  # a power flow that diverged hides nothing
    np.testing.assert_array_equal(Excess.of(seen).high_pu[:, 0], [1.0, 1.02])


@pytest.fixture(scope="module")
def burning(radial_net, with_devices, build_feeder, lone_feeder):
    """`burning(amend)`: share of the load that a feeder burns at -30 EUR/MWh, curtailment at 80."""
    net = with_devices(radial_net([0, 1, 2], [0, 4, 4, 4], [0, 1, 1, 1]), pv=[(2, 0.02), (3, 0.02)])
    net.bus["min_vm_pu"], net.bus["max_vm_pu"] = 0.9, 1.1
    horizon = Horizon((15, 15), 15)
    feeder = build_feeder(
        net, horizon=horizon, pv=0.9, import_price=20.0, export_price=-30.0,
        options=ActiveNetworkOptions(curtailment_eur_per_mwh=80.0),
    )  # fmt: skip
    operator = lone_feeder(FeederAgent(feeder, horizon, ActiveNetworkLibrary(), {}))
    agent = operator.agent

    def decide(amend):
        instance = agent.prepare(0, Measurement(1.0, 0, battery_e_mwh=np.zeros(0)), {})
        instance = replace(instance, amendment=amend(agent))
        point = operator.group.decide({feeder.name: instance}).points[feeder.name]
        certificate = agent.plan(instance, point, np.zeros(2)).certificate
        return certificate, agent.flows(point)

    return decide


def test_a_loss_price_above_the_reward_closes_the_cones_and_one_below_does_not(burning):
    def priced(share):
        reward = largest_reward(np.array([20.0, -30.0]), 80.0)
        return burning(lambda a: loss_price(a.reduction.network, a.horizon.dt_h, share * reward))[0]

    assert burning(lambda _: None)[0].fictitious_loss_share.min() > 1.0
    assert priced(0.2).fictitious_loss_share.min() > 1.0
    closed = priced(1.0)
    assert closed.verdict == ("exact", "exact")
    assert closed.fictitious_loss_share.max() < tolerances.EXACT_LOSS_SHARE


def test_the_convex_concave_procedure_closes_the_cones_in_a_few_steps(burning):
    certificate, flows = burning(lambda _: None)
    shares = [certificate.fictitious_loss_share.max()]
    for attempt in range(tolerances.RECOVERY_DECISIONS):
        price = tolerances.GAP_PRICE * tolerances.GAP_PRICE_GROWTH**attempt
        at = flows
        certificate, flows = burning(
            lambda a, at=at, price=price: convex_concave(
                a.reduction.network, a.horizon.dt_h, at, price
            )
        )
        shares.append(certificate.fictitious_loss_share.max())
    assert shares[0] > 1.0
    assert certificate.verdict == ("exact", "exact")
    assert shares[-1] < tolerances.EXACT_LOSS_SHARE
