"""Section communication: what is refused, and the settings on the clock of the network."""

import tomllib
from datetime import datetime, time

import pytest

from stackelgrid.scenarios.build.communication import communication_seed, communication_settings
from stackelgrid.scenarios.build.series import axis_of, horizon_of
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.schema.load import load_scenario
from stackelgrid.scenarios.schema.scenario import Scenario
from stackelgrid.simulators.messages.communication_settings import PERFECT, LinkQuality, Outage

SECTION = """
coordination = "ldd_admm"
[communication]
gate_s = 300.0
quality = "lossy"
[communication.qualities.slow]
latency_s = 20.0
[communication.qualities.lossy]
latency_s = 2.0
jitter_s = 1.0
loss = 0.1
duplication = 0.02
reordering = 0.05
bandwidth_bit_per_s = 64000.0
[[communication.links]]
agents = ["lv1", "lv2"]
loss = 0.3
[[communication.links]]
agents = ["lv2"]
direction = "from"
latency_s = 4.0
[[communication.outages]]
agents = ["lv1"]
from = "11:10"
to = "11:20"
"""


def put(key, value):
    """Set a key such as `outages.0.to` of the section; None removes it."""

    def change(data):
        *parents, last = [int(p) if p.isdigit() else p for p in key.split(".")]
        target = data["communication"]
        for part in parents:
            target = target[part]
        if value is None:
            del target[last]
        else:
            target[last] = value

    return change


def top(key, value):
    """Set a key of the whole scenario; None removes it."""

    def change(data):
        if value is None:
            data.pop(key)
        else:
            data[key] = value

    return change


def outage(start, end):
    return put("outages", [{"agents": ["lv1"], "from": start, "to": end}])


def link(**own):
    return put("links", [{"agents": ["lv1"], **own}])


@pytest.fixture
def scenario_with(write_scenario):
    """Write the three villages below a feeder with a section communication, after a change."""

    def write(*changes):
        def change(data):
            data |= tomllib.loads(SECTION)
            for one in changes:
                one(data)

        return write_scenario("villages", change)

    return write


@pytest.fixture
def settings_of(scenario_with):
    """Settings of the changed scenario."""

    def settings(*changes):
        scenario = load_scenario(str(scenario_with(*changes))).scenario
        return communication_settings(scenario, axis_of(scenario, horizon_of(scenario)))

    return settings


REFUSALS = {
    "unknown_key": (put("gate", 3.0), ["communication: unknown key 'gate'", "accepted: gate_s"]),
    "no_gate": (put("gate_s", None), ["communication.gate_s: is missing"]),
    "gate_of_no_length": (
        put("gate_s", 0.0),
        ["communication.gate_s: 0.0", "greater than or equal to 0.001"],
    ),
    "gate_shorter_than_the_clock_can_tell": (
        put("gate_s", 1e-8),
        ["communication.gate_s: 1e-08", "greater than or equal to 0.001"],
    ),
    "gate_longer_than_the_interval": (
        put("gate_s", 900.5),
        ["communication: gate_s is 900.5", "interval 900 s", "at most the interval is accepted"],
    ),
    "negative_time_of_an_answer": (
        put("compute_s", -1.0),
        ["communication.compute_s: -1.0", "greater than or equal to 0"],
    ),
    "unknown_quality": (
        put("quality", "bad"),
        ["communication: quality 'bad' unknown", "known: perfect, slow, lossy"],
    ),
    "perfect_that_is_not": (
        put("qualities.perfect", {"latency_s": 1.0}),
        ["communication: qualities.perfect has delay or faults", "another name is accepted"],
    ),
    "negative_latency": (
        put("qualities.lossy.latency_s", -2.0),
        ["communication.qualities.lossy.latency_s: -2.0", "greater than or equal to 0"],
    ),
    "latency_without_end": (
        put("qualities.lossy.latency_s", float("inf")),
        ["communication.qualities.lossy.latency_s: inf", "finite number"],
    ),
    "negative_jitter": (
        put("qualities.lossy.jitter_s", -2.0),
        ["communication.qualities.lossy.jitter_s: -2.0", "greater than or equal to 0"],
    ),
    "loss_above_one": (
        put("qualities.lossy.loss", 1.2),
        ["communication.qualities.lossy.loss: 1.2", "less than or equal to 1"],
    ),
    "loss_that_is_no_number": (
        put("qualities.lossy.loss", float("nan")),
        ["communication.qualities.lossy.loss: nan"],
    ),
    "negative_duplication": (
        put("qualities.lossy.duplication", -0.1),
        ["communication.qualities.lossy.duplication: -0.1", "greater than or equal to 0"],
    ),
    "reordering_above_one": (
        put("qualities.lossy.reordering", 3),
        ["communication.qualities.lossy.reordering: 3", "less than or equal to 1"],
    ),
    "no_bandwidth": (
        put("qualities.lossy.bandwidth_bit_per_s", 0.0),
        ["communication.qualities.lossy.bandwidth_bit_per_s: 0.0", "greater than 0"],
    ),
    "jitter_without_latency": (
        put("qualities.slow", {"jitter_s": 1.0}),
        ["communication.qualities.slow: jitter_s is 1 where latency_s is 0", "is accepted"],
    ),
    "reordering_of_equal_delays": (
        put("qualities.slow.reordering", 0.1),
        ["communication.qualities.slow: reordering is 0.1 where jitter_s is 0", "is accepted"],
    ),
    "link_of_an_unknown_agent": (
        link(agents=["lv1", "lv9"], loss=0.2),
        ["communication: links.0.agents: 'lv9' unknown; known: lv1, lv2, lv3"],
    ),
    "link_of_the_grid_on_top": (
        link(agents=["mv1"], loss=0.2),
        ["communication: links.0.agents: 'mv1' has no grid above; known: lv1, lv2, lv3"],
    ),
    "link_of_nobody": (link(agents=[], loss=0.2), ["links.0.agents: []", "at least 1"]),
    "link_that_sets_nothing": (
        link(direction="to"),
        ["communication.links.0: sets nothing", "latency_s, jitter_s, loss"],
    ),
    "link_with_negative_latency": (
        link(latency_s=-1.0),
        ["communication.links.0.latency_s: -1.0", "greater than or equal to 0"],
    ),
    "link_with_loss_above_one": (
        link(loss=1.5),
        ["communication.links.0.loss: 1.5", "less than or equal to 1"],
    ),
    "link_whose_quality_is_impossible": (
        link(latency_s=0.0),
        ["communication: links.0 on quality 'lossy': jitter_s is 1 where latency_s is 0"],
    ),
    "unknown_direction": (
        link(direction="up", loss=0.2),
        ["communication.links.0.direction: 'up'", "'to', 'from' or 'both'"],
    ),
    "outage_of_an_unknown_agent": (
        put("outages.0.agents", ["mv2"]),
        ["communication: outages.0.agents: 'mv2' unknown; known: lv1, lv2, lv3"],
    ),
    "outage_of_anyone": (put("outages.0.agents", ["*"]), ["communication.outages.0.agents.0: '*'"]),
    "outage_without_end": (put("outages.0.to", None), ["communication.outages.0.to: is missing"]),
    "empty_outage": (
        outage("11:20", "11:20"),
        ["communication: outages.0: the outage from 11:20 to 11:20 is empty; a later to"],
    ),
    "outage_backwards": (
        outage("11:20", "11:10"),
        ["outages.0: the outage from 11:20 to 11:10 is empty", "after midnight with its date"],
    ),
    "empty_outage_in_two_spellings": (
        outage("11:20", datetime(2025, 6, 21, 11, 20)),
        ["from 11:20 to 2025-06-21T11:20:00 is empty"],
    ),
    "outage_at_no_time": (
        outage("11h", "12:00"),
        ["communication.outages.0.from: '11h' is no time", '"HH:MM" or a local date and time'],
    ),
    "outage_at_25": (outage("11:00", "25:00"), ["communication.outages.0.to: '25:00' is no time"]),
    "outage_at_a_number": (outage(660, "12:00"), ["outages.0.from: 660 is no time"]),
    "outage_with_an_offset": (
        outage("11:00", "2025-06-21T12:00:00+02:00"),
        ["communication.outages.0.to: 2025-06-21T12:00:00+02:00 has an offset"],
    ),
    "central_coordination": (
        top("coordination", None),
        ["communication: coordination is 'central'", '"ldd_admm" is accepted'],
    ),
    "unknown_coordination": (
        top("coordination", "admm"),
        ["coordination: 'admm'", "'central' or 'ldd_admm'"],
    ),
    "controller_of_another_kind": (
        top("controller", "top_down"),
        [
            "coordination: 'ldd_admm' is not possible with controller 'top_down'",
            "accepted controllers: bottom_up, integrated, ldd_admm",
        ],
    ),
    "controller_of_a_user": (
        top("controller", "package.module:Class"),
        ["coordination: 'ldd_admm' is not possible with controller 'package.module:Class'"],
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusal(name, scenario_with, command):
    change, expected = REFUSALS[name]
    path = scenario_with(change)
    outcome = command("validate", path)
    assert outcome.status == 2, outcome.stdout
    assert outcome.stdout == ""
    lines = outcome.stderr.splitlines()
    assert len(lines) == 1, outcome.stderr
    assert lines[0].startswith(f"stackelgrid: {path}: ")
    for text in expected:
        assert text in lines[0]
    assert " more)" not in lines[0]  # one mistake is counted once


@pytest.mark.parametrize("override", ["communication.gate_s=2000", "time.interval_min=1"])
def test_overrides_are_checked_too(override, scenario_with, command):
    outcome = command("validate", scenario_with(), "--set", override)
    assert outcome.status == 2
    assert "at most the interval is accepted" in outcome.stderr


@pytest.mark.parametrize("controller", ["bottom_up", "integrated"])
def test_the_unchanged_scenario_is_accepted(controller, scenario_with):
    scenario = load_scenario(str(scenario_with(top("controller", controller)))).scenario
    assert scenario.coordination == "ldd_admm"
    assert scenario.communication.gate_s == 300.0


def test_scenarios_are_central_without_a_word():
    scenario = load_scenario("quick").scenario
    assert (scenario.coordination, scenario.communication) == ("central", None)


def test_without_a_section_links_are_perfect_and_the_gate_a_quarter_of_an_interval():
    scenario = load_scenario("quick", ["coordination=ldd_admm"]).scenario
    settings = communication_settings(scenario, axis_of(scenario, horizon_of(scenario)))
    assert settings.quality == PERFECT
    assert settings.gate_s == 15.0 * scenario.time.interval_min


def test_settings_of_links_and_outages(settings_of):
    """The run begins at 11:00."""
    settings = settings_of()
    base = {"jitter_s": 1.0, "duplication": 0.02, "reordering": 0.05}
    base |= {"bandwidth_bit_per_s": 64000.0}
    assert (settings.gate_s, settings.compute_s) == (300.0, 1.0)
    assert settings.quality == LinkQuality(latency_s=2.0, loss=0.1, **base)
    worse = LinkQuality(latency_s=2.0, loss=0.3, **base)
    assert settings.links == {
        ("lv1", "mv1"): worse,
        ("mv1", "lv1"): worse,
        ("lv2", "mv1"): LinkQuality(latency_s=4.0, loss=0.3, **base),
        ("mv1", "lv2"): worse,
    }
    assert settings.outages == (
        Outage("lv1", "mv1", 600.0, 1200.0),
        Outage("mv1", "lv1", 600.0, 1200.0),
    )


@pytest.mark.parametrize(
    ("direction", "ends"),
    [
        ("from", {("lv3", "mv1")}),
        ("to", {("mv1", "lv3")}),
        ("both", {("lv3", "mv1"), ("mv1", "lv3")}),
    ],
)
def test_directions_are_seen_from_the_agent(direction, ends, settings_of):
    both = {"agents": ["lv3"], "direction": direction}
    settings = settings_of(
        put("links", [both | {"loss": 0.2}]),
        put("outages", [both | {"from": "11:00", "to": "11:01"}]),
    )
    assert set(settings.links) == ends
    assert {(o.sender, o.recipient) for o in settings.outages} == ends


def test_perfect_needs_no_words(settings_of):
    only_a_gate = top("communication", {"gate_s": 60.0, "compute_s": 0.0})
    settings = settings_of(only_a_gate)
    assert settings.quality == PERFECT
    assert (settings.compute_s, settings.links, settings.outages) == (0.0, {}, ())
    settings = settings_of(put("quality", "perfect"), put("links", []))
    assert settings.quality == PERFECT


def test_agents_answer_to_the_grid_above(texts):
    """Three levels: lv1 below mv1 below tn."""
    data = tomllib.loads(texts["three_levels"])
    parents = {g["name"]: g.get("parent") for g in data["grids"]}
    agents = [name for name, parent in parents.items() if parent]
    assert len({parents[a] for a in agents}) >= 2
    data["coordination"] = "ldd_admm"
    links = [{"agents": agents, "direction": "from", "loss": 0.5}]
    data["communication"] = {"gate_s": 60.0, "links": links}
    scenario = Scenario.model_validate(data)
    settings = communication_settings(scenario, axis_of(scenario, horizon_of(scenario)))
    assert set(settings.links) == {(a, parents[a]) for a in agents}


@pytest.mark.parametrize(
    ("start", "end", "span_s"),
    [
        ("11:00", "11:30", (0.0, 1800.0)),
        ("10:56", "11:01", (-240.0, 60.0)),  # in the first gate
        (datetime(2025, 6, 21, 11, 1, 30), "2025-06-22 01:00", (90.0, 14 * 3600.0)),
        (time(11, 5), time(11, 6), (300.0, 360.0)),
    ],
)
def test_spellings_of_an_outage(start, end, span_s, settings_of):
    first = settings_of(outage(start, end)).outages[0]
    assert (first.from_s, first.to_s) == span_s


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("11:30", "12:00", ["from -300 s to 1800 s", "a clock time is one of the first day"]),
        ("10:00", "10:55", ["lies outside of the run"]),
        ("2025-06-22T11:00", "2025-06-22T12:00", ["lies outside of the run"]),
    ],
)
def test_outages_outside_of_the_run_are_refused(start, end, expected, settings_of):
    with pytest.raises(ScenarioError) as refusal:
        settings_of(outage(start, end))
    for text in ["communication.outages.0: from", *expected]:
        assert text in str(refusal.value)


def day(start):
    """A whole day of 24 or 25 hours from midnight."""

    def change(data):
        data["time"] |= {"start": start, "intervals": 100}

    return change


@pytest.mark.parametrize(
    ("start", "noon_s"),
    [
        (datetime(2025, 3, 29), 12 * 3600.0),
        (datetime(2025, 3, 30), 11 * 3600.0),  # 02:00 to 03:00 is left out
        (datetime(2025, 10, 26), 13 * 3600.0),  # 02:00 to 03:00 comes twice
    ],
)
def test_clock_changes_count_in_seconds(start, noon_s, settings_of):
    first = settings_of(day(start), outage("01:00", "12:00")).outages[0]
    assert (first.from_s, first.to_s) == (3600.0, noon_s)


@pytest.mark.parametrize("start", [datetime(2025, 3, 30), datetime(2025, 10, 26)])
def test_times_that_a_clock_change_leaves_out_or_repeats_are_refused(start, settings_of):
    with pytest.raises(ScenarioError) as refusal:
        settings_of(day(start), outage("02:30", "12:00"))
    line = str(refusal.value)
    assert line.startswith("communication.outages.0.from = 02:30: cannot be placed in timezone")
    assert line.endswith("a local time that exists once is accepted")
    assert "\n" not in line


def test_links_given_twice_must_be_possible_together(settings_of):
    entries = [
        {"agents": ["lv1"], "jitter_s": 0.5, "reordering": 0.0},
        {"agents": ["lv1"], "jitter_s": 0.0, "reordering": 0.0},
    ]
    assert settings_of(put("links", entries)).links["lv1", "mv1"].jitter_s == 0.0
    entries = [
        {"agents": ["lv1"], "jitter_s": 0.0, "reordering": 0.0},
        {"agents": ["lv1"], "reordering": 0.4},
    ]
    with pytest.raises(ScenarioError, match=r"links from lv1 to mv1: reordering is 0\.4 where "):
        settings_of(put("links", entries))


def test_resolved_scenario_reads_the_same(scenario_with):
    change = outage(datetime(2025, 6, 21, 11, 1, 30), "11:20")
    loaded = load_scenario(str(scenario_with(change)))
    again = Scenario.model_validate(loaded.resolved())
    assert again.communication == loaded.scenario.communication
    assert again.communication.outages[0].from_ == "2025-06-21T11:01:30"


def test_seed_of_the_network_follows_that_of_the_scenario(scenario_with):
    path = str(scenario_with())
    states = [
        tuple(communication_seed(load_scenario(path, seed=seed).scenario).generate_state(4))
        for seed in (1, 1, 2)
    ]
    assert states[0] == states[1] != states[2]
