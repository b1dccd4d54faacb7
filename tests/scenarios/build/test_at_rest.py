"""The scenario of a baseline, and where a run has none."""

from pathlib import Path

import pytest
from support.scenario_texts import content_of

from stackelgrid.scenarios.build.at_rest import why_left_out, without_control
from stackelgrid.scenarios.schema.content import shipped_scenarios
from stackelgrid.scenarios.schema.load import LoadedScenario, load_scenario
from stackelgrid.scenarios.schema.scenario import Scenario

# keys of decisions; all others are of the world
DECISIONS = {
    "controller", "coordination", "baseline", "horizon", "certificate", "forecast", "exactness",
    "ensemble", "communication", "remote",
}  # fmt: skip


@pytest.mark.parametrize("name", shipped_scenarios())
def test_only_keys_of_decisions_change(name):
    loaded = load_scenario(name)
    before, after = loaded.resolved(), without_control(loaded).resolved()
    changed = {key for key in {**before, **after} if before.get(key) != after.get(key)}
    assert {"controller", "baseline", "horizon"} <= changed <= DECISIONS
    again = Scenario.model_validate(after).model_dump(mode="json", exclude_none=True)
    assert {key: again.get(key) for key in DECISIONS} == {key: after.get(key) for key in DECISIONS}
    assert after["horizon"]["steps"] == [{"count": 1, "minutes": before["time"]["interval_min"]}]
    assert why_left_out(loaded.scenario) == ""
    assert why_left_out(without_control(loaded).scenario) == "baseline = false"


def remote(**keys):
    """The villages, one of them in another process."""
    simulator = {"name": "street", "grids": ["lv1"], **keys}
    content = {**content_of("villages"), "baseline": True}
    content["remote"] = {"simulators": [simulator]}
    return LoadedScenario(Scenario.model_validate(content), "villages", Path())


def test_grids_in_processes_of_the_project_are_simulated_here():
    loaded = remote()
    assert why_left_out(loaded.scenario) == ""
    assert without_control(loaded).scenario.remote is None


def test_grids_of_another_simulator_leave_no_baseline():
    loaded = remote(connect="localhost:5555", parameters={"model": "own"})
    assert why_left_out(loaded.scenario) == (
        "lv1 is simulated by street, which is not part of stackelgrid"
    )
