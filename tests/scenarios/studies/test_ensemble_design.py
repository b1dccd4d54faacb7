"""Runs of an ensemble: members and levels must differ, every horizon fit, every place be unique."""

import tomllib

import pytest

from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.schema.load import load_scenario
from stackelgrid.scenarios.studies.ensemble_design import (
    Cell,
    ensemble_of,
    representatives,
    runs_of,
)

DRAWN = {"load": {"std": 0.2, "lead_h": 1.0}}
BIASED = {"load": {"bias": 0.1}}
SET = {"model": "file", "file": "told.csv", "member": 3}


@pytest.fixture
def design(write_scenario):
    """Runs of the feeder with other sections."""

    def of(ensemble=None, **sections):
        ensemble = {"members": 3, **(ensemble or {})}
        path = write_scenario(change=lambda data: data.update(ensemble=ensemble, **sections))
        loaded = load_scenario(str(path))
        wanted = ensemble_of(loaded)
        return wanted, runs_of(loaded, wanted)

    return of


def content_of(run):
    return tomllib.loads(run.scenario)


@pytest.mark.parametrize(
    ("level", "text"), [(0.0, "0"), (1.0, "1"), (0.5, "0.5"), (0.1234567, "0.1234567")]
)
def test_the_directory_says_the_level_with_all_its_digits(level, text):
    directory = Cell(level, "bottom_up", "scenario", 2).directory
    assert str(directory) == f"error_level={text}/scheme=bottom_up/variant=scenario/member=2"


@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"forecast": {"model": "perfect"}},
        {"forecast": {"model": "persistence", **DRAWN}},
        {"forecast": {"model": "file", "file": "told.csv"}},
        {"forecast": {"model": "autoregressive", "member": 0}},
        {"forecast": {"model": "autoregressive", **BIASED}},
        {"forecast": {"model": "autoregressive", "level": 0.0, **DRAWN}},
        {"forecast": {"model": "persistence"}, "deviations": {}},
        {"deviations": BIASED},
        {"deviations": DRAWN, "ensemble": {"error_levels": [0.0]}},
    ],
)
def test_members_that_do_not_differ_are_refused(design, sections):
    with pytest.raises(ScenarioError, match="ensemble: all members would be the same"):
        design(**sections)
    # one member has no other to be told from
    design(**{**sections, "ensemble": {**sections.get("ensemble", {}), "members": 1}})


@pytest.mark.parametrize(
    "sections",
    [
        {"forecast": {"model": "autoregressive", **DRAWN}},
        {"forecast": {"model": "perfect"}, "deviations": DRAWN},
        {"forecast": {"model": "persistence", "pv": {"model": "autoregressive", "std": 0.1}}},
        {"deviations": {"price": {"std_eur_per_mwh": 5.0}}},
        {"forecast": SET},
        {"ensemble": {"vary_world": True}},
    ],
)
def test_members_that_differ_have_runs_of_their_own(design, sections):
    _, runs = design(**sections)
    of = {(c.variant, c.member): run.number for run in runs for c in run.cells}
    assert len({of["scenario", member] for member in range(3)}) == 3


def test_members_of_a_set_of_forecasts_are_counted_on(design):
    _, runs = design(forecast=SET)
    told = {
        c.member: content_of(run)["forecast"]["member"]
        for run in runs
        for c in run.cells
        if c.variant == "scenario"
    }
    assert told == {0: 3, 1: 4, 2: 5}
    assert len(runs) == 4  # what happens is one world, known beforehand


@pytest.mark.parametrize(
    ("levels", "sections"),
    [
        ([0.5, 1.0], {"forecast": SET}),
        ([0.0, 1.0], {"forecast": {"model": "persistence"}, "ensemble": {"vary_world": True}}),
        ([1.0, 2.0], {"deviations": {"level": 0.0, **DRAWN}, "ensemble": {"vary_world": True}}),
    ],
)
def test_levels_that_scale_nothing_are_refused(design, levels, sections):
    ensemble = {**sections.get("ensemble", {}), "error_levels": levels}
    said = f"error_levels: {levels[0]:g} and {levels[1]:g} would be the same"
    with pytest.raises(ScenarioError, match=said):
        design(**{**sections, "ensemble": ensemble})
    design(**{**sections, "ensemble": {**ensemble, "error_levels": [1.0]}})


def test_levels_scale_a_bias(design):
    _, runs = design({"error_levels": [0.0, 2.0], "members": 1}, deviations=BIASED)
    found = {c.error_level: content_of(r)["deviations"]["level"] for r in runs for c in r.cells}
    assert found == {0.0: 0.0, 2.0: 2.0}


def test_a_horizon_that_does_not_fit_the_intervals_is_refused(design):
    odd = {"odd": {"steps": [{"count": 2, "minutes": 20}]}}
    said = r"ensemble: error level 1, bottom_up, odd, member 0: horizon.steps: .* has 20 min"
    with pytest.raises(ScenarioError, match=said):
        design({"variants": odd}, deviations=DRAWN)


def test_runs_that_stand_for_all_are_of_the_last_member_and_every_scheme(design):
    """The longest horizon reads furthest into files; the scenario's own has 150 min."""
    variants = {
        "long": {"steps": [{"count": 12, "minutes": 15}]},
        "short": {"steps": [{"count": 1, "minutes": 15}]},
    }
    grid = {"schemes": ["bottom_up", "top_down"], "error_levels": [2.0, 0.5]}
    wanted, runs = design({**grid, "variants": variants}, deviations=DRAWN)
    found = [run.cells[0] for run in representatives(wanted, runs)]
    assert found == [
        Cell(2.0, "bottom_up", "scenario", 2),
        Cell(2.0, "top_down", "scenario", 2),
        Cell(2.0, "bottom_up", "long", 2),
    ]
    del variants["long"]
    wanted, runs = design({**grid, "variants": variants}, deviations=DRAWN)
    assert len(representatives(wanted, runs)) == 2
