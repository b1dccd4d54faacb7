"""Feeders that decide together: trade across, roles, snapping, gaps, a member without solution."""

from dataclasses import replace

import numpy as np
import pandapower as pp
import pytest

from stackelgrid.controllers.certification.recovery import loss_price
from stackelgrid.controllers.leaders.feeder_agent import FeederAgent
from stackelgrid.controllers.leaders.feeder_schedule import middle_price
from stackelgrid.controllers.leaders.leader_group import LeaderGroup
from stackelgrid.controllers.models.active_network import (
    ActiveNetworkLibrary,
    ActiveNetworkOptions,
)
from stackelgrid.controllers.models.p2p import TradeOptions
from stackelgrid.controllers.schedule import Measurement
from stackelgrid.controllers.solvers import ClarabelSolver
from stackelgrid.controllers.solvers.compile.join import parameter_values
from stackelgrid.controllers.solvers.conic import parameter_vector
from stackelgrid.controllers.solvers.mixed_integer.incumbent import MixedOptions
from stackelgrid.profiles.time_axis import Horizon

MARGIN, INSIDE = 15.0, 8.0
HOUR = Horizon((60,), 60)
HORIZON = Horizon((15, 15, 60, 60), 15)
SUN = np.array([0.3, 0.8, 1.0, 1.0, 0.6, 0.2])
PRICE = np.array([100.0, 250.0, 90.0, 90.0, 300.0, 300.0])


def trading(fee_across=16.0):
    trade = TradeOptions(MARGIN, INSIDE, fee_across or 0.0, fee_across is not None)
    return ActiveNetworkOptions(1.0, trade=trade)


@pytest.fixture
def make_group(build_feeder):
    """`make_group({name: (net, arguments)}, horizon, gap)`: a group below one parent."""

    def make(nets, horizon=HOUR, gap=1e-6):
        library = ActiveNetworkLibrary()
        agents = {}
        for name, (net, arguments) in nets.items():
            arguments = {"options": trading(), "parent": "tn", "bus": 1, **arguments}
            feeder = build_feeder(net, name, horizon, **arguments)
            agents[name] = FeederAgent(feeder, horizon, library, {})
        return LeaderGroup(agents, MixedOptions(gap=gap))

    return make


def instances_of(group, interval=0, vm_pu=1.0):
    return {
        n: a.prepare(
            interval,
            Measurement(vm_pu, 0, a.feeder.devices.initial),
            {},
        )
        for n, a in group.agents.items()
    }


def decide(group, interval=0, vm_pu=1.0):
    """Plans of all feeders; trade across is settled at the mean of their middle prices."""
    instances = instances_of(group, interval, vm_pu)
    found = group.decide(instances)
    price = np.mean([middle_price(i.forecast) for i in instances.values()], axis=0)
    return {n: group.agents[n].plan(instances[n], x, price) for n, x in found.points.items()}


def relaxation_of(group, interval=0):
    """Columns of the relaxed optimum and its value."""
    values = {}
    if "link.across_clearing" in group.compiled.parameters:
        values["link.across_clearing"] = 0.0
    for name, instance in instances_of(group, interval).items():
        values |= parameter_values(name, instance.values)
    program = group.compiled.program
    data = program.data(parameter_vector(group.compiled.parameters, values))
    return ClarabelSolver(program).solve(data)


def across(plans, name, side):
    return getattr(plans[name].schedule.trade, f"across_{side}_mw")


@pytest.fixture
def maker(radial_net, with_devices):
    """A prosumer with 1 kW of load below 10 kW of PV, on a stiff line."""
    net = radial_net([0], [0, 1.0], [0] * 2, length_km=0.0001)
    return with_devices(net, pv=[(1, 0.01, 0.02)])


@pytest.fixture
def taker(radial_net, with_devices):
    """A prosumer with 6 kW of load."""
    net = radial_net([0], [0, 6.0], [0] * 2, length_km=0.0001)
    return with_devices(net, pv=[(1, 0.01, 0.02)])


@pytest.mark.parametrize(("fee", "trades"), [(16.0, True), (79.0, True), (81.0, False)])
def test_trade_across_pays_below_both_margins_and_the_spread(make_group, maker, taker, fee, trades):
    # import 100, export 50: 2 x 15 + 50 = 80; 2 sellers of 9 kW and 4 buyers of 6 kW
    group = make_group({
        "maker": (maker, {"pv": 1.0, "multiplicity": 2, "options": trading(fee)}),
        "taker": (taker, {"pv": 0.0, "multiplicity": 4, "options": trading(fee)}),
    })  # fmt: skip
    plans = decide(group)
    sold, bought = (9.0, 4.5) if trades else (0.0, 0.0)
    assert 1e3 * across(plans, "maker", "sell")[0, 0] == pytest.approx(sold, abs=2e-3)
    assert 1e3 * across(plans, "taker", "buy")[0, 0] == pytest.approx(bought, abs=2e-3)
    assert 1e3 * across(plans, "maker", "buy")[0, 0] == pytest.approx(0.0, abs=2e-3)
    # the power flows where it flows; what has been traded is not billed
    assert plans["maker"].schedule.p_import_mw[0] == pytest.approx(-0.009, abs=1e-6)
    assert plans["taker"].schedule.p_import_mw[0] == pytest.approx(0.006, abs=1e-6)
    seller = (MARGIN - 50.0) * (9.0 - sold) / 1e3
    buyer = ((100.0 + MARGIN) * (6.0 - bought) + fee * bought) / 1e3
    assert plans["maker"].report.objective_eur == pytest.approx(seller, abs=2e-4)
    assert plans["taker"].report.objective_eur == pytest.approx(buyer, abs=2e-4)
    total = 2.0 * seller + 4.0 * buyer
    assert relaxation_of(group).objective == pytest.approx(total, abs=1e-3)


def test_a_group_without_a_fee_across_is_solved_side_by_side(make_group, maker, taker):
    group = make_group({
        "maker": (maker, {"pv": 1.0, "options": trading(None)}),
        "taker": (taker, {"pv": 0.0}),
    })  # fmt: skip
    plans = decide(group)
    for name in group.names:
        np.testing.assert_allclose(across(plans, name, "buy"), 0.0, atol=1e-8)
        np.testing.assert_allclose(across(plans, name, "sell"), 0.0, atol=1e-8)


@pytest.fixture
def wash(radial_net, with_devices):
    """A feeder that exports 9 kW of a plant; beside it a prosumer with 2 kW of load and of PV."""
    net = radial_net([0, 1], [0, 2.0, 0], [0] * 3, length_km=0.0001)
    pp.create_sgen(net, 2, p_mw=0.009, q_mvar=0.0, type="CHP")
    return with_devices(net, pv=[(1, 0.002, 0.004)])


def test_nobody_buys_and_sells_at_once_though_the_relaxation_would(make_group, wash, taker):
    # passing energy from the grid of the exporting feeder (50 + 15) across (10) to the importing
    # one (100 + 15) earns 40 EUR/MWh, but whoever passes it on would be buyer and seller
    group = make_group({
        "wash": (wash, {"pv": 1.0, "options": trading(10.0)}),
        "taker": (taker, {"pv": 0.0, "options": trading(10.0)}),
    })  # fmt: skip
    relaxed = relaxation_of(group)
    columns = group.compiled.columns
    base = group.agents["wash"].feeder.network.base_mva
    passed = base * min(
        relaxed.x[columns["wash.grid_buy"]][0], relaxed.x[columns["wash.across_sell"]][0]
    )
    assert passed > 0.5e-3
    plans = decide(group)
    objective = sum(plan.report.objective_eur for plan in plans.values())
    assert objective > relaxed.objective + 0.02
    for plan in plans.values():
        trade = plan.schedule.trade
        bought = trade.grid_buy_mw + trade.inside_buy_mw + trade.across_buy_mw
        sold = trade.grid_sell_mw + trade.inside_sell_mw + trade.across_sell_mw
        assert np.minimum(bought, sold).max() < 1e-8
        assert plan.report.gap <= 1e-6
    # it neither has nor needs anything: 9 kW exported, 6 kW imported
    expected = (-50.0 * 9.0 + 115.0 * 6.0) / 1e3
    assert objective == pytest.approx(expected, abs=1e-3)


@pytest.fixture
def street(radial_net, with_devices):
    """`street(pv_mw, ...)`: four homes with PV on two of them and a battery."""

    def make(pv_mw=0.01, band=(0.85, 1.1), length_km=0.05, load_kw=2.0):
        net = radial_net(
            [0, 1, 1, 3], [0, *[load_kw] * 3, 3.0], [0, 0.5, 0.5, 0.5, 1], length_km=length_km
        )
        net.bus[["min_vm_pu", "max_vm_pu"]] = band
        return with_devices(
            net,
            pv=[(2, pv_mw, 1.1 * pv_mw), (4, 0.002, 0.0022)],
            batteries=[(4, 0.004, 0.01, 50.0, 0.95, 5.0)],
        )

    return make


def series(**arguments):
    return {"pv": SUN, "import_price": PRICE, "export_price": PRICE - 60.0, **arguments}


def test_trades_clear_inside_and_across_with_multiplicity(make_group, street):
    group = make_group({
        "a": (street(0.03), series(multiplicity=2)),
        "b": (street(0.002), series(multiplicity=3)),
        "c": (street(0.008, load_kw=4.0), series(multiplicity=5)),
    }, HORIZON)  # fmt: skip
    plans = decide(group)
    copies = {"a": 2.0, "b": 3.0, "c": 5.0}
    net = sum(
        copies[n] * (across(plans, n, "buy") - across(plans, n, "sell")).sum(axis=0)
        for n in group.names
    )
    np.testing.assert_allclose(net, 0.0, rtol=0, atol=1e-6)
    assert across(plans, "a", "sell").sum() > 1e-3
    for name, plan in plans.items():
        trade = plan.schedule.trade
        inside = trade.inside_buy_mw.sum(axis=0) - trade.inside_sell_mw.sum(axis=0)
        np.testing.assert_allclose(inside, 0.0, rtol=0, atol=1e-6)
        bought = trade.grid_buy_mw + trade.inside_buy_mw + trade.across_buy_mw
        sold = trade.grid_sell_mw + trade.inside_sell_mw + trade.across_sell_mw
        schedule, agent = plan.schedule, group.agents[name]
        surplus = schedule.pv_p_mw.copy()
        surplus[1] -= schedule.battery_p_mw[0]
        loads = agent.feeder.forecast.at(0).load_p_mw.T
        surplus -= loads[[1, 3]]  # buses 2 and 4
        np.testing.assert_allclose(surplus, sold - bought, rtol=0, atol=1e-6)
        assert np.minimum(bought, sold).max() < 1e-6
        both = np.minimum(schedule.charge_mw, schedule.discharge_mw)
        assert both.max() < 1e-6
        # prices by the stated rule: midway, and across the mean of it
        forecast = agent.feeder.forecast.at(0)
        middle = (forecast.import_eur_per_mwh + forecast.export_eur_per_mwh) / 2
        np.testing.assert_allclose(trade.inside_price_eur_per_mwh, middle)
        np.testing.assert_allclose(trade.across_price_eur_per_mwh, middle)
        assert plan.verdict.verdict == "exact"


def test_the_price_across_is_the_mean_over_the_feeders(make_group, maker, taker):
    group = make_group({
        "maker": (maker, {"pv": 1.0, "multiplicity": 9}),
        "taker": (taker, {"pv": 0.0, "import_price": 200.0, "export_price": 60.0}),
    })  # fmt: skip
    for plan in decide(group).values():
        np.testing.assert_allclose(plan.schedule.trade.across_price_eur_per_mwh, (75 + 130) / 2)


def test_a_snapped_relaxed_point_needs_one_conic_solve(make_group, street):
    # a spread of 10 below the fee of 16: passing energy on is no temptation
    narrow = series(export_price=PRICE - 10.0)
    group = make_group({"a": (street(0.03), narrow), "b": (street(0.002), narrow)}, HORIZON, 1e-3)
    plans = decide(group)
    relaxed = relaxation_of(group)
    columns = group.compiled.columns
    both = np.minimum(relaxed.x[columns["a.charge"]], relaxed.x[columns["a.discharge"]])
    assert both.max() < 1e-5  # nothing to decide here
    assert across(plans, "a", "sell").sum() > 1e-3
    for plan in plans.values():
        assert plan.report.conic_solves == 1
        assert (plan.report.nodes, plan.report.status) == (0, "optimal")
        assert plan.report.fallback == ""


def test_gaps_are_recorded_in_euros_and_of_the_flexible_cost(make_group, wash, taker):
    group = make_group({
        "wash": (wash, {"pv": 1.0, "multiplicity": 2, "options": trading(10.0)}),
        "taker": (taker, {"pv": 0.0, "multiplicity": 3, "options": trading(10.0)}),
    }, gap=0.5)  # fmt: skip
    plans = decide(group)
    total = sum(n * plans[k].report.objective_eur for k, n in (("wash", 2.0), ("taker", 3.0)))
    bound = relaxation_of(group).objective
    load = 2.0 * 100.0 * (2.0 - 9.0) / 1e3 + 3.0 * 100.0 * 6.0 / 1e3
    for plan in plans.values():  # of the group, at a gap that needs no branching
        report = plan.report
        assert report.gap_eur == pytest.approx(total - bound, rel=1e-4, abs=1e-5)
        assert report.gap_eur > 0.01
        assert report.gap == pytest.approx(report.gap_eur / max(1.0, abs(total)), rel=1e-6)
        assert report.flexible_gap == pytest.approx(report.gap_eur / abs(total - load), rel=1e-4)


def test_a_member_without_solution_does_not_take_the_others_along(make_group, street):
    nets = {
        "a": (street(0.03), series(multiplicity=2)),
        "out": (street(0.01, band=(1.09, 1.1)), series()),
        "b": (street(0.002), series()),
    }
    group = make_group(nets, HORIZON)
    plans = decide(group)
    assert set(plans) == set(nets)
    report = plans["out"].report
    assert report.fallback.startswith("its group had no solution (infeasible), alone: ")
    assert report.fallback.endswith("misocp returned infeasible (PrimalInfeasible)")
    assert plans["out"].schedule.flows is None
    for name in ("a", "b"):
        plan = plans[name]
        assert plan.report.fallback == ""
        assert plan.verdict.verdict == "exact"
        # alone nobody is there to trade with
        for side in ("buy", "sell"):
            np.testing.assert_allclose(across(plans, name, side).sum(axis=0), 0.0, atol=1e-7)
        lone = decide(make_group({name: nets[name]}, HORIZON))[name]
        assert plan.report.objective_eur == pytest.approx(lone.report.objective_eur, rel=1e-6)
        np.testing.assert_array_equal(plan.set_points.battery_p_mw, lone.set_points.battery_p_mw)
    # and when the voltage is back, they decide together again
    again = decide(group, 1, vm_pu=1.095)
    assert all(plan.report.fallback == "" for plan in again.values())
    assert across(again, "a", "sell").sum() > 1e-4


def test_prosumers_share_the_sums_of_their_feeder_in_proportion(make_group, street):
    group = make_group({"a": (street(0.03), series()), "b": (street(0.002), series())}, HORIZON)
    found = group.decide(instances_of(group))
    plans = decide(group)
    for name, agent in group.agents.items():
        columns, trade = agent.compiled.columns, plans[name].schedule.trade
        x, base = found.points[name].x, agent.feeder.network.base_mva

        def mw(component, x=x, base=base, columns=columns):
            return base * x[columns[component]].reshape(-1, len(HORIZON.dt_h))

        for side, inside in (("buy", trade.inside_buy_mw), ("sell", trade.inside_sell_mw)):
            grid, across = getattr(trade, f"grid_{side}_mw"), getattr(trade, f"across_{side}_mw")
            own = mw(side)
            np.testing.assert_allclose(grid + inside + across, own, rtol=0, atol=1e-9)
            for kind, sums in (
                (grid, mw(f"grid_{side}")),
                (inside, mw("inside")),
                (across, mw(f"across_{side}")),
            ):
                # what nobody of the feeder buys (sells) is an error of the solver, not a trade
                np.testing.assert_allclose(kind.sum(axis=0), sums[0], rtol=0, atol=1e-8)
                np.testing.assert_allclose(
                    kind * own.sum(axis=0), sums * own, rtol=0, atol=1e-9 * own.max()
                )
        clearing = trade.inside_buy_mw.sum(axis=0) - trade.inside_sell_mw.sum(axis=0)
        np.testing.assert_allclose(clearing, 0.0, rtol=0, atol=1e-8)


def test_snap_rules_name_every_binary_once(make_group, street):
    group = make_group({"a": (street(), series())}, HORIZON)
    agent = group.agents["a"]
    rules = agent.snap_rules()
    binaries = np.concatenate([rule.binary for rule in rules])
    assert sorted(binaries) == sorted(agent.compiled.program.integer)
    # a battery by charge and discharge, a prosumer by what it buys and sells
    columns = agent.compiled.columns
    sides = [(columns["charge"], columns["discharge"]), (columns["buy"], columns["sell"])]
    for rule, (up, down) in zip(rules, sides, strict=True):
        np.testing.assert_array_equal(np.concatenate(rule.up), up)
        np.testing.assert_array_equal(np.concatenate(rule.down), down)


QUARTERS = Horizon((15, 15, 15, 15), 15)


def three_streets(make_group, street, gap=1e-3):
    """A group in which the first street has what the others need."""
    sunny = {
        "import_price": 100.0,
        "export_price": 90.0,
        "pv": np.array([0.8, 1.0, 1.0, 0.9, 0.9, 0.8, 0.7, 0.7]),
    }
    return make_group({
        "a": (street(0.03), {**sunny, "multiplicity": 2}),
        "b": (street(0.002), {**sunny, "multiplicity": 3}),
        "c": (street(0.008, load_kw=4.0), {**sunny, "multiplicity": 5}),
    }, QUARTERS, gap)  # fmt: skip


def test_later_intervals_are_decided_street_by_street_at_known_prices(make_group, street):
    group = three_streets(make_group, street)
    for interval in range(3):
        instances = instances_of(group, interval)
        found = group.decide(instances)
        whole = three_streets(make_group, street).decide(instances)  # knows no prices
        size = max(1.0, abs(whole.objective))
        assert found.objective == pytest.approx(whole.objective, abs=1e-5 * size)
        assert whole.objective - 1.1e-5 * size <= found.bound <= whole.objective + 1e-7 * size
        for name, point in found.points.items():
            assert point.report.gap <= 1e-5
            assert point.report.objective_eur == pytest.approx(
                whole.points[name].report.objective_eur, abs=1e-3 * size
            )
        net = sum(
            group.agents[n].feeder.boundary.multiplicity
            * p.x[group.agents[n].model(p.variant).columns["across_net"]]
            for n, p in found.points.items()
        )
        np.testing.assert_allclose(net, 0.0, atol=1e-6)
        if interval:  # its own relaxation was never needed
            assert found.messages == ()
            assert {p.report.conic_solves for p in found.points.values()} <= {1, 2}


def test_a_group_goes_on_from_its_state_to_the_same_bits(make_group, street):
    group = three_streets(make_group, street)
    group.decide(instances_of(group, 0))
    state = group.state()
    later = three_streets(make_group, street)
    later.restore(state)
    for interval in (1, 2):
        instances = instances_of(group, interval)
        mine, theirs = group.decide(instances), later.decide(instances)
        assert (mine.objective, mine.bound) == (theirs.objective, theirs.bound)
        for name, point in mine.points.items():
            np.testing.assert_array_equal(point.x, theirs.points[name].x)


def test_a_solve_that_is_not_used_is_not_remembered(make_group, street):
    group, other = three_streets(make_group, street), three_streets(make_group, street)
    for interval in (0, 1):
        instances = instances_of(group, interval)
        state = group.state()
        group.solve(instances_of(group, interval, vm_pu=1.02))
        assert group.state() is not state
        assert all(group.state()[name] is value for name, value in state.items())
        mine, theirs = group.decide(instances), other.decide(instances)
        for name, point in mine.points.items():
            np.testing.assert_array_equal(point.x, theirs.points[name].x)


def test_limits_that_bound_are_expected_to_bind_again(make_group, street, monkeypatch):
    """From its state, in the whole program as in the programs of its members."""
    sunny = {"import_price": 100.0, "export_price": 90.0, "pv": np.ones(8)}
    nets = {
        "a": (street(0.2, band=(0.85, 1.01)), sunny),  # PV is curtailed at this ceiling
        "b": (street(0.002), sunny),
    }
    group, other = (make_group(nets, QUARTERS, 1e-3) for _ in range(2))
    group.decide(instances_of(group, 0))
    other.restore(group.state())
    known = []
    solve = ClarabelSolver.solve

    def solving(self, data, *more):
        assert set(data.binding) <= set(self.program.rare)
        known.append((self.program.rows, len(data.binding)))
        return solve(self, data, *more)

    monkeypatch.setattr(ClarabelSolver, "solve", solving)
    whole = other.compiled.program.rows
    other.decide(instances_of(other, 1))
    assert max(count for _, count in known) > 0
    assert {count for rows, count in known if rows < whole} != {0}
    known.clear()
    group.restore({**group.state(), "_binding": {}})
    group.decide(instances_of(group, 1))
    assert {count for _, count in known} == {0}


def test_an_amended_member_is_decided_at_the_prices_of_its_interval(make_group, street):
    group = three_streets(make_group, street)
    first = instances_of(group, 0)
    plain = group.decide(first)
    agent = group.agents["a"]
    dear = loss_price(agent.reduction.network, agent.horizon.dt_h, 40.0)
    amended = {**first, "a": replace(first["a"], amendment=dear)}
    found = group.decide(amended)
    whole = three_streets(make_group, street).decide(amended)
    size = max(1.0, abs(whole.objective))
    assert found.objective == pytest.approx(whole.objective, abs=1e-5 * size)
    assert found.objective > plain.objective + 1e-6
    # what it found is not remembered: the next decision of the interval is the first one again
    again = group.decide(first)
    assert again.objective == pytest.approx(plain.objective, abs=1e-5 * size)


def test_a_group_says_when_prices_did_not_clear(make_group, street):
    group = three_streets(make_group, street)
    first = instances_of(group, 0)
    group.decide(first)
    state = group.state()
    (kept,) = state["_known"].items()
    residue, (interval, rates) = kept
    group.restore({**state, "_known": {residue: (interval, 0.2 * rates)}})
    found = group.decide(instances_of(group, 1))
    assert found.messages == (
        "trade of a, b, c: known prices did not clear it to 1e-05; solved as one program",
    )
    whole = three_streets(make_group, street).decide(instances_of(group, 1))
    assert found.objective == pytest.approx(whole.objective, abs=1e-6)
