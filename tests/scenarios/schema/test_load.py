"""Reading a scenario: templates, overrides, defaults, and the random streams of a run."""

import numpy as np
import pytest

from stackelgrid.scenarios.build.random import generator
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.schema.content import merge_templates
from stackelgrid.scenarios.schema.load import load_scenario, shipped_scenarios
from stackelgrid.scenarios.schema.scenario import Scenario

TEMPLATES = """
[templates.street]
case = "village.json"
level = "lv"
parent = "mv1"
bus = 24
tariff = "mv"
[templates.street.boundary]
kind = "fixed_tap"
tap_pos = -1
tap_max = 4
[templates.street.loads]
scale = 0.5
[templates.street.loads.assign]
household = 1.0
[[templates.street.pv]]
share = 0.5
p_mw = 0.005
[[templates.street.pv]]
count = 1
p_mw = 0.010
[[grids]]
template = "street"
name = "plain"
[[grids]]
template = "street"
name = "own"
bus = 30
boundary = { kind = "fixed_tap", tap_pos = 2 }
pv = [{ count = 2, p_mw = 0.003 }]
loads = { scale = 2.0 }
"""


@pytest.fixture
def templated(tmp_path, texts):
    path = tmp_path / "templated.toml"
    path.write_text(texts["feeder"] + TEMPLATES, encoding="utf-8")
    return str(path)


def grid(loaded, name):
    return next(g for g in loaded.scenario.grids if g.name == name)


def test_template_fills_what_a_grid_leaves_open(templated):
    plain = grid(load_scenario(templated), "plain")
    assert (plain.case, plain.bus, plain.parent) == ("village.json", 24, "mv1")
    assert [p.p_mw for p in plain.pv] == [0.005, 0.010]
    assert plain.loads.scale == 0.5


def test_sections_merge_and_lists_replace(templated):
    own = grid(load_scenario(templated), "own")
    assert own.bus == 30
    assert (own.boundary.tap_pos, own.boundary.tap_max) == (2, 4)
    assert (own.loads.scale, own.loads.assign) == (2.0, {"household": 1.0})
    assert [(p.count, p.p_mw) for p in own.pv] == [(2, 0.003)]


def test_a_template_is_not_changed_by_those_who_use_it(templated):
    plain = grid(load_scenario(templated, ["grids.own.loads.scale=7.0"]), "plain")
    assert plain.loads.scale == 0.5


def test_override_reaches_a_template(templated):
    loaded = load_scenario(templated, ["templates.street.loads.scale=0.25"])
    assert grid(loaded, "plain").loads.scale == 0.25
    assert grid(loaded, "own").loads.scale == 2.0


def test_unknown_template_names_the_known(templated):
    with pytest.raises(ScenarioError, match=r"grids.own.template: 'lane' unknown; known: street"):
        load_scenario(templated, ["grids.own.template=lane"])


@pytest.mark.parametrize("key", ["grids.lv1", "grids.1"])
def test_overrides_by_name_and_by_index(key):
    loaded = load_scenario("quick", [f"{key}.multiplicity=3", f"{key}.batteries.0.count=5"])
    lv1 = grid(loaded, "lv1")
    assert (lv1.multiplicity, lv1.batteries[0].count) == (3, 5)
    assert grid(loaded, "mv1").multiplicity == 1


def test_override_values_are_toml_or_words():
    loaded = load_scenario(
        "quick",
        [
            "weather.sky=cloudy",
            "grids.mv1.pv.0.buses=[3, 4]",
            'grids.mv1.loads.mix={ commercial = 1.0 }',
            "tolerances.interface_pu=1e-6",
            "grids.lv1.loads.equal=false",
        ],
    )  # fmt: skip
    assert loaded.scenario.weather.sky == "cloudy"
    assert grid(loaded, "mv1").pv[0].buses == (3, 4)
    assert grid(loaded, "mv1").loads.mix == {"commercial": 1.0}
    assert loaded.scenario.tolerances.interface_pu == 1e-6
    assert grid(loaded, "lv1").loads.equal is False


def test_later_override_wins_and_seed_beats_both():
    overrides = ["seed=5", "seed=6"]
    assert load_scenario("quick", overrides).scenario.seed == 6
    assert load_scenario("quick", overrides, 7).scenario.seed == 7
    assert load_scenario("quick").scenario.seed == 1


def test_every_shipped_scenario_loads():
    assert {"day", "quick"} <= set(shipped_scenarios())
    for name in shipped_scenarios():
        loaded = load_scenario(name)
        assert loaded.scenario.name == name
        assert loaded.source == name


def test_the_day_is_what_it_promises():
    """One transmission grid, five feeders of ten prosumers, six communities; 96 quarter hours."""
    scenario = load_scenario("day").scenario
    assert scenario.time.intervals * scenario.time.interval_min == 24 * 60
    feeders = [g for g in scenario.grids if g.level == "mv"]
    communities = [g for g in scenario.grids if g.level == "lv"]
    assert [g.case for g in scenario.grids if g.level == "transmission"] == ["case30"]
    assert (len(feeders), len(communities)) == (5, 6)
    assert all(len(set(g.pv[0].buses) & set(g.batteries[0].buses)) >= 10 for g in feeders)
    assert all(g.pv[0].share >= 0.3 and g.batteries[0].count >= 10 for g in communities)
    assert {g.parent for g in communities} == {"mv1"}


def test_parents_come_first(templated):
    scenario = load_scenario(templated).scenario
    assert [g.name for g in scenario.top_down] == ["mv1", "plain", "own"]
    turned = scenario.model_copy(update={"grids": scenario.grids[::-1]})
    assert [g.name for g in turned.grids] == ["own", "plain", "mv1"]
    assert [g.name for g in turned.top_down] == ["mv1", "own", "plain"]


def test_generator_depends_on_seed_and_names_only():
    first = generator(3, "lv1", "loads").random(8)
    generator(3, "lv1", "sky").random(1000)
    np.testing.assert_array_equal(first, generator(3, "lv1", "loads").random(8))


def test_generators_of_different_consumers_are_independent():
    names = [("a",), ("b",), ("a", "b"), ("b", "a"), ("ab",), ("a", ""), ()]
    draws = np.array([generator(3, *n).standard_normal(4000) for n in names])
    draws = np.vstack([draws, generator(4, "a").standard_normal(4000)])
    correlation = np.corrcoef(draws) - np.eye(len(draws))
    # 28 pairs: four standard deviations of 1 / sqrt(4000)
    assert np.abs(correlation).max() < 4.0 / np.sqrt(4000)


# ------------------------------------------------------------------ extends


@pytest.fixture
def extend(tmp_path, texts):
    """`extend(text, base)`: path of a file with that text beside `base.toml`, the small feeder."""

    def write(text, name="own.toml", folder="."):
        (tmp_path / "base.toml").write_text(texts["feeder"], encoding="utf-8")
        path = tmp_path / folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


def test_a_shipped_scenario_is_extended_by_name(extend):
    own = load_scenario(extend('extends = "quick"\nname = "mine"\n[weather]\nsky = "cloudy"\n'))
    shipped = load_scenario("quick")
    assert (own.scenario.name, own.scenario.weather.sky) == ("mine", "cloudy")
    changes = {"name": "quick", "weather": shipped.scenario.weather}
    assert own.scenario.model_copy(update=changes) == shipped.scenario


def test_a_file_of_the_same_folder_is_extended_wherever_one_stands(extend, monkeypatch, tmp_path):
    path = extend('extends = "base.toml"\nname = "mine"\n[tariffs.mv]\nexport = -20.0\n')
    monkeypatch.chdir("/")
    loaded = load_scenario(path)
    tariff = loaded.scenario.tariffs["mv"]
    assert (tariff.import_, tariff.export) == (75.0, -20.0)  # the section merges
    assert loaded.folder == tmp_path
    assert loaded.scenario.seed == 3


def test_entries_merge_by_name_and_other_lists_replace(extend):
    text = """
extends = "base.toml"
[horizon]
steps = [{ count = 2, minutes = 15 }]
[[grids]]
name = "mv1"
vm_max_pu = 1.03
pv = [{ buses = [20], p_mw = 1.0 }]
[[grids]]
name = "lv1"
case = "european_lv_206"
level = "lv"
parent = "mv1"
bus = 24
tariff = "mv"
boundary = { kind = "fixed_tap" }
loads = { assign = { household = 1.0 } }
"""
    scenario = load_scenario(extend(text)).scenario
    assert [g.name for g in scenario.grids] == ["mv1", "lv1"]
    mv1 = scenario.grids[0]
    assert (mv1.vm_min_pu, mv1.vm_max_pu) == (0.9, 1.03)
    assert [(p.buses, p.p_mw) for p in mv1.pv] == [((20,), 1.0)]  # has no name, so it replaces
    assert mv1.batteries[0].buses == (7,)
    assert [s.count for s in scenario.horizon.steps] == [2]
    with pytest.raises(ScenarioError, match=r"grids: \[\] is not .*: a list of at least 1 is"):
        load_scenario(extend('extends = "base.toml"\ngrids = []'))


def test_overrides_and_templates_come_after(extend):
    extend('extends = "base.toml"\n' + TEMPLATES, "streets.toml")
    path = extend(
        'extends = "streets.toml"\n[templates.street.loads]\nscale = 0.7\n'
        '[[grids]]\nname = "plain"\nbus = 12\n'
    )
    loaded = load_scenario(path, ["grids.own.loads.scale=3.0"])
    plain, own = grid(loaded, "plain"), grid(loaded, "own")
    assert (plain.loads.scale, plain.bus) == (0.7, 12)
    assert (own.loads.scale, own.bus) == (3.0, 30)


def refused(path):
    with pytest.raises(ScenarioError) as caught:
        load_scenario(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_circle_is_refused(extend):
    extend('extends = "own.toml"\n', "other.toml")
    assert "which extends it in turn" in refused(extend('extends = "other.toml"\n'))
    assert "which extends it in turn" in refused(extend('extends = "self.toml"\n', "self.toml"))


def test_a_base_in_another_folder_is_refused(extend):
    message = refused(extend('extends = "../base.toml"\n', folder="below"))
    assert "in another folder" in message
    assert "a file of the same folder or a shipped name is accepted" in message


@pytest.mark.parametrize("value", ["1", "true", '["day"]', "{ name = 'day' }"])
def test_a_base_that_is_no_text_is_refused(extend, value):
    message = refused(extend(f"extends = {value}\n"))
    assert message.endswith("a path or a shipped name is accepted")


def test_an_unknown_base_names_the_shipped(extend):
    assert "nowhere: no such scenario" in refused(extend('extends = "nowhere"\n'))
    assert "cannot be read" in refused(extend('extends = "nowhere.toml"\n'))


def test_the_stressed_day_is_the_day_with_more_pv_and_a_price_to_pay_for_export():
    day, stressed = load_scenario("day").scenario, load_scenario("stressed_day").scenario
    assert [g.name for g in stressed.grids] == [g.name for g in day.grids]
    assert stressed.time == day.time
    assert (stressed.certificate.three_phase, stressed.certificate.recovery) == (True, True)
    for before, after in zip(day.grids, stressed.grids, strict=True):
        assert [p.p_mw for p in after.pv] == pytest.approx([3.0 * p.p_mw for p in before.pv])
        unchanged = {"pv": before.pv, "trade": before.trade}
        assert after.model_copy(update=unchanged) == before
    for name in ("mv", "lv"):
        exports = [p.export for p in stressed.tariffs[name].periods]
        assert sum(e < 0.0 for e in exports) == 1
        assert min(p.export for p in day.tariffs[name].periods) > 0.0


@pytest.mark.slow
def test_the_stressed_day_validates(command):
    outcome = command("validate", "stressed_day")
    assert (outcome.status, outcome.stderr) == (0, "")
    assert outcome.stdout.splitlines()[-1] == "stressed_day: valid"


def test_the_resolved_scenario_extends_nothing(extend):
    loaded = load_scenario(extend('extends = "base.toml"\nname = "mine"\n'))
    content = loaded.resolved()
    assert "extends" not in content
    assert Scenario.model_validate(content) == loaded.scenario


def test_the_resolved_scenario_has_absolute_names_of_all_files(extend, tmp_path):
    loaded = load_scenario(
        extend(
            'extends = "base.toml"\nname = "mine"\nemissions = { file = "e.csv" }\n'
            'weather = { temperature = { file = "t.csv" } }\n'
        )
    )
    content = loaded.resolved()
    assert content["weather"]["temperature"]["file"] == str(tmp_path / "t.csv")
    assert content["emissions"]["file"] == str(tmp_path / "e.csv")


def test_a_template_also_fills_the_keys_of_the_grids_below():
    content = {
        "templates": {
            "street": {"tariff": "lv", "loads": {"scale": 0.5}},
            "feeder": {"level": "mv"},
        },
        "grids": [
            {"name": "mv", "template": "feeder", "lower": {"template": "street", "vm_min_pu": 0.9}}
        ],
    }
    (merged,) = merge_templates(content, "own.toml")["grids"]
    below = {"tariff": "lv", "loads": {"scale": 0.5}, "vm_min_pu": 0.9}
    assert merged == {"name": "mv", "level": "mv", "lower": below}
