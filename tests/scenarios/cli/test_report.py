"""Figures and reports of real runs: their numbers are those of the tables."""

import inspect
import json
import re
import shutil
from base64 import b64decode
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from plotly.graph_objects import Figure
from support.run_cases import unlisted

from stackelgrid.analysis import Run
from stackelgrid.analysis.figures import (
    certificates,
    costs,
    forecasts,
    heat_map,
    interfaces,
    loading,
    maps,
    power,
    taps,
    voltages,
    waterfall,
)
from stackelgrid.analysis.report import render
from stackelgrid.analysis.report.run import run_page
from stackelgrid.analysis.results.axes import copies, levels
from stackelgrid.simulators.results.tables import SCHEMAS

MODULES = (
    power, costs, waterfall, voltages, heat_map, maps, loading, taps, forecasts, certificates,
    interfaces,
)  # fmt: skip
BY_LEVEL = {power.balance, power.imports, voltages.voltage_band, heat_map.voltage_heat_maps}
BY_GRID = {maps.voltage_map, power.dispatch, heat_map.voltage_heat_map}
FIGURES = {
    function
    for module in MODULES
    for name, function in inspect.getmembers(module, inspect.isfunction)
    if function.__module__ == module.__name__
    and not name.startswith("_")
    and inspect.signature(function).return_annotation is Figure
    and "grids" not in inspect.signature(function).parameters  # parts of those by level
}
# titles that carry no unit: names along an axis, time, and what has none
NO_UNIT = re.compile(
    r"grid|level|bus|branch|kind of cost|part of the run|time \(.+\)|rounds .*|.* \(1\)"
)
UNIT = re.compile(r".* in (MW|MWh|kW|MVA|p\.u\.|%|s|h|EUR|EUR per interval|EUR/MWh)")
OUTLIER_PU = 1.113


def change(directory, table, edit):
    """Edit a table of a run in place."""
    file = directory / f"{table}.parquet"
    frame = pd.read_parquet(file)
    edited = edit(frame)
    pq.write_table(pa.Table.from_pandas(edited, schema=SCHEMAS[table], preserve_index=False), file)


def say(directory, **entries):
    """Change entries of summary.json."""
    path = directory / "summary.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def say_without(directory, key):
    """Take an entry out of summary.json."""
    path = directory / "summary.json"
    content = json.loads(path.read_text())
    del content[key]
    path.write_text(json.dumps(content))


def rewrite(directory, old, new):
    """Replace a text in scenario.toml."""
    path = directory / "scenario.toml"
    content = path.read_text(encoding="utf-8")
    assert old in content
    path.write_text(content.replace(old, new), encoding="utf-8")


@pytest.fixture(scope="module")
def opened(three_levels):
    return Run(three_levels.directory)


@pytest.fixture
def copied(three_levels, tmp_path):
    return unlisted(Path(shutil.copytree(three_levels.directory, tmp_path / "copied")))


@pytest.fixture(scope="module")
def troubled(three_levels, tmp_path_factory):
    """The run with a bus beyond its limit, a fallback, a recovery, phases and trade."""
    directory = tmp_path_factory.mktemp("troubled") / "run"
    shutil.copytree(three_levels.directory, directory)
    unlisted(directory)

    def buses(frame):
        at = (frame.interval == 2) & (frame.grid == "lv1") & (frame.bus == 562)
        assert at.sum() == 1
        frame.loc[at, ["vm_pu", "vm_certified_pu"]] = OUTLIER_PU
        return frame

    def intervals(frame):
        lv = frame.grid == "lv1"
        at = lv & (frame.interval == 2)
        frame.loc[at, ["verdict", "worst", "realised_worst"]] = ["infeasible", "bus 562", "bus 562"]
        frame.loc[at, ["violation_pu", "realised_violation_pu"]] = OUTLIER_PU - 1.1
        frame.loc[at, ["recovery_tried", "fictitious_loss_share"]] = ["loss_price x 5", 0.25]
        held = lv & (frame.interval == 3)
        frame.loc[held, "fallback"] = True
        frame.loc[held, "fallback_reason"] = "no plan in time"
        mended = lv & (frame.interval == 4)
        frame.loc[mended, ["recovery", "recovery_tried"]] = ["loss_price", "loss_price x 1"]
        frame.loc[mended, "verdict_before"] = "feasible"
        frame.loc[lv, "verdict_three_phase"] = "feasible"
        frame.loc[lv, "violation_three_phase_pu"] = 0.0
        frame.loc[lv, "unbalance_percent"] = 0.4
        for phase in "abc":
            frame.loc[lv, [f"min_vm_{phase}_pu", f"max_vm_{phase}_pu"]] = [0.98, 1.02]
        return frame

    def trades(frame):
        first = pd.Timestamp("2025-06-20T02:00", tz="UTC")
        rows = [
            (1, first, "lv1", 70, market, side, 0.002, 150.0, 10.0)
            for market in ("inside", "across")
            for side in ("buy", "sell")
        ]
        return pd.concat([frame, pd.DataFrame(rows, columns=frame.columns)], ignore_index=True)

    change(directory, "bus", buses)
    change(directory, "interval", intervals)
    change(directory, "trade", trades)
    return Run(directory)


def drawn(figure):
    """Traces of a figure with their values as numbers, without those of the legend alone."""
    return {
        (trace.name, trace.legendgroup, trace["stackgroup"] if trace.type == "scatter" else None): (
            np.asarray(trace.y, dtype=float)
        )
        for trace in figure.data
        if trace.y is not None and trace.y[0] is not None
    }


def arguments(function, run):
    if function in BY_LEVEL:
        return (run, "lv")
    if function is power.available:
        return (run, "pv")
    if function in (power.state_of_charge, power.one_by_one):
        return (run, "battery", "lv") if function is power.state_of_charge else (run, "unit", "mv")
    if function is power.charge_by_device:
        return (run, "battery", "mv1")
    return (run, "lv1") if function in BY_GRID else (run,)


@pytest.mark.parametrize(
    "function", sorted(FIGURES, key=lambda f: f.__name__), ids=lambda f: f.__name__
)
def test_axes_of_every_figure_carry_a_unit(troubled, function):
    figure = function(*arguments(function, troubled))
    assert len(figure.data)
    axes = [
        figure.layout[key]
        for key in figure.layout.to_plotly_json()
        if re.fullmatch(r"[xy]axis\d*", key)
    ]
    shown = [axis for axis in axes if axis.visible is not False]
    if function is maps.voltage_map:  # places have no axes; the colours have a unit
        assert not shown
        bars = [t.marker.colorbar.title.text for t in figure.data if t.marker.colorbar.title.text]
        assert bars == ["voltage in p.u."]
        return
    titles = [axis.title.text for axis in shown if axis.showticklabels is not False]
    assert len(titles) >= 2
    for title in titles:
        assert UNIT.fullmatch(title) or NO_UNIT.fullmatch(title), title


def test_all_figures_are_known_to_the_test():
    assert len(FIGURES) >= 20
    assert {power.balance, costs.costs, certificates.certificate_strip} <= FIGURES


@pytest.mark.parametrize("level", ["transmission", "mv", "lv"])
def test_supply_and_use_of_a_balance_are_equal(opened, level):
    figure = power.balance(opened, level)
    values = drawn(figure)
    assert np.abs(sum(values.values())).max() < 1e-6  # MW: rounding of the power flow
    load = values["loads", "loads", "use"][:-1]
    own = opened.interval[opened.interval.level == level]
    total = (own.load_p_mw * own.copies).groupby(own.interval).sum()
    np.testing.assert_allclose(-load, total, rtol=1e-12)
    assert total.max() > 0.0


def test_imports_are_those_of_all_copies(opened):
    values = drawn(power.imports(opened, "lv"))
    own = opened.interval[opened.interval.grid == "lv1"]
    assert copies(opened) == {"tn": 1, "mv1": 6, "lv1": 42}
    planned = values["lv1 planned", "lv1", None]
    np.testing.assert_allclose(planned[:-1], 42 * own.p_import_planned_mw, rtol=1e-12)
    deviation = values["lv1", "lv1", None]  # the last trace of that name: the difference in kW
    # tolerances of solvers up to 1 W of all copies are drawn as none
    np.testing.assert_allclose(
        deviation[:-1], 42e3 * (own.p_import_mw - own.p_import_planned_mw), atol=1e-3
    )


def test_pv_fed_in_and_curtailed_is_what_the_sun_offered(opened):
    stacked = sum(drawn(power.available(opened, "pv")).values())
    own = opened.interval
    available = (own.pv_available_mw * own.copies).groupby(own.interval).sum()
    np.testing.assert_allclose(stacked[:-1], available, atol=1e-6)
    assert available.max() > 0.1


def test_costs_add_up_to_the_summary(opened):
    told = opened.summary["cost_eur"]
    sides = costs.cost_sides(opened).sum()
    assert sides["system"] == pytest.approx(told["total"], rel=1e-9)
    assert sides["leaders"] == pytest.approx(told["leader"], rel=1e-9)
    assert sides["follower"] == pytest.approx(told["follower"], rel=1e-9)
    bars = drawn(costs.costs(opened))
    assert sum(bars.values()).sum() == pytest.approx(told["total"], rel=1e-4)
    final = {name: y[-1] for (name, _, _), y in drawn(costs.cumulative_costs(opened)).items()}
    assert final == pytest.approx(
        {"system": told["total"], "leaders": told["leader"], "follower": told["follower"]}
    )


def test_prices_are_those_of_the_tariffs(opened):
    values = {name: y[:-1] for (name, _, _), y in drawn(costs.prices(opened)).items()}
    # half hours from 04:00: the periods of the scenario begin at 05:00 and 06:30
    assert list(values["import, mv1"]) == [70.0, 70.0, 120.0, 120.0, 120.0, 60.0]
    assert list(values["export, lv1"]) == [70.0, 70.0, 90.0, 90.0, 90.0, 60.0]
    nodal = opened.boundary[opened.boundary.parent == "tn"].nodal_price_eur_per_mwh
    np.testing.assert_allclose(values["nodal prices in tn"], nodal)


def test_bands_reach_from_the_lowest_to_the_highest(opened):
    figure = voltages.voltage_band(opened, "lv")
    edges = [np.asarray(t.y[:-1], float) for t in figure.data if t.name == "all buses"]
    own = opened.bus[opened.bus.grid == "lv1"].groupby("interval").vm_pu
    np.testing.assert_allclose(edges, [own.min(), own.max()])
    assert [shape.y0 for shape in figure.layout.shapes] == [1.1, 0.9]
    charge = power.state_of_charge(opened, "battery", "mv")
    low, high = (np.asarray(t.y[:-1], float) for t in charge.data if t.name == "all batteries")
    own = opened.device.query("grid == 'mv1' and kind == 'battery'").groupby("interval")
    np.testing.assert_allclose(low, own.soc_percent.min())
    np.testing.assert_allclose(high, own.soc_percent.max())
    assert 0.0 <= low.min() < high.max() <= 100.0


def test_the_fullest_branch_is_the_last_bar(opened):
    bars, without = loading.fullest_branches(opened).data
    at = opened.branch.loc[opened.branch.loading_percent.idxmax()]
    assert bars.x[-1] == at.loading_percent
    assert bars.y[-1].startswith(f"{at.grid} {at.element} {at['index']}")
    assert list(bars.x) == sorted(bars.x)
    before = opened.baseline.branch
    own = before[(before.grid == at.grid) & (before["index"] == at["index"])]
    assert without.x[-1] == own[own.element == at.element].loading_percent.max()


def test_time_spent_sums_to_the_wall_clock(opened):
    (bars,) = interfaces.time_spent(opened).data
    assert sum(bars.x) == pytest.approx(opened.summary["wall_s"], rel=1e-6)


def test_a_map_shows_the_voltages_of_its_interval_and_rings_the_buses_beyond(troubled):
    assert maps.worst_interval(troubled, "lv1") == 2
    figure = maps.voltage_map(troubled, "lv1")
    (buses,) = [t for t in figure.data if t.name == "bus"]
    own = troubled.bus.query("grid == 'lv1' and interval == 2").set_index("bus")
    order = [int(re.match(r"bus (\d+)", text)[1]) for text in buses.hovertext]
    assert len(order) == 207
    np.testing.assert_array_equal(buses.marker.color, own.vm_pu[order])
    ringed = [bus for bus, width in zip(order, buses.marker.line.width, strict=True) if width > 1]
    assert ringed == [562]
    assert (buses.marker.cmin, buses.marker.cmax) == pytest.approx((0.88, 1.12))
    assert figure.layout.yaxis.scaleanchor is None  # a tree fills its width
    ((root,),) = np.nonzero(np.asarray(buses.marker.symbol) == "square")
    assert buses.x[root] == min(buses.x)
    assert "906" in buses.text  # the end of a branch
    (ends,) = [t for t in figure.data if t.name == "loading below 60 %"]
    assert len(ends.x) == 3 * len(own.index[:-1])  # a tree: two ends and a gap for every branch


def test_the_strip_says_what_the_certificates_say(troubled):
    figure = certificates.certificate_strip(troubled)
    strip, *marks = figure.data
    rows = dict(zip(strip.y, np.asarray(strip.z), strict=True))
    assert list(rows) == ["lv1 phases", "lv1", "mv1", "tn"]  # from below
    assert list(rows["lv1"]) == [1, 1, 4, 1, 1, 1]  # exact, but for the infeasible one
    assert list(rows["tn"]) == [2] * 6  # a DC dispatch is at best feasible
    assert list(rows["lv1 phases"]) == [2] * 6
    assert "bus 562: 0.013 p.u. beyond the limit" in strip.text[list(strip.y).index("lv1")][2]
    told = {mark.name: list(mark.y) for mark in marks if mark.x[0] is not None}
    assert told == {
        "recovered": ["lv1"],
        "fallback": ["lv1"],
        "beyond a limit in reality": ["lv1"],
    }


def sections(page):
    return {section.title: section for section in page.sections}


def test_a_good_run_has_a_report_that_says_so(opened):
    page = run_page(opened)
    assert page.verdict.state == "good"
    cost = opened.summary["cost_eur"]["total"]
    assert page.verdict.sentence == (
        f"All 6 intervals were exact and within limits; cost {cost:,.0f} EUR."
    )
    assert list(sections(page)) == [
        "Key figures", "Map of the system", "Balance and exchange", "Costs and prices", "Voltages",
        "Maps", "Loading", "State of charge", "Tap changers", "Forecast and reality", "Certificate",
        "Interfaces between grids", "Solver and time", "Scenario and grids",
    ]  # fmt: skip
    facts = dict(page.facts)
    (solving,) = sections(page)["Solver and time"].tables
    assert dict(solving.rows)["seed"] == "11"
    assert sections(page)["Forecast and reality"].figures == ()  # nothing to see
    assert facts["Scheme"] == "bottom-up"
    assert facts["Grids"].endswith("49 with all copies")
    assert len(sections(page)["Maps"].figures) == 3
    assert sections(page)["Certificate"].tables == ()  # nothing was worst
    text = render(page)
    page_itself = re.sub(r"<script\b.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r"""\b(src|href)=["'](?!#|data:)""", page_itself)
    assert len(text) < 8e6
    data = re.findall(r'<script type="application/json" data-for="[^"]+"[^>]*>(.*?)</script>', text)
    figures = [figure for section in page.sections for figure in section.figures]
    assert len(data) == sum(len(getattr(f, "charts", (f,))) for f in figures) > 15
    traces = [trace for figure in data for trace in json.loads(figure)["data"]]
    packed = [t["y"] for t in traces if isinstance(t.get("y"), dict)]
    assert packed
    assert {y["dtype"] for y in packed} <= {"f4", "i1", "i2", "i4"}
    assert all(len(b64decode(y["bdata"])) for y in packed)


def test_the_report_of_a_bad_run_names_place_value_and_reason(troubled):
    page = run_page(troubled)
    assert page.verdict.state == "bad"
    told = page.verdict.sentence
    assert told.startswith(
        "1 of 6 intervals beyond limits in reality (worst: bus 562 of lv1 at 05:00, "
        "1.1130 p.u. against 1.1 p.u.), plan infeasible in 1, 1 of 6 intervals by fallback, "
        "1 after a recovery; cost "
    )
    (worst,) = sections(page)["Certificate"].tables
    reasons = {row[0]: row[-1] for row in worst.rows}
    assert reasons == {
        "05:00": "recovery tried (loss price x 5), nothing was better; relaxation not tight: "
        "fictitious losses of 0.25 of the load",
        "05:30": "the last schedule is kept: no plan in time",
        "06:00": "recovered by loss price (at first feasible)",
    }
    assert worst.rows[0][3] == ("in reality and planned bus 562: 1.1130 p.u. against 1.1 p.u.")
    titles = [chart.title for section in page.sections for chart in section.figures]
    assert {"Trade between prosumers", "Phase voltages", "Unbalance"} <= set(titles)
    assert "Largest violation of a limit" in titles


@pytest.mark.parametrize(
    ("status", "beginning", "notice"),
    [
        (
            "interrupted",
            "Interrupted after 4 of 9 intervals",
            "--resume",
        ),
        ("running", "Going on, 4 of 9 intervals done", "is still running"),
    ],
)
def test_an_unfinished_run_says_how_far_it_came(copied, status, beginning, notice):
    # tables that are read after `interval` may hold an interval more of a run that goes on
    more = status == "running"

    def filled(frame):
        at = (frame.interval == 4) & (frame.grid == "mv1") & (frame.element == "line")
        frame.loc[frame.index[at][2], "loading_percent"] = 99.0
        return frame

    change(copied, "branch", filled)
    for table in SCHEMAS:
        last = 5 if more and table != "interval" else 4
        change(copied, table, lambda frame, last=last: frame[frame.interval < last])
        (copied / table).mkdir()  # parts, as a run leaves them
        (copied / f"{table}.parquet").rename(copied / table / "part-000000.parquet")
    say(copied, status=status, intervals_done=4, intervals_planned=9)
    page = run_page(Run(copied))
    assert page.verdict.sentence.startswith(f"{beginning}: all 4 intervals were exact")
    assert page.verdict.state == ("warning" if status == "interrupted" else "good")
    assert len(page.notices) == 1
    assert notice in page.notices[0]
    (numbers,) = sections(page)["Key figures"].tables  # both of the four intervals
    assert numbers.columns[2] == "without control"
    cells = {row[0]: row[1:] for row in numbers.rows}
    assert cells["used, MWh"][0] == cells["used, MWh"][1]
    (extremes,) = sections(page)["Voltages"].tables
    fullest = [row[5:] for row in extremes.rows if row[0] == "mv1"]
    assert (fullest == [("99.0", "line 2, 06:00")]) == more


def test_a_run_that_has_just_begun_has_a_report(copied):
    for table in SCHEMAS:
        (copied / f"{table}.parquet").unlink()
    say(copied, status="running", intervals_done=0)
    page = run_page(Run(copied))
    assert page.verdict.state == "warning"
    assert page.verdict.sentence == (
        "Going on, 0 of 6 intervals done: no interval is on record yet."
    )
    assert page.sections == ()


def test_maps_are_left_out_where_a_run_has_no_network(copied):
    (copied / "network.parquet").unlink()
    page = run_page(Run(copied))
    maps_section = sections(page)["Maps"]
    assert maps_section.figures == ()
    assert "no network.parquet" in maps_section.text[0]
    assert len(sections(page)["Voltages"].figures) == 6


def test_report_writes_the_page_again_and_prints_its_path(command, copied):
    (copied / "report.html").unlink(missing_ok=True)
    outcome = command("report", copied)
    assert outcome.status == 0
    assert outcome.stdout.strip() == str(copied / "report.html")
    assert "All 6 intervals were exact" in (copied / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda d: (d / "bus.parquet").unlink(), "bus.parquet: is missing"),
        (lambda d: (d / "interval.parquet").write_bytes(b"PAR1 half"), "interval"),
        (
            lambda d: (d / "summary.json").write_text('{"scenario": '),
            "summary.json: cannot be read",
        ),
        (lambda d: (d / "summary.json").unlink(), "summary.json is missing"),
        (lambda d: (d / "scenario.toml").unlink(), "scenario.toml: cannot be read"),
        (lambda d: say_without(d, "solver"), "'solver.conic'"),
        (lambda d: rewrite(d, "Europe/Berlin", "Mars/Phobos"), "Mars/Phobos"),
        (lambda d: rewrite(d, 'level = "lv"', 'level = "hv"'), "grid lv1 has level 'hv'"),
        (shutil.rmtree, "does not exist"),
        (lambda d: [shutil.rmtree(d), d.mkdir()], "is empty"),
    ],
    ids=[
        "table",
        "damaged",
        "half",
        "summary",
        "scenario",
        "foreign",
        "zone",
        "level",
        "missing",
        "empty",
    ],
)
def test_bad_directories_are_refused_in_one_line(command, copied, harm, told):
    harm(copied)
    outcome = command("report", copied)
    assert outcome.status == 2
    assert outcome.stdout == ""
    (line,) = outcome.stderr.splitlines()
    assert told in line
    assert copied.name in line


def test_a_report_that_fails_leaves_the_run_done(command, write_scenario, tmp_path, monkeypatch):
    def fails(directory):
        raise ValueError("no ink")

    monkeypatch.setattr("stackelgrid.analysis.report.run.write_run_report", fails)
    out = tmp_path / "out"
    outcome = command("run", write_scenario(), "--out", out, "--report")
    assert outcome.status == 0
    assert outcome.stdout.strip().endswith(str(out))
    assert "no report was written: ValueError: no ink" in outcome.stderr
    events = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert events[-1] == {
        "event": "warning",
        "text": "no report was written: ValueError: no ink",
    }
    assert json.loads((out / "summary.json").read_text())["status"] == "done"
    assert not (out / "report.html").exists()


def test_a_run_without_a_report_is_had_for_the_asking(command, write_scenario, tmp_path):
    out = tmp_path / "out"
    assert command("run", write_scenario(), "--out", out, "--no-report").status == 0
    assert not (out / "report.html").exists()
    assert levels(Run(out)) == ["mv"]
    # a single grid has no boundary: while it runs, there is no table of it
    unlisted(out)
    (out / "boundary.parquet").unlink()
    say(out, status="interrupted", intervals_done=1)
    for table in ("interval", "bus", "branch", "device"):
        change(out, table, lambda frame: frame[frame.interval < 1])
    page = run_page(Run(out))
    assert page.verdict.sentence.startswith("Interrupted after 1 of 2 intervals: ")
    assert "Interfaces between grids" not in sections(page)
