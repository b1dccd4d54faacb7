"""SOC DistFlow against AC power flow and published optima."""

import numpy as np
import pandapower as pp
import pytest

from stackelgrid.controllers.models.active_network import ActiveNetworkOptions
from stackelgrid.controllers.networks.boundary import (
    TransformerData,
    attach_transformer,
    follow_upstream_voltage,
)


def test_baran_wu_is_exact(load_case, solve_ac, solve_active, reference):
    known = reference["soc_distflow"]["case33bw_min_loss"]
    net = load_case("case33bw")
    result, state = solve_active(net), solve_ac(net)
    assert result.loss_mw[0] * 1e3 == pytest.approx(known["loss_kw"], abs=1e-3)
    np.testing.assert_allclose(result.vm_pu[:, 0], state.vm_pu, rtol=0, atol=1e-5)
    assert result.vm_pu.min() == pytest.approx(known["min_vm_pu"], abs=1e-5)
    assert result.mw("p_import")[0, 0] == pytest.approx(state.slack_p_mw, abs=1e-5)
    assert result.mw("q_import")[0, 0] == pytest.approx(state.slack_q_mvar, abs=1e-5)
    flows = result.flows
    gap = flows.current2 * flows.v[result.network.parent] - flows.p**2 - flows.q**2
    assert np.abs(gap).max() < 1e-6
    # what is bought is the load and the loss, at 100 EUR/MWh
    assert result.objective == pytest.approx(100.0 * (3.715 + 0.2026771), abs=1e-3)


def test_the_best_generator_at_bus_6(load_case, solve_active, reference):
    known = reference["soc_distflow"]["case33bw_dg_bus_index_5_unity"]
    net = load_case("case33bw")
    unit = pp.create_sgen(
        net, 5, p_mw=0.0, min_p_mw=0.0, max_p_mw=10.0, type="unit", controllable=True
    )
    # generation as dear as import: the cheapest dispatch is the one of least loss
    pp.create_poly_cost(net, unit, "sgen", cp1_eur_per_mw=100.0)
    result = solve_active(net, import_price=100.0, export_price=0.0)
    assert result.loss_mw[0] * 1e3 == pytest.approx(known["loss_kw"], abs=1e-3)
    assert result.mw("unit_p")[0, 0] == pytest.approx(known["size_mw"], abs=2e-3)  # flat optimum


def test_a_loss_price_counts_losses_once_more(load_case, solve_active):
    net = load_case("case33bw")
    plain = solve_active(net)
    priced = solve_active(net, options=ActiveNetworkOptions(loss_eur_per_mwh=30.0))
    # 30 EUR/MWh on the 202.677 kW of Baran and Wu
    assert priced.objective - plain.objective == pytest.approx(30.0 * 0.2026771, abs=1e-4)


@pytest.mark.parametrize("tap_pos", [-4, 3])
def test_a_head_transformer_off_its_tap_equals_ac(load_case, solve_ac, solve_active, tap_pos):
    net = load_case("case33bw")
    attach_transformer(net, TransformerData(10.0, 8.0, 0.6, -9, 9, 1.25, 150.0), "mv1")
    follow_upstream_voltage(net, 110.0)
    net.trafo["tap_pos"] = tap_pos
    net.ext_grid["vm_pu"] = 1.01
    net.bus["min_vm_pu"] = 0.8
    result, state = solve_active(net), solve_ac(net)
    feeder = net.bus.index != net.ext_grid.bus.iloc[0]  # the head lies behind the ratio
    np.testing.assert_allclose(result.vm_pu[feeder, 0], state.vm_pu[feeder], rtol=0, atol=1e-5)
    assert result.loss_mw[0] == pytest.approx(state.loss_mw, abs=1e-6)


@pytest.mark.parametrize("steps_up", [False, True])
def test_a_transformer_inside_the_feeder_equals_ac(load_case, solve_ac, solve_active, steps_up):
    net = load_case("case33bw")
    # 18 leaves the substation beside 1; its lateral gets a transformer instead of the line 1-18
    at = net.line.index[(net.line.from_bus == 1) & (net.line.to_bus == 18)]
    net.line = net.line.drop(at)
    lateral = [18, 19, 20, 21]
    other_kv = 33.0 if steps_up else 6.3
    net.bus.loc[lateral, "vn_kv"] = other_kv
    ends = (18, 1) if steps_up else (1, 18)
    pp.create_transformer_from_parameters(
        net, *ends, sn_mva=1.0, vn_hv_kv=net.bus.vn_kv[ends[0]], vn_lv_kv=net.bus.vn_kv[ends[1]],
        vk_percent=5.0, vkr_percent=1.0, pfe_kw=1.5, i0_percent=0.2, shift_degree=0.0,
        tap_side="hv", tap_neutral=0, tap_min=-4, tap_max=4, tap_step_percent=2.5,
        tap_step_degree=0.0, tap_pos=-2, tap_changer_type="Ratio",
    )  # fmt: skip
    result, state = solve_active(net), solve_ac(net)
    np.testing.assert_allclose(result.vm_pu[:, 0], state.vm_pu, rtol=0, atol=1e-5)
    assert result.mw("p_import")[0, 0] == pytest.approx(state.slack_p_mw, abs=1e-5)
    assert result.mw("q_import")[0, 0] == pytest.approx(state.slack_q_mvar, abs=1e-5)
    # two tap steps down, 5 % on the hv side, which is the lateral's where it steps up
    assert abs(result.vm_pu[18, 0] - result.vm_pu[1, 0] * (0.95 if steps_up else 1 / 0.95)) < 0.03


def test_line_charging_and_shunts_equal_ac(load_case, solve_ac, solve_active):
    net = load_case("case33bw")
    net.line["c_nf_per_km"] = 4000.0
    pp.create_shunt(net, 24, q_mvar=-0.3, p_mw=0.02)
    result, state = solve_active(net), solve_ac(net)
    np.testing.assert_allclose(result.vm_pu[:, 0], state.vm_pu, rtol=0, atol=1e-5)
    assert result.mw("q_import")[0, 0] == pytest.approx(state.slack_q_mvar, abs=1e-5)


def test_a_line_rating_binds(load_case, solve_active):
    net = load_case("case33bw")
    unit = pp.create_sgen(
        net, 17, p_mw=0.0, min_p_mw=0.0, max_p_mw=5.0, type="unit", controllable=True
    )
    pp.create_poly_cost(net, unit, "sgen", cp1_eur_per_mw=1.0)
    net.line["max_i_ka"] = np.nan
    net.line.loc[16, "max_i_ka"] = 0.03  # the line to the generator
    result = solve_active(net, export_price=50.0)
    current = np.sqrt(result.flows.current2[:, 0]) / (np.sqrt(3) * 12.66)  # base 1 MVA
    at = result.network.branch_index.index(16)
    assert current[at] == pytest.approx(0.03, rel=1e-5)
    assert result.mw("unit_p")[0, 0] < 0.09 + np.sqrt(3) * 12.66 * 1.1 * 0.03  # load and rating


def test_an_impossible_load_is_infeasible(load_case, solve_active):
    assert solve_active(load_case("case33bw"), load=5.0).status == "infeasible"
