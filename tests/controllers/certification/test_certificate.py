"""Certificates: exact, relaxed, violated and diverging schedules are told apart."""

from dataclasses import replace

import numpy as np
import pandapower as pp
import pytest
from support.records import schedule_of

from stackelgrid.controllers.certification.certificate import FeederCertifier
from stackelgrid.controllers.certification.conditions import Conditions
from stackelgrid.controllers.networks.boundary import TransformerData, attach_transformer
from stackelgrid.controllers.networks.reduction import FlowState


def plan_of(flows, p_import_mw, q_import_mvar=0.0):
    """A schedule without devices: flows and the import that goes with them, (steps,)."""
    steps = len(p_import_mw)
    q_import = np.full(steps, q_import_mvar)
    nothing = [np.zeros((0, steps))] * 6
    return schedule_of(0, np.ones(steps), np.asarray(p_import_mw), q_import, *nothing, flows=flows)


def at_load(network, loads, vm_pu, ratio=None, factor=(1.0,)):
    """Conditions with the nominal loads times a factor for each step."""
    p, q = np.zeros((2, network.buses, len(factor)))
    at = network.positions(loads.bus)
    np.add.at(p, at, np.outer(loads.p_mw, factor))
    np.add.at(q, at, np.outer(loads.q_mvar, factor))
    return Conditions(
        p, q, np.outer(loads.p_mw, factor), np.outer(loads.q_mvar, factor),
        np.full(len(factor), vm_pu), ratio,
    )  # fmt: skip


@pytest.fixture
def judge(build_feeder, solve_active):
    """`judge(net, change, load, ...)`: verdict on the SOC schedule of a net with fixed loads.

    `change(flows, network)` may tamper with the flows; `load` is what the AC power flow sees.
    """

    def certify(net, change=None, load=1.0, drop=1.0, ratio=None, kind="ideal", step=0):
        feeder = build_feeder(net, kind=kind)
        result = solve_active(net)
        flows = result.flows
        if change is not None:
            flows = change(flows, result.network)
        steps = 1 if flows is None else flows.v.shape[1]
        head = float(net.ext_grid.vm_pu.iloc[0]) * drop
        at = at_load(feeder.network, feeder.devices.loads, head, ratio, [load] * steps)
        schedule = plan_of(flows, np.full(steps, float(result.mw("p_import")[0, 0])))
        return FeederCertifier(feeder).certify(schedule, at).step(step)

    return certify


@pytest.fixture
def judge_planned(build_feeder, load_case, solve_active):
    """`judge_planned(net)`: verdict on Baran and Wu's schedule with the limits of another net.

    The model would refuse limits that its own flows violate.
    """
    flows = solve_active(load_case("case33bw")).flows

    def certify(net):
        feeder = build_feeder(net)
        at = at_load(feeder.network, feeder.devices.loads, 1.0)
        return FeederCertifier(feeder).certify(plan_of(flows, np.array([3.9176771])), at).step(0)

    return certify


def test_baran_wu_with_fixed_loads_is_exact(load_case, judge):
    verdict = judge(load_case("case33bw"))
    assert verdict.verdict == "exact"
    assert 0.0 <= verdict.cone_gap_pu < 1e-6
    assert verdict.fictitious_loss_share < 1e-7
    assert verdict.voltage_error_pu < 1e-6
    assert verdict.import_error_mw < 1e-6
    assert (verdict.violation_pu, verdict.worst) == (0.0, "")


def test_a_raised_current_is_reported_as_fictitious_loss(load_case, judge):
    raised = {}

    def raise_current(flows, network):
        current2 = flows.current2.copy()
        current2[4] += 0.5
        raised["mw"] = 0.5 * network.r[4] * network.base_mva
        return replace(flows, current2=current2)

    verdict = judge(load_case("case33bw"), raise_current)
    assert verdict.verdict == "feasible"  # AC is well, the relaxation is not exact
    assert verdict.fictitious_loss_mw == pytest.approx(raised["mw"], rel=1e-4)
    # share of the 3.715 MW of Baran and Wu
    assert verdict.fictitious_loss_share == pytest.approx(raised["mw"] / 3.715, rel=1e-4)
    assert 0.4 < verdict.cone_gap_pu < 0.5  # 0.5 times a squared voltage below 1


def test_a_tap_position_is_judged_as_planned(load_case, judge):
    net = load_case("case33bw")
    attach_transformer(net, TransformerData(10.0, 8.0, 0.5, -9, 9, 1.25), "g")
    net.trafo["tap_pos"] = -2
    verdict = judge(net, ratio=0.975, kind="fixed_tap")
    assert verdict.verdict == "exact"
    assert verdict.cone_gap_pu < 1e-6
    assert verdict.voltage_error_pu < 1e-6


def test_another_ratio_than_planned_shows_as_a_voltage_error(load_case, judge, solve_ac):
    net = load_case("case33bw")
    attach_transformer(net, TransformerData(10.0, 8.0, 0.5, -9, 9, 1.25), "g")
    net.ext_grid["vm_pu"] = 1.03
    verdict = judge(net, ratio=1.0 - 0.0125, kind="fixed_tap")  # one step from the planned one
    assert verdict.verdict == "feasible"
    planned = solve_ac(net).vm_pu
    net.trafo["tap_pos"] = -1
    found = np.abs(solve_ac(net).vm_pu - planned).max()
    assert found > 0.0125
    assert verdict.voltage_error_pu == pytest.approx(found, abs=1e-6)


def test_a_planned_voltage_that_ac_does_not_have_is_not_exact(load_case, judge):
    def lift(flows, network):
        v = flows.v.copy()
        v[17] = (np.sqrt(v[17]) + 3e-4) ** 2
        return replace(flows, v=v)

    verdict = judge(load_case("case33bw"), lift)
    assert verdict.verdict == "feasible"
    assert verdict.voltage_error_pu == pytest.approx(3e-4, abs=1e-6)


def test_a_voltage_violation_names_its_bus(load_case, judge):
    net = load_case("case33bw")
    verdict = judge(net, load=1.3)
    assert verdict.verdict == "infeasible"
    assert verdict.worst == "bus 17"  # the weakest bus of Baran and Wu
    # pandapower on its own: 33 buses at 130 % load
    net.load[["p_mw", "q_mvar"]] *= 1.3
    pp.runpp(net, numba=False)
    assert verdict.violation_pu == pytest.approx(0.9 - net.res_bus.vm_pu.min(), abs=1e-8)
    assert verdict.import_error_mw == pytest.approx(
        net.res_ext_grid.p_mw.iloc[0] - 3.715 - 0.2026771, abs=1e-5
    )


def test_a_violation_inside_the_tolerance_is_none(load_case, judge_planned):
    # 0.91309 p.u. at bus 17, so a limit 5e-5 above is violated by half the tolerance of 1e-4
    net = load_case("case33bw")
    net.bus.loc[17, "min_vm_pu"] = 0.9130904793610517 + 5e-5
    tight = judge_planned(net)
    assert tight.verdict == "exact"
    assert tight.violation_pu == pytest.approx(5e-5, abs=1e-9)
    net.bus.loc[17, "min_vm_pu"] += 1e-4
    assert judge_planned(net).verdict == "infeasible"


def test_a_rating_violation_names_its_line(load_case, judge_planned):
    net = load_case("case33bw")
    net.line.loc[2, "max_i_ka"] = 0.1
    verdict = judge_planned(net)
    assert verdict.verdict == "infeasible"
    assert verdict.worst == "line 2"
    pp.runpp(net, numba=False)
    assert verdict.violation_pu == pytest.approx(net.res_line.i_ka[2] / 0.1 - 1.0, rel=1e-6)


def test_a_diverging_power_flow_is_infeasible(load_case, judge):
    verdict = judge(load_case("case33bw"), load=6.0)
    assert verdict.verdict == "infeasible"
    assert verdict.worst.startswith("grid feeder: AC power flow diverged; solvable up to ")
    assert np.isnan([verdict.voltage_error_pu, verdict.import_error_mw, verdict.violation_pu]).all()


def test_a_schedule_without_flows_is_judged_by_ac_alone(load_case, judge):
    verdict = judge(load_case("case33bw"), lambda flows, network: None)
    assert verdict.verdict == "feasible"
    assert np.isnan([verdict.cone_gap_pu, verdict.fictitious_loss_mw]).all()
    assert verdict.import_error_mw < 1e-6
    assert judge(load_case("case33bw"), lambda f, n: None, load=1.3).worst == "bus 17"


def test_only_the_step_asked_for_is_judged(load_case, judge):
    def add_wrong_step(flows, network):
        return FlowState(
            *(np.concatenate([a, 7.0 * a], axis=1)
              for a in (flows.p, flows.q, flows.current2, flows.v))
        )  # fmt: skip

    assert judge(load_case("case33bw"), add_wrong_step).verdict == "exact"
    later = judge(load_case("case33bw"), add_wrong_step, step=1)
    assert later.verdict == "feasible"  # AC does not know what was planned
    assert later.voltage_error_pu > 1.0
