"""The a priori exactness condition: by hand, by enumeration, and what it implies."""

import time
from dataclasses import dataclass, replace

import cvxpy as cp
import numpy as np
import pytest

from stackelgrid.controllers.certification.a_priori import a_priori, largest_injections
from stackelgrid.controllers.devices.devices import Devices, read_devices
from stackelgrid.controllers.devices.units import Units
from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.radial import RadialNetwork, radial_network
from stackelgrid.profiles.forecast import GridForecast


def tree(parent, r, x, vm_min=0.9, vm_max=np.inf):
    """A network on 1 MVA; bus k + 1 hangs on `parent[k]` by line 10 + k."""
    branches = len(parent)
    return RadialNetwork(
        name="tree",
        base_mva=1.0,
        bus_index=tuple(range(100, 101 + branches)),
        branch_table=("line",) * branches,
        branch_index=tuple(range(10, 10 + branches)),
        branch_reversed=np.zeros(branches, dtype=bool),
        parent=np.array(parent, dtype=np.int64),
        r=np.array(r, dtype=float),
        x=np.array(x, dtype=float),
        up=np.ones(branches),
        down=np.ones(branches),
        i_max=np.full(branches, np.inf),
        vm_min=np.full(branches + 1, vm_min),
        vm_max=np.full(branches + 1, vm_max),
        shunt_g=np.zeros(branches + 1),
        shunt_b=np.zeros(branches + 1),
        head_ratio=1.0,
    )


def check(network, p_max, q_max, vm_head_pu=1.0, price=True):
    """`a_priori` for injections (n,) or (n, T) and constant head voltage and price."""
    p, q = (np.reshape(a, (network.buses, -1)).astype(float) for a in (p_max, q_max))
    steps = p.shape[1]
    return a_priori(network, p, q, np.full(steps, vm_head_pu), np.full(steps, price))


def random_tree(rng, buses, ohms=(0.005, 0.06)):
    parent = [int(rng.integers(0, k + 1)) for k in range(buses - 1)]
    return tree(parent, rng.uniform(*ohms, buses - 1), rng.uniform(*ohms, buses - 1))


def path_to_head(network, k):
    """Branches from the head to branch k."""
    path = [k]
    while network.parent[path[0]] > 0:
        path.insert(0, int(network.parent[path[0]]) - 1)
    return path


def enumerate_c1(network, p_max, q_max):
    """C1 as the paper writes it: every leaf, 1 <= s <= t; {t: (margin, cause, direction)}."""
    n = network.buses
    below = np.zeros((n - 1, n))
    for bus in range(1, n):
        below[path_to_head(network, bus - 1), bus] = 1.0
    p, q = below @ p_max, below @ q_max
    u = np.stack([network.r, network.x], axis=1)
    matrices = [
        np.eye(2)
        - 2.0 / network.vm_min[k + 1] ** 2 * np.outer(u[k], [max(p[k], 0.0), max(q[k], 0.0)])
        for k in range(n - 1)
    ]
    found = {}
    for leaf in set(range(1, n)) - set(network.parent.tolist()):
        path = path_to_head(network, leaf - 1)
        for t in range(len(path)):
            margin, cause, direction = np.inf, -1, ""
            for s in range(t, -1, -1):
                product = np.eye(2)
                for k in path[s:t]:
                    product = product @ matrices[k]
                relative = product @ u[path[t]] / u[path[t]]
                margin = min(margin, relative.min())
                if relative.min() <= 0.0 and cause < 0:
                    cause = path[s]
                    direction = "reactive" if relative[1] < relative[0] else "active"
            found[path[t]] = (margin, cause, direction)
    return found


def test_two_lines_by_hand():
    # line 11 behind line 10; A = 1 - (2 / 0.9^2) r1 P and so on for both components:
    # margin active = 1 - (2 / 0.81) r1 (P r2 + Q x2) / r2
    network = tree([0, 1], r=[0.03, 0.02], x=[0.01, 0.04])
    p, q = 2.0, 0.5  # reverse flow in line 10 = what both buses inject
    result = check(network, [0.0, 0.5, 1.5], [0.0, 0.2, 0.3])
    paid = 2.0 / 0.81 * (p * 0.02 + q * 0.04)
    active, reactive = 1.0 - paid * 0.03 / 0.02, 1.0 - paid * 0.01 / 0.04
    assert result.line_margin[:, 0] == pytest.approx([1.0, min(active, reactive)], rel=1e-12)
    assert result.margin[0] == pytest.approx(active, rel=1e-12)
    assert 0.7 < active < reactive
    assert result.holds.tolist() == [True]
    assert result.failures(0) == ()
    assert result.reason(0) == ""


def test_a_single_line_holds_whatever_it_exports():
    result = check(tree([0], r=[0.1], x=[0.1]), [0.0, 50.0], [0.0, 50.0])
    assert result.holds.tolist() == [True]
    assert result.margin.tolist() == [1.0]  # its own product is u alone


def test_a_large_reverse_flow_through_a_resistance_fails_active_at_the_right_line():
    # active: 1 - 2 / 0.81 * 0.1 * P < 0 where P > 4.05
    network = tree([0, 1, 1], r=[0.1, 0.01, 0.1], x=[0.001, 0.1, 0.1])
    p = [0.0, 0.0, 5.0, 0.0]
    result = check(network, p, np.zeros(4))
    # line 11: active 1 - 2/0.81 * 5 * 0.1 = -0.2346; reactive 1 - 2/0.81 * 5 * 0.01 * 0.001 / 0.1
    # line 12: active the same, because only P flows; its reactance stays positive as well
    assert result.line_margin[:, 0] == pytest.approx([1.0, -0.2345679, -0.2345679], abs=1e-7)
    assert result.cause[:, 0].tolist() == [-1, 0, 0]
    assert result.failing_lines(0) == ("line 11 (active)", "line 12 (active)")
    assert result.failures(0)[0].cause == 0
    assert result.reason(0) == "reverse flow at line 11 (active) and 1 more"
    assert not result.holds[0]
    assert (result.price[0], result.voltage[0], result.lines[0]) == (True, True, False)


def test_a_small_ratio_of_resistance_to_reactance_fails_reactive():
    # active flow P = 1 through x1 = 0.5 takes 2 / 0.81 * 0.5 * 0.1 = 0.1235 off x2 = 0.01
    network = tree([0, 1], r=[0.01, 0.1], x=[0.5, 0.01])
    result = check(network, [0.0, 0.0, 1.0], np.zeros(3))
    assert result.failing_lines(0) == ("line 11 (reactive)",)
    assert result.margin[0] == pytest.approx(1.0 - 2.0 / 0.81 * 0.5 * 0.1 / 0.01, rel=1e-12)
    # both failing: reactive flow alone through a line with little resistance
    result = check(network, np.zeros(3), [0.0, 0.0, 60.0])
    assert result.failing_lines(0) == ("line 11 (reactive)",)


def test_the_failure_is_blamed_on_the_nearest_line_upstream_that_causes_it():
    # line 11 lets little through, line 10 next to the head takes the rest
    network = tree([0, 1, 2, 3], r=[0.5, 0.01, 0.01, 0.01], x=[0.5, 0.01, 0.01, 0.01])
    result = check(network, [0.0, 0.0, 0.0, 0.0, 2.0], np.zeros(5))
    assert result.cause[:, 0].tolist() == [-1, 0, 0, 0]
    network = replace(network, r=network.r[[1, 0, 2, 3]], x=network.x[[1, 0, 2, 3]])
    result = check(network, [0.0, 0.0, 0.0, 0.0, 2.0], np.zeros(5))
    assert result.cause[:, 0].tolist() == [-1, -1, 1, 1]


def test_baran_wu_with_fixed_loads_holds(load_case):
    net = load_case("case33bw")
    network = radial_network(net, "mv")
    loads = read_devices(net, "mv", slack_is_unit=False)
    p, q = np.zeros((2, network.buses, 3))
    at, factor = network.positions(loads.loads.bus), np.array([0.2, 1.0, 1.2])
    p[at], q[at] = np.outer(loads.loads.p_mw, factor), np.outer(loads.loads.q_mvar, factor)
    p_max, q_max = largest_injections(network, loads, p, q, forecast_of(np.zeros((0, 3))))
    result = check(network, p_max, q_max)
    assert result.holds.all()
    assert (result.margin == 1.0).all()  # no reverse flow: every matrix is the identity
    # linear DistFlow without losses overestimates: above the 0.91309 p.u. of Baran and Wu
    assert (result.highest_bus == 1).all()
    assert result.highest_vm_pu[1] == pytest.approx(0.9970, abs=1e-3)


def test_the_voltage_condition_names_the_highest_bus():
    network = tree([0, 1, 1], r=[0.02, 0.02, 0.02], x=[0.01, 0.01, 0.01], vm_max=1.05)
    result = check(network, np.array([[0, 0], [0, 0], [1.0, 2.0], [-0.1, -0.1]]), np.zeros((4, 2)))
    # v = 1 + 2 r (P1 + P2) with P1 = P2 - 0.1
    expected = np.sqrt(1.0 + 0.04 * np.array([0.9 + 1.0, 1.9 + 2.0]))
    assert result.highest_bus.tolist() == [102, 102]
    assert result.highest_vm_pu == pytest.approx(expected, rel=1e-12)
    assert result.voltage.tolist() == [True, False]
    assert result.reason(1) == f"bus 102 may reach {expected[1]:.4f} p.u."
    lower = replace(network, vm_max=np.array([1.0, 1.05, np.inf, 1.05]))
    assert check(lower, [0, 0, 2.0, -0.1], np.zeros(4)).highest_bus.tolist() == [101]


def test_a_price_that_is_not_positive_is_reported():
    result = check(tree([0], [0.1], [0.1]), [0, 1.0], [0, 0.0], price=False)
    assert not result.holds[0]
    assert result.lines[0]
    assert result.reason(0) == "price at the head not positive"


def test_without_a_lower_voltage_limit_reverse_flow_fails():
    network = tree([0, 1], r=[0.03, 0.02], x=[0.01, 0.04], vm_min=0.0)
    assert check(network, [0, 0, -1.0], np.zeros(3)).lines[0]
    result = check(network, [0, 0, 1e-6], np.zeros(3))
    assert result.failing_lines(0) == ("line 11 (active)",)
    assert result.margin[0] == -np.inf
    assert result.cause[:, 0].tolist() == [-1, 0]


def test_a_line_without_resistance_fails_by_itself():
    result = check(tree([0, 1], r=[0.1, 0.0], x=[0.1, 0.1]), np.zeros(3), np.zeros(3))
    assert result.failing_lines(0) == ("line 11 (active)",)
    assert result.cause[1, 0] == 1
    assert result.margin[0] == 0.0


def test_a_ratio_inside_the_network_is_removed_exactly():
    # the same feeder on other base voltages below branch 1: impedances and limits scale with v
    rng = np.random.default_rng(5)
    plain = random_tree(rng, 7)
    plain = replace(plain, parent=np.array([0, 1, 2, 3, 3, 4]), vm_max=np.full(7, 1.1))
    up, down = 1.0 / 1.05**2, 0.97**2
    c = np.array([1, 1, up * down, up * down, up * down, up * down, up * down])
    ratio = replace(
        plain,
        up=np.array([1, up, 1, 1, 1, 1]),
        down=np.array([1, down, 1, 1, 1, 1]),
        r=plain.r * np.array([1, up, *c[3:]]),
        x=plain.x * np.array([1, up, *c[3:]]),
        vm_min=plain.vm_min * np.sqrt(c),
        vm_max=plain.vm_max * np.sqrt(c),
    )
    p, q = rng.uniform(-0.5, 1.5, (2, 7, 1)) * np.linspace(0.1, 3.0, 8)
    expected, found = check(plain, p, q), check(ratio, p, q)
    assert found.line_margin == pytest.approx(expected.line_margin, rel=1e-10)
    assert expected.margin.min() < 0.9
    assert (found.voltage == expected.voltage).all()
    assert len(set(expected.voltage.tolist())) == 2
    # the estimate at bus 2 by the branch equations of a RadialNetwork without losses
    below = np.stack([a[2:].sum(axis=0) for a in (p, q)])
    head = 1.0 + 2.0 * np.array([ratio.r[0], ratio.x[0]]) @ (below + np.stack([p[1], q[1]]))
    v = down * (up * head + 2.0 * np.array([ratio.r[1], ratio.x[1]]) @ below)
    tight = replace(ratio, vm_max=np.array([np.inf, np.inf, 0.5, *[np.inf] * 4]))
    assert check(tight, p, q).highest_vm_pu == pytest.approx(np.sqrt(v), rel=1e-12)


def test_shunts_and_bad_injections_are_refused_by_name():
    network = tree([0, 1], r=[0.1, 0.1], x=[0.1, 0.1])
    shunts = replace(network, shunt_b=np.array([1.0, 0.0, 0.2]))
    with pytest.raises(NetworkError, match=r"bus 102 \(below line 11\) has the shunt 0 \+ 0.2j"):
        check(shunts, np.zeros(3), np.zeros(3))
    with pytest.raises(NetworkError, match=r"q_max at bus 101 is NaN or infinite"):
        check(network, np.zeros(3), [0.0, np.nan, 0.0])
    with pytest.raises(NetworkError, match=r"p_max has the shape \(2, 1\); \(3 buses, steps\)"):
        a_priori(network, np.zeros((2, 1)), np.zeros((2, 1)), np.ones(1), np.ones(1, bool))


def forecast_of(available_mw):
    """Forecast of the available power of PV systems (systems, steps)."""
    price = np.zeros(available_mw.shape[1])
    return GridForecast(price, price, pv_available_mw=available_mw.T)


def test_largest_injections_of_every_kind_of_device(radial_net, with_devices):
    net = radial_net([0, 1, 2], p_kw=[0, 5, 0, 0], q_kvar=[0, 2, 0, 0], sn_mva=0.1)
    pv = [(2, 0.02, 0.025), (2, 0.01, 0.01, 0.8), (3, 0.01, 0.01, 0.8)]
    with_devices(net, pv=pv, batteries=[(3, 0.004, 0.01)])
    network, devices = radial_network(net, "lv"), read_devices(net, "lv", slack_is_unit=False)
    load_p, load_q = np.zeros((2, 4, 2))
    load_p[1], load_q[1] = [0.005, 0.001], [0.002, 0.0]
    # the third system is first overcast; sin(acos 0.8) = 0.6 and tan(acos 0.8) = 0.75
    available = np.array([[0.02, 0.0], [0.01, 0.01], [0.002, 0.02]])
    p, q = largest_injections(network, devices, load_p, load_q, forecast_of(available))
    assert 0.1 * p == pytest.approx(
        np.array([[0, 0], [-0.005, -0.001], [0.03, 0.01], [0.006, 0.014]]), abs=1e-15
    )
    assert 0.1 * q == pytest.approx(
        np.array([[0, 0], [-0.002, 0], [0.025 + 0.006, 0.025 + 0.006], [0.0015, 0.006]]), abs=1e-15
    )
    one = np.array([0.0])
    endless = Units(("sgen",), (4,), ("g",), np.array([1]), one, np.array([np.inf]), one, one, one)
    with pytest.raises(NetworkError, match="sgen 4 has no max_p_mw"):
        largest_injections(
            network,
            Devices((*devices.members[:3], endless)),
            load_p,
            load_q,
            forecast_of(available),
        )


@pytest.mark.parametrize("seed", range(25))
def test_all_lines_at_once_equals_the_enumeration_of_leaves_and_pairs(seed):
    rng = np.random.default_rng(seed)
    network = random_tree(rng, int(rng.integers(2, 15)), ohms=(0.001, 0.2))
    network = replace(network, vm_min=rng.uniform(0.8, 1.0, network.buses))
    p, q = rng.uniform(-1.0, 1.2, (2, network.buses, 4)) * np.array([0.1, 0.5, 1.0, 3.0])
    result = check(network, p, q)
    for step in range(4):
        expected = enumerate_c1(network, p[:, step], q[:, step])
        assert sorted(expected) == list(range(network.branches))
        named = {f.line: (f.cause, f.direction) for f in result.failures(step)}
        for line, (margin, cause, direction) in expected.items():
            assert result.line_margin[line, step] == pytest.approx(margin, rel=1e-9, abs=1e-12)
            assert named.get(line, (-1, "")) == (cause, direction)


def test_more_generation_never_turns_failing_into_holding():
    rng = np.random.default_rng(1)
    changes = 0
    for _ in range(40):
        network = random_tree(rng, 12)
        load, pv = rng.uniform(0.0, 0.1, 12), rng.uniform(0.0, 1.0, (12, 1))
        p = pv * np.linspace(0.0, 8.0, 30) - load[:, None]
        result = check(network, p, 0.3 * p)
        assert (np.diff(result.lines.astype(int)) <= 0).all()
        assert (np.diff(result.margin[result.lines]) <= 1e-12).all()
        changes += int(result.lines[0]) - int(result.lines[-1])
    assert changes >= 20


def test_a_feeder_of_206_buses_takes_milliseconds():
    rng = np.random.default_rng(0)
    parent = [int(rng.integers(max(0, k - 4), k + 1)) for k in range(205)]
    network = tree(parent, rng.uniform(1e-4, 1e-3, 205), rng.uniform(1e-4, 1e-3, 205))
    p, q = rng.uniform(-0.1, 0.2, (2, 206, 30))
    best = np.inf
    for _ in range(3):
        started = time.perf_counter()
        check(network, p, q)
        best = min(best, time.perf_counter() - started)
    assert best < 0.5  # 8 ms on one core; the bar only catches an enumeration of pairs


@dataclass(frozen=True)
class Relaxed:
    """Optimum of the relaxation: largest cone gap relative to the largest square of a flow."""

    gap: float
    status: str


def solve_relaxation(network, load_p, load_q, available, rating, price, cost):
    """Second-order-cone DistFlow in cvxpy: PV up to `available`, q in the inverter's circle."""
    n, r, x = network.buses, network.r, network.x
    p, q, current2 = cp.Variable(n - 1), cp.Variable(n - 1), cp.Variable(n - 1)
    v, pv_p, pv_q, imported = cp.Variable(n), cp.Variable(n), cp.Variable(n), cp.Variable()
    rows = [v[0] == 1.0, v[1:] >= network.vm_min[1:] ** 2, pv_p >= 0, pv_p <= available]
    rows += [cp.norm(cp.vstack([pv_p, pv_q]), axis=0) <= rating]
    for bus in range(n):
        children = [k for k in range(n - 1) if network.parent[k] == bus]
        out_p, out_q = sum(p[k] for k in children), sum(q[k] for k in children)
        if bus == 0:
            rows.append(imported == out_p)
            continue
        k = bus - 1
        rows.append(p[k] - r[k] * current2[k] + pv_p[bus] == load_p[bus] + out_p)
        rows.append(q[k] - x[k] * current2[k] + pv_q[bus] == load_q[bus] + out_q)
    for k, i in enumerate(network.parent):
        drop = 2.0 * (r[k] * p[k] + x[k] * q[k]) - (r[k] ** 2 + x[k] ** 2) * current2[k]
        rows.append(v[k + 1] == v[i] - drop)
        rows.append(
            cp.norm(cp.hstack([2.0 * p[k], 2.0 * q[k], current2[k] - v[i]])) <= current2[k] + v[i]
        )
    problem = cp.Problem(cp.Minimize(price * imported + cost @ pv_p), rows)
    problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-10, tol_gap_rel=1e-10, tol_feas=1e-10)
    if problem.status != "optimal":
        return Relaxed(np.nan, problem.status)
    product = current2.value * v.value[network.parent]
    squares = p.value**2 + q.value**2
    return Relaxed(float(np.max(product - squares) / np.max(squares)), problem.status)


def sampled_feeder(seed):
    """A random feeder with its loads and PV, and the condition for them."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(5, 13))
    network = random_tree(rng, n, ohms=(0.004, 0.05))
    load_p, load_q = rng.uniform(0.0, 0.08, n), rng.uniform(0.0, 0.04, n)
    available = rng.uniform(0.0, 1.0, n) * (rng.random(n) < 0.5) * 10.0 ** rng.uniform(-1.0, 0.7)
    rating = 1.1 * available
    cost = rng.uniform(0.0, 0.5, n)  # cheaper than the import: PV is used
    condition = check(network, available - load_p, rating - load_q)
    return network, (load_p, load_q, available, rating), cost, condition


def test_where_the_condition_holds_the_relaxation_is_exact():
    holding, failing = 0, 0
    for seed in range(40):
        network, data, cost, condition = sampled_feeder(seed)
        if not condition.holds[0]:
            failing += 1
            continue
        relaxed = solve_relaxation(network, *data, price=1.0, cost=cost)
        assert relaxed.status == "optimal"
        assert -1e-6 < relaxed.gap < 1e-6, f"seed {seed}"
        holding += 1
    assert holding >= 10
    assert failing >= 5


def test_the_relaxation_is_inexact_where_energy_at_the_head_has_a_negative_price():
    network, data, cost, condition = sampled_feeder(0)
    relaxed = solve_relaxation(network, *data, price=-1.0, cost=cost)
    assert relaxed.gap > 1e-2
    assert not replace(condition, price=np.array([False])).holds[0]
