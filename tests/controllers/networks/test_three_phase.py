"""Three-phase power flow against pandapower's `runpp_3ph` and the balanced power flow."""

import copy
import re

import numpy as np
import pandapower as pp
import pytest

from stackelgrid.controllers.devices.devices import read_devices
from stackelgrid.controllers.errors import NetworkError, PowerFlowError
from stackelgrid.controllers.networks.boundary import (
    TransformerData,
    attach_transformer,
    follow_upstream_voltage,
    tap_changer,
)
from stackelgrid.controllers.networks.phases import phase_shares
from stackelgrid.controllers.networks.power_flow import AcPowerFlow
from stackelgrid.controllers.networks.three_phase import ThreePhasePowerFlow

# p.u.; two programs on the same data, with pandapower's source as stiff as ours
BAR = 1e-8
# p.u.; what pandapower's source impedance (10 GVA) and default tolerance are worth
ON_PEAK_BAR = 1e-5


def phase_demand(net):
    """Consumption of the loads per phase and bus, (3, n) in MW and MVAr."""
    loads = read_devices(net, "g", slack_is_unit=False).loads
    at = {int(bus): i for i, bus in enumerate(net.bus.index)}
    p, q = np.zeros((2, 3, len(net.bus)))
    for k, bus in enumerate(loads.bus.tolist()):
        share = phase_shares(loads.phase[k : k + 1])[:, 0]
        p[:, at[bus]] += share * loads.p_mw[k]
        q[:, at[bus]] += share * loads.q_mvar[k]
    return p, q


def solve(net, p, q, slack_vm_pu=None, ratio=None):
    """One step; powers (3, n)."""
    vm = net.ext_grid.vm_pu.iloc[0] if slack_vm_pu is None else slack_vm_pu
    return ThreePhasePowerFlow(net, "g").solve(p[:, :, None], q[:, :, None], np.array([vm]), ratio)


def run_3ph(net, p, q):
    """pandapower's own three-phase power flow, from a source without impedance."""
    net = copy.deepcopy(net)
    for table in ("load", "sgen", "storage"):
        net[table] = net[table].drop(net[table].index)
    for i, bus in enumerate(net.bus.index):
        pp.create_asymmetric_load(net, bus, *p[:, i], *q[:, i])
    source = {"s_sc_max_mva": 1e12, "rx_max": 0.1, "r0x0_max": 0.1, "x0x_max": 1.0}
    for column, value in source.items():
        net.ext_grid[column] = value
    pp.runpp_3ph(net, tolerance_mva=1e-11, numba=False)
    return net


def assert_same_state(net, state, bar=BAR):
    """Compare a state of one step with a net that pandapower has solved."""
    assert state.converged.all()
    vm = net.res_bus_3ph[["vm_a_pu", "vm_b_pu", "vm_c_pu"]].to_numpy().T
    np.testing.assert_allclose(state.vm_pu[:, :, 0], vm, rtol=0, atol=bar)
    unbalance = net.res_bus_3ph.unbalance_percent.to_numpy()
    np.testing.assert_allclose(state.unbalance_percent[:, 0], unbalance, rtol=0, atol=100 * bar)
    slack = net.res_ext_grid_3ph[[f"p_{k}_mw" for k in "abc"]].sum(axis=1).iloc[0]
    assert state.slack_p_mw[0] == pytest.approx(slack, abs=1e-8)
    slack = net.res_ext_grid_3ph[[f"q_{k}_mvar" for k in "abc"]].sum(axis=1).iloc[0]
    assert state.slack_q_mvar[0] == pytest.approx(slack, abs=1e-8)
    lines = len(net.line)
    np.testing.assert_allclose(
        state.loading_percent[:lines, 0], net.res_line_3ph.loading_percent, rtol=1e-5, atol=1e-6
    )
    loss = net.res_line_3ph[[f"pl_{k}_mw" for k in "abc"]].to_numpy().sum()
    if len(net.trafo):
        loss += net.res_trafo_3ph[[f"pl_{k}_mw" for k in "abc"]].to_numpy().sum()
    assert state.loss_mw[0] == pytest.approx(loss, abs=1e-8)


@pytest.fixture(params=["european_lv_206", pytest.param("european_lv_906", marks=pytest.mark.slow)])
def feeder(request, load_case):
    return load_case(request.param)


@pytest.fixture
def small(load_case):
    """The smaller feeder, with its flow and the on-peak powers of its customers."""
    net = load_case("european_lv_206")
    return (net, ThreePhasePowerFlow(net, "lv1"), *phase_demand(net))


def test_on_peak_snapshot_reproduces_the_reference(feeder, reference):
    known = reference["power_flow"]["european_lv_on_peak_566_three_phase"]
    state = solve(feeder, *phase_demand(feeder))
    lowest = state.vm_pu[:, :, 0].min(axis=1)
    np.testing.assert_allclose(lowest, known["min_vm_pu_abc"], rtol=0, atol=ON_PEAK_BAR)


def test_on_peak_snapshot_equals_pandapower_bus_by_bus(feeder):
    p, q = phase_demand(feeder)
    assert (p > 0.0).sum(axis=1).tolist() == [21, 19, 15]  # customers on each phase
    assert_same_state(run_3ph(feeder, p, q), solve(feeder, p, q))


@pytest.mark.parametrize("seed", [1, 2])
def test_random_powers_with_feed_in_equal_pandapower(small, seed):
    net, flow, p, q = small
    rng = np.random.default_rng(seed)
    p = p * rng.uniform(-3.0, 3.0, p.shape)
    q = q * rng.uniform(-3.0, 3.0, q.shape)
    state = flow.solve(p[:, :, None], q[:, :, None], net.ext_grid.vm_pu.to_numpy())
    assert state.unbalance_percent.max() > 0.3
    assert_same_state(run_3ph(net, p, q), state)


def test_balanced_loads_have_the_voltages_of_the_balanced_power_flow(feeder, solve_ac):
    feeder.load["phase"] = "abc"
    state = solve(feeder, *phase_demand(feeder))
    balanced = solve_ac(feeder)
    assert balanced.vm_pu.min() < 1.03
    for phase in range(3):
        np.testing.assert_allclose(state.vm_pu[phase, :, 0], balanced.vm_pu, rtol=0, atol=BAR)
    np.testing.assert_allclose(state.unbalance_percent, 0.0, atol=1e-7)
    np.testing.assert_allclose(
        state.loading_percent[:, 0], balanced.loading_percent, rtol=1e-6, atol=1e-6
    )
    assert state.loss_mw[0] == pytest.approx(balanced.loss_mw, abs=1e-10)
    assert state.slack_p_mw[0] == pytest.approx(balanced.slack_p_mw, abs=1e-10)
    assert state.slack_q_mvar[0] == pytest.approx(balanced.slack_q_mvar, abs=1e-10)


@pytest.mark.parametrize(("tap_pos", "upstream_kv"), [(-2, 11.0), (1, 12.66)])
def test_a_tap_ratio_is_honoured(load_case, tap_pos, upstream_kv):
    net = load_case("european_lv_206")
    net.load["phase"] = "abc"
    follow_upstream_voltage(net, upstream_kv)
    at, taps = tap_changer(net, "lv1")
    ratio = taps.ratio(tap_pos)
    balanced = AcPowerFlow(net, "lv1")
    balanced.set_ratio(at, ratio)
    p, q = phase_demand(net)
    there = balanced.solve(p.sum(axis=0), q.sum(axis=0), 1.02)
    here = solve(net, p, q, 1.02, ratio)
    for phase in range(3):
        np.testing.assert_allclose(here.vm_pu[phase, :, 0], there.vm_pu, rtol=0, atol=BAR)
    np.testing.assert_allclose(
        here.loading_percent[:, 0], there.loading_percent, rtol=1e-6, atol=1e-6
    )
    assert here.slack_p_mw[0] == pytest.approx(there.slack_p_mw, abs=1e-10)
    # unbalanced: the same grid read at that tap position
    net.load["phase"] = "b"
    p, q = phase_demand(net)
    other = copy.deepcopy(net)
    other.trafo["tap_pos"] = tap_pos
    shifted, read = solve(net, p, q, 1.02, ratio), solve(other, p, q, 1.02)
    np.testing.assert_allclose(shifted.vm_pu, read.vm_pu, rtol=0, atol=BAR)
    np.testing.assert_allclose(shifted.loading_percent, read.loading_percent, rtol=1e-6, atol=1e-9)
    assert shifted.unbalance_percent.max() > 0.3


def test_a_batch_equals_single_solves(small):
    _, flow, p, q = small
    rng = np.random.default_rng(5)
    factor = rng.uniform(-1.0, 4.0, (2, 3, 1, 12))
    slack = rng.uniform(0.97, 1.05, 12)
    p, q = factor[0] * p[:, :, None], factor[1] * q[:, :, None]
    batch = flow.solve(p, q, slack)
    assert batch.vm_pu.shape == (3, 207, 12)
    assert batch.loading_percent.shape == (206, 12)
    for k in range(12):
        one = flow.solve(p[:, :, k : k + 1], q[:, :, k : k + 1], slack[k : k + 1])
        for name in ("vm_pu", "unbalance_percent", "loading_percent", "slack_p_mw", "loss_mw"):
            np.testing.assert_array_equal(getattr(one, name)[..., 0], getattr(batch, name)[..., k])


@pytest.mark.parametrize("turn", [1, 2])
def test_turning_the_phases_of_all_loads_turns_the_voltages(small, turn):
    _, flow, p, q = small
    slack = np.array([1.05])
    there = flow.solve(p[:, :, None], q[:, :, None], slack)
    turned = [np.roll(x, turn, axis=0)[:, :, None] for x in (p, q)]
    here = flow.solve(turned[0], turned[1], slack)
    assert np.abs(here.vm_pu - there.vm_pu).max() > 0.01
    np.testing.assert_allclose(here.vm_pu, np.roll(there.vm_pu, turn, axis=0), rtol=0, atol=1e-9)
    np.testing.assert_allclose(here.unbalance_percent, there.unbalance_percent, rtol=0, atol=1e-7)


def test_a_step_that_diverges_is_marked_and_leaves_the_others_alone(small):
    _, flow, p, q = small
    factor, slack = np.array([1.0, 50.0, 0.5, 50.0, 2.0]), np.full(5, 1.05)
    state = flow.solve(factor * p[:, :, None], factor * q[:, :, None], slack)
    assert state.converged.tolist() == [True, False, True, False, True]
    good = state.converged
    for name in (
        "vm_pu", "unbalance_percent", "loading_percent", "slack_p_mw", "slack_q_mvar", "loss_mw",
    ):  # fmt: skip
        values = getattr(state, name)
        assert np.isnan(values[..., ~good]).all(), name
        assert np.isfinite(values[..., good]).all(), name
    alone = flow.solve(factor[good] * p[:, :, None], factor[good] * q[:, :, None], slack[good])
    np.testing.assert_array_equal(state.vm_pu[..., good], alone.vm_pu)
    assert alone.converged.all()


def test_slack_power_is_load_and_loss(small):
    _, flow, p, q = small
    p[1, 0] = 0.01  # at the slack bus itself
    factor = np.array([-2.0, 0.3, 1.0, 3.0])
    powers = factor * p[:, :, None]
    state = flow.solve(powers, factor * q[:, :, None], np.full(4, 1.05))
    np.testing.assert_allclose(
        state.slack_p_mw, powers.sum(axis=(0, 1)) + state.loss_mw, rtol=0, atol=1e-10
    )
    assert (state.loss_mw > 1e-5).all()


def test_an_ideal_boundary_works_and_takes_no_ratio(radial_net):
    net = with_zero_sequence(radial_net([0, 1, 1], [0, 0, 3, 2], [0, 0, 1, 1]))
    net.load["phase"] = ["a", "c"]
    p, q = phase_demand(net)
    state = solve(net, p, q)
    assert_same_state(run_3ph(net, p, q), state)
    assert np.isnan(run_loading := state.loading_percent).all(), run_loading  # no rating anywhere
    with pytest.raises(NetworkError, match="grid g: a ratio needs a transformer"):
        solve(net, p, q, ratio=1.0)


def with_zero_sequence(net):
    """Zero-sequence data of lines at three times the positive sequence."""
    net.line["r0_ohm_per_km"] = 3.0 * net.line.r_ohm_per_km
    net.line["x0_ohm_per_km"] = 3.0 * net.line.x_ohm_per_km
    net.line["c0_nf_per_km"] = 0.0
    return net


@pytest.fixture
def street(radial_net):
    """`street(shift_degree, **columns)`: an unbalanced street below an attached transformer."""

    def build(shift_degree, **columns):
        net = with_zero_sequence(radial_net([0, 1, 1], [0, 4, 9, 7], [0, 1, 2, 1]))
        net.line["max_i_ka"] = 0.1
        net.load["phase"] = ["a", "b", "a"]
        attach_transformer(net, TransformerData(0.1, 4.0, 1.0, -2, 2, 2.5, shift_degree), "g")
        follow_upstream_voltage(net, 20.0)
        net.trafo["tap_pos"] = -1
        for column, value in columns.items():
            net.trafo[column] = value
        return net

    return build


@pytest.mark.parametrize(
    ("shift", "columns"),
    [
        (150.0, {}),
        (150.0, {"vk0_percent": 3.4, "vkr0_percent": 1.2}),
        (30.0, {"vector_group": "Dyn1", "mag0_percent": 150.0, "mag0_rx": 0.2,
                "si0_hv_partial": 0.7}),
        (0.0, {}),
        (0.0, {"vk0_percent": 3.0, "vkr0_percent": 0.8, "mag0_percent": 400.0, "mag0_rx": 0.1,
               "si0_hv_partial": 0.5}),
        (150.0, {"pfe_kw": 0.4, "i0_percent": 1.5, "parallel": 2}),
    ],
)  # fmt: skip
def test_transformers_equal_pandapower(street, shift, columns):
    net = street(shift, **columns)
    p, q = phase_demand(net)
    oracle = copy.deepcopy(net)
    oracle.trafo["vector_group"] = "YNyn" if shift == 0.0 else "Dyn"  # no clock number there
    if "mag0_percent" not in columns:  # pandapower cannot leave the magnetising branch out
        oracle.trafo[["mag0_percent", "mag0_rx", "si0_hv_partial"]] = (1e12, 0.0, 0.5)
    state = solve(net, p, q)
    assert state.unbalance_percent.max() > 0.5
    assert_same_state(run_3ph(oracle, p, q), state, bar=1e-7)


@pytest.mark.parametrize(("group", "shift"), [("Yzn5", 150.0), ("Dzn", 0.0)])
def test_zero_sequence_of_a_zigzag_winding_is_vk0(street, group, shift):
    # to the lower side a zigzag winding is like a star whose delta takes all ampere turns up
    columns = {"vk0_percent": 0.6, "vkr0_percent": 0.3}
    zigzag = street(shift, vector_group=group, **columns)
    delta = street(150.0, vector_group="Dyn", **columns)
    p, q = phase_demand(zigzag)
    here, there = solve(zigzag, p, q), solve(delta, p, q)
    np.testing.assert_allclose(here.vm_pu, there.vm_pu, rtol=0, atol=BAR)
    assert here.slack_p_mw[0] == pytest.approx(there.slack_p_mw[0], abs=1e-10)


@pytest.mark.parametrize(
    ("shift", "columns", "message"),
    [
        (150.0, {"vector_group": None}, "trafo 0 has vector_group not given, which a three-phase"),
        (150.0, {"vector_group": "Yy"}, "vector_group 'Yy', which a three-phase view needs; acc"),
        (0.0, {"vector_group": "Dyn"}, "Dyn and shift_degree = 0; an odd multiple of 30 is acc"),
        (150.0, {"vector_group": "Dyn11"}, "Dyn11 and shift_degree = 150; 330 is accepted"),
        (150.0, {"vk0_percent": np.nan}, "trafo 0 has vk0_percent not given, vkr0_percent = 1;"),
        (150.0, {"vk0_percent": 0.5}, "needs vk0_percent > 0 and 0 <= vkr0_percent <= vk0_perc"),
        (150.0, {"xn_ohm": 2.0}, "xn_ohm = 2; a solidly earthed neutral (0) is accepted"),
        (150.0, {"mag0_percent": 100.0}, "has mag0_percent = 100, mag0_rx not given; mag0_perc"),
        (150.0, {"mag0_percent": 100.0, "mag0_rx": 0.0}, "has si0_hv_partial not given; with mag"),
        (0.0, {"mag0_percent": 100.0, "mag0_rx": 0.0, "si0_hv_partial": 0.9},
         "has si0_hv_partial = 0.9; 0.5 is accepted for the vector group YNyn"),
    ],
)  # fmt: skip
def test_a_transformer_that_would_be_another_is_refused(street, shift, columns, message):
    with pytest.raises(NetworkError, match=re.escape(message)) as caught:
        ThreePhasePowerFlow(street(shift, **columns), "lv1")
    assert str(caught.value).startswith("grid lv1: trafo 0 ")


def test_lines_without_zero_sequence_data_are_refused(load_case):
    net = load_case("european_lv_206")
    first = net.line.index[0]
    net.line.loc[first, "r0_ohm_per_km"] = np.nan
    with pytest.raises(NetworkError, match=f"grid lv1: line {first} has r0_ohm_per_km not given;"):
        ThreePhasePowerFlow(net, "lv1")
    net.line.loc[first, ["r0_ohm_per_km", "x0_ohm_per_km"]] = 0.0
    with pytest.raises(NetworkError, match=f"line {first} has r0_ohm_per_km = x0_ohm_per_km = 0"):
        ThreePhasePowerFlow(net, "lv1")
    net.line = net.line.drop(columns="c0_nf_per_km").fillna({"r0_ohm_per_km": 1.0})
    net.line["r0_ohm_per_km"] = 1.0
    with pytest.raises(NetworkError, match=r"and 199 more has c0_nf_per_km not given"):
        ThreePhasePowerFlow(net, "lv1")


def test_shunts_are_refused(load_case):
    net = load_case("european_lv_206")
    pp.create_shunt(net, 34, q_mvar=-0.01)
    with pytest.raises(NetworkError, match="grid lv1: shunt 0 not supported in a three-phase view"):
        ThreePhasePowerFlow(net, "lv1")


def test_charging_equals_pandapower(radial_net):
    net = with_zero_sequence(radial_net([0, 1, 1], [0, 4, 9, 7], [0, 1, 2, 1]))
    net.line["c_nf_per_km"], net.line["c0_nf_per_km"] = 8e4, 3e4
    net.line["max_i_ka"], net.line["parallel"] = 0.1, 2
    net.load["phase"] = ["a", "b", "a"]
    p, q = phase_demand(net)
    state = solve(net, p, q)
    assert state.slack_q_mvar[0] < 0.75 * q.sum()  # the charging is not negligible
    assert_same_state(run_3ph(net, p, q), state)


@pytest.mark.parametrize(
    ("value", "slack", "message"),
    [
        (np.nan, 1.0, "grid lv1: power at bus 34, phase b, step 1 is NaN or infinite"),
        (0.0, np.nan, "grid lv1: slack voltage nan p.u. at step 0; a finite value > 0"),
    ],
)
def test_bad_numbers_are_named(small, value, slack, message):
    net, flow, p, q = small
    p = np.repeat(p[:, :, None], 2, axis=2)
    p[1, list(net.bus.index).index(34), 1] = value
    q = np.repeat(q[:, :, None], 2, axis=2)
    with pytest.raises(PowerFlowError, match=re.escape(message)):
        flow.solve(p, q, np.full(2, slack))
