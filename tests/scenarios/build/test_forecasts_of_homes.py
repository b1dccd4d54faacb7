"""Deviations and forecasts of vehicles and heat pumps: what happens, and what is expected of it."""

import pickle
import tomllib
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import tomli_w

from stackelgrid.controllers.devices.registry import series_names
from stackelgrid.profiles.forecast import PerfectForecast, columns_of, series_of
from stackelgrid.profiles.heat_pumps import HOT_WATER_C, flow_temperature, heat_pump_cop
from stackelgrid.profiles.temperature import daily_mean
from stackelgrid.scenarios.build import forecasts
from stackelgrid.scenarios.build.forecasts import build_world
from stackelgrid.scenarios.build.series import SeriesFactory
from stackelgrid.scenarios.build.system import build_scenario
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.schema.load import load_scenario

HOURS, HORIZON = 60, 12
LENGTH = HOURS - 1 + HORIZON
VEHICLES = ("vehicle_connected", "vehicle_driven_mwh", "vehicle_needed_mwh", "vehicle_required_mwh")
HEAT = ("heat_pump_cop", "heat_pump_water_cop", "heat_pump_drive_c", "heat_pump_water_mw")
OTHERS = ("load_p_mw", "load_q_mvar", "pv_available_mw", "task_open", "task_arrivals")
WARMER = {"temperature": {"std_k": 3.0, "lead_h": 6.0, "phi": 0.9}}
LATE = {"vehicles": {"late_h": 2.0, "skipped": 0.2}}


def homes(data):
    """Ten vehicles and four heat pumps at the feeder, from a Tuesday in January on."""
    data["time"] = {"start": "2025-01-14", "timezone": "Europe/Berlin", "intervals": HOURS,
                    "interval_min": 60}  # fmt: skip
    data["horizon"] = {"steps": [{"count": HORIZON, "minutes": 60}]}
    data["weather"] = {"temperature": {"mean_c": -1.0, "daily_range_k": 5.0, "sigma_k": 3.0}}
    data["grids"][0].update(
        vehicles=[{"buses": list(range(1, 11)), "p_mw": 0.011, "e_mwh": 0.06}],
        heat_pumps=[{"buses": [5, 11]}, {"buses": [7, 9], "source": "ground", "heating": "floor"}],
        tasks=[{"buses": [4], "p_mw": 0.001, "e_mwh": 0.001, "window": ["18:00", "06:00"]}],
    )


@pytest.fixture(scope="module")
def base(tmp_path_factory, texts):
    """Grid and devices: they know nothing of deviations and forecasts."""
    data = tomllib.loads(texts["feeder"])
    homes(data)
    path = tmp_path_factory.mktemp("homes") / "scenario.toml"
    path.write_text(tomli_w.dumps(data), encoding="utf-8")
    return build_scenario(load_scenario(str(path)))


@pytest.fixture
def world(write_scenario, base):
    """Realised series and forecasts with other sections of the scenario."""

    def build(**sections):
        def change(data):
            homes(data)
            data.update(sections)

        loaded = load_scenario(str(write_scenario(change=change)))
        return build_world(
            loaded.scenario, base.axis, base.horizon, base.grids, base.devices, loaded.folder
        )

    return build


@pytest.fixture
def outdoor_c(write_scenario, base):
    """Outdoor temperature of the profiles."""
    loaded = load_scenario(str(write_scenario(change=homes)))
    return SeriesFactory(loaded.scenario, base.axis, loaded.folder).temperature


def real(world):
    return world.realised["mv1"].devices


def expected(world, interval):
    return world.forecasts["mv1"].at(interval).devices


def same(one, other, names):
    return all(np.array_equal(one[name], other[name]) for name in names)


def test_without_errors_the_realised_series_are_the_profiles_bit_by_bit(world):
    plain = real(world())
    every = {**LATE, **WARMER, "load": {"std": 0.1}}
    for section in ({}, {"level": 0.0, **every}, {"vehicles": {"late_h": 0.0}}):
        assert same(plain, real(world(deviations=section)), plain)


def test_late_vehicles_change_nothing_else(world):
    plain, late = real(world()), real(world(deviations=LATE))
    assert same(plain, late, (*OTHERS, *HEAT))
    assert not same(plain, late, VEHICLES[:1])
    # vehicles come later and leave never earlier
    fewer = late["vehicle_driven_mwh"] > 0.0
    assert (plain["vehicle_driven_mwh"][fewer] > 0.0).all()
    # loads deviate in the same way with and without them
    load = {"load": {"std": 0.1}}
    one, other = real(world(deviations=load)), real(world(deviations={**load, **LATE}))
    assert same(one, other, (*OTHERS, *HEAT))
    assert same(late, other, VEHICLES)


def test_deviations_of_vehicles_have_the_seed_of_their_section(world):
    one, other = (real(world(deviations={**LATE, "seed": seed})) for seed in (1, 2))
    assert not same(one, other, VEHICLES[:1])
    assert same(one, other, (*OTHERS, *HEAT))
    assert same(one, real(world(deviations={**LATE, "seed": 1})), VEHICLES)


def test_the_level_scales_delays_and_skipped_trips(world):
    plain, one, two, all_of_them = (
        real(world(deviations={"vehicles": vehicles, "level": level}))
        for vehicles, level in (
            ({}, 1.0), ({"late_h": 0.5}, 1.0), ({"late_h": 0.5}, 2.0), ({"skipped": 0.5}, 2.0)
        )
    )  # fmt: skip
    home = [values["vehicle_connected"] for values in (plain, one, two)]
    assert (home[1] <= home[0]).all()
    assert (home[2] <= home[1] + 1e-12).all()
    # an hour later in all: twice, but for trips cut by the next one and by the end of the axis
    lost = [float((home[0] - values).sum()) for values in home[1:]]
    assert lost[1] == pytest.approx(2.0 * lost[0], rel=0.15)
    assert (all_of_them["vehicle_connected"] == 1.0).all()
    assert all_of_them["vehicle_driven_mwh"].sum() == 0.0


def test_another_temperature_changes_heat_pumps_and_the_energy_of_trips(world, outdoor_c):
    plain, one, two = (
        real(world(deviations={**WARMER, "level": level})) for level in (0.0, 1.0, 2.0)
    )
    assert same(plain, one, OTHERS)
    assert same(plain, one, ("vehicle_connected", "heat_pump_water_mw"))
    shift = one["heat_pump_drive_c"] - plain["heat_pump_drive_c"]
    assert np.abs(shift).max() > 1.0
    np.testing.assert_allclose(shift, shift[:, :1].repeat(4, axis=1), atol=1e-12)
    twice = two["heat_pump_drive_c"] - plain["heat_pump_drive_c"]
    np.testing.assert_allclose(twice, 2.0 * shift, atol=1e-12)
    # 1.2 % more for each K below 20 degrees Celsius, at the hour of the departure
    at, k = np.nonzero(plain["vehicle_driven_mwh"])
    ratio = one["vehicle_driven_mwh"][at, k] / plain["vehicle_driven_mwh"][at, k]
    warm = 20.0 - outdoor_c[at]
    np.testing.assert_allclose(
        ratio, (1.0 + 0.012 * (warm - shift[at, 0])) / (1.0 + 0.012 * warm), rtol=1e-9
    )
    assert np.abs(ratio - 1.0).max() > 0.005


def test_forecasts_know_of_a_late_vehicle_only_after_it_was_missed(world):
    run = world(forecast={"model": "autoregressive"}, deviations=LATE)
    planned, home = real(world())["vehicle_connected"], real(run)["vehicle_connected"]
    missed = np.argwhere((planned[:HOURS] >= 0.5) & (home[:HOURS] < 0.5))
    assert len(missed) > 5
    seen = 0
    for t, k in missed:
        before = expected(run, int(t))["vehicle_connected"][0, k]
        if t == 0 or not (planned[t - 1, k] >= 0.5 and home[t - 1, k] < 0.5):
            assert before == planned[t, k]  # nothing was known
            seen += 1
        if t + 1 < HOURS and planned[t + 1, k] >= 0.5:
            after = expected(run, int(t) + 1)["vehicle_connected"][:, k]
            assert after[0] == 0.0
            np.testing.assert_array_equal(after[1:], planned[t + 2 : t + 1 + HORIZON, k])
    assert seen > 0


def test_a_trip_that_is_skipped_is_expected_until_it_should_have_begun(world):
    run = world(forecast={"model": "autoregressive"}, deviations={"vehicles": {"skipped": 1.0}})
    planned = real(world())["vehicle_connected"]
    leaving = (planned[1:HOURS] < 0.5) & (planned[: HOURS - 1] >= 0.5)
    stays = [(t + 1, k) for t, k in np.argwhere(leaving)]
    assert len(stays) > 5
    for t, k in stays:
        forecast = expected(run, int(t))["vehicle_connected"][0, k]
        assert forecast == planned[t, k]
        if t + 1 < HOURS:
            after = expected(run, int(t) + 1)["vehicle_connected"][:, k]
            back = int(np.argmax(planned[t + 1 : t + 1 + HORIZON, k] >= 0.5))
            until = back if planned[t + 1 + back, k] >= 0.5 else HORIZON
            assert (after[:until] == 1.0).all()
            np.testing.assert_array_equal(
                after[until:], planned[t + 1 + until : t + 1 + HORIZON, k]
            )


@pytest.mark.parametrize(
    ("forecast", "deviations"),
    [
        ({"model": "autoregressive"}, WARMER),
        ({"model": "autoregressive", **WARMER}, {}),
        ({"model": "autoregressive", "temperature": {"std_k": 2.0, "bias_k": 1.0}}, WARMER),
        ({"model": "persistence"}, WARMER),
    ],
)
def test_the_forecast_of_heat_pumps_is_that_of_the_temperature(
    world, outdoor_c, forecast, deviations
):
    """Computed again from the predicted temperature after what was measured until then."""
    run = world(forecast=forecast, deviations=deviations)
    plain = real(world())
    gains = plain["heat_pump_drive_c"][:, 0] - outdoor_c
    measured = real(run)["heat_pump_drive_c"][:, 0] - gains
    for issue in (0, 1, 30):
        forecast = expected(run, issue)
        predicted = forecast["heat_pump_drive_c"][:, 0] - gains[issue : issue + HORIZON]
        outdoor = np.concatenate([measured[:issue], predicted])
        day = daily_mean(outdoor, 1.0)
        water = np.full(len(outdoor), HOT_WATER_C)
        for k, source, heating in ((0, "air", "radiators"), (2, "ground", "floor")):
            flow = flow_temperature(heating, day, 20.5, -14.0)
            for name, at in (("heat_pump_cop", flow), ("heat_pump_water_cop", water)):
                exact = heat_pump_cop(source, outdoor, day, at)[issue:]
                np.testing.assert_allclose(forecast[name][:, k], exact, atol=1e-9)
        np.testing.assert_array_equal(
            forecast["heat_pump_water_mw"], plain["heat_pump_water_mw"][issue : issue + HORIZON]
        )


@pytest.mark.parametrize("model", ["autoregressive", "persistence"])
def test_forecasts_are_the_same_in_another_process(world, model):
    """Studies send them there."""
    run = world(forecast={"model": model, **WARMER}, deviations={**LATE, **WARMER})
    sent = pickle.loads(pickle.dumps(run.forecasts["mv1"]))
    for interval in (0, 7, HOURS - 1):
        here, there = run.forecasts["mv1"].at(interval), sent.at(interval)
        assert same(here.devices, there.devices, (*VEHICLES, *HEAT, *OTHERS))


def test_a_measured_temperature_improves_the_next_forecast(world):
    run = world(forecast={"model": "autoregressive"}, deviations=WARMER)
    plain, what = real(world()), real(run)["heat_pump_drive_c"][:, 0]
    forecast = [expected(run, t)["heat_pump_drive_c"][0, 0] for t in range(1, HOURS)]
    known = np.abs(what[1:HOURS] - forecast).mean()
    unknown = np.abs(what - plain["heat_pump_drive_c"][:, 0])[1:HOURS].mean()
    assert known < 0.7 * unknown
    assert expected(run, 0)["heat_pump_drive_c"][0, 0] == plain["heat_pump_drive_c"][0, 0]


def test_forecasts_without_errors_are_the_profiles_bit_by_bit(world):
    plain = world()
    assert isinstance(plain.forecasts["mv1"], PerfectForecast)
    forecast = world(forecast={"model": "autoregressive", "load": {"std": 0.1}})
    for interval in (0, 7, HOURS - 1):
        assert same(expected(plain, interval), expected(forecast, interval), (*VEHICLES, *HEAT))


def test_perfect_foresight_knows_trips_and_temperature(world):
    deviations = {**LATE, **WARMER}
    perfect = world(deviations=deviations)
    model = {"model": "perfect", "load": {"model": "autoregressive", "std": 0.1}}
    mixed = world(deviations=deviations, forecast=model)
    for interval in (0, 9):
        one, other = (expected(run, interval) for run in (perfect, mixed))
        assert same(one, other, (*VEHICLES, *HEAT))
        assert not same(one, other, ("load_p_mw",))
    np.testing.assert_array_equal(
        expected(perfect, 9)["vehicle_connected"],
        real(perfect)["vehicle_connected"][9 : 9 + HORIZON],
    )


def test_errors_of_the_temperature_count_beside_perfect_loads_pv_and_prices(world):
    known = {name: {"model": "perfect"} for name in ("load", "pv", "price")}
    run = world(forecast={"model": "autoregressive", **known, **WARMER})
    plain = expected(world(), 0)
    assert same(expected(run, 0), plain, OTHERS)
    assert not same(expected(run, 0), plain, ("heat_pump_cop",))


def test_forecasts_of_a_day_are_kept_between_updates(world):
    model = {"model": "autoregressive", "update_at": ["06:00"], **WARMER}
    run = world(forecast=model, deviations={**LATE, **WARMER})
    early, late = expected(run, 6), expected(run, 10)
    for name in ("vehicle_connected", "heat_pump_cop", "heat_pump_drive_c"):
        np.testing.assert_allclose(late[name][:8], early[name][4:], atol=1e-12)
    hourly = world(forecast={**model, "update_at": ["06:00", "10:00"]},
                   deviations={**LATE, **WARMER})  # fmt: skip
    assert not same(expected(hourly, 10), late, ("heat_pump_cop",))


@pytest.mark.parametrize("model", ["autoregressive", "persistence"])
def test_forecasts_of_homes_never_see_the_future(world, monkeypatch, model):
    """Another reality from interval 20 on: forecasts up to then are the same, bit by bit."""
    sections = {
        "forecast": {"model": model, **WARMER},
        "deviations": {**LATE, **WARMER},
    }
    before = world(**sections)
    reality_of, at = forecasts.reality_of, 20

    def changed(scenario, profiles, factory):
        reality = reality_of(scenario, profiles, factory)
        columns = columns_of(reality.series["mv1"], series_names())
        columns = {k: v.copy() for k, v in columns.items()}
        for values in columns.values():
            values[at:] *= 0.3
        outdoor = reality.outdoor_c.copy()
        outdoor[at:] += 5.0
        series = {"mv1": series_of(columns, series_names())}
        return replace(reality, series=series, outdoor_c=outdoor)

    monkeypatch.setattr(forecasts, "reality_of", changed)
    after = world(**sections)
    for interval in (0, 1, 13, at):
        one, other = expected(before, interval), expected(after, interval)
        assert same(one, other, (*VEHICLES, *HEAT))
    assert not same(expected(before, at + 1), expected(after, at + 1), ("heat_pump_cop",))


def test_times_of_stays_are_local(base):
    """Vehicles are away around noon of a weekday and at home in the night."""
    home = base.series["mv1"].devices["vehicle_connected"]
    hours = pd.DatetimeIndex(base.axis.index).hour
    assert home[hours == 3].mean() > 0.9
    assert home[hours == 12].mean() < 0.4
    assert home.shape == (LENGTH, 10)


def test_validate_describes_temperature_and_vehicles(command, write_scenario):
    def change(data):
        homes(data)
        data["forecast"] = {"model": "autoregressive", **WARMER, "level": 2.0}
        data["deviations"] = {**LATE, "temperature": {"std_k": 1.0, "bias_k": -0.5}, "level": 2.0}

    lines = command("validate", write_scenario(change=change)).stdout.splitlines()
    forecast, real = (
        next(x for x in lines if x.startswith(k)) for k in ("forecast: ", "deviations: ")
    )
    assert forecast.endswith("price without error; temperature 6 K at 6 h (phi 0.9)")
    assert real.endswith(
        "temperature 2 K at 24 h (phi 0.97), bias -1 K; vehicles late_h 2, skipped 0.2 (times 2)"
    )


def test_a_run_delivers_what_happens_and_plans_what_is_expected(run_of, write_scenario):
    """Five intervals from 15:00 on, when vehicles come home, some later than planned."""
    steps = 3

    def change(data):
        homes(data)
        data["time"].update(start="2025-01-14T15:00:00", intervals=5)
        data["horizon"] = {"steps": [{"count": steps, "minutes": 60}]}
        data["forecast"], data["deviations"] = {"model": "autoregressive"}, LATE

    def planned(data):
        change(data)
        del data["deviations"]

    path = write_scenario(change=change)
    run = run_of(path)
    profile = build_scenario(load_scenario(str(write_scenario(change=planned))))
    planned_home = profile.series["mv1"].devices["vehicle_connected"]
    device = run.tables["device"].query("kind == 'vehicle'")
    home = device.pivot_table(index="interval", columns="index", values="connected").to_numpy()
    power = device.pivot_table(index="interval", columns="index", values="p_mw").to_numpy()
    assert (power <= 0.011 * home + 1e-9).all()
    plan = run.tables["schedule"].query("element == 'storage' and step == 0")
    plan = plan[plan["index"].isin(device["index"].unique())]
    first = plan.pivot_table(index="interval", columns="index", values="p_mw").to_numpy()
    missed = (planned_home[:5] >= 0.5) & (home < 0.5)
    known = np.vstack([np.zeros((1, missed.shape[1]), bool), missed[:-1]])
    assert (missed & known).any()
    assert np.abs(first[missed & known]).max(initial=0.0) < 1e-9
    assert first[missed & ~known].max() > 0.0  # it was expected at home
    assert (home != planned_home[:5]).any()


def test_a_file_of_trips_need_not_hold_the_day_before_of_persistence(command, write_scenario):
    def change(data):
        homes(data)
        data["forecast"] = {"model": "persistence"}
        data["grids"][0]["vehicles"][0]["file"] = "trips.csv"

    path = write_scenario(change=change)
    path.with_name("trips.csv").write_text(
        "vehicle,departure,arrival,energy_kwh\nvehicle 3,2025-01-15T07:00,2025-01-15T17:00,9\n"
    )
    outcome = command("validate", path)
    assert outcome.status == 0, outcome.stderr


def test_persistence_needs_the_temperature_of_the_day_before(write_scenario, tmp_path):
    hours = pd.date_range("2025-01-14", periods=LENGTH + 1, freq="h", tz="Europe/Berlin")
    table = {"time": [t.isoformat() for t in hours], "outdoor_c": -1.0}
    pd.DataFrame(table).to_csv(tmp_path / "outdoor.csv", index=False)

    def change(data):
        homes(data)
        data["weather"] = {"temperature": {"file": str(tmp_path / "outdoor.csv")}}
        data["forecast"] = {"model": "persistence"}

    path = write_scenario(change=change)
    needs = "persistence needs the profiles of the day before the start: weather.temperature.file: "
    with pytest.raises(ScenarioError, match=needs):
        build_scenario(load_scenario(str(path)))
