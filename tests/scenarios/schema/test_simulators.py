"""Section `simulators`: users' simulators, their entities and what connects them."""

import tomllib

import pytest

from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.schema.load import load_content

HOMES = """
name = "homes"
python = "household:Household"
parameters = { start = 2026-01-05, seed = 3 }
[[entities]]
grid = "lv1"
model = "House"
buses = [12, 20]
p = "P[kW]"
q = { attribute = "Q", unit = "kVAr", sign = "generation" }
[entities.inputs]
vm = "voltage"
load = { from = "loading", line = 3 }
T = "weather.Station.T[C]"
"""
WEATHER = """
name = "weather"
connect = "localhost:5555"
[[entities]]
model = "Station"
"""


def loaded(*texts, **changes):
    sections = [tomllib.loads(text) for text in texts]
    return load_content({"extends": "quick", "name": "own", "simulators": sections}, changes)


def test_entities_and_their_powers_are_read():
    scenario = loaded(HOMES, WEATHER).scenario
    homes, weather = scenario.simulators
    house, station = homes.entities[0], weather.entities[0]
    assert house.p.factor == 1e-3  # P[kW] names its unit
    assert house.q.factor == -1e-3
    assert homes.parameters == {"start": "2026-01-05", "seed": 3}  # dates as text
    assert house.inputs["T"].reference == ("weather", "Station", "T[C]")
    assert house.inputs["load"].line == 3
    assert (station.label, station.grid, station.p) == ("Station", None, None)
    assert homes.step_deadline_s == 30.0


@pytest.mark.parametrize(
    ("attribute", "unit", "factor"),
    [("P", None, 1.0), ("P", "kW", 1e-3), ("p_w", None, 1e-6), ("power", None, 1.0),
     ("P [MW]", "MW", 1.0)],
)  # fmt: skip
def test_the_unit_is_stated_or_in_the_name(attribute, unit, factor):
    power = {"attribute": attribute, **({"unit": unit} if unit else {})}
    scenario = loaded(HOMES, WEATHER, **{"simulators.homes.entities.0.p": power}).scenario
    assert scenario.simulators[0].entities[0].p.factor == factor


REFUSED = [
    ({"name": "stackelgrid"}, "the name stackelgrid is that of the world"),
    ({"python": None}, "homes: exactly one of python, command and connect"),
    ({"connect": "localhost:1"}, "homes: exactly one of python, command and connect"),
    ({"python": "household"}, "homes.python: 'household'"),
    ({"python": None, "command": ["prog"]}, "'homes' has no address to connect to"),
    ({"parameters": {"a": float("nan")}}, "a = nan: finite numbers are accepted"),
    ({"entities.0.grid": "lv9"}, "homes.House: grid 'lv9' unknown; known: mv1, lv1"),
    ({"entities.0.buses": None}, "needs exactly one of buses, count and share"),
    ({"entities.0.p": None}, "needs p: the attribute with its active power"),
    ({"entities.0.p": "Q[kVar]"}, "p: unit of 'Q[kVar]' is kVar; MW, kW, W are accepted"),
    ({"entities.0.p": {"attribute": "P[kW]", "unit": "MW"}}, "named after kW, and unit is MW"),
    ({"entities.0.p": "P[mW]"}, "'P[mW]' is named after mW, a thousandth of W; a unit beside it"),
    ({"entities.0.p_min_mw": 0.0, "entities.0.p_max_mw": 0.1}, "need an input set_point"),
    ({"entities.0.p_min_mw": 0.0}, "p_min_mw and p_max_mw come together"),
    ({"entities.0.price_eur_per_mwh": 9.0}, "price_eur_per_mwh needs p_min_mw and p_max_mw"),
    ({"entities.0.forecast": "perfect"}, "'perfect': \"persistence\", { file = ... }"),
    ({"entities.0.forecast": {"file": "a", "attribute": "b"}}, "one of file and attribute"),
    ({"entities.0.inputs.vm": "volts"}, "from = 'volts': one of voltage, loading, price"),
    ({"entities.0.inputs.vm": "set_point"}, "inputs.vm: set_point needs p_min_mw and p_max_mw"),
    ({"entities.0.inputs.vm": "loading"}, "loading takes one of line and trafo"),
    ({"entities.0.inputs.vm": "weather.Mast.T"}, "'weather.Mast.T' unknown; entities are"),
    ({"entities.0.inputs.vm": "homes.House.P"}, "the values of homes depend on each other"),
    ({"entities.0.name": "a b"}, "name: 'a b'"),
    ({"entities.0.grid": None, "entities.0.inputs": {}}, "needs a grid"),
    ({"name": "weather"}, "simulator 'weather' given twice"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "message"), REFUSED)
def test_each_wrong_key_is_one_line(changes, message):
    homes = tomllib.loads(HOMES)
    for key, value in changes.items():
        at = homes
        *parents, last = key.split(".")
        for part in parents:
            at = at[int(part) if part.isdigit() else part]
        if value is None:
            del at[last]
        else:
            at[last] = value
    content = {"extends": "quick", "name": "own", "simulators": [homes, tomllib.loads(WEATHER)]}
    with pytest.raises(ScenarioError) as refused:
        load_content(content, {})
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_entities_of_one_model_need_names():
    homes = tomllib.loads(HOMES)
    homes["entities"].append({**homes["entities"][0], "buses": [30]})
    with pytest.raises(ScenarioError, match="entities 'House' given twice"):
        load_content({"extends": "quick", "name": "own", "simulators": [homes]}, {})
    homes["entities"][1]["name"] = "Farm"
    homes["entities"][0]["inputs"] = homes["entities"][1]["inputs"] = {}
    scenario = load_content({"extends": "quick", "name": "own", "simulators": [homes]}, {}).scenario
    assert [e.label for e in scenario.simulators[0].entities] == ["House", "Farm"]


def test_a_circle_needs_a_value_of_the_step_before():
    weather = tomllib.loads(WEATHER)
    weather["entities"][0]["inputs"] = {"heat": "homes.House.P"}
    homes = tomllib.loads(HOMES)
    content = {"extends": "quick", "name": "own", "simulators": [homes, weather]}
    with pytest.raises(ScenarioError, match="the values of homes and weather depend"):
        load_content(content, {})
    shifted = {"from": "homes.House.P", "time_shifted": True, "initial": 0.0}
    weather["entities"][0]["inputs"] = {"heat": shifted}
    assert load_content(content, {}).scenario.simulators[1].entities[0].inputs["heat"].initial == 0


@pytest.mark.parametrize("key", ["forecast", "phase", "p_rated_mw", "p_initial_mw", "share", "p"])
def test_keys_of_devices_need_a_grid(key):
    value = {"forecast": {"attribute": "x"}, "phase": "a", "p": "P"}.get(key, 0.5)
    with pytest.raises(ScenarioError, match=f"{key} needs a grid"):
        loaded(HOMES, WEATHER, **{f"simulators.weather.entities.0.{key}": value})


def test_a_resolved_scenario_is_the_same_again():
    scenario = loaded(HOMES, WEATHER)
    again = load_content(scenario.resolved(), {})
    assert again.scenario == scenario.scenario


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"grid": "tn", "count": 1, "p": "P"}, "grid 'tn' is a transmission grid; mv and lv"),
        ({"inputs": {"price": {"from": "price", "grid": "tn"}}}, "'tn' is a transmission grid"),
    ],
)
def test_transmission_grids_have_no_such_devices_and_no_tariff(section, message):
    weather = tomllib.loads(WEATHER)
    weather["entities"][0] |= section
    content = {"extends": "day", "name": "own", "simulators": [weather]}
    with pytest.raises(ScenarioError) as refused:
        load_content(content, {})
    assert message in str(refused.value)


def test_agents_that_negotiate_need_the_largest_power():
    content = {"extends": "messages", "name": "own"}
    grid = load_content(content, {}).scenario.grids[-1].name
    homes = tomllib.loads(HOMES)
    homes["entities"][0] |= {"grid": grid, "inputs": {}}
    with pytest.raises(ScenarioError, match=r"homes\.House: needs p_rated_mw"):
        load_content({**content, "simulators": [homes]}, {})
    homes["entities"][0]["p_rated_mw"] = 0.01
    load_content({**content, "simulators": [homes]}, {})
