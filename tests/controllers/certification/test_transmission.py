"""AC certificate of DC dispatches, against pandapower's own Newton and DC power flows."""

import copy
import re

import numpy as np
import pandapower as pp
import pytest
from support.pandapower_nets import shipped_net

from stackelgrid.controllers.certification.transmission import TransmissionCertifier
from stackelgrid.controllers.devices.devices import read_devices
from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.conversion.normalise import normalise
from stackelgrid.controllers.networks.meshed import meshed_network

BAR = 1e-8  # p.u., lightsim2grid against pandapower


def unlimited(net):
    """The net without any limit, so that a test can set the one it is about."""
    net.bus[["min_vm_pu", "max_vm_pu"]] = [0.5, 1.5]
    net.line["max_i_ka"] = np.nan
    for table in ("ext_grid", "gen"):
        net[table][["min_q_mvar", "max_q_mvar"]] = np.nan
        net[table][["min_p_mw", "max_p_mw"]] = [-1e4, 1e4]
    return net


def consumption(net):
    """Load of the net (n,) in MW and MVAr."""
    at = {bus: i for i, bus in enumerate(net.bus.index)}
    p, q = np.zeros((2, len(net.bus)))
    for _, row in net.load.iterrows():
        p[at[row.bus]] += row.p_mw
        q[at[row.bus]] += row.q_mvar
    return p, q


def certifier(net):
    devices = read_devices(net, "tn", slack_is_unit=True)
    return TransmissionCertifier(net, meshed_network(net, "tn"), devices, "tn")


def dispatch(net, factors=(1.0,)):
    """A lossless dispatch for scaled loads: generators follow, the slack takes what is left."""
    p, q = consumption(net)
    factors = np.asarray(factors)
    load_p, load_q = np.outer(p, factors), np.outer(q, factors)
    gens = np.outer(net.gen.p_mw.to_numpy(), factors)
    return np.vstack([load_p.sum(axis=0) - gens.sum(axis=0), gens]), load_p, load_q


def certify(net, factors=(1.0,)):
    return certifier(net).certify(*dispatch(net, factors))


def scaled(net, factor):
    net = copy.deepcopy(net)
    net.load[["p_mw", "q_mvar"]] *= factor
    net.gen["p_mw"] *= factor
    return net


@pytest.fixture
def case30(load_case):
    return load_case("case30")


def case14_with_a_phase_shift():
    net = shipped_net("case14")
    net.trafo.loc[0, "shift_degree"] = 7.0
    pp.create_shunt(net, 8, q_mvar=-5.0, p_mw=3.0)
    return normalise(net, "case14")


def test_losses_voltages_and_loadings_are_pandapowers(case30, run_pandapower):
    factors = (0.6, 1.0, 1.1)
    certificate = certify(case30, factors)
    for t, factor in enumerate(factors):
        known = run_pandapower(scaled(case30, factor))
        loss = known.res_line.pl_mw.sum()
        assert certificate.loss_mw[t] == pytest.approx(loss, abs=1e-6)
        np.testing.assert_allclose(certificate.vm_pu[:, t], known.res_bus.vm_pu, rtol=0, atol=BAR)
        np.testing.assert_allclose(
            100.0 * certificate.loading[:, t], known.res_line.loading_percent, rtol=1e-7
        )
        np.testing.assert_allclose(
            certificate.unit_q_mvar[:, t],
            np.concatenate([known.res_ext_grid.q_mvar, known.res_gen.q_mvar]),
            rtol=0,
            atol=1e-6,
        )
        # case30 has no shunt conductance: the slack gives exactly what the dispatch neglects
        assert certificate.slack_deviation_mw[t] == pytest.approx(loss, abs=1e-6)
        assert certificate.slack_p_mw[t] == pytest.approx(known.res_ext_grid.p_mw[0], abs=1e-6)
        assert certificate.loss_share[t] == pytest.approx(loss / (factor * 189.2), rel=1e-6)
    # MATPOWER case30 at its stored dispatch: 2.444 MW of losses
    assert certificate.loss_mw[1] == pytest.approx(2.444, abs=1e-3)


def test_transformers_shifts_and_shunts_are_pandapowers(run_pandapower):
    net = case14_with_a_phase_shift()
    certificate = certify(net)
    known = run_pandapower(net)
    loss = known.res_line.pl_mw.sum() + known.res_trafo.pl_mw.sum()
    assert certificate.loss_mw[0] == pytest.approx(loss, abs=1e-6)
    # the shunt takes 3 MW at 1 p.u., and this is no loss of a branch
    shunt = known.res_shunt.p_mw.sum()
    assert shunt == pytest.approx(3.0, rel=0.2)
    assert certificate.slack_deviation_mw[0] == pytest.approx(loss + shunt, abs=1e-6)
    np.testing.assert_allclose(certificate.vm_pu[:, 0], known.res_bus.vm_pu, rtol=0, atol=BAR)


@pytest.mark.parametrize("case", ["case30", "case14"])
def test_dc_flows_are_pandapowers(load_case, case):
    net = load_case("case30") if case == "case30" else case14_with_a_phase_shift()
    net.line["max_i_ka"] = 0.2
    certificate = certify(net)
    pp.rundcpp(net)
    flow = np.abs(np.concatenate([net.res_line.p_from_mw, net.res_trafo.p_hv_mw]))
    rating = meshed_network(net, "tn").rating * net.sn_mva
    np.testing.assert_allclose(certificate.dc_loading[:, 0], flow / rating, rtol=1e-6, atol=1e-9)
    assert flow.max() > 10.0


def test_flows_of_the_dispatch_are_taken_as_given(case30):
    unit_p, load_p, load_q = dispatch(case30)
    flows = np.linspace(-10.0, 10.0, 41)[:, None]
    certificate = certifier(case30).certify(unit_p, load_p, load_q, flows)
    rating = np.sqrt(3.0) * 135.0 * case30.line.max_i_ka.to_numpy()
    np.testing.assert_allclose(certificate.dc_loading[:, 0], np.abs(flows[:, 0]) / rating)


def test_a_dispatch_within_all_limits_is_feasible_and_not_exact(case30):
    certificate = certify(unlimited(case30), (0.5, 1.0))
    assert certificate.verdict == ("feasible", "feasible")
    assert certificate.worst == ("", "")
    assert certificate.violation_pu.tolist() == [0.0, 0.0]
    assert not certificate.unseen_overload.any()
    assert certificate.branch.tolist() == [-1, -1]  # no branch has a rating
    assert np.isnan(certificate.branch_dc_loading).all()
    assert (certificate.loss_share > 1e-3).all()


def test_an_overload_that_dc_does_not_see_is_named(case30):
    net = unlimited(case30)
    net.line["max_i_ka"] = 10.0
    before = certify(net)
    # line with the largest difference between the two models, its rating halfway
    ac, dc = 10.0 * before.loading[:, 0], 10.0 * before.dc_loading[:, 0]
    line = int(np.argmax(ac - dc))
    assert ac[line] > 1.1 * dc[line]
    net.line.loc[line, "max_i_ka"] = rating = (ac[line] + dc[line]) / 2.0
    certificate = certify(net)
    assert certificate.verdict == ("infeasible",)
    assert certificate.branch.tolist() == [line]
    assert certificate.rating_violation[0] == pytest.approx(ac[line] / rating - 1.0, rel=1e-9)
    assert certificate.branch_dc_loading[0] == pytest.approx(dc[line] / rating, rel=1e-9)
    assert certificate.unseen_overload.tolist() == [True]
    assert certificate.worst == (
        f"line {line} at {100 * ac[line] / rating:.1f} % of its limit "
        f"(DC {100 * dc[line] / rating:.1f} %)",
    )
    # an overload that the dispatch itself has is not unseen
    net.line.loc[line, "max_i_ka"] = dc[line] / 1.01
    seen = certify(net)
    assert seen.verdict == ("infeasible",)
    assert not seen.unseen_overload[0]


def test_a_stated_loading_limit_counts(case30):
    net = unlimited(case30)
    net.line["max_i_ka"] = 10.0
    before = certify(net)
    line = int(before.branch[0])
    net.line["max_loading_percent"] = 50.0 * before.loading[line, 0]
    certificate = certify(net)
    assert certificate.rating_violation[0] == pytest.approx(1.0, rel=1e-9)
    assert certificate.branch[0] == line


def test_a_voltage_outside_its_band_is_named(case30, run_pandapower):
    net = unlimited(case30)
    vm = run_pandapower(net).res_bus.vm_pu
    net.bus.loc[7, "min_vm_pu"] = vm[7] + 0.003
    net.bus.loc[9, "max_vm_pu"] = vm[9] - 0.002
    certificate = certify(net)
    assert certificate.verdict == ("infeasible",)
    assert certificate.vm_bus.tolist() == [7]
    assert certificate.vm_violation_pu[0] == pytest.approx(0.003, abs=BAR)
    assert certificate.violation_pu[0] == pytest.approx(0.003, abs=BAR)
    assert certificate.worst == (f"bus 7 at {vm[7]:.4f} p.u.",)


def test_losses_push_the_slack_over_its_limit(case30):
    net = unlimited(case30)
    unit_p, _, _ = dispatch(net)
    net.ext_grid["max_p_mw"] = unit_p[0, 0] + 1.0  # the dispatch is 1 MW below the limit
    certificate = certify(net)
    assert certificate.verdict == ("infeasible",)
    assert certificate.slack_violation_mw[0] == pytest.approx(
        certificate.loss_mw[0] - 1.0, abs=1e-6
    )
    assert certificate.violation_pu[0] == pytest.approx(
        (certificate.loss_mw[0] - 1.0) / 100.0, abs=1e-8
    )
    assert certificate.worst == (f"ext_grid 0 at {unit_p[0, 0] + certificate.loss_mw[0]:.2f} MW",)


def test_reactive_limits_count_where_they_are_stated(case30, run_pandapower):
    net = unlimited(case30)
    q = run_pandapower(net).res_gen.q_mvar
    assert certify(net).reactive_violation_mvar.tolist() == [0.0]
    net.gen.loc[3, "max_q_mvar"] = q[3] - 4.0
    net.gen.loc[1, "min_q_mvar"] = q[1] + 5.0
    certificate = certify(net)
    assert certificate.verdict == ("infeasible",)
    assert certificate.reactive_unit == ("gen 1",)
    assert certificate.reactive_violation_mvar[0] == pytest.approx(5.0, abs=1e-6)
    assert certificate.worst == (f"gen 1 at {q[1]:.2f} MVAr",)


def test_divergence_is_a_finding_and_leaves_the_other_steps_alone(case30):
    net = unlimited(case30)
    net.line["max_i_ka"] = 10.0
    certificate = certify(net, (1.0, 8.0, 1.0))
    assert certificate.verdict == ("feasible", "infeasible", "feasible")
    message = r"grid tn: AC power flow diverged; solvable up to \d+\.\d % of the power"
    assert re.match(message, certificate.worst[1])
    assert np.isnan(certificate.loss_mw[1])
    assert np.isnan(certificate.vm_pu[:, 1]).all()
    assert (certificate.vm_bus[1], certificate.branch[1]) == (-1, -1)
    assert not certificate.unseen_overload[1]
    np.testing.assert_array_equal(certificate.vm_pu[:, 2], certificate.vm_pu[:, 0])
    nan = certifier(net).certify(*(a * [[1.0, np.nan]] for a in dispatch(net, (1.0, 1.0))))
    assert nan.verdict == ("feasible", "infeasible")
    assert "NaN" in nan.worst[1]


def test_a_call_depends_on_its_arguments_alone(case30):
    judge, arguments = certifier(case30), dispatch(case30, (1.0, 0.7))
    first = judge.certify(*arguments)
    judge.certify(*dispatch(case30, (1.3, 1.2)))
    again = judge.certify(*arguments)
    np.testing.assert_array_equal(first.vm_pu, again.vm_pu)
    np.testing.assert_array_equal(first.loss_mw, again.loss_mw)


def test_dispatchable_static_generators_inject_at_their_bus(case30, run_pandapower):
    net = unlimited(case30)
    pp.create_sgen(net, 17, p_mw=9.0, min_p_mw=0.0, max_p_mw=20.0, controllable=True)
    pp.create_poly_cost(net, 0, "sgen", cp1_eur_per_mw=10.0)
    unit_p, load_p, load_q = dispatch(net)
    certificate = certifier(net).certify(np.vstack([unit_p, [[9.0]]]), load_p, load_q)
    known = run_pandapower(net)
    np.testing.assert_allclose(certificate.vm_pu[:, 0], known.res_bus.vm_pu, rtol=0, atol=BAR)
    assert certificate.slack_p_mw[0] == pytest.approx(known.res_ext_grid.p_mw[0], abs=1e-6)


def test_a_slack_that_is_no_unit_is_refused(case30):
    devices = read_devices(case30, "tn", slack_is_unit=False)
    with pytest.raises(NetworkError, match="grid tn: ext_grid must be one unit"):
        TransmissionCertifier(case30, meshed_network(case30, "tn"), devices, "tn")
