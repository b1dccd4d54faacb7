"""Texts of a wrong shape or size: one line within a second that names key, value and limit."""

import resource
import time

import pytest

from stackelgrid.controllers.devices.devices import read_devices
from stackelgrid.profiles.size_limits import PROGRAM_CELLS, SERIES_CELLS
from stackelgrid.scenarios.build.grids import build_grids
from stackelgrid.scenarios.build.series import horizon_of
from stackelgrid.scenarios.build.sizes import check_built_sizes
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.schema.content import scenario_content
from stackelgrid.scenarios.schema.load import load_scenario, scenario_of

QUICK = 'extends = "quick"\n'


def refused(source, *overrides):
    """Line of a refusal, which takes neither time nor memory."""
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    with pytest.raises(ScenarioError) as error:
        load_scenario(str(source), overrides)
    assert time.perf_counter() - started < 10.0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB
    text = str(error.value)
    assert "\n" not in text
    assert len(text) < 1000
    return text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (QUICK + "a = " + "[" * 5000, "is nested too deeply to be read"),
        (QUICK + "a = " + "[" * 5000 + "]" * 5000, "is nested too deeply to be read"),
        (QUICK + "a" + ".b" * 5000 + " = 1", "is nested 32 deep; less than 32 is accepted"),
        (QUICK + "seed = " + "9" * 100_000, "not valid TOML: Exceeds the limit (4300 digits)"),
        (QUICK + "seed = 0x" + "9" * 100_000, "seed: <int of thousands of digits"),
        (QUICK + "seed = 9223372036854775808", "seed: 9223372036854775808; whole numbers of 64"),
        (QUICK + "#" + "a" * 1_000_000, "bytes; a scenario of at most 1,000,000 is accepted"),
        (QUICK + "seed = 1\nseed = 2", "not valid TOML: Cannot overwrite a value"),
        (QUICK + '[[grids]]\nname = "lv1"\n[[grids]]\nname = "lv1"', "grids.lv1"),
        ('extends = "s.toml"', "which extends it in turn"),
        ('extends = "nope.toml"', "s.toml: extends: "),
        ('extends = "nope"', "extends: nope: no such scenario"),
        ("extends = 3", "extends = 3; a path or a shipped name is accepted"),
        ('extends = "."', "cannot be read (Is a directory)"),
    ],
)
def test_texts(text, expected, tmp_path):
    path = tmp_path / "s.toml"
    path.write_text(text, encoding="utf-8")
    assert expected in refused(path)


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("templates=[1]", "templates: [1]; sections are accepted"),
        ("templates=2020-01-01", "templates: datetime.date(2020, 1, 1); sections are accepted"),
        ("templates={a=1}", "templates.a: 1; a section is accepted"),
        ("grids=1", "grids: 1 is not accepted: a list is"),
        (
            'grids.lv1.part="line 1"',
            'grids.lv1.part: \'line 1\' is not accepted: "ext_grid 1" or "tr',
        ),
        ('grids.lv1.name="1"', "name: '1' is not accepted: a letter, then letters, digits, _ and"),
        ("grids=[1]", "grids.0: 1 is not accepted: a section is"),
        ("grids=2020-01-01", "grids: datetime.date(2020, 1, 1) is not accepted: a list is"),
        ("tariffs=[]", "tariffs: [] is not accepted: a section is"),
        ("tariffs.lv=07:30:00", "tariffs.lv: datetime.time(7, 30) is not accepted"),
        ("grids.lv1.pv={a=1}", "grids.lv1.pv: {'a': 1} is not accepted: a list is"),
        ("grids.lv1.template={}", "grids.lv1.template: {} unknown; known: none"),
        ("grids.²=1", "--set grids.²: no entry ²; accepted: mv1, lv1"),
        ("grids.mv1.pv.٣.p_mw=1", "no entry ٣; accepted: 0 to 0"),
        ("seed=" + "9" * 100_000, "--set seed: '999"),
        ("a" + ".b" * 5000 + "=1", "--set a.b.b"),
        ("time.start=9999-12-31", "not within the years 1900 to 2199"),
        ("time.start=2262-04-11T12:00:00", "not within the years 1900 to 2199"),
        ("time.start=0001-01-01", "not within the years 1900 to 2199"),
        ("time.start=5", "time.start: 5: a local date, or date and time such as 2025-06-21T16:00"),
        ("time.start=17:00", "time.start: '17:00': a local date, or date and time such as 2025"),
        ("time.intervals=true", "time: intervals = True: true and false are not accepted"),
        ("time.intervals=1000001", "intervals = 1,000,001: at most 1,000,000 are accepted"),
        ("time.intervals=1000000000000000000", "at most 1,000,000 are accepted"),
        ("horizon.steps=[{count=10000000,minutes=15}]", "10,000,000 steps; at most 10,000"),
        (
            "horizon.steps=[{count=1,minutes=15},{count=9000,minutes=60}]",
            "horizon.steps: covers 540,015 min / 15 min = 36,001 intervals; at most 35,136",
        ),
        (
            "ensemble.members=1000000000",
            "1,000,000,000 members x 1 error levels x 1 schemes x 2 horizons = 2,000,000,000 runs",
        ),
        ("grids.lv1.multiplicity=1e400", "grids.lv1.multiplicity: inf"),
        ("grids.lv1.multiplicity=1000001", "less than or equal to 1000000"),
        ("grids.lv1.loads.scale=1e308", "1e+308 is not accepted: input should be less than"),
        ('remote.bind="a\\u0000"', "remote.bind: 'a\\x00' holds the control character"),
        ('remote.commands.a=["b\\u0000"]', "remote.commands.a.0: 'b\\x00' holds the control"),
        ("grids.lv1.bus=-1", "grids.lv1.bus: -1"),
        (
            "exactness={design='latin_hypercube',points=1000000000,pv_scale={from=0,to=1}}",
            "1,000,000,000 points; at most 100,000 are accepted",
        ),
    ],
)
def test_overrides(override, expected):
    assert expected in refused("quick", override)


def test_jitter_beyond_all_measure():
    text = refused(
        "quick",
        "communication={gate_s=9.0,qualities={bad={jitter_s=1e300}}}",
        "coordination=ldd_admm",
    )
    assert "communication.qualities.bad.jitter_s: 1e+300" in text


def test_chain_of_scenarios(tmp_path):
    for i in range(12):
        text = f'extends = "{i + 1}.toml"\n' if i < 11 else QUICK
        (tmp_path / f"{i}.toml").write_text(text, encoding="utf-8")
    assert "at most 8 scenarios that extend one another" in refused(tmp_path / "0.toml")
    assert load_scenario(str(tmp_path / "6.toml")).scenario.name == "quick"


def test_names_that_are_no_files(tmp_path):
    assert "no such scenario" in refused("a\0b")
    assert "no such scenario" in refused("a" * 5000) or "cannot be read" in refused("a" * 5000)
    assert "cannot be read" in refused("a" * 5000 + ".toml")
    assert "cannot be read (Is a directory)" in refused(tmp_path)


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    path = tmp_path / "s.toml"
    path.write_bytes(b"\xef\xbb\xbf" + QUICK.encode())
    assert load_scenario(str(path)).scenario == load_scenario("quick").scenario


def test_plain_content_is_checked_like_a_text():
    data, _, _ = scenario_content("quick")
    data["site"] = data
    with pytest.raises(ScenarioError, match=r"x: site\.site.*: is nested 32 deep"):
        scenario_of(data, "x")
    data["site"] = {1.5: 0}
    with pytest.raises(ScenarioError, match=r"x: site: the key 1\.5 is not text"):
        scenario_of(data, "x")


def sizes_of(source, *overrides):
    loaded = load_scenario(source, overrides)
    grids = build_grids(loaded)
    devices = {
        n: read_devices(g.net, n, slack_is_unit=g.section.level == "transmission")
        for n, g in grids.items()
    }

    def check(*more):
        scenario = load_scenario(source, more).scenario
        horizon = horizon_of(scenario)
        check_built_sizes(scenario, horizon.length, horizon.intervals_covered, grids, devices)

    return check


def test_products_of_sizes_are_bounded():
    check = sizes_of("quick")
    check("time.intervals=35040")
    with pytest.raises(ScenarioError) as error:
        check("time.intervals=1000000")
    text = str(error.value)
    assert "1,000,031 intervals (with the horizon behind the last) x" in text
    assert f"values; at most {SERIES_CELLS:,} are accepted" in text
    with pytest.raises(ScenarioError) as error:
        check("horizon.steps=[{count=3000,minutes=15}]")
    assert f"3,000 steps x 207 buses of lv1 = 621,000; at most {PROGRAM_CELLS:,}" in str(
        error.value
    )


@pytest.mark.slow
def test_a_year_of_quarter_hours_of_the_shipped_day_is_accepted():
    sizes_of("day")("time.intervals=35040")
