"""AC power flow against published values and against pandapower's own Newton method."""

import copy
import re

import numpy as np
import pandapower as pp
import pytest
from support.pandapower_nets import empty_net

from stackelgrid.controllers.errors import PowerFlowError
from stackelgrid.controllers.networks.boundary import (
    TransformerData,
    attach_transformer,
    follow_upstream_voltage,
    tap_changer,
)
from stackelgrid.controllers.networks.conversion.normalise import normalise
from stackelgrid.controllers.networks.power_flow import AcPowerFlow

# p.u.; the bar of the project for lightsim2grid against pandapower
BAR = 1e-8


def assert_same_state(net, state):
    """Compare every result with a net that pandapower has solved; BAR in p.u. of its base."""
    base = net.sn_mva
    np.testing.assert_allclose(state.vm_pu, net.res_bus.vm_pu, rtol=0, atol=BAR)
    np.testing.assert_allclose(state.va_degree, net.res_bus.va_degree, rtol=0, atol=1e-6)
    assert state.slack_p_mw == pytest.approx(net.res_ext_grid.p_mw.iloc[0], abs=BAR * base)
    assert state.slack_q_mvar == pytest.approx(net.res_ext_grid.q_mvar.iloc[0], abs=BAR * base)
    for ours, line, trafo in (
        (state.p_from_mw, "p_from_mw", "p_hv_mw"),
        (state.q_from_mvar, "q_from_mvar", "q_hv_mvar"),
        (state.p_to_mw, "p_to_mw", "p_lv_mw"),
        (state.q_to_mvar, "q_to_mvar", "q_lv_mvar"),
    ):
        theirs = np.concatenate([net.res_line[line], net.res_trafo[trafo]])
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=BAR * base, err_msg=line)
    current = np.concatenate([net.res_line.i_ka, net.res_trafo[["i_hv_ka", "i_lv_ka"]].max(axis=1)])
    np.testing.assert_allclose(state.i_ka, current, rtol=1e-8, atol=1e-10)
    loading = np.concatenate([net.res_line.loading_percent, net.res_trafo.loading_percent])
    rated = np.concatenate([net.line.max_i_ka.to_numpy() < 9999, np.ones(len(net.trafo), bool)])
    np.testing.assert_allclose(state.loading_percent[rated], loading[rated], rtol=1e-7, atol=1e-7)
    np.testing.assert_array_equal(state.loading_percent[~rated], 0.0)  # unlimited: never loaded
    if len(net.gen):
        np.testing.assert_allclose(state.gen_q_mvar, net.res_gen.q_mvar, rtol=0, atol=BAR * base)


def test_baran_wu_reproduces_the_published_losses_and_voltages(load_case, solve_ac, reference):
    known = reference["power_flow"]["case33bw"]  # Baran and Wu 1989, MATPOWER case33bw
    state = solve_ac(load_case("case33bw"))
    assert state.loss_mw * 1e3 == pytest.approx(known["loss_kw"], abs=5e-5)
    assert state.vm_pu.min() == pytest.approx(known["min_vm_pu"], abs=1e-6)
    assert state.vm_pu.argmin() == known["min_bus_index"]
    assert state.slack_p_mw == pytest.approx(known["slack_mw"], abs=1e-6)
    assert state.slack_q_mvar == pytest.approx(known["slack_mvar"], abs=1e-6)
    np.testing.assert_allclose(state.vm_pu, known["vm_pu"], rtol=0, atol=5.1e-6)  # five decimals


def test_european_feeder_reproduces_pandapower_reference(load_case, solve_ac, reference):
    known = reference["power_flow"]["european_lv_on_peak_566_balanced"]
    net = load_case("european_lv_206")
    state = solve_ac(net)
    assert state.vm_pu.min() == pytest.approx(known["min_vm_pu"], abs=5e-9)  # eight decimals
    lines = len(net.line)  # the reference counts the losses of the lines
    loss_kw = 1e3 * np.sum(state.p_from_mw[:lines] + state.p_to_mw[:lines])
    assert loss_kw == pytest.approx(known["loss_kw"], abs=1e-6)


def test_merged_european_feeder_has_the_voltages_of_the_906_bus_one(load_case, solve_ac, reference):
    known = reference["power_flow"]["european_lv_206"]
    merged, whole = load_case("european_lv_206"), load_case("european_lv_906")
    assert len(whole.bus) == 906 + 1  # IEEE European LV test feeder and its source bus
    assert len(merged.bus) == known["lv_buses"] + 1
    assert len(merged.line) == known["lines"]
    at = {int(bus): i for i, bus in enumerate(whole.bus.index)}
    same = [at[int(bus)] for bus in merged.bus.index]
    difference = solve_ac(merged).vm_pu - solve_ac(whole).vm_pu[same]
    assert np.abs(difference).max() < known["max_abs_dv_pu"]
    assert merged.line.length_km.sum() == pytest.approx(whole.line.length_km.sum(), abs=1e-12)


def test_case30_with_generators_equals_pandapower(load_case, solve_ac, run_pandapower):
    net = load_case("case30")
    assert_same_state(run_pandapower(net), solve_ac(net))


@pytest.mark.parametrize("tap_pos", [-5, 0, 3])
def test_attached_transformer_with_phase_shift_equals_pandapower(
    load_case, solve_ac, run_pandapower, tap_pos
):
    net = load_case("case33bw")
    data = TransformerData(25.0, 12.0, 0.5, -9, 9, 1.5, shift_degree=150.0)
    attach_transformer(net, data, "mv1")
    follow_upstream_voltage(net, 110.0)
    net.trafo["tap_pos"] = tap_pos
    solved = run_pandapower(net)
    assert_same_state(solved, solve_ac(net))
    # moving the tap of a grid that was read at another position is the same grid
    other = copy.deepcopy(net)
    other.trafo["tap_pos"] = 7
    flow = AcPowerFlow(other, "mv1")
    at, taps = tap_changer(other, "mv1")
    flow.set_ratio(at, taps.ratio(tap_pos))
    p, q = np.zeros((2, len(net.bus)))
    p[net.load.bus], q[net.load.bus] = net.load.p_mw, net.load.q_mvar
    assert_same_state(solved, flow.solve(p, q, 1.0))


@pytest.mark.parametrize(("tap_pos", "upstream_kv"), [(-2, 11.0), (1, 12.66), (2, 20.0)])
def test_european_feeder_below_another_voltage_equals_pandapower(
    load_case, solve_ac, run_pandapower, tap_pos, upstream_kv
):
    net = load_case("european_lv_206")
    net.trafo["tap_pos"] = tap_pos
    follow_upstream_voltage(net, upstream_kv)
    assert net.bus.vn_kv.at[net.ext_grid.bus.iloc[0]] == upstream_kv
    state = solve_ac(net)
    assert_same_state(run_pandapower(net), state)
    _, taps = tap_changer(net, "lv1")
    flow = AcPowerFlow(net, "lv1")
    assert flow.ratio(0) == pytest.approx(taps.ratio(tap_pos), abs=1e-12)


def mixed_net():
    """A meshed 110/20/10 kV net with everything the conversion has to get right."""
    net = empty_net(sn_mva=10.0)
    hv = pp.create_bus(net, 110.0)
    mv = [pp.create_bus(net, 20.0) for _ in range(6)]
    lv = pp.create_bus(net, 10.0)
    pp.create_ext_grid(net, hv, vm_pu=1.02)
    common = {"vk_percent": 11.0, "vkr_percent": 0.4, "tap_step_degree": 0.0}
    pp.create_transformer_from_parameters(
        net, hv, mv[0], sn_mva=25.0, vn_hv_kv=115.0, vn_lv_kv=20.5, pfe_kw=14.0, i0_percent=0.07,
        shift_degree=150.0, parallel=2, tap_side="hv", tap_neutral=1, tap_min=-9, tap_max=9,
        tap_step_percent=1.5, tap_pos=-2, tap_changer_type="Ratio", **common,
    )  # fmt: skip
    pp.create_transformer_from_parameters(
        net, mv[3], lv, sn_mva=6.3, vn_hv_kv=20.0, vn_lv_kv=10.3, pfe_kw=6.0, i0_percent=0.3,
        shift_degree=0.0, tap_side="lv", tap_neutral=-1, tap_min=-3, tap_max=3,
        tap_step_percent=2.0, tap_pos=2, tap_changer_type="Ratio", **common,
    )  # fmt: skip
    lines = [(0, 1), (1, 2), (2, 3), (0, 3), (1, 5), (4, 5)]
    for k, (a, b) in enumerate(lines):
        pp.create_line_from_parameters(
            net, mv[a], mv[b], length_km=4.0 + k, r_ohm_per_km=0.16, x_ohm_per_km=0.12,
            c_nf_per_km=270.0, g_us_per_km=2.0, max_i_ka=0.36, parallel=1 + k % 2, df=0.9,
        )  # fmt: skip
    for bus, p in zip([*mv[1:], lv], (3.0, 2.0, 1.5, 1.0, 0.5, 2.5), strict=True):
        pp.create_load(net, bus, p_mw=p, q_mvar=0.4 * p)
    pp.create_shunt(net, mv[2], q_mvar=-1.2, p_mw=0.03)
    pp.create_shunt(net, lv, q_mvar=-0.4, p_mw=0.0, step=2)
    pp.create_gen(net, mv[5], p_mw=2.0, vm_pu=1.01)
    pp.create_switch(net, mv[3], mv[4], et="b", closed=True)
    pp.create_switch(net, mv[1], 1, et="l", closed=False)  # line 1-2 open at one end
    pp.create_switch(net, mv[0], mv[5], et="b", closed=False)
    return net


def test_parallel_taps_iron_shunts_charging_and_switches_equal_pandapower(solve_ac, run_pandapower):
    net = mixed_net()
    plain = normalise(net, "mixed")
    # the closed bus-bus switch joins two buses, the open end of line 1-2 has one of its own
    assert set(net.bus.index) - set(plain.bus.index) == {5}
    assert plain.bus.name.loc[8] == "open end of line 1"
    assert len(plain.line) == len(net.line)
    assert not len(plain.switch)
    state = solve_ac(plain)
    assert_same_state(run_pandapower(plain), state)
    whole = run_pandapower(net)  # with its switches
    buses = plain.bus.index.drop(8)
    np.testing.assert_allclose(state.vm_pu[:-1], whole.res_bus.vm_pu.loc[buses], rtol=0, atol=BAR)
    loss = whole.res_line.pl_mw.sum() + whole.res_trafo.pl_mw.sum()
    assert state.loss_mw == pytest.approx(loss, abs=BAR)


def test_set_ratio_is_the_one_that_was_read():
    net = normalise(mixed_net(), "mixed")
    position, taps = tap_changer(net, "mixed")
    # (115 / 110) (20 / 20.5) (1 - 3 x 0.015): two per-unit bases and three steps from neutral
    assert taps.ratio(-2) == pytest.approx(115 / 110 * 20 / 20.5 * 0.955, abs=1e-14)
    assert AcPowerFlow(net, "mixed").ratio(position) == pytest.approx(taps.ratio(-2), abs=1e-12)


def test_generator_powers_are_required():
    net = normalise(mixed_net(), "mixed")
    n = len(net.bus)
    with pytest.raises(ValueError, match="mixed has generators: gen_p_mw is required"):
        AcPowerFlow(net, "mixed").solve(np.zeros(n), np.zeros(n), 1.0)


def test_divergence_names_grid_share_of_loading_and_worst_bus(load_case, run_pandapower):
    net = load_case("case33bw")
    flow = AcPowerFlow(net, "mv1")
    p, q = np.zeros((2, 33))
    p[net.load.bus], q[net.load.bus] = 6.0 * net.load.p_mw, 6.0 * net.load.q_mvar
    with pytest.raises(PowerFlowError) as caught:
        flow.solve(p, q, 1.0)
    found = re.fullmatch(
        r"grid mv1: AC power flow diverged; solvable up to ([\d.]+) % of the power, there the "
        r"worst bus is 17 with 0\.\d{3} p\.u\.",
        str(caught.value),
    )
    assert found, caught.value
    share = float(found.group(1)) / 100.0
    # pandapower agrees on where the last solution is, to two per cent of the loading
    for factor, solvable in ((0.98, True), (1.02, False)):
        net = load_case("case33bw")
        net.load[["p_mw", "q_mvar"]] *= 6.0 * share * factor
        if solvable:
            assert run_pandapower(net).res_bus.vm_pu.idxmin() == 17
        else:
            with pytest.raises(pp.LoadflowNotConverged):
                run_pandapower(net)
    # and the grid is usable afterwards
    assert flow.solve(p / 6.0, q / 6.0, 1.0).vm_pu.min() == pytest.approx(0.913090, abs=1e-6)


@pytest.mark.parametrize(
    ("value", "slack", "message"),
    [
        (np.nan, 1.0, "grid mv1: AC power flow diverged: power at bus 4 is NaN or infinite"),
        (np.inf, 1.0, "power at bus 4 is NaN or infinite"),
        (0.0, 0.0, "slack voltage 0 p.u. is not positive"),
        (0.0, np.nan, "slack voltage nan p.u. is not positive"),
    ],
)
def test_bad_numbers_are_named(load_case, value, slack, message):
    p, q = np.zeros((2, 33))
    p[4] = value
    with pytest.raises(PowerFlowError, match=re.escape(message)):
        AcPowerFlow(load_case("case33bw"), "mv1").solve(p, q, slack)


def test_warm_start_gives_the_same_result(load_case, solve_ac):
    net = load_case("european_lv_206")
    flow = AcPowerFlow(net, "lv1")
    rng = np.random.default_rng(7)
    p, q = rng.uniform(0.0, 6e-4, (2, len(net.bus)))
    cold = flow.solve(p, q, 1.05)
    for start in (flow.solve(0.2 * p, q, 0.98).voltage, np.full(len(p), 0.01 + 0j)):
        warm = flow.solve(p, q, 1.05, start=start)  # the second one cannot converge: falls back
        np.testing.assert_allclose(warm.vm_pu, cold.vm_pu, rtol=0, atol=1e-10)
        assert warm.slack_p_mw == pytest.approx(cold.slack_p_mw, abs=1e-11)


def test_result_depends_on_the_arguments_only(load_case):
    net = load_case("european_lv_206")
    rng = np.random.default_rng(8)
    p, q = rng.uniform(0.0, 6e-4, (2, len(net.bus)))
    used = AcPowerFlow(net, "lv1")
    # lightsim2grid itself ignores changes below 1e-7 MW and 1e-7 p.u.
    used.solve(p + 9e-8, q - 9e-8, 1.05 + 9e-8)
    used.solve(3.0 * p, q, 0.97)
    used.solve(p + 9e-8, q - 9e-8, 1.05 + 9e-8)
    again, fresh = used.solve(p, q, 1.05), AcPowerFlow(net, "lv1").solve(p, q, 1.05)
    np.testing.assert_array_equal(again.voltage, fresh.voltage)
    assert again.slack_p_mw == fresh.slack_p_mw


def test_small_powers_are_not_lost(radial_net):
    # 0.05 W over 30 mohm at 400 V: the loss is far below rounding, so the slack sees the load
    flow = AcPowerFlow(radial_net([0], [0, 0], [0, 0]), "lv1")
    nothing = np.zeros(2)
    flow.solve(nothing, nothing, 1.0)
    state = flow.solve(np.array([0.0, 5e-8]), np.array([0.0, 2e-8]), 1.0)
    assert state.slack_p_mw == pytest.approx(5e-8, rel=1e-3)
    assert state.slack_q_mvar == pytest.approx(2e-8, rel=1e-3)


def test_loss_is_the_difference_of_slack_and_load(load_case):
    net = load_case("european_lv_206")
    rng = np.random.default_rng(9)
    p, q = rng.uniform(-3e-4, 6e-4, (2, len(net.bus)))
    state = AcPowerFlow(net, "lv1").solve(p, q, 1.0)
    assert state.loss_mw == pytest.approx(state.slack_p_mw - p.sum(), abs=1e-11)


def test_a_grid_of_one_bus_is_its_slack():
    net = empty_net(sn_mva=100.0)
    bus = pp.create_bus(net, 110.0)
    pp.create_ext_grid(net, bus, vm_pu=1.05)
    pp.create_load(net, bus, 20.0, 5.0)
    pp.create_shunt(net, bus, q_mvar=-3.0, p_mw=0.5)
    state = AcPowerFlow(normalise(net, "g"), "g").solve(np.array([20.0]), np.array([5.0]), 1.05)
    pp.runpp(net, numba=False)
    assert state.slack_p_mw == pytest.approx(net.res_ext_grid.p_mw[0], abs=1e-12)
    assert state.slack_q_mvar == pytest.approx(net.res_ext_grid.q_mvar[0], abs=1e-12)
