"""One decision for a day, executed step by step; and who decides together."""

import numpy as np
import pytest
from support.records import grid_series

from stackelgrid.controllers.cascade.cascade import Cascade
from stackelgrid.controllers.certification.certificate import FeederCertifier
from stackelgrid.controllers.certification.conditions import Conditions
from stackelgrid.controllers.devices.devices import read_devices
from stackelgrid.controllers.models.active_network import ActiveNetworkOptions
from stackelgrid.controllers.models.p2p import TradeOptions
from stackelgrid.controllers.networks.boundary import TransformerData, attach_transformer
from stackelgrid.controllers.networks.meshed import meshed_network
from stackelgrid.controllers.protocol import ControllerSettings
from stackelgrid.controllers.schedule import Measurement
from stackelgrid.controllers.system import System, Transmission
from stackelgrid.profiles.forecast import PerfectForecast
from stackelgrid.profiles.time_axis import Horizon

STEPS = 5
DAY = Horizon((60,) * STEPS, 60)
SUN = np.array([0.1, 0.8, 1.0, 0.3, 0.0])
LOAD = np.array([0.5, 0.7, 0.6, 1.5, 1.8])
PRICE = np.array([100.0, 60.0, 50.0, 250.0, 300.0])


def options(across):
    return ActiveNetworkOptions(1.0, trade=TradeOptions(15.0, 8.0, 16.0, across))


@pytest.fixture
def street(radial_net, with_devices, build_feeder):
    """`street(name, parent, bus, ...)`: four homes, PV, a battery, a transformer."""

    def make(name, parent=None, bus=-1, across=True, pv_mw=0.02, transformer=True, **arguments):
        net = radial_net([0, 1, 1, 3], [0, 2, 2, 2, 3], [0, 0.5, 0.5, 0.5, 1], length_km=0.05)
        net.bus[["min_vm_pu", "max_vm_pu"]] = (0.85, 1.1)
        with_devices(net, pv=[(2, pv_mw, 1.1 * pv_mw)],
                     batteries=[(4, 0.004, 0.01, 50.0, 0.95, 5.0)])  # fmt: skip
        if transformer:
            attach_transformer(net, TransformerData(0.25, 4.0, 1.0, -2, 2, 2.5), name)
            arguments["kind"] = "fixed_tap"
        arguments = {"options": options(across), "load": LOAD, "intervals": STEPS, **arguments}
        return build_feeder(
            net, name, DAY, pv=SUN, import_price=PRICE, export_price=PRICE - 40.0, parent=parent,
            bus=bus, **arguments,
        )  # fmt: skip

    return make


@pytest.fixture
def transmission(load_case):
    net = load_case("case30")
    devices = read_devices(net, "tn", slack_is_unit=True)
    factor = np.resize(0.8 + 0.1 * np.arange(STEPS), 2 * STEPS)
    loads = (np.outer(factor, p) for p in (devices.loads.p_mw, devices.loads.q_mvar))
    series = grid_series(*loads, np.zeros((2 * STEPS, 0)), np.zeros(2 * STEPS), np.zeros(2 * STEPS))
    return Transmission("tn", net, meshed_network(net, "tn"), devices, PerfectForecast(series, DAY))


def measure(system, vm_pu=1.0, energy=None):
    return {
        f.name: Measurement(
            vm_pu,
            0,
            f.devices.initial if energy is None else {"battery_e_mwh": np.array([energy])},
        )
        for f in system.feeders
    }


@pytest.fixture
def system(transmission, street):
    return System(
        transmission,
        (street("lv1", "tn", 7, multiplicity=3), street("lv2", "tn", 20, pv_mw=0.002)),
        DAY,
        day_ahead=True,
    )


def test_a_day_is_decided_once_and_executed_step_by_step(system):
    controller = Cascade(system, ControllerSettings())
    day = controller.decide(0, measure(system))
    assert [plan.step for plan in day.plans.values()] == [0, 0, 0]
    for k in range(STEPS):
        # whatever is measured later, the day is decided
        decision = controller.decide(k, measure(system, 0.93 + 0.01 * k, 0.001 * k))
        assert set(decision.plans) == {"tn", "lv1", "lv2"}
        for name, plan in decision.plans.items():
            assert plan.step == k
            assert plan.schedule is day.plans[name].schedule
            s = plan.schedule
            np.testing.assert_array_equal(plan.set_points.battery_p_mw, s.battery_p_mw[:, k])
            np.testing.assert_array_equal(plan.set_points.pv_p_mw, s.pv_p_mw[:, k])
            np.testing.assert_array_equal(plan.set_points.pv_q_mvar, s.pv_q_mvar[:, k])
            np.testing.assert_array_equal(plan.set_points.unit_p_mw, s.unit_p_mw[:, k])
            assert plan.report == day.plans[name].report
    battery = day.plans["lv1"].schedule.battery_p_mw
    assert np.ptp(battery) > 1e-3  # steps that differ


def test_every_step_has_its_own_certificate(system):
    controller = Cascade(system, ControllerSettings())
    verdicts = []
    for k in range(STEPS):
        plan = controller.decide(k, measure(system)).plans["lv1"]
        feeder, schedule = controller.agents["lv1"].feeder, plan.schedule
        network, loads = feeder.network, feeder.devices.loads
        p, q = np.zeros((2, network.buses, STEPS))
        np.add.at(p, network.positions(loads.bus), np.outer(loads.p_mw, LOAD[:STEPS]))
        np.add.at(q, network.positions(loads.bus), np.outer(loads.q_mvar, LOAD[:STEPS]))
        ratio = feeder.boundary.taps.ratio(0)
        at = Conditions(p, q, p[:0], q[:0], np.ones(STEPS), ratio)
        expected = FeederCertifier(feeder).certify(schedule, at).step(k)
        assert plan.verdict.verdict == expected.verdict == "exact"
        assert plan.verdict.cone_gap_pu == pytest.approx(expected.cone_gap_pu, abs=1e-12)
        assert plan.verdict.voltage_error_pu == pytest.approx(expected.voltage_error_pu, abs=1e-9)
        assert plan.verdict.import_error_mw == pytest.approx(expected.import_error_mw, abs=1e-9)
        verdicts.append(plan.verdict)
    assert len({v.cone_gap_pu for v in verdicts}) == STEPS


def test_a_rolling_system_decides_every_time(system):
    rolling = System(system.transmission, system.feeders, DAY)
    controller = Cascade(rolling, ControllerSettings())
    first, second = (controller.decide(k, measure(rolling)) for k in (0, 1))
    assert second.plans["lv1"].step == 0
    assert second.plans["lv1"].schedule is not first.plans["lv1"].schedule
    assert second.plans["lv1"].schedule.interval == 1


def test_feeders_below_one_parent_that_trade_across_decide_together(street, transmission):
    feeders = (
        street("mv1", "tn", 7),
        street("mv2", "tn", 8, across=False),
        street("mv3", "tn", 20),
        street("mv4", "tn", 11, options=ActiveNetworkOptions()),
        street("lv1", "mv1", 2),
        street("lv2", "mv3", 2),
        street("lv3", "mv1", 4),
        street("lv4", "mv1", 3, across=False),
    )
    cascade = Cascade(System(transmission, feeders, DAY), ControllerSettings())
    groups = [list(group.names) for stage in cascade.stages for group in stage.groups]
    assert sorted(sorted(g) for g in groups) == [
        ["lv1", "lv3"], ["lv2"], ["lv4"], ["mv1", "mv3"], ["mv2"], ["mv4"],
    ]  # fmt: skip
    # members in the order of the system, lower groups first
    assert ["lv1", "lv3"] in groups
    assert ["mv1", "mv3"] in groups
    where = {name: k for k, names in enumerate(groups) for name in names}
    assert all(where[low] < where[high] for low, high in
               (("lv1", "mv1"), ("lv2", "mv3"), ("lv3", "mv1"), ("lv4", "mv1")))  # fmt: skip
    # a feeder that nobody feeds has nobody to trade with
    lone = Cascade(System(None, (street("root"),), DAY), ControllerSettings())
    assert [group.names for stage in lone.stages for group in stage.groups] == [("root",)]


def test_trade_across_happens_below_a_feeder_too(street):
    """Two communities below one feeder, in a system without transmission."""
    top = street("mv1", transformer=False, across=False)
    system = System(
        None, (top, street("lv1", "mv1", 2, pv_mw=0.03), street("lv2", "mv1", 4, pv_mw=0.002)), DAY
    )
    controller = Cascade(system, ControllerSettings())
    plans = controller.decide(0, measure(system)).plans
    sold = plans["lv1"].schedule.trade.across_sell_mw.sum(axis=0)
    bought = plans["lv2"].schedule.trade.across_buy_mw.sum(axis=0)
    assert sold.sum() > 1e-3
    net = sold - bought - plans["lv1"].schedule.trade.across_buy_mw.sum(axis=0)
    net += plans["lv2"].schedule.trade.across_sell_mw.sum(axis=0)
    np.testing.assert_allclose(net, 0.0, atol=1e-6)
    # the feeder above carries both
    flows = plans["mv1"].schedule
    assert plans["mv1"].report.fallback == ""
    below = plans["lv1"].schedule.p_import_mw + plans["lv2"].schedule.p_import_mw
    own = LOAD * 0.009 + flows.battery_p_mw[0] - flows.pv_p_mw[0]
    loss = top.network.base_mva * top.network.r @ flows.flows.current2
    np.testing.assert_allclose(flows.p_import_mw, below + own + loss, atol=1e-6)
