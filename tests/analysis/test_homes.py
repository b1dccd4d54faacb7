"""Results of a street of homes with every kind of device: balances, page, report and exports."""

import shutil

import numpy as np
import pandas as pd
import pytest

from stackelgrid.analysis.export import CSV, NETCDF, export
from stackelgrid.analysis.figures import power
from stackelgrid.analysis.kpis.indicators import CONTROLLED, STORES, TOTAL
from stackelgrid.analysis.kpis.runs import run_indicators
from stackelgrid.analysis.kpis.system import key_figures
from stackelgrid.analysis.report.run import run_page
from stackelgrid.analysis.run import Run
from stackelgrid.analysis.view.data import LiveRun
from stackelgrid.analysis.view.series import series
from stackelgrid.analysis.view.source import Element
from stackelgrid.controllers.devices.registry import kinds
from stackelgrid.scenarios.run.run import run_scenario
from stackelgrid.scenarios.schema.load import load_scenario

ROUNDING_MWH = 1e-9


@pytest.fixture(scope="module")
def homes(filled_once, texts, village_json):
    def fill(folder):
        shutil.copy(village_json, folder)
        path = folder / "homes.toml"
        path.write_text(texts["homes"], encoding="utf-8")
        loaded = load_scenario(str(path), ("baseline=true", "time.intervals=3"))
        run_scenario(loaded, folder / "out")

    return Run(filled_once("homes_beside_baseline", fill) / "out")


def test_it_has_devices_of_every_kind_but_units_and_simulators(homes):
    assert set(homes.device["kind"]) == {k.kind for k in kinds()} - {"unit", "external"}


@pytest.mark.parametrize("side", ["run", "baseline"])
def test_energy_that_is_generated_and_imported_is_used_lost_or_stored(homes, side):
    run = homes if side == "run" else homes.baseline
    found = {figure.name: figure.value for figure in key_figures(run)}
    supply = found["generated"] + found["imported"] - found["exported"]
    names = ("used", "lost in lines and transformers", "lost in storage", "change of stored energy")
    assert supply == pytest.approx(sum(found.get(n, 0.0) for n in names), abs=1e-6)
    # of the parts of the use: uncontrolled loads, and what each kind draws
    loads = run.dt_h * run.interval["load_p_mw"].sum()
    parts = [found.get(f"used by {kind.label}", 0.0) for kind in CONTROLLED]
    loads -= found.get("shed at a price", 0.0)
    assert found["used"] == pytest.approx(loads + sum(parts), abs=ROUNDING_MWH)


def test_both_sides_of_the_balance_of_the_report_are_equal(homes):
    figure = power.balance(homes, "lv")
    total = np.sum([np.asarray(t.y, dtype=float)[:-1] for t in figure.data], axis=0)
    np.testing.assert_allclose(total, 0.0, atol=1e-6)


def test_stored_energy_is_split_by_kind_and_valued_at_the_mean_import_price(homes):
    own = homes.summary["stored_energy"]["grids"]["lv1"]
    by_kind = own["kinds"]
    assert set(by_kind) == {"battery", "vehicle", "heat_pump"}
    for end in ("start_mwh", "end_mwh"):
        assert own[end] == pytest.approx(sum(k[end] for k in by_kind.values()), rel=1e-12)
    assert own["value_eur"] == (own["end_mwh"] - own["start_mwh"]) * own["eur_per_mwh"]
    last = homes.device[homes.device["interval"] == homes.intervals_done - 1]
    for kind in STORES:
        held = last.loc[last["kind"] == kind.kind, "e_mwh"].sum()
        assert by_kind[kind.kind]["end_mwh"] == pytest.approx(held, rel=1e-12)
    stated = homes.interval["heat_pump_stored_mwh"].iloc[-1]
    assert by_kind["heat_pump"]["end_mwh"] == stated


def test_without_control_vehicles_charge_at_once_and_rooms_are_never_too_cold(homes):
    rest = homes.baseline.device
    cars = rest[rest["kind"] == "vehicle"]
    full = cars["soc_percent"] > 100.0 - 1e-6
    at_most = np.isclose(cars["p_mw"], cars["limit_mw"], rtol=1e-6)
    assert (full | at_most).all()
    rooms = rest[rest["kind"] == "heat_pump"]
    assert (rooms["room_c"] > rooms["room_min_c"] - 1e-9).all()
    assert (homes.baseline.interval[["cap_held_mw", "shed_lost_mw"]] == 0.0).all(axis=None)


def test_parts_of_the_power_of_a_heat_pump_add_up(homes):
    rows = homes.device[homes.device["kind"] == "heat_pump"]
    parts = rows[["heating_mw", "hot_water_mw", "backup_mw", "boost_mw"]].sum(axis=1)
    np.testing.assert_allclose(rows["p_mw"], parts, atol=1e-12)


def test_the_page_shows_each_device_with_its_plan(homes):
    live = LiveRun(homes.directory)
    shown = {}
    for device in live.grids[0].devices:
        element = Element(device.kind, "lv1", device.index, device.element)
        shown.setdefault(device.kind, series(live, element, 0))
    titles = {kind: {p.title for p in found.panels} for kind, found in shown.items()}
    assert {"charging is positive", "connected", "state of charge", "energy"} <= titles["vehicle"]
    assert {"consumption", "parts of the power", "room temperature at the end"} <= titles[
        "heat_pump"
    ]
    (room,) = [p for p in shown["heat_pump"].panels if p.title.startswith("room")]
    ahead = {n.name: n.ahead for n in room.lines}["plan"]
    first = homes.device[homes.device["kind"] == "heat_pump"].iloc[0]
    plan = homes.schedule[
        (homes.schedule["interval"] == 0)
        & (homes.schedule["element"] == first["element"])
        & (homes.schedule["index"] == first["index"])
    ]
    np.testing.assert_array_equal(ahead.values, plan["room_c"])
    assert np.isfinite(ahead.values).all()
    agent = series(live, Element("agent", "lv1"), 0)
    own = next(p for p in agent.panels if p.title == "own devices")
    assert {"electric vehicles", "heat pumps", "shiftable loads"} <= {n.name for n in own.lines}


def test_the_report_has_its_sections(homes):
    page = run_page(homes)
    titles = {s.title: {f.title for f in s.figures} for s in page.sections}
    assert {
        "Electric vehicles: power, positive when charging",
        "Electric vehicles: connected",
        "Electric vehicles: energy",
        "Heat pumps: power, with resistive heater",
        "Shiftable loads: power",
    } <= titles["Flexible demand"]
    assert "Heat pumps: room temperature" in titles["Comfort and needs"]
    (costs,) = [t for s in page.sections for t in s.tables if t.title.startswith("Costs")]
    assert {"capacity", "emissions"} <= {row[0] for row in costs.rows}
    figures = {f.name: f for f in key_figures(homes)}
    imported = homes.dt_h * homes.interval["p_import_mw"].clip(lower=0.0).sum()
    assert figures["emissions of imports"].value == pytest.approx(350.0 * imported)


def test_exports_hold_the_columns_with_their_units(homes, tmp_path):
    xarray = pytest.importorskip("xarray")
    export(homes, CSV, tmp_path / "csv", tables=("device",))
    csv = pd.read_csv(tmp_path / "csv" / "device.csv")
    own = homes.device
    np.testing.assert_allclose(csv["room_c"], own["room_c"])
    np.testing.assert_allclose(csv["unmet_mw"], own["unmet_mw"])
    export(homes, NETCDF, tmp_path / "run.nc", tables=("device", "schedule"))
    with xarray.open_dataset(tmp_path / "run.nc", group="device") as found:
        units = {name: found[name].attrs["units"] for name in ("room_c", "off_comfort_k", "cop")}
        assert units == {"room_c": "degC", "off_comfort_k": "K", "cop": "1"}
        room = found["room_c"].to_numpy()
        assert np.nanmax(room) == own["room_c"].max()
    with xarray.open_dataset(tmp_path / "run.nc", group="schedule") as found:
        assert "room_c" in found
    answer = homes.query("select sum(unmet_mw) as lacked from device where kind = 'vehicle'")
    cars = own.loc[own["kind"] == "vehicle", "unmet_mw"]
    assert float(answer["lacked"].iloc[0]) == pytest.approx(cars.sum())


def test_indicators_hold_needs_and_the_highest_loading(homes):
    frame = run_indicators(homes, "bottom_up", "tariff")
    found = frame[frame["grid"] == TOTAL].set_index("indicator")
    rows = homes.interval
    for name, column in (
        ("heat_pump_unmet", "heat_pump_off_k"),
        ("sheddable_unmet", "shed_lost_mw"),
    ):
        assert found.loc[name, "value"] == pytest.approx(homes.dt_h * rows[column].sum())
    assert found.loc["heat_pump_unmet", "unit"] == "K h"
    assert found.loc["max_loading", "value"] == rows["max_loading_percent"].max()
