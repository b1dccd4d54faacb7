"""Objects in memory wherever a key of the schema names a file, a class or a function."""

import tomllib

import numpy as np
import pandapower.networks as pn
import pandas as pd
import pytest

import stackelgrid as sg
from stackelgrid.scenarios.api.inputs import check_source
from stackelgrid.scenarios.schema.load import absolute_names, load_scenario
from stackelgrid.scenarios.schema.named import SCENARIO, keys_that_accept

FRAME = pd.DataFrame({"time": pd.to_datetime(["2025-01-15"]), "a_mw": [1.0]})
NET = pn.create_kerber_landnetz_freileitung_1()


@pytest.fixture
def content(texts):
    """The street of homes with sections for every key that names a table."""
    changed = tomllib.loads(texts["homes"])
    grid = changed["grids"][0]
    grid["case"] = NET
    for section in (changed["weather"]["temperature"], changed["emissions"]):
        section.clear()
    changed["tariffs"]["home"] = {"kind": "series"}
    changed["forecast"] = {"model": "perfect", "load": {"model": "file"}}
    changed["deviations"] = {}
    return changed


PLACES = {
    "grids.lv1.loads.file": lambda c: c["grids"][0].update(loads={"file": FRAME.copy()}),
    "grids.lv1.pv.0.file": lambda c: c["grids"][0]["pv"][0].update(file=FRAME.copy()),
    "grids.lv1.net_pv.file": lambda c: c["grids"][0].update(net_pv={"file": FRAME.copy()}),
    "grids.lv1.vehicles.1.file": lambda c: c["grids"][0]["vehicles"][1].update(file=FRAME.copy()),
    "weather.temperature.file": lambda c: c["weather"]["temperature"].update(file=FRAME.copy()),
    "emissions.file": lambda c: c["emissions"].update(file=FRAME.copy()),
    "tariffs.home.file": lambda c: c["tariffs"]["home"].update(file=FRAME.copy()),
    "forecast.file": lambda c: c["forecast"].update(file=FRAME.copy()),
    "forecast.correlation_sites": lambda c: c["forecast"].update(correlation_sites=FRAME.copy()),
    "deviations.correlation_sites": lambda c: c["deviations"].update(
        correlation_sites=FRAME.copy()
    ),
    "templates.street.loads.file": lambda c: c.update(
        templates={"street": {"loads": {"file": FRAME.copy()}}}
    ),
}
REQUIRED = ("weather.temperature.file", "emissions.file", "tariffs.home.file", "forecast.file")


def named(scenario, key):
    """The value at a key of a validated scenario."""
    value = scenario
    for part in key.split("."):
        if isinstance(value, tuple):
            value = (
                next((v for v in value if getattr(v, "name", None) == part), None)
                or (value[int(part)])
            )
        else:
            value = value[part] if isinstance(value, dict) else getattr(value, part)
    return value


@pytest.mark.parametrize("key", PLACES)
def test_every_key_that_names_a_table_takes_a_frame(key, content):
    for name in {*REQUIRED, key}:
        PLACES[name](content)
    if key.startswith("templates"):
        del content["grids"][0]["loads"]
        content["grids"][0]["template"] = "street"
    loaded = check_source(content, None, None)
    at = key.replace("templates.street", "grids.lv1")
    assert named(loaded.scenario, at) == f"inputs/{key}.parquet" or named(
        loaded.scenario, at
    ).endswith(f"/inputs/{key}.parquet")
    assert loaded.scenario.grids[0].case.endswith("inputs/grids.lv1.case.json")


def test_keys_that_accept_objects():
    assert keys_that_accept("net") == ("case",)
    assert keys_that_accept("table") == ("file", "correlation_sites")
    assert keys_that_accept("class") == ("controller", "schemes", "python")
    assert keys_that_accept("function") == ("objective",)


def test_no_key_that_names_a_file_lacks_its_type():
    """Also those of kinds of devices, of users' simulators and of grids below a cut net."""
    left, seen, found = [(SCENARIO, "")], set(), set()
    while left:
        place, path = left.pop()
        for section in place.sections:
            if section in seen:
                continue
            seen.add(section)
            for name in section.model_fields:
                key = f"{path}.{name}".lstrip(".")
                own = place.key(section.model_fields[name].alias or name)
                left += [(own, key), (own.entry(), key), (own.key("any"), key)]
                if name in ("file", "case", "correlation_sites"):
                    found.add(key)
                    assert own.accepts("net" if name == "case" else "table"), key
    assert {"grids.case", "simulators.entities.forecast.file", "emissions.file"} <= found
    assert SCENARIO.at("grids.mv1.lower.loads.file").accepts("table")
    assert SCENARIO.at("templates.street.lower.pv.0.file").accepts("table")


def test_files_of_grids_below_a_cut_are_absolute(tmp_path):
    grid = {"case": "net.json", "lower": {"loads": {"file": "loads.csv"}}}
    found = absolute_names({"grids": [grid]}, tmp_path)["grids"][0]
    assert found["lower"]["loads"]["file"] == str(tmp_path / "loads.csv")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"emissions.file": {"time": ["2025-01-15"], "import_kg_per_mwh": [300.0]}},
            "scenario: emissions.file: is a dict; a DataFrame, a Series with the name of its "
            "column, or the name of a file is accepted",
        ),
        ({"emissions.file": [1.0, 2.0]}, "scenario: emissions.file: is a list; a DataFrame, "),
        ({"emissions.file": np.ones(3)}, "scenario: emissions.file: is a list; a DataFrame, "),
        (
            {"weather.temperature.file": pd.Series([1.0])},
            "scenario: weather.temperature.file: is a Series without the name of a column; ",
        ),
        (
            {"forecast.correlation_sites": {"a": 1.0}},
            "scenario: forecast.correlation_sites: is a dict; a DataFrame, ",
        ),
        (
            {"grids.lv1.case": pn.case9},
            "scenario: grids.lv1.case: is a function; a function is accepted as objective",
        ),
        ({"seed": FRAME}, "scenario: seed: is a DataFrame; a DataFrame is accepted as file or "),
        (
            {"controller": pn.case9},
            "scenario: controller: is a function; a function is accepted as objective",
        ),
        (
            {"name": sg.Scenario},
            "scenario: name: is a class; a class is accepted as controller or schemes or python",
        ),
    ],
)
def test_other_objects_are_refused(changes, expected, content):
    for name in REQUIRED:
        PLACES[name](content)
    with pytest.raises(sg.StackelgridError) as refused:
        check_source(content, changes, None)
    assert str(refused.value).startswith(expected)
    with pytest.raises(sg.StackelgridError):
        sg.validate(content, set=changes)


def test_matrices_and_numbers_stay_values(content):
    for name in REQUIRED:
        PLACES[name](content)
    for value in (0.5, np.float64(0.5)):
        loaded = check_source(content, {"forecast.correlation_sites": value}, None)
        assert loaded.scenario.forecast.correlation_sites == 0.5
    loaded = check_source(content, {"forecast.correlation_sites": np.eye(1)}, None)
    assert loaded.scenario.forecast.correlation_sites == ((1.0,),)


@pytest.fixture
def objects(texts, village_json):
    """The street of homes with temperature, emissions and trips in memory, one interval."""
    import pandapower as pp

    changed = tomllib.loads(texts["homes"])
    times = pd.date_range("2025-01-15 12:00", periods=14, freq="60min", tz="Europe/Berlin")
    changed["grids"][0]["case"] = pp.from_json(str(village_json))
    changed["weather"]["temperature"] = {
        "file": pd.Series(np.linspace(-3.0, 3.0, 14), index=times, name="outdoor_c")
    }
    changed["emissions"] = {"file": pd.DataFrame({"import_g_per_kwh": 350.0}, index=times)}
    changed["grids"][0]["vehicles"] = [
        {
            "count": 1, "p_mw": 0.011, "e_mwh": 0.05, "soc_percent": 30.0,
            "file": pd.DataFrame(
                {
                    "vehicle": ["vehicle 5"], "departure": [times[4]], "arrival": [times[8]],
                    "energy_kwh": [9.0],
                }
            ),
        }
    ]  # fmt: skip
    changed["time"]["intervals"] = 1
    changed["baseline"] = False
    return changed


def test_validate_and_run_take_objects(objects, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = sg.validate(objects)
    assert lines[0].startswith("lv1: 8 buses, 6 loads, ")
    assert lines[-1] == "scenario: valid"
    assert list(tmp_path.iterdir()) == []
    run = sg.run(objects, out="run", quiet=True, report=False)
    (interval,) = run.interval.itertuples()
    assert interval.emissions_kg == pytest.approx(350.0 * interval.p_import_mw, rel=1e-12)
    assert interval.emissions_kg > 0.1
    outcome = command("validate", "run/scenario.toml")
    assert outcome.stdout.splitlines()[:-1] == list(lines[:-1])


def test_names_of_files_of_every_key_are_absolute_in_the_run(content, tmp_path, write_scenario):
    def change(data):
        data["weather"] = {"temperature": {"file": "outdoor.csv"}}
        data["emissions"] = {"file": "emissions.csv"}
        data["grids"][0]["vehicles"] = [
            {"count": 1, "p_mw": 0.011, "file": "trips.csv"}
        ]  # fmt: skip

    loaded = load_scenario(str(write_scenario("village", change)))
    resolved = loaded.resolved()
    assert resolved["weather"]["temperature"]["file"] == str(tmp_path / "outdoor.csv")
    assert resolved["emissions"]["file"] == str(tmp_path / "emissions.csv")
    assert resolved["grids"][0]["vehicles"][0]["file"] == str(tmp_path / "trips.csv")
    assert resolved["grids"][0]["case"] == str(tmp_path / "village.json")


def test_messages_name_objects_in_memory_and_not_their_files():
    times = pd.date_range("2016-06-21", periods=3, freq="h", tz="Europe/Berlin", name="time")
    loads = pd.DataFrame({f"load {i}_kw": 1.0 for i in NET.load.index}, index=times)
    grid = {"name": "lv", "case": NET, "level": "lv", "loads": {"file": loads}}
    with pytest.raises(sg.StackelgridError) as refused:
        sg.validate({"name": "short", "extends": "sample_day", "grids": [grid]})
    words = "scenario: grids.lv.loads.file: frame in memory: covers 2016-06-20T22:00:00+00:00 to "
    assert str(refused.value).startswith(words)
