"""Meaning of a set point when reality differs from the forecast (docs/model.md)."""

from dataclasses import replace

import numpy as np
import pytest

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.certification.recovery import curtailed
from stackelgrid.controllers.fallback import hold_schedule
from stackelgrid.scenarios.build.system import build_scenario
from stackelgrid.scenarios.schema.load import load_scenario

# loads and sun stray by a third within the hour; the forecast knows the profiles
STRAYED = {
    "deviations": {
        "load": {"std": 0.2, "lead_h": 1.0, "phi": 0.5},
        "pv": {"std": 0.35, "lead_h": 1.0, "phi": 0.5},
    },
    "forecast": {"model": "autoregressive"},
}
FREE_MW = 0.33  # sn_mva of both systems

USER_CONTROLLER = """
import numpy as np
from stackelgrid.controllers.decision import Decision
from stackelgrid.controllers.schedule import Plan, Schedule, SetPoints, SolveReport

class Half:
    \"\"\"One system as forecast, the other at half of it; nothing is said of limits.\"\"\"
    def __init__(self, system, settings):
        self.system = system

    def decide(self, interval, measured):
        feeder, T = self.system.feeders[0], self.system.horizon.length
        pv = feeder.forecast.at(interval).pv_available_mw.T * np.array([[1.0], [0.5]])
        rest = np.zeros((1, T))
        schedule = Schedule(interval, self.system.horizon.dt_h, np.zeros(T), np.zeros(T),
            charge_mw=rest, discharge_mw=rest, battery_e_mwh=rest + measured["mv1"].battery_e_mwh,
            pv_p_mw=pv, pv_q_mvar=0.0 * pv, unit_p_mw=np.zeros((0, T)))
        report = SolveReport("by hand", "optimal", 0.0, 0.0, 0.0, 0, 0.0)
        return Decision({"mv1": Plan(schedule, schedule.set_points(), report)})

    def state(self):
        return None

    def restore(self, state):
        pass
"""


def changed(**sections):
    def change(data):
        data.update(STRAYED)
        for name, keys in sections.items():
            data[name] = data.get(name, {}) | keys

    return change


def systems(run):
    """Rows of the PV systems (intervals, systems) by column."""
    rows = run.tables["device"].query("kind == 'pv'").sort_values(["interval", "index"])
    names = ("p_mw", "q_mvar", "asked_mw", "available_mw", "limit_mw")
    count = rows["index"].nunique()
    return {name: rows[name].to_numpy().reshape(-1, count) for name in names}


@pytest.mark.parametrize("resolve_every", [1, 2])
def test_a_plan_that_does_not_curtail_loses_no_sun(run_of, write_scenario, resolve_every):
    time, horizon = {"intervals": 4}, {"resolve_every": resolve_every}
    run = run_of(write_scenario(change=changed(time=time, horizon=horizon)))
    pv = systems(run)
    error = pv["available_mw"] - pv["asked_mw"]
    assert error.max() > 0.01  # more sun came than was forecast,
    assert error.min() < -0.01  # and less
    np.testing.assert_array_equal(pv["limit_mw"], FREE_MW)
    np.testing.assert_array_equal(pv["p_mw"], pv["available_mw"])
    # batteries do as planned whatever load and sun do: the grid above takes the difference
    battery = run.tables["device"].query("kind == 'battery'")
    np.testing.assert_allclose(battery.p_mw, battery.asked_mw, rtol=0, atol=1e-8)
    interval = run.tables["interval"]
    assert np.abs(interval.p_import_mw - interval.p_import_planned_mw).max() > 0.1


def test_a_plan_that_curtails_is_a_cap_at_its_power(run_of, write_scenario):
    """Where imports are paid for no PV is planned, once recovery has priced what is burnt."""

    def change(data):
        changed()(data)
        data["tariffs"]["mv"] |= {"import": -10.0, "export": -20.0}

    pv = systems(run_of(write_scenario(change=change)))
    assert pv["available_mw"].min() > 0.1
    np.testing.assert_allclose(pv["asked_mw"], 0.0, atol=1e-6)
    cap = np.maximum(pv["asked_mw"], 0.0)
    np.testing.assert_array_equal(pv["limit_mw"], cap)
    np.testing.assert_array_equal(pv["p_mw"], cap)


def test_limits_that_a_controller_does_not_state_follow_from_the_forecast(
    run_of, write_scenario, tmp_path, monkeypatch
):
    (tmp_path / "half_the_sun.py").write_text(USER_CONTROLLER, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    path = write_scenario(change=changed(time={"intervals": 4}))
    pv = systems(run_of(path, "controller=half_the_sun:Half"))
    more = pv["available_mw"][:, 0] > pv["asked_mw"][:, 0] + 0.01
    assert more.any()
    np.testing.assert_array_equal(pv["limit_mw"][:, 0], FREE_MW)
    np.testing.assert_array_equal(pv["p_mw"][:, 0], pv["available_mw"][:, 0])
    np.testing.assert_array_equal(pv["limit_mw"][:, 1], pv["asked_mw"][:, 1])
    np.testing.assert_array_equal(
        pv["p_mw"][:, 1], np.minimum(pv["asked_mw"], pv["available_mw"])[:, 1]
    )


@pytest.fixture
def held(write_scenario):
    """`held(last, available)`: the schedule kept for a forecast (steps, 2) of the small feeder."""
    built = build_scenario(load_scenario(str(write_scenario())))
    (feeder,) = built.system.feeders
    horizon, nothing = built.system.horizon, np.zeros(built.system.horizon.length)

    def hold(last, available_mw):
        known = feeder.forecast.at(0)
        devices = {**known.devices, "pv_available_mw": np.asarray(available_mw)}
        forecast = replace(known, devices=devices)
        return hold_schedule(
            feeder, horizon, 0 if last is None else last.interval, forecast,
            feeder.devices.initial, last, nothing, nothing,
        )  # fmt: skip

    return hold


def test_an_old_schedule_keeps_its_caps_and_frees_the_rest(held):
    """System 0 was capped at 0.1 of 0.2 MW in the first two steps; system 1 never was."""
    sun = np.full((4, 2), 0.2)
    last = held(None, sun)
    np.testing.assert_array_equal(last.pv_p_mw, 0.2)
    np.testing.assert_array_equal(last.set_points().pv_p_max_mw, FREE_MW)
    cap = np.where(np.arange(4) < 2, 0.1, FREE_MW)
    planned = np.stack([np.minimum(cap, 0.2), np.full(4, 0.2)])
    caps = np.stack([cap, np.full(4, FREE_MW)])
    last = replace(last, devices={**last.devices, "pv_p_mw": planned, "pv_p_max_mw": caps})
    brighter, darker = held(last, 1.5 * sun), held(last, 0.25 * sun)
    np.testing.assert_allclose(brighter.pv_p_mw, [[0.1, 0.1, 0.3, 0.3], [0.3] * 4])
    np.testing.assert_allclose(darker.pv_p_mw, 0.05)
    for schedule in (brighter, darker):  # the cap is kept below which the forecast falls
        np.testing.assert_allclose(schedule.pv_p_max_mw, last.pv_p_max_mw, rtol=1e-15)


def test_what_recovery_takes_of_pv_is_a_cap(held):
    free = held(None, np.full((4, 2), 0.2))
    share = np.array([0.5, 1.0, 1.0, 1.0])
    schedule = curtailed(free, share)
    np.testing.assert_allclose(schedule.pv_p_max_mw, [[0.1] + [FREE_MW] * 3] * 2)
    np.testing.assert_allclose(schedule.pv_p_mw, [[0.1] + [0.2] * 3] * 2)


def test_a_forecast_that_comes_true_is_met_to_the_last_bit(run_of, write_scenario):
    """What a solver leaves unused, less than 1e-8 MW, is not fed in: tables are those of plans."""
    pv = systems(run_of(write_scenario()))
    np.testing.assert_array_equal(pv["p_mw"], np.minimum(pv["asked_mw"], pv["available_mw"]))
    assert np.abs(pv["available_mw"] - pv["asked_mw"]).max() < tolerances.CURTAILED * FREE_MW / 100
    np.testing.assert_array_equal(pv["limit_mw"], FREE_MW)
