"""Decisions of a feeder's operator: normal, with lower grids, and when there is no solution."""

import numpy as np
import pytest

from stackelgrid.controllers.errors import SolverError
from stackelgrid.controllers.leaders.feeder_agent import FeederAgent
from stackelgrid.controllers.models.active_network import (
    ActiveNetworkLibrary,
    ActiveNetworkOptions,
)
from stackelgrid.controllers.networks.boundary import TransformerData, attach_transformer
from stackelgrid.controllers.schedule import BoundaryProfile, Measurement
from stackelgrid.profiles.time_axis import Horizon

# single intervals first, so that shifted schedules can be compared step by step
HORIZON = Horizon((15,) * 6 + (60, 60), 15)
SUN = np.array([0.2, 0.5, 0.9, 1.0, 1.0, 0.8, 0.6, 0.4, 0.1, 0.0, 0.0, 0.0])
PRICE = np.array([100, 100, 250, 250, 80, 80, 300, 300, 90, 90, 120, 120], dtype=float)


@pytest.fixture
def street(radial_net, with_devices):
    """Five buses with 12 kW of load, 24 kW of PV and two batteries."""
    net = radial_net([0, 1, 2, 3], [0, 3, 3, 3, 3], [0, 1, 1, 1, 1], length_km=0.05)
    net.bus[["min_vm_pu", "max_vm_pu"]] = (0.9, 1.1)
    return with_devices(
        net,
        pv=[(2, 0.012, 0.013), (4, 0.012, 0.013, 0.9)],
        batteries=[(3, 0.005, 0.01, 50.0, 0.95, 5.0), (4, 0.004, 0.008, 40.0, 0.9, 5.0)],
    )


@pytest.fixture
def make_agent(build_feeder, lone_feeder):
    def make(net, lower=None, **arguments):
        arguments = {
            "horizon": HORIZON, "pv": SUN, "import_price": PRICE, "export_price": PRICE - 40.0,
            "intervals": 12, "options": ActiveNetworkOptions(1.0), **arguments,
        }  # fmt: skip
        feeder = build_feeder(net, **arguments)
        return lone_feeder(
            FeederAgent(feeder, arguments["horizon"], ActiveNetworkLibrary(), lower or {})
        )

    return make


def measured(vm_pu=1.0, energies=(0.005, 0.0032), tap_pos=0):
    return Measurement(vm_pu, tap_pos, battery_e_mwh=np.array(energies))


def assert_inside_limits(agent, plan, start_mwh):
    """Set points and energies of a plan against the devices' own limits and balance."""
    devices, schedule = agent.feeder.devices, plan.schedule
    battery, pv = devices.batteries, devices.photovoltaics
    power = schedule.battery_p_mw
    assert (np.abs(power) <= battery.p_max_mw[:, None] * (1 + 1e-6)).all()
    assert (schedule.battery_e_mwh >= battery.e_min_mwh[:, None] - 1e-9).all()
    assert (schedule.battery_e_mwh <= battery.e_max_mwh[:, None] * (1 + 1e-7)).all()
    before = np.column_stack([start_mwh, schedule.battery_e_mwh[:, :-1]])
    gain = battery.efficiency_charge[:, None] * schedule.charge_mw
    drain = schedule.discharge_mw / battery.efficiency_discharge[:, None]
    np.testing.assert_allclose(
        schedule.battery_e_mwh - before, HORIZON.dt_h * (gain - drain), rtol=0, atol=1e-9
    )
    available = agent.feeder.forecast.at(schedule.interval).pv_available_mw.T
    assert (schedule.pv_p_mw <= available + 1e-9).all()
    assert (schedule.pv_p_mw >= -1e-9).all()
    assert (np.hypot(schedule.pv_p_mw, schedule.pv_q_mvar) <= pv.sn_mva[:, None] + 1e-9).all()
    np.testing.assert_array_equal(plan.set_points.battery_p_mw, power[:, 0])
    np.testing.assert_array_equal(plan.set_points.pv_p_mw, schedule.pv_p_mw[:, 0])


def test_a_decision_is_exact_and_inside_limits(street, make_agent):
    agent = make_agent(street)
    plan = agent.decide(0, measured(), {})
    assert (plan.report.status, plan.report.fallback) == ("optimal", "")
    assert plan.verdict.verdict == "exact"
    assert plan.verdict.voltage_error_pu < 1e-5
    assert plan.verdict.import_error_mw < 1e-6
    assert_inside_limits(agent, plan, [0.005, 0.0032])
    # what is left at the end is what the net's state of charge says: 50 % and 40 %
    np.testing.assert_allclose(plan.schedule.battery_e_mwh[:, -1], [0.005, 0.0032], atol=1e-6)


def test_a_decision_costs_what_the_model_alone_costs(street, make_agent, solve_active):
    agent = make_agent(street)
    plan = agent.decide(2, measured(), {})
    forecast = agent.feeder.forecast.at(2)
    alone = solve_active(
        street, HORIZON.dt_h, pv_mw=forecast.pv_available_mw.T,
        import_price=forecast.import_eur_per_mwh, export_price=forecast.export_eur_per_mwh,
        options=ActiveNetworkOptions(1.0),
    )  # fmt: skip
    assert plan.report.objective_eur == pytest.approx(alone.objective, rel=1e-6)
    np.testing.assert_allclose(plan.schedule.p_import_mw, alone.mw("p_import")[0], atol=2e-6)


def test_without_a_schedule_batteries_rest_and_pv_runs_free(street, make_agent):
    street.bus["min_vm_pu"] = 1.08  # no voltage at the head reaches that
    agent = make_agent(street)
    plan = agent.decide(3, measured(), {})
    assert plan.report.fallback.endswith("misocp returned infeasible (PrimalInfeasible)")
    assert plan.report.fallback.startswith("limits in conflict: feeder.")
    assert plan.schedule.flows is None
    np.testing.assert_array_equal(plan.set_points.battery_p_mw, 0.0)
    np.testing.assert_allclose(plan.set_points.pv_p_mw, 0.012 * SUN[3])
    assert_inside_limits(agent, plan, [0.005, 0.0032])
    # the import is the sum of the parts, 4 x 3 kW of load less PV, without losses
    np.testing.assert_allclose(plan.schedule.p_import_mw[0], 0.012 - 0.024 * SUN[3], atol=1e-12)
    np.testing.assert_allclose(plan.schedule.q_import_mvar[0], 0.004, atol=1e-12)
    assert plan.verdict.verdict == "infeasible"  # AC agrees that the band is out of reach
    with pytest.raises(SolverError, match="grid feeder: a fallback schedule has no voltages"):
        agent.head_voltage_of(plan.schedule, 2)


def test_failures_continue_the_last_schedule(street, make_agent):
    agent = make_agent(street)
    good = agent.decide(0, measured(), {}).schedule
    assert np.ptp(good.battery_p_mw[:, :4]) > 1e-3  # there is something to continue
    low = 0.6  # p.u. at the head: below every limit
    for interval in (1, 2, 3):
        energy = good.battery_e_mwh[:, interval - 1]
        plan = agent.decide(interval, measured(low, energy), {})
        assert plan.report.status == "infeasible"
        np.testing.assert_allclose(
            plan.set_points.battery_p_mw, good.battery_p_mw[:, interval], rtol=0, atol=1e-7
        )
        np.testing.assert_allclose(
            plan.set_points.pv_p_mw, good.pv_p_mw[:, interval], rtol=0, atol=1e-9
        )
        assert_inside_limits(agent, plan, energy)
    # and the next good decision does not remember the bad ones
    fresh = make_agent(street)
    energy = good.battery_e_mwh[:, 3]
    after, first = (a.decide(4, measured(1.0, energy), {}) for a in (agent, fresh))
    assert after.report.fallback == ""
    np.testing.assert_array_equal(after.set_points.battery_p_mw, first.set_points.battery_p_mw)


def test_a_fallback_respects_an_empty_battery_and_a_cloud(street, make_agent):
    agent = make_agent(street)
    good = agent.decide(0, measured(), {}).schedule
    sell = int(np.argmin(good.battery_p_mw[0, :6]))  # the interval of the strongest discharge
    assert sell > 0
    assert good.battery_p_mw[0, sell] < -1e-3
    plan = agent.decide(sell, measured(0.6, [0.0, 0.0]), {})
    assert plan.report.fallback
    np.testing.assert_array_equal(plan.set_points.battery_p_mw <= 0.0, True)
    np.testing.assert_allclose(plan.set_points.battery_p_mw, 0.0, atol=1e-12)
    assert_inside_limits(agent, plan, [0.0, 0.0])
    later = agent.decide(10, measured(0.6, [0.0, 0.0]), {})  # night: no PV whatever was planned
    np.testing.assert_array_equal(later.set_points.pv_p_mw, 0.0)


def test_measured_energies_are_clipped(street, make_agent):
    agent = make_agent(street)
    plan = agent.decide(0, measured(energies=(0.0100001, -1e-9)), {})
    assert plan.report.fallback == ""
    assert_inside_limits(agent, plan, [0.01, 0.0])


def test_an_energy_out_of_reach_is_approached(street, make_agent):
    # a quarter of an hour cannot bring 0 back to 50 % of 10 kWh at 5 kW and 95 %
    agent = make_agent(street, horizon=Horizon((15,), 15))
    plan = agent.decide(0, measured(energies=(0.0, 0.0)), {})
    assert plan.report.fallback == ""
    np.testing.assert_allclose(
        plan.schedule.battery_e_mwh[:, 0],
        0.999 * 0.25 * np.array([0.95 * 0.005, 0.9 * 0.004]), rtol=1e-5,
    )  # fmt: skip


def test_equal_import_and_export_prices_leave_no_arbitrage(street, make_agent):
    agent = make_agent(street, import_price=100.0, export_price=120.0)
    plan = agent.decide(0, measured(), {})
    assert plan.report.fallback == ""
    # bought and sold at the same time would make the objective unbounded from below; the load of
    # 12 kW over 3.5 h at 100 EUR/MWh less at most all of the sun is what it is about
    forecast = agent.feeder.forecast.at(0)
    sun = float(HORIZON.dt_h @ forecast.pv_available_mw.sum(axis=1))
    load = 0.012 * float(HORIZON.dt_h.sum())
    assert plan.report.objective_eur == pytest.approx(100.0 * (load - sun), abs=0.1)


def test_lower_grids_are_loads(street, make_agent):
    alone = make_agent(street).decide(0, measured(), {})
    agent = make_agent(street, {"lv1": 2})
    steps = HORIZON.length
    lower = {"lv1": BoundaryProfile(np.full(steps, 0.004), np.full(steps, 0.001))}
    plan = agent.decide(0, measured(), lower)
    assert plan.verdict.verdict == "exact"
    more = plan.schedule.p_import_mw.sum() - alone.schedule.p_import_mw.sum()
    assert more == pytest.approx(steps * 0.004, rel=0.05)  # and some loss
    assert plan.report.objective_eur > alone.report.objective_eur + 0.004 * 3.5 * 80.0


def test_a_head_voltage_profile_replaces_the_measured_one(street, make_agent):
    agent = make_agent(street)
    heads = np.linspace(0.96, 1.03, HORIZON.length)
    plan = agent.decide(0, measured(vm_pu=0.5), {}, vm_head_pu=heads)
    assert plan.report.fallback == ""
    np.testing.assert_allclose(np.sqrt(plan.schedule.flows.v[0]), heads, atol=1e-7)
    np.testing.assert_allclose(agent.head_voltage_of(plan.schedule, 0), heads, atol=1e-7)


@pytest.mark.parametrize("tap_pos", [-2, 0, 1])
def test_the_measured_tap_position_is_used(street, make_agent, tap_pos):
    attach_transformer(street, TransformerData(0.25, 4.0, 1.0, -2, 2, 2.5, 150.0), "lv1")
    street.trafo["tap_pos"] = 2  # what the net was read with does not matter
    agent = make_agent(street, kind="fixed_tap")
    plan = agent.decide(0, measured(0.98, tap_pos=tap_pos), {})
    head = np.sqrt(plan.schedule.flows.v[0])
    np.testing.assert_allclose(head, 0.98 / (1.0 + 0.025 * tap_pos), atol=1e-7)
    assert plan.verdict.verdict == "exact"
    assert plan.verdict.voltage_error_pu < 1e-5
    assert plan.verdict.import_error_mw < 1e-6


def test_data_that_are_no_numbers_are_named(street, make_agent):
    street.load.loc[0, "p_mw"] = np.nan
    with pytest.raises(SolverError, match=r"parameter feeder\.load_p\[0\] is nan"):
        make_agent(street).decide(0, measured(), {})


def test_a_feeder_without_loads_and_devices_draws_nothing(radial_net, make_agent):
    agent = make_agent(radial_net([0, 1], [0] * 3, [0] * 3))
    plan = agent.decide(0, measured(energies=()), {})
    assert plan.report.fallback == ""
    np.testing.assert_allclose(plan.schedule.p_import_mw, 0.0, atol=1e-7)
    np.testing.assert_allclose(plan.schedule.flows.v, 1.0, atol=1e-7)
