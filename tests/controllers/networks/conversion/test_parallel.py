"""Branches in parallel in feeders; oracle: pandapower.runpp of the user's net."""

import numpy as np
import pandapower as pp
import pandas as pd
import pytest
from support.outside_nets import street
from support.same_flow import solved

from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.conversion.normalise import normalise
from stackelgrid.controllers.networks.conversion.parallel import (
    merge_parallel_lines,
    merge_parallel_transformers,
)
from stackelgrid.controllers.networks.net_record import NetRecord
from stackelgrid.controllers.networks.radial import radial_network

BAR_PU = 1e-8


def merged(net):
    record = NetRecord()
    plain = normalise(net, "g", record)
    merge_parallel_transformers(plain, "g", record)
    merge_parallel_lines(plain, record)
    radial_network(plain, "g")
    return plain, record


def assert_same(net, plain):
    """Compare voltages, losses and the slack; return pandapower's and our state."""
    pp.runpp(net, numba=False, init="dc", tolerance_mva=1e-10, calculate_voltage_angles=True)
    state = solved(plain)
    np.testing.assert_allclose(state.vm_pu, net.res_bus.vm_pu.loc[plain.bus.index], atol=BAR_PU)
    loss = net.res_line.pl_mw.sum() + net.res_trafo.pl_mw.sum()
    assert state.loss_mw == pytest.approx(loss, abs=1e-10)
    assert state.slack_p_mw == pytest.approx(net.res_ext_grid.p_mw.sum(), abs=1e-10)
    assert state.slack_q_mvar == pytest.approx(net.res_ext_grid.q_mvar.sum(), abs=1e-10)
    return state


def second_line(net, **data):
    values = {"length_km": 0.05, "r_ohm_per_km": 0.25, "x_ohm_per_km": 0.08, "c_nf_per_km": 0.0,
              "max_i_ka": 0.2} | data  # fmt: skip
    return pp.create_line_from_parameters(net, 4, 3, **values)


def test_equal_parallel_lines_are_counted():
    net = street()
    second_line(net)
    plain, record = merged(net)
    assert plain.line.parallel.tolist() == [1, 1, 2, 1, 1, 1]
    assert record.loss_of("line", 6) == "equal to line 2 in parallel with it"
    state = assert_same(net, plain)
    assert state.loading_percent[2] == pytest.approx(net.res_line.loading_percent.at[2], abs=1e-6)
    assert not [note for note in record.notes if note.surprising]


@pytest.mark.parametrize("charging", [0.0, 4e5])
def test_different_parallel_lines_are_one_pi_section_that_protects_each(charging):
    net = street()
    net.line["c_nf_per_km"] = charging
    second_line(net, r_ohm_per_km=0.6, x_ohm_per_km=0.1, length_km=0.08, max_i_ka=0.03,
                c_nf_per_km=charging / 2)  # fmt: skip
    second_line(net, r_ohm_per_km=0.1, length_km=0.2, max_i_ka=0.5, parallel=2, df=0.9)
    net.line["max_loading_percent"] = [100.0, 100.0, 80.0, 100.0, 100.0, 100.0, 90.0, 100.0]
    plain, record = merged(net)
    state = assert_same(net, plain)
    assert [note.index for note in record.notes if note.surprising] == [(6, 7)]
    lines = [2, 6, 7]
    allowed = net.line.max_loading_percent
    worst = (net.res_line.loading_percent / allowed).loc[lines].max()
    share = state.loading_percent[2] / plain.line.max_loading_percent.at[2]
    if not charging:
        assert share == pytest.approx(worst, rel=1e-9)
        return
    net.load["scaling"] = plain.load["scaling"] = 1.0 / share  # about the rating
    state = assert_same(net, plain)
    share = state.loading_percent[2] / plain.line.max_loading_percent.at[2]
    worst = (net.res_line.loading_percent / allowed).loc[lines].max()
    assert 0.95 < worst <= share < 1.2


def test_lines_without_rating_in_parallel_have_none():
    net = street()
    net.line["max_i_ka"] = np.nan
    second_line(net, r_ohm_per_km=0.6, max_i_ka=np.nan)
    plain, _ = merged(net)
    assert np.isnan(plain.line.max_i_ka.at[2])
    assert_same(net, plain)


def test_zero_sequence_impedances_are_in_parallel_too():
    net = street()
    second_line(net, r_ohm_per_km=0.5, x_ohm_per_km=0.16)
    for column, factor in (("r0", 4.0), ("x0", 3.0)):
        net.line[f"{column}_ohm_per_km"] = factor * net.line[f"{column[0]}_ohm_per_km"]
    plain, _ = merged(net)
    assert plain.line.r0_ohm_per_km.at[2] == pytest.approx(4.0 * 0.25 * 2.0 / 3.0)
    assert plain.line.x0_ohm_per_km.at[2] == pytest.approx(3.0 * 0.08 * 2.0 / 3.0)


def two_transformers(**second):
    net = street(tap_pos=-1)
    net.trafo = pd.concat([net.trafo, net.trafo], ignore_index=True)
    for column, value in second.items():
        net.trafo.loc[1, column] = value
    return net


@pytest.mark.parametrize(
    "second",
    [
        {"vk_percent": 5.0},
        {"sn_mva": 0.4, "vkr_percent": 0.9, "pfe_kw": 0.7, "i0_percent": 0.5, "parallel": 2},
        {"sn_mva": 0.05, "pfe_kw": 0.0, "i0_percent": 0.0, "df": 0.8},
    ],
)
def test_unequal_transformers_of_one_ratio_are_one_that_protects_each(second):
    net = two_transformers(**second)
    plain, record = merged(net)
    state = assert_same(net, plain)
    assert len(plain.trafo) == 1
    assert [note.index for note in record.notes if note.surprising] == [(1,)]
    net.load["scaling"] = plain.load["scaling"] = 100.0 / state.loading_percent[-1]
    share = assert_same(net, plain).loading_percent[-1]  # about the rating
    worst = net.res_trafo.loading_percent.max()
    assert 95.0 < worst <= share + 1e-9 < 125.0


def test_transformers_of_different_ratio_are_refused():
    for second, text in (
        ({"tap_pos": 1}, r"differ in tap_pos \(-1.0, 1.0\)"),
        ({"vn_lv_kv": 0.41}, r"differ in vn_lv_kv \(0.4, 0.41\)"),
        ({"shift_degree": 30.0}, r"differ in shift_degree \(0.0, 30.0\)"),
    ):
        with pytest.raises(NetworkError, match=f"grid g: trafo 0, 1 are parallel .*{text}; those"):
            merged(two_transformers(**second))
