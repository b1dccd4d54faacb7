"""Series of the page: the plan and the run without control beside reality."""

import json

import numpy as np
import pandas as pd
import pytest
from support.run_cases import HORIZON, NESTED, SMALL, RecordedRun

from stackelgrid.analysis.results.errors import ResultsError
from stackelgrid.analysis.view.data import LiveRun
from stackelgrid.analysis.view.series import series, series_note
from stackelgrid.analysis.view.series_figure import series_figure
from stackelgrid.analysis.view.source import Element

BUS = Element("bus", "lv1", 7)
AGENT = Element("agent", "lv1")


def recorded(tmp_path, done=4, grids=SMALL, **own):
    return RecordedRun(tmp_path / "run", grids, 6, **{"horizon": HORIZON, **own}).record(done)


def lines(found, panel):
    return {n.name: n for n in next(p for p in found.panels if p.title == panel).lines}


def test_voltages_stand_beside_the_plan_and_the_run_without_control(tmp_path):
    changes = {("bus", "lv1", k): {"vm_certified_pu": 0.99 + k / 1000} for k in (0, 1, 3)}
    case = recorded(tmp_path, changes=changes)
    live = LiveRun(case.directory)
    found = lines(series(live, BUS), "voltage")
    assert list(found) == ["reality", "plan"]
    real = [case.vm_pu(k, "lv1", 7) for k in range(4)]
    np.testing.assert_allclose(found["reality"].values, real)
    # AC at the planned injections; in interval 2 there is none, only the relaxation's voltage
    planned = [0.99, 0.991, case.vm_pu(2, "lv1", 7) + 1e-5, 0.993]
    np.testing.assert_allclose(found["plan"].values, planned)
    # it comes while the page is open, and covers less than the run so far, then more
    rest = case.baseline(3)
    found = lines(series(live, BUS), "voltage")
    assert list(found) == ["baseline", "reality", "plan"]
    expected = [rest.vm_pu(k, "lv1", 7) for k in range(3)]
    np.testing.assert_allclose(found["baseline"].values, [*expected, np.nan])
    np.testing.assert_allclose(found["reality"].values[:3] - found["baseline"].values[:3], 0.01)
    rest.record(3)
    rest.finish()
    assert len(lines(series(live, BUS), "voltage")["baseline"].values) == 4
    assert np.isfinite(lines(series(live, BUS), "voltage")["baseline"].values).all()


def test_loadings_stand_beside_those_of_the_plan_and_of_the_run_without_control(tmp_path):
    changes = {("branch", "lv1", k): {"loading_certified_percent": 30.0 + k} for k in range(4)}
    case = recorded(tmp_path, changes=changes)
    rest = case.baseline(4)
    found = lines(series(LiveRun(case.directory), Element("line", "lv1", 5, "line")), "loading")
    assert list(found) == ["baseline", "reality", "plan"]
    np.testing.assert_allclose(found["plan"].values, [30.0, 31.0, 32.0, 33.0])
    expected = [rest.loading_percent(k, "lv1", 5) for k in range(4)]
    np.testing.assert_allclose(found["baseline"].values, expected)


def test_the_plan_of_the_coming_hours_begins_at_the_interval_shown(tmp_path):
    changes = {
        ("device", "lv1", 1): {"e_mwh": 2e-3},
        ("interval", "lv1", 1): {"battery_p_mw": 2e-3},
    }
    case = recorded(tmp_path, changes=changes)
    live = LiveRun(case.directory)
    assert lines(series(live, AGENT), "import").keys() == {"reality"}  # no interval is shown
    plan = lines(series(live, AGENT, 2), "import")["plan"]
    assert not plan.recorded  # the table holds no planned imports
    start = pd.Timestamp("2025-06-20 00:30")
    hours = [0.0, 0.25, 0.5, 1.5, 2.5]
    assert list(plan.ahead.edges) == [start + pd.Timedelta(hours=h) for h in hours]
    kw = [1e3 * case.planned_mw(2, step) for step in range(4)]
    np.testing.assert_allclose(plan.ahead.values, kw)
    devices = lines(series(live, AGENT, 2), "own devices")
    np.testing.assert_allclose(devices["batteries"].ahead.values, [0.03 * v for v in kw])  # three

    found = series(live, Element("battery", "lv1", case.index_of("lv1", 10), "storage"), 2)
    power = lines(found, found.panels[0].title)["set point"]
    np.testing.assert_allclose(power.ahead.values, [0.01 * v for v in kw])
    energy = lines(found, "energy")["plan"]
    np.testing.assert_allclose(energy.ahead.values, [0.0, 1.0, 2.0, 3.0])  # kWh


def test_a_held_plan_is_shown_from_the_step_that_is_due(tmp_path):
    case = recorded(tmp_path, horizon={**HORIZON, "resolve_every": 2})
    live = LiveRun(case.directory)
    plan = lines(series(live, AGENT, 3), "import")["plan"]
    # decided in interval 2; its first step is over
    kw = [1e3 * case.planned_mw(2, step) for step in (1, 2, 3)]
    np.testing.assert_allclose(plan.ahead.values, kw)
    assert plan.ahead.edges[0] == live.times[3]


def test_a_day_ahead_plan_is_that_of_the_first_interval(tmp_path):
    case = recorded(tmp_path, horizon={"mode": "day_ahead", "steps": HORIZON["steps"]})
    live = LiveRun(case.directory)
    plan = lines(series(live, AGENT, 3), "import")["plan"]
    kw = [1e3 * case.planned_mw(0, step) for step in (2, 3)]  # the third step is under way
    np.testing.assert_allclose(plan.ahead.values, kw)
    assert plan.ahead.edges[0] == live.times[2]


def test_plans_are_the_same_before_and_after_the_tables_are_merged(tmp_path):
    case = recorded(tmp_path)
    before = lines(series(LiveRun(case.directory), AGENT, 1), "import")["plan"].ahead
    case.record(2)
    case.finish()
    after = lines(series(LiveRun(case.directory), AGENT, 1), "import")["plan"].ahead
    assert list(before.edges) == list(after.edges)
    np.testing.assert_array_equal(before.values, after.values)


def test_power_to_the_grids_below_counts_their_copies(tmp_path):
    changes = {
        ("interval", "tn", 3): {"lower_p_mw": 7.0},
        ("interval", "mv1", 3): {"p_import_planned_mw": 2.0},
        ("interval", "mv2", 3): {"p_import_planned_mw": 0.5},
    }
    case = recorded(tmp_path, grids=NESTED, copies={"mv1": 3}, changes=changes)
    found = lines(
        series(LiveRun(case.directory), Element("agent", "tn"), 3), "power to the grids below"
    )
    assert found["reality"].values[3] == 7.0
    assert found["plan"].values[3] == pytest.approx(3 * 2.0 + 0.5)
    planned = [4 * case.planned_mw(3, step) for step in range(4)]
    np.testing.assert_allclose(found["plan"].ahead.values, planned)


def test_figure_names_every_line_and_leaves_room_for_the_plan(tmp_path):
    case = recorded(tmp_path)
    live = LiveRun(case.directory)
    case.baseline(4)
    found = series(live, AGENT, 3)
    figure = series_figure(live, found)
    json.dumps(figure, allow_nan=False)
    heading = figure["layout"]["annotations"][0]["text"]
    assert all(name in heading for name in ("baseline", "reality", "plan ahead"))
    coming = next(t for t in figure["data"] if t["name"] == "plan ahead")
    assert (coming["line"]["dash"], coming["opacity"]) == ("dash", 0.5)
    assert coming["x"][0] == "2025-06-20T00:45:00"
    # a run of 90 minutes, and the horizon of two and a half hours
    assert figure["layout"]["xaxis"]["range"] == ["2025-06-20T00:00:00", "2025-06-20T04:00:00"]
    note = series_note(found)
    assert "the plan" in note
    assert "without control" in note
    alone = series(live, BUS)
    assert series_figure(live, alone)["layout"]["xaxis"]["range"][1] == "2025-06-20T01:30:00"


def test_lines_are_left_out_where_a_run_has_no_plan_and_no_baseline(tmp_path):
    live = LiveRun(RecordedRun(tmp_path / "run", SMALL, 6).record(4).directory)
    found = series(live, AGENT, 3)
    assert [n.name for n in found.panels[0].lines] == ["reality"]
    assert series_note(found) == ""


def test_a_baseline_that_cannot_be_read_is_refused_in_one_line(tmp_path):
    case = recorded(tmp_path)
    case.baseline(2)
    part = case.directory / "baseline" / "bus" / "part-000001.parquet"
    part.write_bytes(part.read_bytes()[:50])
    with pytest.raises(ResultsError, match=r"baseline.*cannot be read") as refused:
        series(LiveRun(case.directory), BUS)
    assert "\n" not in str(refused.value)
