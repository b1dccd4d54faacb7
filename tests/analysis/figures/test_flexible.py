"""Figures, tables and sentences on controlled consumers, from rows made by hand."""

import numpy as np
import pytest
from support.run_rows import judged, run_of

from stackelgrid.analysis.figures import flexible
from stackelgrid.analysis.kpis.system import NEEDS, key_figures
from stackelgrid.analysis.report.key_tables import figures_beside, key_table
from stackelgrid.analysis.report.run_sections import flexible_demand, needs
from stackelgrid.analysis.report.run_tables import unmet_table
from stackelgrid.analysis.results.axes import clock
from stackelgrid.analysis.results.findings import findings, sentence

H = 0.25  # length of an interval
GRIDS = {"street": ("lv", None, 2)}
CAR = {"grid": "street", "element": "storage", "kind": "vehicle"}
PUMP = {"grid": "street", "element": "load", "index": 7, "bus": 5, "kind": "heat_pump"}


def street(*, charged, missing, off):
    """Run of two intervals with two vehicles and a heat pump on each of two equal streets.

    charged: power of the first vehicle in both intervals, MW.
    missing: power that is missing at its departure in the second one, MW.
    off: distance of the room from its comfort band in the first one, K.
    """
    devices, rows = [], []
    for k in (0, 1):
        first = {
            **CAR, "interval": k, "index": 0, "bus": 3, "name": "car", "p_mw": charged[k],
            "e_mwh": 0.03, "soc_percent": 60.0, "limit_mw": (0.004, 0.002)[k],
            "connected": (1.0, 0.5)[k], "needed_mwh": (0.0, 0.02)[k], "required_mwh": 0.01,
            "unmet_mw": (0.0, missing)[k],
        }  # fmt: skip
        second = {
            **first, "index": 1, "bus": 4, "name": "", "p_mw": 0.001, "connected": 1.0,
            "needed_mwh": 0.0, "unmet_mw": 0.0,
        }  # fmt: skip
        pump = {
            **PUMP, "interval": k, "name": "pump", "p_mw": 0.003, "heating_mw": 0.002,
            "hot_water_mw": 0.001, "backup_mw": 0.0, "boost_mw": 0.0, "cop": 3.0,
            "room_c": 20.0 - (off, 0.0)[k], "off_comfort_k": (off, 0.0)[k], "room_min_c": 20.0,
            "room_max_c": 22.0, "e_mwh": 0.004, "soc_percent": 50.0,
        }  # fmt: skip
        devices += [first, second, pump]
        rows.append(judged(
            k, "street", copies=2, p_import_mw=0.1, min_vm_pu=0.98, max_vm_pu=1.0,
            vehicle_elsewhere_mw=(0.0, missing)[k], heat_pump_off_k=(off, 0.0)[k],
        ))  # fmt: skip
    stored = {"start_mwh": 0.0, "end_mwh": 0.0, "value_eur": 0.0}
    summary = {
        "cost_eur": {"total": 1.0}, "intervals_planned": 2, "intervals_fallback": 0,
        "stored_energy": {**stored, "grids": {"street": {**stored, "kinds": {}}}},
        "timings": {"solve_s": 1.0},
    }  # fmt: skip
    return run_of(GRIDS, interval=rows, device=devices, summary=summary)


@pytest.fixture
def run():
    own = street(charged=(0.0, 0.002), missing=0.002, off=0.5)
    own.baseline = street(charged=(0.004, 0.002), missing=0.0, off=0.0)
    return own


def lines(figure):
    """Values of the traces of a figure by name, each interval once."""
    return {t.name: np.asarray(t.y, dtype=float)[:2].tolist() for t in figure.data}


def test_power_stands_beside_that_without_control_and_the_most(run):
    found = lines(flexible.demand(run, "vehicle"))
    assert found["this run"] == pytest.approx([2.0, 6.0])  # kW, two copies
    assert found["without control"] == pytest.approx([10.0, 6.0])
    assert found["most charging power while connected"] == pytest.approx([16.0, 8.0])


def test_power_is_parted_and_parts_without_power_are_left_out(run):
    found = lines(flexible.demand(run, "heat_pump"))
    assert found["power of the machine for the building"] == pytest.approx([4.0, 4.0])
    assert found["power of the machine for hot water"] == pytest.approx([2.0, 2.0])
    assert not [name for name in found if "resistive" in name]


def test_devices_that_are_there_are_counted(run):
    found = lines(flexible.presence(run, "vehicle"))
    assert found == {"connected": [4.0, 3.0], "all": [4.0, 4.0]}


def test_energy_stands_beside_what_is_needed_and_missing(run):
    found = lines(flexible.energy(run, "vehicle"))
    assert found["this run"] == found["without control"] == pytest.approx([120.0, 120.0])  # kWh
    assert found["energy wanted at a departure"] == pytest.approx([0.0, 40.0])
    assert found["missing"] == pytest.approx([0.0, 2 * 1000 * H * 0.002])
    assert found["least energy for later trips"] == pytest.approx([40.0, 40.0])


def test_room_temperatures_are_drawn_with_their_comfort_band(run):
    figure = flexible.condition(run, "heat_pump", "room_c", "lv")
    found = lines(figure)
    assert found["median"] == [19.5, 20.0]
    assert found["lower end of the comfort band"] == [20.0, 20.0]
    assert found["upper end of the comfort band"] == [22.0, 22.0]
    assert figure.layout.yaxis.title.text == "room temperature in °C"


def test_needs_that_were_not_met_are_told_in_the_verdict_the_figures_and_the_table(run):
    when = clock(run)
    assert sentence(findings(run), when) == (
        "All 2 intervals were exact and within limits; needs not met: 1 kWh missing at departures "
        "of electric vehicles, 0.25 K h outside the comfort bands of rooms; cost 1 EUR."
    )
    shown = {f.name: (f.value, f.unit) for f in key_figures(run) if f.heading == NEEDS}
    assert shown == {
        "missing at departures of electric vehicles": (pytest.approx(2 * H * 0.002), "MWh"),
        "outside the comfort bands of rooms": (pytest.approx(2 * H * 0.5), "K h"),
    }
    table = unmet_table(run, when)
    assert set(table.rows) == {
        ("outside the comfort bands of rooms", "street", "pump at bus 5", "0.125 K h", "12:00"),
        ("missing at departures of electric vehicles", "street", "car at bus 3", "0.5 kWh",
         "12:15"),
    }  # fmt: skip
    assert lines(flexible.unmet(run))["missing at departures of electric vehicles"] == [0.0, 4.0]


def test_sections_are_there_for_the_kinds_that_a_run_has(run):
    when = clock(run)
    charts = [chart.title for chart in flexible_demand(run, when).figures]
    assert charts == [
        "Electric vehicles: power, positive when charging",
        "Electric vehicles: connected",
        "Electric vehicles: energy",
        "Heat pumps: power, with resistive heater",
        "Heat pumps: heat in the store",
    ]
    text = flexible_demand(run, when).text[0]
    assert text.startswith("Without control electric vehicles charge at once up to full; heat ")
    met = run.baseline
    assert needs(met, when).text == ("All needs were met.",)
    assert needs(met, when).tables == ()
    plain = run_of(GRIDS, interval=[judged(0, "street", copies=2)])
    assert flexible_demand(plain, clock(plain)) is None
    assert needs(plain, clock(plain)) is None


def test_figures_of_the_run_without_control_alone_stand_at_their_place(run):
    """Vehicles that are not charged are shown beside those charged without control."""
    idle = street(charged=(0.0, 0.0), missing=0.0, off=0.0)
    idle.device.loc[idle.device["kind"] == "vehicle", "p_mw"] = 0.0
    idle.baseline = run.baseline
    idle.baseline.interval["vehicle_p_mw"] = 0.005
    idle.interval["heat_pump_p_mw"] = 0.003
    names = [row[0] for row in key_table(idle, *figures_beside(idle)).rows]
    at = names.index("used by electric vehicles, kWh")
    assert names[at + 1] == "used by heat pumps, kWh"
    assert "Electric vehicles: connected" in [
        c.title for c in flexible_demand(idle, clock(idle)).figures
    ]
