"""Runs with every kind of device: balances, trade, peak, emissions, placement, phases, modes."""

import numpy as np
import pytest
from support.balances import largest_errors
from support.resume_cases import differences
from support.scenario_texts import write_extending
from support.trade_checks import assert_balanced, assert_one_role, surplus_of

from stackelgrid.controllers.devices.registry import kinds
from stackelgrid.controllers.leaders.feeder_agent import FeederAgent
from stackelgrid.scenarios.build.system import build_scenario
from stackelgrid.scenarios.schema.load import load_scenario

NEW = ("vehicle", "heat_pump", "task", "sheddable", "cap")
CLOSED = 1e-9
BALANCES = {"vehicles", "machines", "rooms", "stores", "tasks"}


@pytest.fixture(scope="module")
def homes(shared_run):
    return shared_run("homes")


def test_energy_and_heat_are_conserved_in_every_interval(homes):
    errors = largest_errors(homes.tables, homes.built)
    assert errors.keys() == BALANCES
    assert max(errors.values()) < CLOSED, errors
    device = homes.tables["device"]
    moved = device.groupby("kind").p_mw.apply(lambda p: p.abs().max())
    assert (moved[["vehicle", "heat_pump", "task", "sheddable"]] > 1e-3).all()
    assert (moved["cap"], device[device.kind == "cap"].asked_mw.max() > 1e-3) == (0.0, True)


def test_the_balance_of_a_prosumer_sums_all_kinds(homes):
    assert_balanced(homes.tables, {"lv1": 1}, atol=1e-8)
    assert_one_role(homes.tables["trade"])
    # a bus without PV trades what its vehicle or heat pump draws
    device, trade = homes.tables["device"], homes.tables["trade"]
    with_pv = set(device[device.kind == "pv"].bus)
    assert len(set(trade.bus) - with_pv) >= 3
    total = surplus_of(device).groupby(["interval", "grid"]).sum()
    interval = homes.tables["interval"].set_index(["interval", "grid"])
    drawn = interval.p_import_mw - interval.loss_mw
    np.testing.assert_allclose(total, -drawn, rtol=0.0, atol=1e-9)


def test_a_run_pays_for_its_highest_import_once(homes):
    rows = homes.tables["interval"].sort_values("interval")
    highest = rows.p_import_mw.cummax()
    assert rows.capacity_eur.sum() == pytest.approx(900.0 * rows.p_import_mw.max(), rel=1e-12)
    rises = highest.diff().fillna(highest.iloc[0])
    np.testing.assert_allclose(rows.capacity_eur, 900.0 * rises, rtol=0.0, atol=1e-9)


def test_imported_energy_has_emissions_with_a_price(homes):
    rows = homes.tables["interval"]
    kg = 350.0 * rows.p_import_mw  # hours
    np.testing.assert_allclose(rows.emissions_kg, kg, rtol=1e-12)
    np.testing.assert_allclose(rows.emission_eur, 0.080 * kg, rtol=1e-12)


def test_costs_of_devices_are_prices_times_what_is_lacked(homes):
    device, rows = homes.tables["device"], homes.tables["interval"]
    shed = -device[device.kind == "sheddable"].groupby("interval").p_mw.sum()
    np.testing.assert_allclose(rows.shedding_eur, 380.0 * shed, rtol=1e-12)
    operators = device[(device.kind == "cap") & (device["asked_mw"] > 0.0)]
    held = operators.groupby("interval").asked_mw.sum()
    np.testing.assert_allclose(rows.held_back_eur, 50.0 * held, rtol=1e-9, atol=1e-9)


def test_a_cap_in_hours_holds_for_what_is_delivered(homes):
    """From 13:00 to 15:00 at one bus; an operator's caps elsewhere."""
    built, device = homes.built, homes.tables["device"]
    (cap,) = [member for member in built.devices["lv1"] if member.kind == "cap"]
    (hourly,) = cap.bus[~cap.by_operator]
    counted = {kind.kind for kind in kinds() if kind.capped}
    drawn = device[(device.bus == hourly) & device.kind.isin(counted)]
    power = drawn.groupby("interval").p_mw.sum().reindex(range(4), fill_value=0.0)
    assert (power[[1, 2]] <= 0.0042 + 1e-9).all()


# ------------------------------------------------------------------ placement


def built(path, *overrides):
    return build_scenario(load_scenario(str(path), overrides))


def buses(scenario, kind):
    (found,) = [m.bus.tolist() for m in scenario.devices["lv1"].members if m.kind == kind]
    return found


@pytest.fixture
def homes_path(tmp_path, village_json):
    (tmp_path / "village.json").write_bytes(village_json.read_bytes())
    return write_extending(tmp_path, "homes")


def test_shares_are_drawn_by_seed_and_independently(homes, homes_path):
    whole = homes.built
    # 6 customers: half of them, and one more in the second section
    assert [len(buses(whole, kind)) for kind in ("vehicle", "heat_pump", "task")] == [4, 4, 5]
    again, other = built(homes_path), built(homes_path, "seed=4")
    without = built(homes_path, "grids.0.heat_pumps=[]", "grids.0.caps=[]")
    more = built(homes_path, "grids.0.tasks.0.share=1.0")
    for kind in ("load", "pv", "battery", "vehicle", "sheddable"):
        for same in (again, without, more):
            assert buses(same, kind) == buses(whole, kind), kind
    assert any(buses(other, kind) != buses(whole, kind) for kind in NEW)
    series, fewer = whole.series["lv1"].devices, without.series["lv1"].devices
    for name in ("load_p_mw", "pv_available_mw", "vehicle_connected", "task_open"):
        np.testing.assert_array_equal(fewer[name], series[name], err_msg=name)
    changed = other.series["lv1"].devices["vehicle_connected"]
    assert (changed != series["vehicle_connected"]).any()


def test_vehicles_and_heat_pumps_are_on_the_phase_of_their_customer():
    community = build_scenario(load_scenario("community"))
    devices = community.devices["street"]
    of_bus = dict(zip(devices.loads.bus.tolist(), devices.loads.phase, strict=True))
    assert set(of_bus.values()) == {"a", "b", "c"}
    for kind in ("vehicle", "heat_pump", "task"):
        member = devices.of(kind)
        assert len(member.index) > 5
        assert list(member.phase) == [of_bus[bus] for bus in member.bus.tolist()]
    # of 55 homes
    assert [len(devices.of(k).index) for k in ("vehicle", "heat_pump", "task")] == [16, 22, 11]


# ------------------------------------------------------------------ modes


def test_a_day_ahead_plan_carries_every_kind(run_of, homes_path):
    run = run_of(homes_path, 'horizon.mode="day_ahead"', "horizon.steps=[{count=4,minutes=60}]")
    assert run.summary["certificate"]["exact"] == 4
    errors = largest_errors(run.tables, run.built)
    assert max(errors.values()) < CLOSED, errors
    device, plan = run.tables["device"], run.tables["schedule"]
    first = plan[plan.interval == 0]
    for kind in ("vehicle", "heat_pump", "sheddable"):
        done = device[device.kind == kind].set_index(["interval", "element", "index"]).p_mw
        keys = first[first.kind == kind] if "kind" in first else None
        if keys is not None:
            planned = keys.set_index(["step", "element", "index"]).p_mw
            np.testing.assert_allclose(done.sort_index(), planned.sort_index(), atol=1e-6)


def test_two_runs_are_the_same_bits_and_know_the_peak_so_far(
    homes, run_of, homes_path, monkeypatch
):
    seen, prepare = [], FeederAgent.prepare

    def noted(agent, interval, measured, *arguments):
        seen.append(measured.peak_import_mw)
        return prepare(agent, interval, measured, *arguments)

    monkeypatch.setattr(FeederAgent, "prepare", noted)
    again = run_of(homes_path)
    assert differences(homes.directory, again.directory) == []
    highest = again.tables["interval"].p_import_mw.cummax().tolist()
    assert seen == [0.0, *highest[:-1]]


def test_without_control_homes_follow_their_own_rules(homes, tables_of):
    tables = tables_of(homes.directory / "baseline")
    errors = largest_errors(tables, homes.built)
    assert errors.keys() == BALANCES
    assert max(errors.values()) < CLOSED, errors
    device = tables["device"]
    cars = device[device.kind == "vehicle"]
    full = cars.soc_percent > 100.0 - 1e-9  # at once at full power, until the battery is full
    np.testing.assert_allclose(cars.p_mw[~full], cars.limit_mw[~full], rtol=1e-12)
    rooms = device[device.kind == "heat_pump"].room_c
    assert (rooms >= 20.5 - 1e-9).all()  # thermostats; the sun may heat above
    tasks = device[device.kind == "task"]
    assert tasks.groupby("index").p_mw.first().max() == pytest.approx(0.001)
    for kind in ("sheddable", "cap"):
        assert (device[device.kind == kind].p_mw == 0.0).all()
    cost, free = homes.summary["cost_eur"], homes.summary["baseline"]["cost_eur"]
    # the controlled run pays less for the same needs, peak and emissions included
    assert cost["total_corrected"] < free["total_corrected"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "overrides",
    [
        ("time.intervals=6", "horizon.resolve_every=2"),
        ("time.intervals=14", "time.start=2025-01-15T20:00:00"),  # a night: all charge and leave
        (
            "time.intervals=8",
            "time.interval_min=15",
            "horizon.steps=[{count=4,minutes=15},{count=3,minutes=60}]",
        ),
        (  # late and skipped trips, another temperature, forecasts that know neither
            "time.intervals=12",
            "time.start=2025-01-15T05:00:00",
            "deviations={vehicles={late_h=1.0,skipped=0.3},temperature={std_k=2.0}}",
            'forecast={model="autoregressive",load={std=0.2},temperature={std_k=1.0}}',
        ),
        (  # at these prices the heaters would burn what the model lets them
            'tariffs.home.periods=[{from="00:00",import=-50.0,export=-60.0}]',
        ),
    ],
    ids=["every_second", "night", "quarters", "unforeseen", "negative"],
)
def test_balances_close_in_every_mode(run_of, homes_path, overrides):
    run = run_of(homes_path, *overrides)
    assert run.summary["certificate"]["infeasible"] == 0
    errors = largest_errors(run.tables, run.built)
    assert max(errors.values()) < CLOSED, errors
    if not any(text.startswith("forecast") for text in overrides):
        assert_balanced(run.tables, {"lv1": 1}, atol=1e-8)
