"""Sections forecast and deviations: one world whatever is told of it, and what is refused."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from stackelgrid.controllers.devices.registry import series_names
from stackelgrid.profiles.forecast import columns_of, series_of
from stackelgrid.profiles.forecast_predictors import ClearSkyShare, SameTimeDayBefore
from stackelgrid.profiles.time_axis import TimeAxis
from stackelgrid.scenarios.build import forecasts
from stackelgrid.scenarios.build.forecasts import build_world
from stackelgrid.scenarios.build.series import SeriesFactory
from stackelgrid.scenarios.build.system import build_scenario
from stackelgrid.scenarios.schema.load import load_scenario

ERRORS = {
    "load": {"std": 0.15, "lead_h": 4.0},
    "pv": {"std": 0.3, "lead_h": 4.0, "phi": 0.8},
    "price": {"std_eur_per_mwh": 8.0},
}
LENGTH = 11  # 2 intervals and a horizon of 10


def given(**sections):
    def change(data):
        data.update(sections)

    return change


@pytest.fixture(scope="module")
def bases(tmp_path_factory, texts, village_json):
    """Grids and devices by scenario: they know nothing of forecasts."""
    folder = tmp_path_factory.mktemp("bases")
    (folder / "village.json").write_bytes(village_json.read_bytes())
    found = {}
    for name in ("feeder", "villages"):
        (folder / f"{name}.toml").write_text(texts[name], encoding="utf-8")
        found[name] = build_scenario(load_scenario(str(folder / f"{name}.toml")))
    return found


@pytest.fixture
def world(write_scenario, bases):
    """What happens and what is told of it, with other sections of the scenario."""

    def build(name="feeder", grids=None, **sections):
        def change(data):
            data.update(sections)
            data["grids"] = [g for g in data["grids"] if grids is None or g["name"] in grids]

        loaded, base = load_scenario(str(write_scenario(name, change))), bases[name]
        return build_world(
            loaded.scenario,
            base.axis,
            base.horizon,
            {g.name: base.grids[g.name] for g in loaded.scenario.grids},
            base.devices,
            loaded.folder,
        )

    return build


def told(world, interval=0):
    return {name: source.at(interval) for name, source in world.forecasts.items()}


def equal(one, other):
    prices = ("import_eur_per_mwh", "export_eur_per_mwh")
    return one.devices.keys() == other.devices.keys() and all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in (*prices, *one.devices)
    )


def same(one, other):
    return one.keys() == other.keys() and all(equal(one[name], other[name]) for name in one)


def test_level_zero_is_perfect_foresight(world):
    perfect = world()
    none = world(forecast={"model": "autoregressive", "level": 0.0, **ERRORS})
    some = world(forecast={"model": "autoregressive", "level": 0.5, **ERRORS})
    for k in (0, 1):
        assert same(told(none, k), told(perfect, k))
        assert not same(told(some, k), told(perfect, k))


def test_errors_scale_with_the_level(world):
    perfect, one, two = (
        told(world(forecast={"model": "autoregressive", "level": level, **ERRORS}))["mv1"]
        for level in (0.0, 1.0, 2.0)
    )
    error = one.load_p_mw - perfect.load_p_mw
    assert np.abs(error).max() > 1e-4
    np.testing.assert_allclose(two.load_p_mw - perfect.load_p_mw, 2.0 * error, atol=1e-12)


def test_the_world_is_independent_of_the_forecast(world):
    worlds = [
        world(),
        world(forecast={"model": "autoregressive", "seed": 1, **ERRORS}),
        world(forecast={"model": "autoregressive", "seed": 2, **ERRORS}),
        world(forecast={"model": "persistence"}),
    ]
    for other in worlds[1:]:
        assert same(worlds[0].realised, other.realised)
    assert not same(told(worlds[1]), told(worlds[2]))


def test_deviations_change_the_world_and_not_what_is_expected_of_it(world):
    model = {"model": "autoregressive"}
    plain, one, two = (
        world(forecast=model, **({"deviations": {"seed": s, **ERRORS}} if s else {}))
        for s in (0, 1, 2)
    )
    assert not same(plain.realised, one.realised)
    assert not same(one.realised, two.realised)
    # nothing has been seen yet: the profiles are told
    assert same(told(plain), told(one))
    assert not same(told(one, 1), told(two, 1))
    # one market: import and export deviate alike
    spread = one.realised["mv1"].import_eur_per_mwh - one.realised["mv1"].export_eur_per_mwh
    np.testing.assert_allclose(spread, 20.0, rtol=1e-12)
    assert np.ptp(one.realised["mv1"].import_eur_per_mwh) > 0.1
    # perfect foresight knows the deviations
    perfect = world(deviations={"seed": 1, **ERRORS})
    assert same(perfect.realised, one.realised)
    assert perfect.forecasts["mv1"].at(0).load_p_mw[0] == pytest.approx(
        one.realised["mv1"].load_p_mw[0], rel=1e-15
    )


@pytest.mark.parametrize("model", ["autoregressive", "persistence", "perfect"])
def test_the_forecast_never_sees_the_future(world, monkeypatch, model):
    """Another reality from interval 1 on: what is told at 0 and 1 is the same, bit by bit."""
    sections = {
        "forecast": {"model": model, **ERRORS, "pv": {"persistence": "clear_sky"}},
        "deviations": ERRORS,
    }
    before = world("villages", **sections)
    reality_of = forecasts.reality_of

    def changed(scenario, profiles, factory):
        reality = reality_of(scenario, profiles, factory)
        series = {}
        for name, one in reality.series.items():
            columns = {k: v.copy() for k, v in columns_of(one, series_names()).items()}
            for values in columns.values():
                values[1:] *= 1.4
            series[name] = series_of(columns, series_names())
        paths = {
            k: replace(p, path=p.path * ([1.0] + [1.4] * 10)) for k, p in reality.paths.items()
        }
        return replace(reality, series=series, paths=paths)

    monkeypatch.setattr(forecasts, "reality_of", changed)
    after = world("villages", **sections)
    assert not same(before.realised, after.realised)
    blind = same(told(before, 0), told(after, 0)) and same(told(before, 1), told(after, 1))
    assert blind == (model != "perfect")
    for name, peak in before.load_peak_mw.items():
        np.testing.assert_array_equal(peak, after.load_peak_mw[name])


def test_persistence_knows_the_day_before(world):
    scenario = world("villages", forecast={"model": "persistence"})
    source = scenario.forecasts["mv1"]
    assert isinstance(source.devices["load"], SameTimeDayBefore)
    assert isinstance(source.devices["pv"], ClearSkyShare)
    # 20 June is a Friday: the same customers as on Saturday with another noise
    past, today = (
        source.devices["load"].past,
        columns_of(scenario.realised["mv1"], series_names())["load"],
    )
    assert past.shape == (96, today.shape[1])
    loads = past.shape[1] // 2
    levels = past[:, :loads].mean(axis=0) / today[:, :loads].mean(axis=0)
    assert 0.3 < levels.min() < levels.max() < 3.0
    ratio = past[: len(today), :loads] / today[:, :loads]
    assert np.ptp(ratio, axis=0).min() > 0.01  # yesterday's noise is not today's
    # the price of a flat tariff
    np.testing.assert_array_equal(source.at(0).import_eur_per_mwh, 75.0)


def test_errors_of_all_grids_are_one_with_full_correlation(world):
    section = {"model": "autoregressive", "correlation_sites": 1.0, **ERRORS}
    perfect, errors = world("villages"), world("villages", forecast=section)
    ratios = [
        told(errors)[n].load_p_mw.sum(axis=1) / told(perfect)[n].load_p_mw.sum(axis=1)
        for n in ("mv1", "lv1", "lv2")
    ]
    # steps of an hour weigh the quarters within by each grid's own load
    np.testing.assert_allclose(ratios[0][:2], ratios[1][:2], rtol=1e-12)
    np.testing.assert_allclose(ratios[0][:2], ratios[2][:2], rtol=1e-12)
    assert np.abs(ratios[0] - 1.0).max() > 1e-3


def test_another_grid_changes_no_forecast_of_the_others(world):
    section = {"model": "autoregressive", "correlation_sites": 0.5, **ERRORS}
    all_of_them = told(world("villages", forecast=section))
    fewer = told(world("villages", ["mv1", "lv1", "lv3"], forecast=section))
    assert fewer.keys() == {"mv1", "lv1", "lv3"}
    for name, forecast in fewer.items():
        assert equal(forecast, all_of_them[name])


def table(**columns):
    """Forecasts of the feeder issued at 11:00 and 11:15."""
    start = pd.Timestamp("2025-06-21T11:00", tz="Europe/Berlin")
    quarter = pd.Timedelta(minutes=15)
    rows = [
        {
            "issue_time": (start + issue * quarter).isoformat(),
            "lead_min": 15 * (k - issue),
            "grid": "mv1",
            "quantity": quantity,
            "factor": 1.0 + 0.1 * issue,
        }
        for quantity in ("load", "pv", "price")
        for issue in (0, 1)
        for k in range(issue, LENGTH)
    ]
    return pd.DataFrame(rows).assign(**columns)


def test_forecasts_from_a_file(world, tmp_path):
    table().to_csv(tmp_path / "told.csv", index=False)
    section = {"model": "file", "file": "told.csv", "pv": {"model": "perfect"}}
    perfect, from_file = world(), world(forecast=section)
    assert same(told(perfect), told(from_file))  # factors of 1
    one, other = told(perfect, 1)["mv1"], told(from_file, 1)["mv1"]
    np.testing.assert_allclose(other.load_p_mw, 1.1 * one.load_p_mw, rtol=1e-12)
    np.testing.assert_allclose(other.import_eur_per_mwh, 82.5, rtol=1e-12)
    np.testing.assert_allclose(other.export_eur_per_mwh, 62.5, rtol=1e-12)
    np.testing.assert_array_equal(other.pv_available_mw, one.pv_available_mw)


def test_updates_renew_the_forecast(world):
    section = {"model": "autoregressive", "update_min": 30, **ERRORS}
    slow, fast = world(forecast=section), world(forecast={**section, "update_min": 15})
    assert same(told(slow, 0), told(fast, 0))
    assert not same(told(slow, 1), told(fast, 1))


# ---------------------------------------------------------------- the command


@pytest.fixture(scope="module")
def two_seeds(run_of, texts, village_json):
    path = village_json.parent / "two_seeds.toml"
    errors = (
        '\n[forecast]\nmodel = "autoregressive"\nload = { std = 0.4, lead_h = 1.0 }\n'
        "pv = { std = 0.5, lead_h = 1.0 }\nprice = { std_eur_per_mwh = 10.0, lead_h = 1.0 }\n"
    )
    path.write_text(texts["villages"] + errors, encoding="utf-8")
    return [run_of(path, f"forecast.seed={seed}") for seed in (1, 2)]


def test_realised_tables_are_equal_for_two_forecast_seeds(two_seeds):
    one, other = (run.tables["device"] for run in two_seeds)
    for kind, columns in (("load", ["p_mw", "q_mvar"]), ("pv", ["available_mw"])):
        a, b = one[one.kind == kind], other[other.kind == kind]
        assert len(a) == len(b) > 0
        pd.testing.assert_frame_equal(a[columns], b[columns], check_exact=True)
    a, b = (run.tables["boundary"] for run in two_seeds)
    prices = ["import_eur_per_mwh", "export_eur_per_mwh"]
    pd.testing.assert_frame_equal(a[prices], b[prices], check_exact=True)
    assert len(a) == 6
    assert (a.import_eur_per_mwh == 75.0).all()


def test_plans_of_two_forecast_seeds_differ_and_miss_reality(two_seeds):
    one, other = (run.tables["boundary"] for run in two_seeds)
    assert (one.p_planned_mw - other.p_planned_mw).abs().max() > 1e-3
    for table in (one, other):
        # villages of 18 kW whose loads are forecast with a spread of about 20 % at this lead
        assert (table.p_planned_mw - table.p_mw).abs().max() > 5e-4


def test_resolved_scenario_names_files_absolutely(write_scenario, tmp_path):
    sections = given(
        forecast={"model": "file", "file": "told.csv", "correlation_sites": "matrix.csv"}
    )
    content = load_scenario(str(write_scenario("feeder", sections))).resolved()
    assert content["forecast"]["file"] == str(tmp_path / "told.csv")
    assert content["forecast"]["correlation_sites"] == str(tmp_path / "matrix.csv")


AR = {"model": "autoregressive", **ERRORS}
BAD_MATRIX = [[1.0, 0.9, -0.9], [0.9, 1.0, 0.9], [-0.9, 0.9, 1.0]]


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"forecast": {**AR, "level": -1.0}}, "forecast.level: -1.0 is not accepted"),
        ({"deviations": {"level": -0.5}}, "deviations.level: -0.5 is not accepted"),
        ({"forecast": {**AR, "load": {"std": -0.1}}}, "forecast.load.std: -0.1 is not accepted"),
        ({"forecast": {**AR, "load": {"phi": 1.5}}}, "forecast.load.phi: 1.5 is not accepted"),
        ({"forecast": ERRORS}, "forecast.model: is missing"),
        ({"forecast": {"model": "oracle"}}, "forecast.model: 'oracle' is not accepted"),
        ({"forecast": {**AR, "levels": 1.0}}, "forecast: unknown key 'levels'"),
        ({"forecast": {"model": "file"}}, "model 'file' needs file"),
        ({"forecast": {"model": "file", "file": "none.csv"}}, "none.csv: no such file"),
        ({"forecast": {**AR, "update_min": 20}}, "update_min = 20 is not a multiple"),
        (
            {"forecast": {**AR, "update_min": 15, "update_at": ["06:00"]}},
            "one of update_min and update_at",
        ),
        (
            {"forecast": {"model": "persistence", "load": {"persistence": "clear_sky"}}},
            "clear_sky is for pv only",
        ),
        (
            {"forecast": {"model": "persistence", "pv": {"persistence": "last"}}},
            "last would forecast PV at night",
        ),
        ({"forecast": {**AR, "correlation_sites": 1.2}}, "1.2 is not accepted: a number in [0, 1]"),
        (
            {"forecast": {**AR, "correlation_sites": [[1.0, 0.5], [0.5, 1.0]]}},
            "the matrix has 2 rows for 1 grids",
        ),
        (
            {"forecast": {**AR, "correlation_sites": BAD_MATRIX}},
            "forecast.correlation_sites: the matrix: has the negative eigenvalue -0.8",
        ),
        (
            {"deviations": {**ERRORS, "correlation_sites": [[1.0, 0.5], [0.4, 1.0]]}},
            "deviations.correlation_sites: the matrix: entry (1, 2) is 0.5 and (2, 1) is 0.4",
        ),
        ({"forecast": {**AR, "correlation_sites": "matrix.csv"}}, "matrix.csv: no such file"),
    ],
)
def test_bad_sections_are_refused_in_one_line(command, write_scenario, sections, said):
    outcome = command("validate", write_scenario("feeder", given(**sections)))
    assert outcome.status == 2
    assert said in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1
    assert outcome.stdout == ""


def test_a_file_that_misses_an_interval_is_refused(command, write_scenario, tmp_path):
    frame = table()
    frame[frame.lead_min != 60].to_csv(tmp_path / "told.csv", index=False)
    path = write_scenario("feeder", given(forecast={"model": "file", "file": "told.csv"}))
    outcome = command("run", path, "--out", tmp_path / "out")
    assert outcome.status == 2
    assert len(outcome.stderr.splitlines()) == 1
    assert "no value for 2025-06-21T12:00:00+02:00" in outcome.stderr
    assert not (tmp_path / "out").exists()


def test_a_matrix_that_names_other_grids_is_refused(command, write_scenario, tmp_path):
    (tmp_path / "matrix.csv").write_text("name,mv1,mv9\nmv1,1,0\nmv9,0,1\n", encoding="utf-8")
    path = write_scenario("feeder", given(forecast={**AR, "correlation_sites": "matrix.csv"}))
    outcome = command("validate", path)
    assert outcome.status == 2
    assert "row 'mv9' unknown; names of grids (mv1)" in outcome.stderr


def test_validate_shows_what_is_told(command, write_scenario):
    outcome = command("validate", write_scenario("feeder", given(forecast=AR, deviations=ERRORS)))
    assert outcome.status == 0
    assert "forecast: autoregressive" in outcome.stdout
    assert "deviations:" in outcome.stdout


@pytest.mark.parametrize(
    ("latitude", "month", "kwh_per_kwp"), [(-33.87, 6, 4.57), (33.87, 12, 4.6)]
)
def test_pv_faces_the_equator_where_no_azimuth_is_given(
    write_scenario, bases, latitude, month, kwh_per_kwp
):
    """Sydney's shortest day under a clear sky; facing south it would be 0.24 kWh per kWp."""
    site = {"latitude": latitude, "longitude": 151.21}
    loaded = load_scenario(str(write_scenario(change=given(site=site))))
    start = pd.Timestamp(2025, month, 21, tz="Australia/Sydney")
    axis = TimeAxis(start, pd.Timedelta("15min"), 96)
    base = bases["feeder"]
    maker = SeriesFactory(loaded.scenario, axis, loaded.folder).of(base.grids["mv1"])
    clear = base.devices["mv1"].photovoltaics.clear_sky(maker, base.grids["mv1"].placed["pv"])
    energy = 0.25 * clear.sum(axis=0) / 0.3
    np.testing.assert_allclose(energy, kwh_per_kwp, rtol=0.15)  # orientations scatter
