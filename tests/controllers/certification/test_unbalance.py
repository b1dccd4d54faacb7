"""Schedules phase by phase: what single-phase customers do that a balanced model cannot see."""

import copy
from dataclasses import dataclass, replace

import numpy as np
import pandapower as pp
import pytest
from support.records import schedule_of

from stackelgrid.controllers.certification.certificate import FeederCertifier
from stackelgrid.controllers.certification.conditions import Conditions
from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.explanation import explanation
from stackelgrid.controllers.schedule import Schedule

# two programs; pandapower's source is not quite as stiff
BAR = 1e-5
STEPS = 2
CEILING = 1.06
PV_MW = np.array([[0.006, 0.002]])  # the sun of both steps
BATTERY_MW = np.array([[0.002, -0.003]])  # charges, then discharges


@dataclass(frozen=True)
class Judged:
    """A street of three homes, a schedule for its PV and battery, and what it is judged to be."""

    feeder: object
    schedule: Schedule
    at: Conditions

    def certify(self):
        return FeederCertifier(self.feeder).certify(self.schedule, self.at)


@pytest.fixture
def street(radial_net, with_devices, build_feeder):
    """`street(loads, pv, battery, scale)`: phases of homes at buses 1 to 3, PV and battery at 3."""

    def build(loads=("a", "b", "c"), pv="a", battery="c", scale=1.0, ceiling=CEILING):
        net = radial_net([0, 1, 2], [0, 2, 2, 1], [0, 0.5, 0.5, 0.2])
        net.line["length_km"] = 0.3
        net.line["max_i_ka"] = 0.1
        for column in ("r", "x"):
            net.line[f"{column}0_ohm_per_km"] = 3.0 * net.line[f"{column}_ohm_per_km"]
        net.line["c0_nf_per_km"] = 0.0
        net.bus[["min_vm_pu", "max_vm_pu"]] = (0.9, ceiling)
        net.load["phase"] = list(loads)
        with_devices(net, pv=[(3, 0.006, 0.007)], batteries=[(3, 0.003, 0.01)])
        net.sgen["phase"], net.storage["phase"] = pv, battery
        feeder = replace(build_feeder(net, "lv1"), three_phase_view=True)
        charge, discharge = np.maximum(BATTERY_MW, 0.0), np.maximum(-BATTERY_MW, 0.0)
        zero, none = np.zeros((1, STEPS)), np.zeros((0, STEPS))
        schedule = schedule_of(
            0, np.ones(STEPS), np.zeros(STEPS), np.zeros(STEPS), charge, discharge, zero,
            scale * PV_MW, zero, none,
        )  # fmt: skip
        network, homes = feeder.network, feeder.devices.loads
        bus_p, bus_q = np.zeros((2, network.buses, STEPS))
        load = [np.outer(v, np.ones(STEPS)) for v in (homes.p_mw, homes.q_mvar)]
        at = network.positions(homes.bus)
        np.add.at(bus_p, at, load[0])
        np.add.at(bus_q, at, load[1])
        conditions = Conditions(bus_p, bus_q, *load, np.array([1.03, 1.02]), None)
        return Judged(feeder, schedule, conditions)

    return build


def run_3ph(judged, step):
    """pandapower's three-phase power flow of a step, every element on its own phase."""
    net, schedule = copy.deepcopy(judged.feeder.net), judged.schedule
    devices = judged.feeder.devices
    consumption = [
        *zip(devices.loads.bus, devices.loads.phase, devices.loads.p_mw, devices.loads.q_mvar,
             strict=True),
        (3, devices.photovoltaics.phase[0], -schedule.pv_p_mw[0, step], 0.0),
        (3, devices.batteries.phase[0], schedule.battery_p_mw[0, step], 0.0),
    ]  # fmt: skip
    for table in ("load", "sgen", "storage"):
        net[table] = net[table].drop(net[table].index)
    for bus, phase, p, q in consumption:
        share = {f"{k}": (1.0 / 3.0 if phase == "abc" else float(k == phase)) for k in "abc"}
        powers = {f"p_{k}_mw": p * s for k, s in share.items()}
        powers |= {f"q_{k}_mvar": q * s for k, s in share.items()}
        pp.create_asymmetric_load(net, int(bus), **powers)
    net.ext_grid["vm_pu"] = judged.at.vm_slack_pu[step]
    source = {"s_sc_max_mva": 1e12, "rx_max": 0.1, "r0x0_max": 0.1, "x0x_max": 1.0}
    for column, value in source.items():
        net.ext_grid[column] = value
    pp.runpp_3ph(net, tolerance_mva=1e-11, numba=False)
    return net


def test_a_single_phase_lifts_itself_above_a_limit_that_the_balanced_view_keeps(street):
    certificate = street().certify()
    phases = certificate.phases
    assert certificate.verdict == ("feasible", "feasible")  # no flows, so never exact
    assert (certificate.violation_pu[0], certificate.worst[0]) == (0.0, "")
    assert certificate.vm_pu.max() < 1.05
    assert phases.verdict == ("infeasible", "feasible")
    assert phases.worst == ("bus 3 phase a", "")
    at = street().feeder.network.bus_index.index(3)
    assert phases.vm_pu[0, at, 0] == phases.vm_pu.max() > CEILING + 1e-3
    assert phases.violation_pu[0] == pytest.approx(phases.vm_pu.max() - CEILING)
    # both views of the horizon together
    assert certificate.verdicts((0, 1)) == ["infeasible", "feasible"]
    assert (certificate.good((1,)), certificate.good((0,))) == (True, False)
    assert explanation(certificate.columns(0)).startswith("planned, by phase bus 3 phase a: ")
    assert certificate.worst_step((0, 1)) == 0
    assert certificate.largest_violation((0, 1)) == phases.violation_pu[0]


@pytest.mark.parametrize("step", [0, 1])
@pytest.mark.parametrize(
    ("loads", "pv", "battery"),
    [(("a", "b", "c"), "a", "c"), (("b", "b", "abc"), "c", "abc"), (("c", "a", "b"), "abc", "b")],
)
def test_voltages_agree_with_pandapower(street, loads, pv, battery, step):
    judged = street(loads, pv, battery)
    found, net = judged.certify().phases, run_3ph(judged, step)
    rows = net.res_bus_3ph.loc[list(judged.feeder.network.bus_index)]
    vm = rows[["vm_a_pu", "vm_b_pu", "vm_c_pu"]].to_numpy().T
    assert np.ptp(vm) > 0.02
    np.testing.assert_allclose(found.vm_pu[:, :, step], vm, rtol=0, atol=BAR)
    np.testing.assert_allclose(
        found.unbalance_percent[:, step], rows.unbalance_percent, rtol=0, atol=100 * BAR
    )
    keys = list(judged.feeder.network.branch_index)
    loading = net.res_line_3ph.loading_percent.loc[keys].to_numpy() / 100.0
    np.testing.assert_allclose(found.loading[:, step], loading, rtol=1e-3)


def test_balanced_devices_are_what_the_balanced_view_says(street):
    judged = street(("abc",) * 3, "abc", "abc")
    certificate = judged.certify()
    phases = certificate.phases
    assert phases.verdict == certificate.verdict == ("feasible", "feasible")
    np.testing.assert_allclose(phases.unbalance_pu, 0.0, atol=1e-8)
    np.testing.assert_allclose(phases.unbalance_percent, 0.0, atol=1e-6)
    for phase in range(3):
        np.testing.assert_allclose(phases.vm_pu[phase], certificate.vm_pu, rtol=0, atol=1e-8)
    np.testing.assert_allclose(phases.loading, certificate.loading, rtol=1e-6, atol=1e-9)


def test_a_limit_that_balanced_devices_violate_is_violated_in_both_views(street):
    certificate = street(("abc",) * 3, "abc", "abc", ceiling=1.02).certify()
    assert certificate.verdict[0] == certificate.phases.verdict[0] == "infeasible"
    assert certificate.phases.violation_pu == pytest.approx(certificate.violation_pu, abs=1e-8)
    assert certificate.worst[0] == "bus 3"
    assert certificate.phases.worst[0].startswith("bus 3 phase ")


def test_unbalance_is_what_phases_differ_from_the_balanced_solution(street):
    certificate = street().certify()
    apart = np.abs(certificate.phases.vm_pu - certificate.vm_pu).max(axis=(0, 1))
    np.testing.assert_array_equal(certificate.phases.unbalance_pu, apart)
    assert (apart > 0.01).all()


def test_an_ideal_tie_has_no_ratio_to_set(street):
    judged = street()
    given = replace(judged, at=replace(judged.at, ratio=judged.feeder.network.head_ratio))
    found, known = given.certify().phases, judged.certify().phases
    np.testing.assert_array_equal(found.vm_pu, known.vm_pu)


def test_the_head_of_a_feeder_has_no_limit(street):
    judged = street(("abc",) * 3, "abc", "abc", scale=0.0)
    judged.at.vm_slack_pu[:] = CEILING + 5e-3
    phases = judged.certify().phases
    head_and_others = phases.vm_pu.max(axis=0)[:, 1] - CEILING
    assert head_and_others[0] == pytest.approx(5e-3)
    assert phases.violation_pu[1] == pytest.approx(head_and_others[1:].max())


def test_a_conductor_beyond_its_rating_is_named(street):
    judged = street()
    judged.feeder.net.line.loc[0, "max_i_ka"] = 0.012
    certificate = judged.certify()
    assert certificate.verdict == ("feasible", "feasible")
    loading = certificate.phases.loading
    assert loading[0].max() > 1.1 > certificate.loading[0].max()
    over = int(np.argmax(loading[0]))
    assert certificate.phases.verdict[over] == "infeasible"
    voltage = certificate.phases.vm_pu[:, 1:, over].max() - CEILING
    assert loading[0, over] - 1.0 > voltage
    assert certificate.phases.worst[over] == "line 0"
    assert certificate.phases.violation_pu[over] == pytest.approx(loading[0, over] - 1.0)


def test_a_power_flow_that_diverges_is_infeasible_and_says_so(street):
    judged = street()
    judged.at.load_p_mw[0, 1] = 1.0  # on one phase of a 400 V street
    certificate = judged.certify()
    phases = certificate.phases
    assert phases.verdict[1] == "infeasible"
    assert phases.worst[1] == "three-phase power flow diverged"
    assert np.isnan([phases.violation_pu[1], phases.unbalance_pu[1]]).all()
    assert certificate.largest_violation((1,)) == np.inf
    assert "three-phase power flow diverged" in explanation(certificate.columns(1))
    assert certificate.worst_step((0, 1)) == 1
    assert np.isfinite(phases.violation_pu[0])  # the other step is left alone


@pytest.mark.parametrize(
    ("phases", "message"),
    [
        ({"loads": ("a", "", "c")}, "load 1 states no phase, which a three-phase view needs"),
        ({"pv": ""}, "sgen 0 states no phase"),
        ({"battery": ""}, "storage 0 states no phase"),
    ],
)
def test_a_device_without_a_phase_is_refused(street, phases, message):
    with pytest.raises(NetworkError, match=rf"lv1.*{message}"):
        street(**phases).certify()


def test_an_unknown_phase_is_refused(street):
    with pytest.raises(NetworkError, match=r"phase.*'d'"):
        street(pv="d").certify()
