"""Refusals of `validate` about devices of homes, weather, emissions: status 2 and one line."""

import numpy as np
import pandas as pd
import pytest

BUSES = {"buses": [7, 13]}
VEHICLE = {**BUSES, "p_mw": 0.011, "e_mwh": 0.06}
TASK = {**BUSES, "p_mw": 0.002, "e_mwh": 0.004, "window": ["22:00", "06:00"]}
LENGTH = 11  # 2 intervals and a horizon of 2.5 hours behind the first


@pytest.fixture
def said(command, write_scenario):
    """Line about a scenario with other sections of its grid `mv1`, or of its own."""

    def lines(own=None, **grid):
        def change(data):
            data.update(own or {})
            data["grids"][0].update(grid)

        path = write_scenario(change=change)
        outcome = command("validate", path)
        assert outcome.status == (2 if outcome.stderr else 0)
        assert not (outcome.stdout and outcome.stderr)
        assert len(outcome.stderr.splitlines()) <= 1, outcome.stderr
        return outcome.stderr.removeprefix(f"stackelgrid: {path}: ").strip()

    return lines


@pytest.fixture
def write(tmp_path):
    """Write a series on the axis of the scenario."""

    def table(name, **columns):
        start = pd.Timestamp("2025-06-21T11:00", tz="Europe/Berlin")
        index = pd.date_range(start, periods=LENGTH, freq="15min", name="time")
        pd.DataFrame({k: np.broadcast_to(v, LENGTH) for k, v in columns.items()}, index).to_csv(
            tmp_path / name
        )

    return table


# section of the grid, its content, and what the line says behind "grids.mv1.SECTION.0"
SECTIONS = [
    ("vehicles", {**VEHICLE, "p_min_mw": 0.02},
     ": p_min_mw = 0.02 is above p_mw; at most 0.011 is accepted"),
    ("vehicles", {**VEHICLE, "p_kw": 11.0}, ": unknown key 'p_kw'; accepted: buses, count, share,"),
    ("vehicles", {**VEHICLE, "e_mwh": 0.0}, ".e_mwh: 0.0 is not accepted: input should be greater"),
    ("vehicles", {**VEHICLE, "soc_percent": 120.0}, ".soc_percent: 120.0 is not accepted: "),
    ("vehicles", {**VEHICLE, "reserve_percent": 100.0}, ".reserve_percent: 100.0 is not accepted"),
    ("vehicles", {**VEHICLE, "efficiency_charge": 0.0}, ".efficiency_charge: 0.0 is not accepted"),
    ("vehicles", {**VEHICLE, "kwh_per_km": 17.0},
     ".kwh_per_km: 17.0 is not accepted: input should be less than or equal to 5"),
    ("vehicles", {**VEHICLE, "phase": "d"}, ".phase: 'd' is not accepted: input should be 'a', "),
    ("vehicles", {**VEHICLE, "buses": [7, 99]}, ": bus 99 does not exist in case33bw; accepted: 0"),
    ("vehicles", {**VEHICLE, "file": "none.csv"}, ".file: "),
    ("heat_pumps", {**BUSES, "below_k": 0.0, "above_k": 0.0},
     ": the comfort band is empty: below_k + above_k > 0 is accepted"),
    ("heat_pumps", {**BUSES, "below_k": -1.0}, ".below_k: -1.0 is not accepted: input should be "),
    ("heat_pumps", {**BUSES, "above_k": -0.5}, ".above_k: -0.5 is not accepted: input should be "),
    ("heat_pumps", {**BUSES, "set_c": 293.15}, ".set_c: 293.15 is not accepted: input should be l"),
    ("heat_pumps", {**BUSES, "set_c": 10.0, "coldest_c": 12.0},
     ": coldest_c = 12 is not below set_c = 10; "),
    ("heat_pumps", {**BUSES, "water_kwh": 6.0},
     ": water_kwh needs a store: store_kwh > 0 is accepted"),
    ("heat_pumps", {**BUSES, "cop": 0.0}, ": unknown key 'cop'; accepted: buses, count, share, "),
    ("heat_pumps", {**BUSES, "source": "water"}, ".source: 'water' is not accepted: input should "),
    ("heat_pumps", {**BUSES, "heating": "wall"}, ".heating: 'wall' is not accepted: input should "),
    ("heat_pumps", {**BUSES, "power_factor": 0.0}, ".power_factor: 0.0 is not accepted: "),
    ("heat_pumps", {**BUSES, "loss_kw_per_k": 0.0}, ".loss_kw_per_k: 0.0 is not accepted: "),
    ("heat_pumps", {**BUSES, "capacity_kwh_per_k": 0.0}, ".capacity_kwh_per_k: 0.0 is not accepte"),
    ("heat_pumps", {**BUSES, "store_loss_per_h": 1.0}, ".store_loss_per_h: 1.0 is not accepted: "),
    ("tasks", {**TASK, "e_mwh": 0.017},
     ": e_mwh = 0.017 does not fit in the window: at most 0.016 MWh in 8 h at 0.002 MW"),
    ("tasks", {**TASK, "window": ["22:00", "24:00"]}, ".window.1: '24:00' is not accepted: "),
    ("tasks", {**TASK, "window": ["22:00"]}, ".window.1: is missing"),
    ("tasks", {**TASK, "spread_min": 900.0}, ".spread_min: 900.0 is not accepted: input should be"),
    ("sheddable", BUSES, ".price_eur_per_mwh: is missing"),
    ("sheddable", {**BUSES, "price_eur_per_mwh": -3.0}, ".price_eur_per_mwh: -3.0 is not accepted"),
    ("sheddable", {**BUSES, "price_eur_per_mwh": 3.0, "percent": 120.0}, ".percent: 120.0 is not"),
    ("caps", BUSES, ": exactly one of hours and held_back_eur_per_mwh (the operator decides) is"),
    ("caps", {**BUSES, "hours": ["17:00", "20:00"], "held_back_eur_per_mwh": 3.0},
     ": exactly one of hours and held_back_eur_per_mwh (the operator decides) is accepted"),
    ("caps", {"buses": [], "hours": ["17:00", "20:00"]}, ": buses is empty"),
    ("caps", {**BUSES, "hours": ["17:00", "24:00"]},
     ".hours.1: '24:00' is not accepted: a clock time HH:MM, such as 17:00, is"),
    ("caps", {**BUSES, "count": 2, "hours": ["17:00", "20:00"]},
     ": exactly one of buses, count and share is accepted"),
    ("caps", {**BUSES, "hours": ["17:00", "20:00"], "p_mw": 0.0}, ".p_mw: 0.0 is not accepted: "),
]  # fmt: skip


@pytest.mark.parametrize(("key", "section", "expected"), SECTIONS)
def test_a_section_of_devices_is_refused_by_key_and_value(said, key, section, expected):
    line = said(**{key: [section]})
    assert line.startswith(f"grids.mv1.{key}.0{expected}")
    assert " more)" not in line


@pytest.mark.parametrize(
    ("own", "grid", "expected"),
    [
        ({"weather": {"temperature": {}}}, {},
         "weather.temperature: exactly one of mean_c and file is accepted"),
        ({"weather": {"temperature": {"mean_c": 0.0, "file": "t.csv"}}}, {},
         "weather.temperature: exactly one of mean_c and file is accepted"),
        ({"weather": {"temperature": {"mean_c": 275.15}}}, {},
         "weather.temperature.mean_c: 275.15 is not accepted: input should be less than or equal "),
        ({"weather": {"temperature": {"mean_k": 275.15}}}, {},
         "weather.temperature: unknown key 'mean_k'; accepted: mean_c, daily_range_k, sigma_k, "),
        ({"weather": {"temperature": {"mean_c": 0.0, "sigma_k": -1.0}}}, {},
         "weather.temperature.sigma_k: -1.0 is not accepted: "),
        ({"emissions": {}}, {}, "emissions: exactly one of kg_per_mwh and file is accepted"),
        ({"emissions": {"kg_per_mwh": -1.0}}, {}, "emissions.kg_per_mwh: -1.0 is not accepted: "),
        ({"emissions": {"g_per_kwh": 400.0}}, {},
         "emissions: unknown key 'g_per_kwh'; accepted: kg_per_mwh, file"),
        ({}, {"emission_eur_per_t": 80.0},
         "scenario: grid 'mv1': emission_eur_per_t needs the section emissions (kg_per_mwh, or a "),
        ({}, {"emission_eur_per_t": -80.0}, "grids.mv1.emission_eur_per_t: -80.0 is not accepted"),
        ({}, {"capacity_eur_per_mw": -1.0}, "grids.mv1.capacity_eur_per_mw: -1.0 is not accepted"),
        ({"deviations": {"vehicles": {"skipped": 1.2}}}, {},
         "deviations.vehicles.skipped: 1.2 is not accepted: input should be less than or equal "),
        ({"deviations": {"vehicles": {"late_h": -1.0}}}, {}, "deviations.vehicles.late_h: -1.0 is"),
        ({"deviations": {"vehicles": {"late_h": 1e6}}}, {},
         "deviations.vehicles.late_h: 1000000.0 is not accepted: input should be less than or "),
        ({"deviations": {"cars": {}}}, {}, "deviations: unknown key 'cars'; accepted: seed, level"),
        ({"deviations": {"temperature": {"std": 1.0}}}, {},
         "deviations.temperature: unknown key 'std'; accepted: std_k, lead_h, phi, bias_k"),
        ({"forecast": {"model": "autoregressive", "temperature": {"std_k": -1.0}}}, {},
         "forecast.temperature.std_k: -1.0 is not accepted: "),
    ],
)  # fmt: skip
def test_other_sections_are_refused_by_key_and_value(said, own, grid, expected):
    line = said(own, **grid)
    assert line.startswith(expected)
    assert " more)" not in line


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("outdoor_k", 275.0, "t.csv: column 'outdoor_c' is missing; outdoor_k present"),
        ("outdoor_f", 30.0, "t.csv: column 'outdoor_c' is missing; outdoor_f present"),
        ("temperature_c", 3.0, "t.csv: column 'outdoor_c' is missing; temperature_c present"),
        ("outdoor_c", 275.15,
         "t.csv: outdoor_c is 275.15 at 2025-06-21T11:00:00+02:00; degrees Celsius from -60 to 60"),
        ("outdoor_c", "", "t.csv: column 'outdoor_c' is "),
    ],
)  # fmt: skip
def test_a_file_of_temperatures(said, write, column, value, expected):
    write("t.csv", **{column: value})
    line = said({"weather": {"temperature": {"file": "t.csv"}}})
    assert line.startswith("weather.temperature.file: ")
    assert expected in line


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"import_t_per_mwh": 0.4},
         "column 'import_kg_per_mwh' is missing; one of import_kg_per_mwh, import_g_per_kwh is"),
        ({"grid_kg_per_mwh": 400.0},
         "column 'import_kg_per_mwh' is missing; one of import_kg_per_mwh, import_g_per_kwh is "
         "accepted; grid_kg_per_mwh present"),
        ({"import_kg_per_mwh": 400.0, "import_g_per_kwh": 400.0},
         "column 'import_kg_per_mwh' occurs in several units"),
        ({"import_kg_per_mwh": -5.0},
         "import_kg_per_mwh is -5 at 2025-06-21T11:00:00+02:00; values >= 0 are accepted"),
    ],
)  # fmt: skip
def test_a_file_of_emissions(said, write, columns, expected):
    write("e.csv", **columns)
    line = said({"emissions": {"file": "e.csv"}})
    assert line.startswith("emissions.file: ")
    assert "e.csv: " in line
    assert expected in line


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ({"departure": ["2024-06-21T12:00", "2024-06-21T13:00"],
          "arrival": ["2024-06-21T12:45", "2024-06-21T13:30"]},
         "no trip lies between 2025-06-21T11:00:00+02:00 and 2025-06-21T13:45:00+02:00; trips of "),
        ({"vehicle": ["vehicle 7", "vehicle 9"]}, "data row 2: vehicle 'vehicle 9' is unknown; "),
        ({"energy_kwh": [10.0, 61.0]}, "energy_kwh is '61.0'; 0 to 60, the usable energy of its"),
        ({"departure": ["2025-06-21T12:00", "2025-06-21T12:30"]},
         "data row 2: vehicle 'vehicle 7' leaves at 2025-06-21T12:30:00+02:00 before it arrives a"),
        ({"arrival": ["2025-06-21T12:45", "2025-06-21T12:55"]},
         "data row 2: vehicle 'vehicle 7' arrives at 2025-06-21T12:55:00+02:00, not after its "),
    ],
)  # fmt: skip
def test_a_file_of_trips(said, tmp_path, rows, expected):
    good = {
        "vehicle": ["vehicle 7", "vehicle 7"],
        "departure": ["2025-06-21T12:00", "2025-06-21T13:00"],
        "arrival": ["2025-06-21T12:45", "2025-06-21T13:30"],
        "energy_kwh": [10.0, 5.0],
    }
    pd.DataFrame(good).to_csv(tmp_path / "trips.csv", index=False)
    assert said(vehicles=[{**VEHICLE, "file": "trips.csv"}]) == ""
    pd.DataFrame({**good, **rows}).to_csv(tmp_path / "trips.csv", index=False)
    line = said(vehicles=[{**VEHICLE, "file": "trips.csv"}])
    assert line.startswith(f"grids.mv1.vehicles.0.file: {tmp_path / 'trips.csv'}: ")
    assert expected in line


def test_powers_in_kilowatts_in_a_column_of_megawatts(said, write):
    kw = np.linspace(20.0, 60.0, LENGTH)  # of loads of 0.045 to 0.42 MW
    loads = {"file": "loads.csv"}
    write("loads.csv", **{f"load {i}_kw": kw for i in range(32)})
    assert said(loads=loads) == ""
    write("loads.csv", **{f"load {i}_mw": kw for i in range(32)})
    line = said(loads=loads)
    assert line.startswith("grids.mv1.loads.file: ")
    assert line.endswith(
        "load 0_mw is 20 at 2025-06-21 11:00:00+02:00, 200 times the nominal power of 0.1 MW; at "
        "most 100 times is accepted: check the unit (load 0_kw for kW)"
    )
    write("sun.csv", **{"pv 7_kw": 120.0, "pv 13_mw": 120.0})
    line = said(pv=[{**BUSES, "p_mw": 0.3, "file": "sun.csv"}])
    assert "pv 13_mw is 120 at 2025-06-21 11:00:00+02:00, 400 times the nominal power" in line


def test_more_than_the_demand_of_a_bus_cannot_be_shed(said):
    section = {**BUSES, "percent": 60.0, "price_eur_per_mwh": 2000.0}
    assert said(sheddable=[section]) == ""
    line = said(sheddable=[section, {**section, "buses": [13]}])
    assert line == (
        "grid mv1: load 33, 34 is a sheddable load and needs shed_percent of at most 100 together "
        "with the others at its bus; found shed_percent = 60"
    )
    assert "another load at its bus" in said(sheddable=[{**section, "buses": [0]}])
