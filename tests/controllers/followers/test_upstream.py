"""Followers: what the grids below pay, prices, range of the cost, plans and refusals."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandapower as pp
import pytest
from support.records import grid_series

from stackelgrid.controllers.devices.devices import read_devices
from stackelgrid.controllers.errors import SolverError
from stackelgrid.controllers.followers.mv_operator import MvOperator
from stackelgrid.controllers.followers.tso import TsoAgent
from stackelgrid.controllers.networks.meshed import meshed_network
from stackelgrid.controllers.schedule import BoundaryProfile, Measurement
from stackelgrid.controllers.solvers.backends.highs_qp import QuadraticSolver
from stackelgrid.controllers.system import Transmission
from stackelgrid.profiles.forecast import PerfectForecast
from stackelgrid.profiles.time_axis import Horizon

HORIZON = Horizon((15, 15, 60), 15)
HEAD = Measurement(1.02, 0, battery_e_mwh=np.array([0.1]))


def make_tso(net, children, load=0.9, **arguments):
    devices = read_devices(net, "tn", slack_is_unit=True)
    factor, nothing = np.resize(load, 24), np.zeros(24)
    series = grid_series(
        np.outer(factor, devices.loads.p_mw), np.outer(factor, devices.loads.q_mvar),
        np.zeros((24, 0)), nothing, nothing,
    )  # fmt: skip
    network = meshed_network(net, "tn")
    grid = Transmission("tn", net, network, devices, PerfectForecast(series, HORIZON))
    return TsoAgent(grid, HORIZON, children, **arguments)


def congest(net):
    net.line.loc[9, "max_i_ka"] *= 0.7
    net.line.loc[28, "max_i_ka"] *= 0.65
    return net


def shift(net):
    bus = pp.create_bus(net, vn_kv=135.0)
    pp.create_load(net, bus, p_mw=12.0)
    for k, degree in enumerate((0.0, 4.0)):
        pp.create_transformer_from_parameters(
            net, 5 + k, bus, sn_mva=30.0, vn_hv_kv=135.0, vn_lv_kv=135.0, vk_percent=8.0,
            vkr_percent=0.2, pfe_kw=0.0, i0_percent=0.0, shift_degree=degree,
            max_loading_percent=100.0,
        )  # fmt: skip
    pp.create_shunt(net, 3, q_mvar=0.0, p_mw=2.5)
    return net


@pytest.fixture
def mv_agent(load_case, build_feeder, with_devices):
    def make(curtailment=0.0, **arguments):
        net = load_case("case33bw")
        net.line["max_i_ka"] = 0.25
        net.line.loc[16, "max_i_ka"] = 0.02  # to the photovoltaics
        net.bus[["min_vm_pu", "max_vm_pu"]] = (0.95, 1.025)
        with_devices(net, pv=[(17, 2.0)], batteries=[(9, 0.1, 0.2)])
        unit = pp.create_sgen(
            net, 15, p_mw=0.0, min_p_mw=0.0, max_p_mw=0.8, type="unit", controllable=True
        )
        pp.create_poly_cost(net, unit, "sgen", cp1_eur_per_mw=88.0, cp2_eur_per_mw2=12.0)
        arguments = {
            "horizon": HORIZON, "load": [0.9, 0.5, 0.3], "pv": [0.1, 0.6, 1.0],
            "import_price": 100.0, "export_price": 60.0, **arguments,
        }  # fmt: skip
        feeder = build_feeder(net, "mv", **arguments)
        return MvOperator(feeder, HORIZON, {"lv1": 23, "lv2": 16})

    return make


@pytest.fixture(params=["congested", "shifted", "ramped", "lindistflow"])
def follower(request, load_case, mv_agent):
    """An agent, its parameters without exchange, and exchanges."""
    if request.param == "lindistflow":
        agent = mv_agent()
        p = agent.with_reactive(agent.parameters(0, HEAD), {"lv1": np.array([0.05, 0.1, 0.0])})
        x = {"lv1": np.array([0.3, -0.1, 0.2]), "lv2": np.array([-0.2, 0.1, -0.05])}
        return agent, p, x
    children = {"mv1": 20, "mv2": 29}
    net = congest(load_case("case30"))
    if request.param == "shifted":
        agent = make_tso(shift(net), children)
    elif request.param == "congested":
        agent = make_tso(net, children)
    else:
        before = np.array([25.0, 30.0, 20.0, 25.0, 15.0, 15.0])
        ramp = np.array([40.0, 40.0, np.inf, 30.0, 20.0, 20.0])
        agent = make_tso(
            net, children, np.repeat([0.65, 0.8, 0.95], [1, 1, 22]),
            ramp_mw_per_h=ramp, unit_p_before_mw=before,
        )  # fmt: skip
    x = {"mv1": np.array([3.0, -4.0, 5.0]), "mv2": np.array([1.0, 0.5, -2.0])}
    return agent, agent.parameters(0), x


def test_the_payment_needs_no_product_of_price_and_exchange(follower):
    agent, p_zero, x = follower
    solution = agent.solve(agent.with_exchange(p_zero, x))
    assert solution.status == "optimal"
    prices = agent.prices(solution)
    billed = sum(float(np.sum(HORIZON.dt_h * prices[n] * x[n])) for n in x)
    paid = agent.payment(solution.x, solution.dual, p_zero)
    assert paid == pytest.approx(billed, rel=1e-6, abs=1e-8 * abs(solution.objective))
    # the constraints are felt: prices differ between the children, ramps and limits have duals
    first, second = prices.values()
    assert np.abs(first - second).max() > 0.05
    for name in ("ramp_up", "line_limit"):
        if name in agent.compiled.rows:
            assert solution.dual[agent.compiled.rows[name]].max() > 1e-3


def test_piecewise_linear_costs_are_paid_and_priced_alike(load_case):
    """Payment by the duals of the cost's lines, and prices as derivatives of the cost."""
    net = congest(load_case("case30"))
    for cost in net.poly_cost.itertuples():
        c1, c2 = cost.cp1_eur_per_mw, cost.cp2_eur_per_mw2
        ends = np.linspace(0.0, 80.0, 5)
        points = [[a, b, c1 + c2 * (a + b)] for a, b in pairwise(ends)]
        pp.create_pwl_cost(net, cost.element, cost.et, points, check=False)
    net.poly_cost = net.poly_cost.drop(net.poly_cost.index)
    agent = make_tso(net, {"mv1": 20, "mv2": 29}, load=0.93)
    x = {"mv1": np.array([3.0, -4.0, 5.0]), "mv2": np.array([1.0, 0.5, -2.0])}
    p_zero = agent.parameters(0)
    solution = agent.solve(agent.with_exchange(p_zero, x))
    assert solution.status == "optimal"
    assert solution.dual[agent.compiled.rows["cost_line"]].max() > 0.1
    prices = agent.prices(solution)
    billed = sum(float(np.sum(HORIZON.dt_h * prices[n] * x[n])) for n in x)
    assert agent.payment(solution.x, solution.dual, p_zero) == pytest.approx(billed, rel=1e-5)
    for name in x:
        cost = []
        for sign in (1.0, -1.0):
            moved = {n: v.copy() for n, v in x.items()}
            moved[name][1] += sign * 1e-2
            cost.append(agent.solve(agent.with_exchange(p_zero, moved)).objective)
        slope = (cost[0] - cost[1]) / (2e-2 * HORIZON.dt_h[1])
        assert prices[name][1] == pytest.approx(slope, rel=1e-4)


def test_prices_are_derivatives_of_the_cost(follower):
    agent, p_zero, x = follower
    prices = agent.prices(agent.solve(agent.with_exchange(p_zero, x)))
    step = 2e-3 if isinstance(agent, MvOperator) else 0.05
    for name in x:
        for t in range(3):
            cost = []
            for sign in (1.0, -1.0):
                moved = {n: v.copy() for n, v in x.items()}
                moved[name][t] += sign * step
                cost.append(agent.solve(agent.with_exchange(p_zero, moved)).objective)
            slope = (cost[0] - cost[1]) / (2.0 * step * HORIZON.dt_h[t])
            assert prices[name][t] == pytest.approx(slope, rel=1e-4), (name, t)


def test_the_range_of_the_cost(follower):
    agent, p_zero, x = follower
    p = agent.with_exchange(p_zero, x)
    least = agent.solve(p)
    program, data = agent.compiled.program, agent.compiled.program.data(p)
    again = QuadraticSolver(program).solve(data)
    assert (again.status, again.objective) == (
        "optimal", pytest.approx(least.objective, rel=1e-7),
    )  # fmt: skip
    most = agent.largest_cost(p)
    assert most.status == "optimal"
    assert most.gap <= 1e-6
    assert most.value > least.objective
    assert program.violation(most.x, data.b)[0] < 1e-8
    assert program.objective(most.x, data) == pytest.approx(most.value, rel=1e-9)
    for pair in agent.exclusive():
        assert min(most.x[pair.first], most.x[pair.second]) == pytest.approx(0.0, abs=1e-9)


def test_a_held_dispatch_keeps_its_prices(mv_agent):
    agent, x = mv_agent(), BoundaryProfile(np.array([0.3, -0.1, 0.2]), np.zeros(3))
    measured = replace(HEAD, devices=agent.grid.devices.initial)
    good = agent.decide(0, {"lv1": x, "lv2": x}, measured)
    assert good.report.fallback == ""
    too_much = {"lv1": BoundaryProfile(np.full(3, 90.0), np.zeros(3)), "lv2": x}
    bad = agent.decide(1, too_much, measured)
    assert bad.report.fallback != ""
    price = good.schedule.price_eur_per_mwh
    np.testing.assert_array_equal(bad.schedule.price_eur_per_mwh[:, 0], price[:, 1])
    assert mv_agent().decide(0, too_much, measured).schedule.price_eur_per_mwh is None


def test_exchanges_enter_at_the_childs_bus(load_case):
    agent = make_tso(load_case("case30"), {"mv1": 7})
    p = agent.parameters(0)
    at, per_mw = agent.exchange("mv1")
    changed = agent.with_exchange(p, {"mv1": np.array([1.0, 2.0, 3.0])})
    np.testing.assert_allclose((changed - p)[at] / per_mw, [1.0, 2.0, 3.0], rtol=1e-12)
    assert np.count_nonzero(changed - p) == 3
    assert agent.compiled.parameters["load_p"].reshape(-1, 3)[7].tolist() == at.tolist()
    with pytest.raises(SolverError, match="no grid mv9 below; accepted are mv1"):
        agent.with_exchange(p, {"mv9": np.zeros(3)})
    with pytest.raises(SolverError, match="exchange of mv1 has shape"):
        agent.with_exchange(p, {"mv1": np.zeros(2)})


def test_ramps_start_from_the_last_dispatch(load_case):
    with pytest.raises(SolverError, match="ramps need the output before the first decision"):
        make_tso(load_case("case30"), {}, ramp_mw_per_h=np.full(6, 20.0))
    before = np.array([40.0, 55.0, 22.0, 30.0, 15.0, 15.0])
    ramp = np.full(6, 60.0)
    agent = make_tso(load_case("case30"), {}, ramp_mw_per_h=ramp, unit_p_before_mw=before)
    first = agent.decide(0, {})
    assert first.report.fallback == ""
    at = agent.compiled.parameters["unit_p_before"]
    np.testing.assert_allclose(100.0 * agent.parameters(1)[at], first.schedule.unit_p_mw[:, 0])
    second = agent.decide(1, {})
    change = second.set_points.unit_p_mw - first.set_points.unit_p_mw
    assert np.abs(change).max() <= 60.0 * 0.125 + 1e-5


def test_the_plan_of_the_feeder(mv_agent):
    agent = mv_agent()
    measured = Measurement(1.02, 0, battery_e_mwh=np.array([0.07]))
    lower = {n: BoundaryProfile(np.full(3, 0.1), np.full(3, 0.02)) for n in agent.children}
    plan = agent.decide(0, lower, measured)
    schedule, network = plan.schedule, agent.grid.network
    assert plan.report.fallback == ""
    own = HORIZON.average(np.resize([0.9, 0.5, 0.3], 24), 0)
    supply = schedule.p_import_mw + schedule.unit_p_mw.sum(axis=0) + schedule.pv_p_mw.sum(axis=0)
    np.testing.assert_allclose(supply, 3.715 * own + 0.2, atol=1e-5)
    np.testing.assert_allclose(schedule.q_import_mvar, 2.3 * own + 0.04, atol=1e-5)
    np.testing.assert_array_equal(schedule.battery_p_mw, np.zeros((1, 3)))
    np.testing.assert_array_equal(schedule.battery_e_mwh, np.full((1, 3), 0.07))
    assert schedule.price_eur_per_mwh.shape == (network.buses, 3)
    p = agent.with_boundaries(agent.parameters(0, measured), lower)
    prices = agent.prices(agent.solve(p))
    for name, bus in agent.children.items():  # rows follow the net's buses
        np.testing.assert_allclose(
            schedule.price_eur_per_mwh[list(agent.grid.net.bus.index).index(bus)],
            prices[name], rtol=1e-6,
        )  # fmt: skip


def test_a_feeder_without_a_solution_holds(mv_agent):
    agent = mv_agent(load=[0.5] * 4 + [9.0] * 20)
    measured = Measurement(1.0, 0, battery_e_mwh=np.array([0.1]))
    lower = {n: BoundaryProfile(np.zeros(3), np.zeros(3)) for n in agent.children}
    with pytest.raises(SolverError, match="needs a measured voltage"):
        agent.decide(0, lower)
    with pytest.raises(SolverError, match="no grid lv9 below; accepted are lv1, lv2"):
        agent.with_reactive(agent.parameters(0, measured), {"lv9": np.zeros(3)})
    plan = agent.decide(0, lower, measured)
    assert plan.report.fallback.startswith("clarabel returned infeasible")
    np.testing.assert_array_equal(plan.schedule.unit_p_mw, np.zeros((1, 3)))
    available = agent.grid.forecast.at(0).pv_available_mw.T
    np.testing.assert_array_equal(plan.schedule.pv_p_mw, available)
    assert plan.schedule.price_eur_per_mwh is None
