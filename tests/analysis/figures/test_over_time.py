"""Heat maps, duration curves, taps, forecasts and charges, from tables written by hand."""

import numpy as np
import pytest
from support.run_rows import judged, limits, run_of, voltages

from stackelgrid.analysis.figures import forecasts, heat_map, loading, power, taps
from stackelgrid.analysis.figures.certificates import certificate_of_levels
from stackelgrid.analysis.figures.verdict_states import COLORS
from stackelgrid.analysis.results.axes import clock

GRIDS = {
    "tn": ("transmission", None, 1), "mv1": ("mv", "tn", 2), "mv2": ("mv", "tn", 1),
    "lv1": ("lv", "mv1", 3),
}  # fmt: skip
# a feeder from bus 9: 9 - 4 - 1 - 7 with the branch 4 - 2 - 3; without limits at its head
LINES = ((9, 4), (4, 1), (1, 7), (4, 2), (2, 3))
VOLTAGES = (
    {9: 1.0, 4: 0.99, 1: 0.98, 7: 0.95, 2: 1.02, 3: 1.05},
    {9: 1.0, 4: 1.01, 1: 0.90, 7: 0.85, 2: 1.10, 3: 1.12},
)


def lines(grid):
    own = {"grid": grid, "element": "line"}
    return [{**own, "index": k, "bus": a, "to_bus": b} for k, (a, b) in enumerate(LINES)]


def head(grid):
    return {"grid": grid, "element": "ext_grid", "index": 0, "bus": 9}


@pytest.fixture
def run(tmp_path):
    names = ("mv1", "mv2")
    bus = [r for name in names for k, v in enumerate(VOLTAGES) for r in voltages(k, name, v)]
    network = [r for name in names for r in (*lines(name), head(name))]
    network += limits("mv1", 0.9, 1.1, VOLTAGES[0]) + limits("mv2", 0.8, 1.2, VOLTAGES[0])
    interval = [judged(k, name) for k in range(2) for name in GRIDS]
    return run_of(GRIDS, directory=tmp_path, interval=interval, bus=bus, network=network)


def test_a_heat_map_has_the_voltages_of_the_bus_table_along_the_tree(run):
    cells = heat_map.voltage_heat_map(run, "mv1").data[0]
    assert list(cells.y) == ["9", "4", "1", "7", "2", "3"]  # branch by branch
    table = run.bus[run.bus.grid == "mv1"].pivot_table("vm_pu", "bus", "interval")
    np.testing.assert_array_equal(cells.customdata, table.loc[[int(bus) for bus in cells.y]])
    assert cells.x0 == clock(run).middles[0]
    assert cells.dx == 15 * 60_000  # ms


def test_colours_of_a_heat_map_are_the_room_to_the_own_limits(run):
    stacked = heat_map.voltage_heat_maps(run, "mv")
    room = {
        cells.name: dict(zip(cells.y, np.asarray(cells.z), strict=True)) for cells in stacked.data
    }
    np.testing.assert_allclose(room["mv1"]["9"], [0.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(room["mv1"]["1"], [-0.2, -1.0])
    np.testing.assert_allclose(room["mv1"]["2"], [0.2, 1.0])
    assert room["mv1"]["3"][1] > 1.0  # beyond its limit
    assert room["mv1"]["7"][1] < -1.0
    np.testing.assert_allclose(room["mv2"]["2"], [0.1, 0.5])
    assert len({(cells.zmin, cells.zmax) for cells in stacked.data}) == 1
    assert [cells.showscale for cells in stacked.data] == [True, False]


def test_many_communities_are_chosen_from_the_closest_to_a_limit(run):
    assert heat_map.stacked(run, "mv")
    assert heat_map.shown_grids(run, "mv") == ["mv1", "mv2"]
    many = {f"lv{k}": ("lv", None, 1) for k in range(9)}
    rows = [judged(0, name) for name in many]
    bus = [r for k, name in enumerate(many) for r in voltages(0, name, {1: 1.0 + 0.01 * k})]
    network = [r for name in many for r in limits(name, 0.9, 1.1, [1])]
    run = run_of(many, directory=run.directory, interval=rows, bus=bus, network=network)
    assert not heat_map.stacked(run, "lv")
    assert heat_map.shown_grids(run, "lv") == [f"lv{k}" for k in range(8, -1, -1)]


def branch(interval, grid, index, percent):
    return {
        "interval": interval, "grid": grid, "element": "line", "index": index,
        "loading_percent": percent,
    }  # fmt: skip


def test_a_duration_curve_is_sorted_and_its_hours_add_up():
    values = {0: (10.0, 30.0), 1: (70.0, 20.0), 2: (5.0, 40.0), 3: (50.0, 50.0)}
    rows = [branch(k, "mv1", n, p) for k, pair in values.items() for n, p in enumerate(pair)]
    interval = [judged(k, name) for k in values for name in GRIDS]
    other = run_of(GRIDS, interval=interval, branch=[branch(k, "mv2", 0, 90.0) for k in values])
    run = run_of(GRIDS, interval=interval, branch=rows, baseline=other)
    np.testing.assert_array_equal(loading.duration(run, "mv"), [70.0, 50.0, 40.0, 30.0])
    curves = {trace.name: trace for trace in loading.durations(run).data}
    assert list(curves) == ["medium voltage, without control", "medium voltage"]
    own = curves["medium voltage"]
    assert list(own.x) == [0.0, 0.25, 0.5, 0.75, 1.0]  # quarter hours of the hour
    assert list(own.y) == [70.0, 50.0, 40.0, 30.0, 30.0]
    assert set(curves["medium voltage, without control"].y) == {90.0}


def test_taps_are_those_of_changers_under_load_and_their_changes_are_counted():
    positions = {"mv1": (0, -1, -1, 1), "mv2": (2, 2, 2, 2), "lv1": (0, 0, 0, 0)}
    interval = [
        judged(k, name, tap_pos=positions.get(name, (0,) * 4)[k])
        for k in range(4)
        for name in GRIDS
    ]
    run = run_of(GRIDS, interval=interval)
    kinds = {"mv1": "oltc", "mv2": "oltc", "lv1": "fixed_tap"}
    for grid in run.scenario["grids"]:
        grid["boundary"] = {"kind": kinds.get(grid["name"], "ideal")}
    assert taps.tap_changers(run) == ["mv1", "mv2"]
    (cells,) = taps.taps(run).data
    assert list(cells.y) == ["mv2, 0 changes", "mv1, 2 changes"]  # from below
    np.testing.assert_array_equal(cells.z, [positions["mv2"], positions["mv1"]])


def planned(real, expected, grid, **own):
    return judged(0, grid, p_import_mw=real, p_import_planned_mw=expected, **own)


def test_forecasts_are_what_plans_expected_of_use_and_devices():
    interval = [judged(0, "tn", level="transmission"), planned(5.0, 4.0, "mv1", copies=2)]
    interval += [planned(2.0, 2.0, "mv2"), planned(0.5, 0.25, "lv1", copies=6)]
    boundary = [
        {"interval": 0, "grid": g, "parent": p, "p_mw": real, "p_planned_mw": plan}
        for g, p, real, plan in (
            ("mv1", "tn", 5.0, 4.0), ("mv2", "tn", 2.0, 2.0), ("lv1", "mv1", 0.5, 0.25),
        )
    ]  # fmt: skip
    key = {"interval": 0, "grid": "lv1", "index": 0}
    device = [
        {**key, "kind": k, "element": e, "p_mw": p, "asked_mw": a}
        for k, e, p, a in (
            ("pv", "sgen", 0.25, 0.5), ("battery", "storage", 0.125, 0.125),
            ("load", "load", 0.625, np.nan),
        )
    ]  # fmt: skip
    run = run_of(GRIDS, interval=interval, boundary=boundary, device=device)
    found = {name: (a.tolist(), b.tolist()) for name, (a, b) in forecasts.apart(run).items()}
    # use: exchange of the feeders with tn, and six communities' PV less their charging
    use = [8.0 + 2.0 + 6 * (0.5 - 0.125)], [10.0 + 2.0 + 6 * (0.25 - 0.125)]
    assert found == {forecasts.USE: use, "PV": ([3.0], [1.5])}
    titles = [note.text for note in forecasts.forecasts(run).layout.annotations]
    assert titles[1] == "PV: off by 1.5 MW (100%) on average"


def test_charges_of_devices_are_theirs():
    device = [
        {"interval": k, "grid": "lv1", "kind": "battery", "element": "storage", "index": n,
         "name": f"battery {n}", "soc_percent": 10.0 * (n + 1) + k}
        for k in range(2) for n in range(2)
    ]  # fmt: skip
    run = run_of(GRIDS, interval=[judged(k, n) for k in range(2) for n in GRIDS], device=device)
    figure = power.charge_by_device(run, "battery", "lv1")
    drawn = {trace.name: list(trace.y[:-1]) for trace in figure.data}
    assert drawn == {"battery 0": [10.0, 11.0], "battery 1": [20.0, 21.0]}


def test_the_strip_of_a_level_has_the_worst_verdict_of_its_grids():
    verdicts = {"tn": ("feasible", "feasible"), "mv1": ("exact", "exact"),
                "mv2": ("feasible", "exact"), "lv1": ("exact", "infeasible")}  # fmt: skip
    interval = [
        judged(k, name, level=GRIDS[name][0], verdict=verdicts[name][k])
        for k in range(2)
        for name in GRIDS
    ]
    strip = certificate_of_levels(run_of(GRIDS, interval=interval)).data[0]
    assert list(strip.y) == ["low voltage", "medium voltage", "transmission"]
    exact, within, feasible, infeasible = range(1, len(COLORS))
    assert np.asarray(strip.z).tolist() == [[exact, infeasible], [feasible, exact], [within] * 2]
