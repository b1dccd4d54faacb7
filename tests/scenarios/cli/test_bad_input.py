"""Refusals of the command: exit status 2, one line, no traceback, no directory."""

from datetime import datetime

import pandapower as pp
import pandapower.networks as pn
import pytest

LV = {
    "name": "lv1",
    "case": "village.json",
    "level": "lv",
    "parent": "mv1",
    "bus": 24,
    "tariff": "mv",
    "boundary": {"kind": "fixed_tap"},
    "loads": {"mix": {"household": 1.0}},
}
OLTC = {"kind": "oltc", "sn_mva": 10.0, "vk_percent": 8.0, "vkr_percent": 0.4}


def put(key, value):
    """Set a key such as `grids.0.pv.0.buses` of the parsed scenario; None removes it."""

    def change(data):
        *parents, last = [int(p) if p.isdigit() else p for p in key.split(".")]
        for part in parents:
            data = data[part]
        if value is None:
            del data[last]
        else:
            data[last] = value

    return change


def add(**changes):
    """Add a village below the feeder."""
    return lambda data: data["grids"].append({**LV, **changes})


def both(*changes):
    def change(data):
        for one in changes:
            one(data)

    return change


def period(start, imported, exported):
    return {"from": start, "import": imported, "export": exported}


def tariff(**content):
    return put("tariffs.mv", content)


def refused(command, path, out, *more):
    """Line on stderr of a refused run, which must leave nothing behind."""
    outcome = command("run", path, "--out", out, *more)
    assert outcome.status == 2, outcome.stderr
    assert outcome.stdout == ""
    assert not out.exists()
    lines = outcome.stderr.splitlines()
    assert len(lines) == 1, outcome.stderr
    return lines[0]


# what is changed in a good scenario, and what the line must hold: key, value, what is accepted
REFUSALS = {
    "unknown_key_at_top": (put("colour", 1), ["unknown key 'colour'", "accepted: name, seed"]),
    "unknown_key_in_a_grid": (
        put("grids.0.colour", 1),
        ["grids.mv1: unknown key 'colour'", "accepted: name, case"],
    ),
    "unknown_key_in_a_section": (
        put("grids.0.loads.colour", 1),
        ["grids.mv1.loads: unknown key 'colour'", "accepted: mix, assign, file"],
    ),
    "python_name_of_a_key": (
        tariff(kind="flat", import_=70.0, export=50.0),
        ["tariffs.mv: unknown key 'import_'", "accepted: kind, import, export"],
    ),
    "missing_section": (put("site", None), ["site: is missing"]),
    "missing_key": (
        put("grids.0.loads", None),
        ["grids.mv1.loads: load 0, 1, 2, 3, 4, 5 and 26 more has no profile in the net; mix"],
    ),
    "wrong_type": (put("time.intervals", "many"), ["time.intervals: 'many'", "valid integer"]),
    "fraction_of_an_interval": (put("time.intervals", 2.5), ["time.intervals: 2.5", "integer"]),
    "no_intervals": (put("time.intervals", 0), ["time.intervals: 0", "greater than or equal to 1"]),
    "not_a_number": (
        put("grids.0.pv.0.p_mw", float("nan")),
        ["grids.mv1.pv.0.p_mw: nan", "finite number"],
    ),
    "negative_rating": (
        put("grids.0.line_max_i_ka", -0.1),
        ["grids.mv1.line_max_i_ka: -0.1", "greater than 0"],
    ),
    "no_grids": (put("grids", []), ["grids: []", "at least 1"]),
    "grids_as_a_section": (put("grids", {"mv1": {}}), ["grids: {'mv1': {}}", "a list is"]),
    "unknown_case": (
        put("grids.0.case", "case34"),
        ["grid mv1: case 'case34'", "case30, case33bw, european_lv_206", ".json"],
    ),
    "missing_case_file": (put("grids.0.case", "my.json"), ["grid mv1", "my.json does not exist"]),
    "unknown_parent": (add(parent="mv9"), ["grid 'lv1': parent 'mv9' unknown", "known: mv1"]),
    "two_roots": (
        both(add(), put("grids.1.parent", None), put("grids.1.bus", None)),
        ["grids: exactly one grid without parent is accepted, found mv1, lv1"],
    ),
    "parent_without_bus": (
        both(add(), put("grids.1.bus", None)),
        ["grids.lv1: parent and bus come together"],
    ),
    "unknown_bus_of_the_parent": (add(bus=33), ["grids.lv1.bus: 33", "mv1; accepted: 0 to 32"]),
    "lv_feeds_mv": (
        both(put("grids.0.level", "lv"), add(level="mv")),
        ["grid 'lv1': a mv grid cannot be fed by a lv grid"],
    ),
    "two_grids_of_one_name": (add(name="mv1"), ["grid name 'mv1' used twice"]),
    "name_with_a_space": (
        put("grids.0.name", "my grid"),
        ["'my grid'", "a letter, then letters, digits, _ and -"],
    ),
    "unknown_tariff": (put("grids.0.tariff", "hv"), ["tariff 'hv' unknown", "known: mv"]),
    "export_above_import": (
        tariff(kind="flat", **{"import": 60.0, "export": 80.0}),
        ["tariffs.mv", "export is 80 and import 60", "at most the import price is accepted"],
    ),
    "time_of_use_from_six": (
        tariff(kind="time_of_use", periods=[period("06:00", 70.0, 50.0)]),
        ["tariffs.mv", "'06:00'", "must start at 00:00"],
    ),
    "time_of_use_at_25": (
        tariff(kind="time_of_use", periods=[period("25:00", 70.0, 50.0)]),
        ["tariffs.mv.periods.0.from: '25:00'"],
    ),
    "flat_tariff_with_periods": (
        tariff(kind="flat", periods=[period("00:00", 70.0, 50.0)]),
        ["tariffs.mv: a flat tariff takes export and import, found periods"],
    ),
    "tariff_file_missing": (
        tariff(kind="series", file="prices.csv"),
        ["tariffs.mv", "prices.csv: no such file", ".txt or .parquet is accepted"],
    ),
    "too_many_copies": (
        add(multiplicity=30),
        # 30 villages of 6 x 3 kW instead of 0.42 MW at bus 24 of case33bw: 23 have room
        ["grids.lv1: replaces 0.54 MW", "0.42 MW at bus 24 of mv1", "at most 23 is accepted"],
    ),
    "battery_on_no_bus": (
        put("grids.0.batteries.0.buses", [7, 99]),
        ["grids.mv1.batteries.0: bus 99 does not exist", "accepted: 0 to 32"],
    ),
    "unit_on_no_bus": (
        put("grids.0.units", [{"bus": 99, "p_max_mw": 1.0, "c1_eur_per_mwh": 80.0}]),
        ["grids.mv1.units.0: bus 99", "accepted: 0 to 32"],
    ),
    "share_of_pv_too_small": (
        put("grids.0.pv.0", {"share": 0.01, "p_mw": 0.1}),
        ["grids.mv1.pv.0: 0 devices", "32 buses", "1 to 32 are accepted"],
    ),
    "more_batteries_than_pv": (
        put("grids.0.batteries.0", {"count": 3, "among": "pv", "p_mw": 0.1, "e_mwh": 0.2}),
        ["grids.mv1.batteries.0: 3 devices", "2 buses with pv", "1 to 2 are accepted"],
    ),
    "batteries_among_no_pv": (
        both(
            put("grids.0.pv", None),
            put("grids.0.batteries.0", {"count": 1, "among": "pv", "p_mw": 0.1, "e_mwh": 0.2}),
        ),
        ["grids.mv1.batteries.0: among = 'pv' and no bus has any", "buses are accepted"],
    ),
    "two_rules_of_placement": (
        put("grids.0.pv.0.count", 3),
        ["grids.mv1.pv.0: exactly one of buses, count and share is accepted"],
    ),
    "battery_starts_below_its_minimum": (
        put("grids.0.batteries.0.e_min_mwh", 0.15),
        ["grids.mv1.batteries.0: soc_percent lies below e_min_mwh = 0.15"],
    ),
    "rating_of_no_line": (
        put("grids.0.ratings", [{"lines": [0, 77], "max_i_ka": 0.2}]),
        ["grids.mv1.ratings: line 77 does not exist", "0 to 31"],
    ),
    "empty_voltage_band": (
        put("grids.0.vm_min_pu", 1.2),
        ["grids.mv1: the voltage band [1.2, 1.1] p.u. is empty"],
    ),
    "oltc_without_set_point": (
        put("grids.0.boundary", OLTC),
        ["grids.mv1.boundary", "needs vm_set_pu, deadband_pu and delay_s"],
    ),
    "deadband_below_a_step": (
        put("grids.0.boundary", {**OLTC, "vm_set_pu": 1.0, "deadband_pu": 0.01, "delay_s": 60.0}),
        ["grids.mv1.boundary: deadband_pu must be at least one step of the tap (0.0125)"],
    ),
    "taps_without_a_transformer": (
        put("grids.0.boundary", {"kind": "fixed_tap"}),
        ["grids.mv1.boundary", "case33bw has none", "give sn_mva, vk_percent and vkr_percent"],
    ),
    "first_step_of_an_hour": (
        put("horizon.steps", [{"count": 2, "minutes": 60}]),
        ["horizon.steps: the first step has 60 min; one interval of 15 min (time.interval_min) is"],
    ),
    "step_of_twenty_minutes": (
        put("horizon.steps", [{"count": 1, "minutes": 15}, {"count": 2, "minutes": 20}]),
        ["horizon.steps", "steps_min[1] is 20", "multiples of the interval of 15 min"],
    ),
    "unknown_time_zone": (
        put("time.timezone", "Europe/Atlantis"),
        ["time: start", "'Europe/Atlantis'", "an IANA name like Europe/Berlin"],
    ),
    "start_in_the_missing_hour": (
        put("time.start", datetime(2025, 3, 30, 2, 30)),
        ["time: start 2025-03-30 02:30:00", "'Europe/Berlin'", "existing local time"],
    ),
    "start_in_the_double_hour": (
        put("time.start", datetime(2025, 10, 26, 2, 30)),
        ["time: start 2025-10-26 02:30:00", "'Europe/Berlin'"],
    ),
    "start_with_an_offset": (
        put("time.start", datetime.fromisoformat("2025-06-21T11:00:00+02:00")),
        ["time: start must be a local time without offset"],
    ),
    "unknown_controller": (
        put("controller", "bottom_down"),
        ["controller: 'bottom_down' unknown", "bottom_up, ", "or 'package.module:Class'"],
    ),
    "controller_in_no_module": (
        put("controller", "no_such_module:Class"),
        ["controller: 'no_such_module' cannot be imported"],
    ),
    "controller_without_decide": (
        put("controller", "json:JSONDecoder"),
        ["controller: 'json' has no class 'JSONDecoder' with a method decide"],
    ),
    "unknown_standard_load": (
        put("grids.0.loads.mix", {"foundry": 1.0}),
        ["grids.mv1.loads", "'foundry'", "household, commercial"],
    ),
    "empty_mix": (put("grids.0.loads.mix", {}), ["grids.mv1.loads.mix: {}", "at least 1"]),
    "two_sources_of_loads": (
        put("grids.0.loads.file", "loads.csv"),
        ["grids.mv1.loads: one of mix, assign and file is accepted"],
    ),
    "load_file_missing": (
        put("grids.0.loads", {"file": "loads.csv"}),
        ["grids.mv1.loads.file", "loads.csv: no such file", ".txt or .parquet is accepted"],
    ),
    "pv_file_missing": (
        put("grids.0.pv.0.file", "sun.csv"),
        ["grids.mv1.pv.0.file", "sun.csv: no such file"],
    ),
    "transmission_grid_as_feeder": (
        put("grids.0.case", "case30"),
        ["grid mv1: gen elements", "accepted on transmission grids"],
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusal(name, write_scenario, command, tmp_path):
    change, expected = REFUSALS[name]
    path = write_scenario(change=change)
    line = refused(command, path, tmp_path / "out")
    assert line.startswith(f"stackelgrid: {path}: ")
    for text in expected:
        assert text in line
    assert " more)" not in line  # one mistake is counted once


def test_validate_refuses_like_run(write_scenario, command):
    path = write_scenario(change=put("grids.0.batteries.0.buses", [99]))
    outcome = command("validate", path)
    assert outcome.status == 2
    assert outcome.stdout == ""
    assert outcome.stderr.count("\n") == 1
    assert f"{path}: grids.mv1.batteries.0: bus 99" in outcome.stderr


def test_further_mistakes_are_counted(write_scenario, command, tmp_path):
    change = both(put("time.intervals", 0), put("seed", -1))
    line = refused(command, write_scenario(change=change), tmp_path / "out")
    assert "seed: -1" in line
    assert line.endswith("(and 1 more)")


def test_largest_accepted_multiplicity_is_accepted(write_scenario, command):
    path = write_scenario(change=add(multiplicity=23))
    outcome = command("validate", path)
    assert outcome.status == 0, outcome.stderr
    assert "bus 24 of mv1, 23 copies" in outcome.stdout


def test_largest_accepted_multiplicity_minds_reactive_power(write_scenario, command, tmp_path):
    """0.2 MVAr at bus 24 have room for 11 villages of 18 kvar, 0.42 MW for 23 of 18 kW."""

    def change(data):
        add(multiplicity=30, case="inductive.json")(data)

    net = pp.from_json(str(write_scenario(change=add()).parent / "village.json"))
    net.load["q_mvar"] = 0.003
    pp.to_json(net, str(tmp_path / "inductive.json"))
    line = refused(command, write_scenario(change=change), tmp_path / "out")
    assert "at most 11 is accepted" in line


def test_meshed_feeder(write_scenario, command, tmp_path):
    """case33bw with its tie line 32 closed."""
    net = pn.case33bw()
    net.line.loc[32, "in_service"] = True
    pp.to_json(net, str(tmp_path / "meshed.json"))
    path = write_scenario(change=put("grids.0.case", "meshed.json"))
    line = refused(command, path, tmp_path / "out")
    assert "mv1" in line
    assert "radial" in line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["is empty", "name, time, horizon, grids"]),
        ("# nothing but a comment\n", ["is empty"]),
        ("grids = [1, 2\n", ["not valid TOML: Unclosed array"]),
        ("{}", ["not valid TOML"]),
        ("name = 1\nname = 2\n", ["not valid TOML"]),
    ],
)
def test_files_that_are_no_scenario(text, expected, command, tmp_path):
    path = tmp_path / "scenario.toml"
    path.write_text(text, encoding="utf-8")
    line = refused(command, path, tmp_path / "out")
    assert str(path) in line
    for part in expected:
        assert part in line


def test_file_that_is_no_text(command, tmp_path):
    path = tmp_path / "scenario.toml"
    path.write_bytes(b"\xff\xfe\x00name")
    assert "not a UTF-8 text file" in refused(command, path, tmp_path / "out")


def test_missing_file_and_unknown_name(command, tmp_path):
    line = refused(command, tmp_path / "absent.toml", tmp_path / "out")
    assert "absent.toml: cannot be read (No such file or directory)" in line
    line = refused(command, "quickly", tmp_path / "out")
    assert "quickly: no such scenario; a path ending in .toml or one of" in line
    assert "day" in line
    assert "quick" in line


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("weather.sky", ["--set weather.sky: key=value is accepted"]),
        ("=3", ["--set =3: key=value is accepted"]),
        ("grids.mv2.bus=3", ["--set grids.mv2.bus: no entry mv2", "accepted: mv1"]),
        ("grids.7.bus=3", ["--set grids.7.bus: no entry 7", "accepted: mv1"]),
        ("grids.mv1.pv.1.p_mw=3.0", ["--set grids.mv1.pv.1.p_mw: no entry 1", "0 to 0"]),
        ("seed.value=3", ["--set seed.value: seed is a value, not a section"]),
        ("weather.clouds=3", ["weather: unknown key 'clouds'", "accepted: sky"]),
        ("weather.sky=foggy", ["weather.sky: 'foggy'", "'clear', 'sunny' or 'cloudy'"]),
    ],
)
def test_overrides(override, expected, write_scenario, command, tmp_path):
    line = refused(command, write_scenario(), tmp_path / "out", "--set", override)
    for text in expected:
        assert text in line


def stamps(count, start="2025-06-21T11:00"):
    import pandas as pd

    index = pd.date_range(start, periods=count, freq="15min", tz="Europe/Berlin")
    return [t.isoformat() for t in index]


@pytest.mark.parametrize(
    ("rows", "column", "expected"),
    [
        # two intervals and a horizon of 2.5 hours behind the first need 11 quarter hours
        (10, "{}_factor", ["covers", "is needed"]),
        (11, "{}_share", ["column 'load 0_share' of load 0 ends in no known unit", "_kw"]),
        (11, "x {}_factor", ["column 'load 0_factor' is missing", "x load 0_factor"]),
    ],
)
def test_load_files(rows, column, expected, write_scenario, command, tmp_path):
    names = [column.format(f"load {i}") for i in range(32)]
    lines = [",".join(["time", *names])]
    lines += [",".join([t, *["0.5"] * 32]) for t in stamps(rows)]
    (tmp_path / "loads.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    path = write_scenario(change=put("grids.0.loads", {"file": "loads.csv"}))
    line = refused(command, path, tmp_path / "out")
    for text in ["grids.mv1.loads.file", "loads.csv", *expected]:
        assert text in line


def test_negative_factor_in_a_load_file(write_scenario, command, tmp_path):
    names = [f"load {i}_factor" for i in range(32)]
    rows = [[t, *["0.5"] * 32] for t in stamps(11)]
    rows[4][3] = "-0.25"
    text = "\n".join(",".join(row) for row in [["time", *names], *rows])
    (tmp_path / "loads.csv").write_text(text + "\n", encoding="utf-8")
    path = write_scenario(change=put("grids.0.loads", {"file": "loads.csv"}))
    line = refused(command, path, tmp_path / "out")
    for part in ("grids.mv1.loads.file", "load 2_factor is -0.25", "12:00", ">= 0 are accepted"):
        assert part in line


def test_out_that_holds_a_run(write_scenario, command, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "summary.json").write_text("{}", encoding="utf-8")
    outcome = command("run", write_scenario(), "--out", out)
    assert outcome.status == 2
    assert outcome.stderr == (
        f"stackelgrid: --out {out}: holds a run; a new or empty directory is accepted\n"
    )
    assert (out / "summary.json").read_text(encoding="utf-8") == "{}"
    assert [p.name for p in out.iterdir()] == ["summary.json"]


def test_out_that_holds_something_else(write_scenario, command, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.tex").write_text("", encoding="utf-8")
    outcome = command("run", write_scenario(), "--out", out)
    assert outcome.status == 2
    assert "is not empty; a new or empty directory is accepted" in outcome.stderr


@pytest.mark.parametrize("below", ["", "deeper", "deeper/still"])
def test_out_at_or_below_a_file(below, write_scenario, command, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    out = tmp_path / "file" / below
    outcome = command("run", write_scenario(), "--out", out)
    assert outcome.status == 2, outcome.stderr
    assert outcome.stderr.count("\n") == 1
    assert f"--out {out}: " in outcome.stderr
    assert (tmp_path / "file").read_text(encoding="utf-8") == ""


def test_out_with_a_name_that_is_too_long(write_scenario, command, tmp_path):
    outcome = command("run", write_scenario(), "--out", tmp_path / ("a" * 300))
    assert outcome.status == 2, outcome.stderr
    assert outcome.stderr.count("\n") == 1
    assert "cannot be written (File name too long)" in outcome.stderr
