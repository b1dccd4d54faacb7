"""MATPOWER's radial cases: losses are pandapower's."""

import numpy as np
import pandapower as pp
import pytest
from support.matpower_cases import CASES, SEVERAL_SLACKS, matpower_net

from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.checks import check_net
from stackelgrid.controllers.networks.conversion.normalise import normalise
from stackelgrid.controllers.networks.net_record import NetRecord
from stackelgrid.controllers.networks.radial import radial_network

BAR_KW = 1e-6


def loss_kw(net):
    pp.runpp(net, numba=False, tolerance_mva=1e-8 if len(net.bus) == 141 else 1e-9)
    return 1e3 * (net.res_line.pl_mw.sum())


PLAIN = [c for c in CASES if c not in (*SEVERAL_SLACKS, "case16am")]


@pytest.mark.parametrize(
    "case",
    [pytest.param(c, marks=[pytest.mark.slow] if n % 3 else []) for n, c in enumerate(PLAIN)],
)
def test_loss_is_that_of_pandapower(solve_ac, case):
    net = matpower_net(case)
    plain = normalise(net, case)
    check_net(plain, case)
    assert len(plain.bus) == len(net.bus) == radial_network(plain, case).buses
    assert 1e3 * solve_ac(plain).loss_mw == pytest.approx(loss_kw(net), abs=BAR_KW)


def test_a_line_of_next_to_no_impedance_joins_its_buses(solve_ac):
    # case16am states 1e-8 ohm, 6e-11 p.u.: pandapower does not converge, with a switch it does
    net = matpower_net("case16am")
    record = NetRecord()
    plain = normalise(net, "case16am", record)
    assert record.bus(2) == 1
    assert record.loss_of("line", 0) == "between buses that are one"
    assert len(plain.bus) == len(net.bus) - 1
    switched = matpower_net("case16am")
    switched.line.loc[0, "in_service"] = False
    pp.create_switch(switched, 1, 2, et="b", closed=True)
    assert 1e3 * solve_ac(plain).loss_mw == pytest.approx(loss_kw(switched), abs=BAR_KW)


def test_a_joined_line_with_a_rating_is_refused():
    net = matpower_net("case16am")
    net.line["max_i_ka"] = 0.4
    with pytest.raises(NetworkError, match=r"case16am: line 0 has an impedance of 6\.2e-11 p\.u\."):
        normalise(net, "case16am")


@pytest.mark.parametrize("ohm", [1e-4, 1e-5])
def test_tiny_impedances_are_solved_as_by_pandapower(solve_ac, ohm):
    net = matpower_net("case141")
    tiny = net.line.index[net.line.x_ohm_per_km == 1e-5]
    assert len(tiny) == 1
    net.line.loc[tiny, "x_ohm_per_km"] = ohm
    plain = normalise(net, "case141")
    assert len(plain.line) == 140
    assert 1e3 * solve_ac(plain).loss_mw == pytest.approx(loss_kw(net), abs=BAR_KW)


@pytest.mark.parametrize("case", SEVERAL_SLACKS)
def test_several_feeders_in_one_net_are_refused(case):
    plain = normalise(matpower_net(case), case)
    with pytest.raises(NetworkError, match=rf"grid {case}: exactly one slack bus is accepted"):
        check_net(plain, case)


def test_slacks_of_one_voltage_that_a_switch_joins_are_one(solve_ac):
    net = matpower_net("case70da")
    pp.create_switch(net, 1, 70, et="b", closed=True)
    plain = normalise(net, "case70da")
    check_net(plain, "case70da")
    radial_network(plain, "case70da")
    assert len(plain.ext_grid) == 1
    assert 1e3 * solve_ac(plain).loss_mw == pytest.approx(loss_kw(net), abs=BAR_KW)
    np.testing.assert_allclose(plain.load.p_mw.sum(), net.load.p_mw.sum(), rtol=1e-12)
