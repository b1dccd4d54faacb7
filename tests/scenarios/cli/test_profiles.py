"""`stackelgrid profiles`: how a file of time series is understood."""

import json

import pandas as pd
import pytest

import stackelgrid as sg

BERLIN = "Europe/Berlin"


@pytest.fixture
def autumn(tmp_path):
    """25 hours of a Sunday in Berlin with a clock change, as Excel in German writes them."""
    index = pd.date_range("2025-10-26", periods=25, freq="60min", tz=BERLIN)
    path = tmp_path / "autumn.csv"
    lines = ["Zeit;a_kW;b_kwh;import_ct_per_kwh;outdoor_c;remark"]
    lines += [f"{t:%d.%m.%Y %H:%M};{k},5;{k};{30 - k};-1;x" for k, t in enumerate(index)]
    path.write_text("\n".join(lines), encoding="utf-8-sig")
    return path


def test_json_holds_what_the_file_says(command, autumn):
    outcome = command("profiles", str(autumn), "--timezone", BERLIN, "--json")
    assert (outcome.status, outcome.stderr) == (0, "")
    found = json.loads(outcome.stdout)
    columns = {c.pop("column"): c for c in found.pop("columns")}
    assert found == {
        "file": str(autumn),
        "kind": "series",
        "rows": 25,
        "separator": "semicolon",
        "decimal": ",",
        "stamps": "dd.mm.yyyy HH:MM",
        "edges": "left",
        "timezone": BERLIN,
        "step_min": 60.0,
        "first": "2025-10-26T00:00:00+02:00",
        "last": "2025-10-26T23:00:00+01:00",
        "end": "2025-10-27T00:00:00+01:00",
        "notes": [],
        "problems": [],
        "used_by": [],
    }
    # 0.5 to 24.5 kW: mean 12.5 kW, in 25 hours 312.5 kWh; 0 to 24 kWh: 300 kWh
    assert columns["a_kW"] == {
        "name": "a", "unit": "kW", "min": 0.5, "mean": 12.5, "max": 24.5,
        "energy_mwh": pytest.approx(0.3125), "use": "load, PV or sgen 'a'",
    }  # fmt: skip
    assert columns["b_kwh"]["energy_mwh"] == pytest.approx(0.3)
    assert columns["import_ct_per_kwh"]["use"] == "tariff: import"
    assert columns["outdoor_c"]["use"] == "weather.temperature"
    assert columns["remark"]["unit"] is None


def test_lines_and_table_are_on_standard_output(command, autumn):
    outcome = command("profiles", str(autumn), "--timezone", BERLIN)
    lines = outcome.stdout.splitlines()
    assert lines[0] == f"{autumn}: series, 25 rows every 60 min"
    assert lines[2] == f"stamps: dd.mm.yyyy HH:MM, local time of {BERLIN}, left edges of rows"
    assert lines[3] == "text: semicolon between columns, decimal sign ','"
    row = next(line for line in lines if line.startswith("a_kW"))
    assert row.split(maxsplit=6)[1:6] == ["kW", "0.5", "12.5", "24.5", "0.3125"]
    assert lines[-1] == "no problems found"


def test_a_file_without_a_zone_says_that_it_needs_one(command, autumn):
    outcome = command("profiles", str(autumn))
    assert outcome.status == 0
    assert "note: stamps have no offset: a scenario reads them in its time.timezone" in (
        outcome.stdout
    )
    assert "problem: time 2025-10-26T02:00:00+00:00 in data row 4 repeats the row before; " in (
        outcome.stdout
    )
    assert "(a clock change? --timezone states the zone)" in outcome.stdout


def test_each_problem_has_one_line(command, tmp_path):
    path = tmp_path / "bad.csv"
    path.write_text(
        "time,a_kw,b_kw,c_usd_per_mwh\n2025-06-21T00:15Z,1,x,1\n2025-06-21T00:30Z,-2,1,1\n"
        "2025-06-21T01:00Z,3,1,1\n",
        encoding="utf-8",
    )
    lines = command("profiles", str(path)).stdout.splitlines()
    problems = [line.removeprefix("problem: ") for line in lines if line.startswith("problem: ")]
    assert [p[:58] for p in problems] == [
        "no row between 2025-06-21T00:30:00+00:00 and 2025-06-21T01",
        "column 'a_kw' is -2 in data row 2; values >= 0 are accepte",
        "column 'b_kw' is 'x' at 2025-06-21T00:15:00+00:00 (data ro",
    ]


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        ("time,a_kw\nmonday,1\ntuesday,2\n", (), "time 'monday' in data row 1 is not a time stamp"),
        ("a_kw,time\n1,2025-06-21\n2,2025-06-22\n", (), "the first column is 'a_kw'"),
        ("time;a_kw\n2025-06-21;1,5\n2025-06-22;2.5\n", (), "has a decimal comma"),
        ("time,a_kw\n2025-06-21,1\n2025-06-22,2\n", ("--timezone", "X"), "timezone is 'X'; an IA"),
        (None, (), "no such file; an existing .csv, .tsv, .txt or .parquet is accepted"),
    ],
)
def test_a_file_that_cannot_be_read_ends_with_status_2(
    command, tmp_path, content, arguments, message
):
    path = tmp_path / "x.csv"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    outcome = command("profiles", str(path), *arguments)
    assert outcome.status == 2
    assert outcome.stderr.startswith(f"stackelgrid: {path}: ")
    assert message in outcome.stderr
    assert (outcome.stdout, outcome.stderr.count("\n")) == ("", 1)


def test_a_scenario_states_zone_use_coverage_and_names(write_scenario, command, tmp_path):
    index = pd.date_range("2025-06-21T11:00", periods=11, freq="15min")
    loads = pd.DataFrame({f"load {i}_kw": 10.0 for i in range(32)}, index=index)
    loads.to_csv(tmp_path / "loads.csv", sep="\t", decimal=",")

    def change(data):
        data["grids"][0]["loads"] = {"file": "loads.csv"}

    scenario = str(write_scenario(change=change))
    arguments = ("profiles", str(tmp_path / "loads.csv"), "--scenario", scenario, "--json")
    found = json.loads(command(*arguments).stdout)
    assert found["used_by"] == ["grids.mv1.loads.file"]
    assert (found["timezone"], found["separator"], found["problems"]) == (BERLIN, "tab", [])
    for frame, problem in (
        (loads.iloc[:-1], "to 2025-06-21T11:30:00+00:00; 2025-06-21T09:00:00+00:00 to 2025-06-2"),
        (loads.drop(columns="load 7_kw"), "column 'load 7_factor' is missing; one of"),
    ):
        frame.to_csv(tmp_path / "loads.csv")
        (text,) = json.loads(command(*arguments).stdout)["problems"]
        assert "grids.mv1.loads.file" in text
        assert problem in text


def test_trips_and_forecasts_are_recognised(tmp_path):
    path = tmp_path / "trips.csv"
    path.write_text(
        "vehicle;departure;arrival;energy_kwh\nvehicle 7;21.06.2025 12:30;21.06.2025 14:00;8,5\n"
        "vehicle 13;21.06.2025 13:15;21.06.2025 18:45;21,5\n",
        encoding="utf-8",
    )
    found = sg.describe_profiles(path, timezone=BERLIN)
    assert (found.kind, found.rows, found.decimal) == ("trips", 2, ",")
    assert found.first == "2025-06-21T12:30:00+02:00"
    assert found.last == "2025-06-21T18:45:00+02:00"
    assert [c.mean for c in found.columns] == [None, 15.0]


def test_frames_in_memory_are_described(autumn):
    ends = pd.date_range("2025-06-21T00:15", periods=96, freq="15min", name="Zeit")
    frame = pd.DataFrame({"a_mw": 0.5, "a_mvar": -0.1}, index=ends)
    found = sg.describe_profiles(frame, timezone=BERLIN)
    assert (found.file, found.separator) == ("frame in memory", None)
    assert (found.columns[0].energy_mwh, found.columns[1].min) == (12.0, -0.1)
    (note,) = found.notes
    assert note.startswith("rows begin at 00:15 and end with one at 00:00: if stamps are ends of ")
    named = sg.describe_profiles(frame.rename_axis("time_end"), timezone=BERLIN)
    assert (named.edges, named.notes) == ("right", ())
    assert named.end == "2025-06-22T00:00:00+02:00"


@pytest.mark.parametrize("kind", ["string", "category", object])
def test_frames_with_stamps_of_other_types(kind):
    texts = pd.date_range("2025-10-26", periods=25, freq="60min", tz=BERLIN)
    stamps = pd.Series(texts.strftime("%d.%m.%Y %H:%M")).astype(kind)
    found = sg.describe_profiles(pd.DataFrame({"Datum": stamps, 7: 1}), timezone=BERLIN)
    assert (found.step_min, found.problems) == (60.0, ())
    assert [(c.column, c.mean) for c in found.columns] == [("7", 1.0)]
    with pytest.raises(sg.StackelgridError, match=r"^frame in memory: the first column"):
        sg.describe_profiles(pd.DataFrame({"a_kw": [1.0, 2.0]}))
