"""Run directories as objects: typed, lazy, in every state that a directory can be in."""

import json
import shutil
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import get_type_hints

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tomli_w
from support.machine import in_time

from stackelgrid.analysis import Run
from stackelgrid.analysis.results.errors import ResultsError
from stackelgrid.simulators.results.grid_tables import NETWORK
from stackelgrid.simulators.results.tables import SCHEMAS, TableWriter

START = datetime(2025, 6, 20, tzinfo=UTC)
ROWS = 6
SCENARIO = {
    "name": "hand",
    "time": {"interval_min": 15, "intervals": 3},
    "grids": [
        {"name": "mv", "level": "mv", "multiplicity": 1},
        {"name": "lv", "level": "lv", "parent": "mv", "bus": 4, "multiplicity": 7},
    ],
}
DTYPES = {
    pa.int32(): "int32", pa.float64(): "float64", pa.string(): "object", pa.bool_(): "bool",
    pa.timestamp("ms", tz="UTC"): "datetime64[ms, UTC]",
}  # fmt: skip


def columns(schema, interval, rows=ROWS):
    """Values of every type that can be told apart by interval and row."""
    told = {}
    for k, field in enumerate(schema):
        number = np.arange(rows) + 100 * interval + 1000 * k
        if field.name == "interval":
            told[field.name] = np.full(rows, interval)
        elif field.name == "time":
            told[field.name] = [START + interval * timedelta(minutes=15)] * rows
        elif field.name == "grid":
            told[field.name] = ["mv", "lv"] * (rows // 2)
        elif field.type == pa.string():
            told[field.name] = [f"{n} it's" for n in number]
        else:
            told[field.name] = number % 2 == 0 if field.type == pa.bool_() else number
    return told


def write_summary(directory, done, status):
    told = {
        "scenario": "hand", "version": "0.1.0", "status": status, "intervals_planned": 3,
        "intervals_done": done,
    }  # fmt: skip
    (directory / "summary.json").write_text(json.dumps(told), encoding="utf-8")


@pytest.fixture
def going_on(tmp_path):
    """A run after two of its three intervals, and the writer of its tables."""
    directory = tmp_path / "it's a run"
    directory.mkdir()
    (directory / "scenario.toml").write_text(tomli_w.dumps(SCENARIO), encoding="utf-8")
    events = ['{"event": "start", "seed": 1}', '{"event": "fallback", "interval": 1}']
    (directory / "log.jsonl").write_text("\n".join(events) + "\n", encoding="utf-8")
    writer = TableWriter(directory)
    for interval in range(2):
        for table, schema in SCHEMAS.items():
            writer.write_part(table, interval, columns(schema, interval))
    write_summary(directory, 2, "running")
    return directory, writer


@pytest.fixture
def finished(going_on):
    directory, writer = going_on
    writer.merge()
    write_summary(directory, 2, "done")
    pq.write_table(
        pa.table(columns(NETWORK.schema, 0)).cast(NETWORK.schema), directory / "network.parquet"
    )
    return directory


def test_the_class_declares_every_table_as_a_frame():
    assert set(get_type_hints(Run)) == {*SCHEMAS, "network"}
    assert all(kind is pd.DataFrame for kind in Run.__annotations__.values())


@pytest.mark.parametrize("state", ["parts", "merged"])
def test_columns_have_the_declared_names_and_types(going_on, state):
    directory, writer = going_on
    if state == "merged":
        writer.merge()
    run = Run(directory)
    for name, schema in SCHEMAS.items():
        frame = getattr(run, name)
        assert list(frame.columns) == schema.names
        assert [str(t) for t in frame.dtypes] == [DTYPES[t] for t in schema.types], name
        assert len(frame) == 2 * ROWS
        for interval in range(2):
            own = frame[frame["interval"] == interval].reset_index(drop=True)
            for column, values in columns(schema, interval).items():
                assert list(own[column]) == list(values), (name, column)


def answer_by(monkeypatch, answer):
    """Let `answer(connection, sql)` answer the queries of a run."""

    class Connection:
        def __init__(self):
            self.real = connect()

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.real.close()

        def __getattr__(self, name):
            return getattr(self.real, name)

        def sql(self, sql):
            return answer(self.real, sql)

    connect = duckdb.connect
    monkeypatch.setattr(duckdb, "connect", Connection)


def test_a_table_without_rows_has_its_columns_and_types(going_on):
    directory, _ = going_on
    shutil.rmtree(directory / "trade")
    frame = Run(directory).trade
    assert len(frame) == 0
    assert [str(t) for t in frame.dtypes] == [DTYPES[t] for t in SCHEMAS["trade"].types]
    assert Run(directory).query("select count(*) as n from trade")["n"].tolist() == [0]


def test_nothing_is_read_before_it_is_asked_for_and_nothing_twice(finished, monkeypatch):
    asked = []
    answer_by(monkeypatch, lambda connection, sql: asked.append(sql) or connection.sql(sql))
    run = Run(finished)
    assert (run.name, run.status, run.intervals_done, run.dt_h) == ("hand", "done", 2, 0.25)
    assert list(run.grids) == ["mv", "lv"]
    assert (run.grids["lv"].parent, run.grids["lv"].bus, run.grids["lv"].multiplicity) == (
        "mv", 4, 7,
    )  # fmt: skip
    assert asked == []
    assert run.bus is run.bus
    assert run.table("bus") is run.bus
    assert asked == ['SELECT * FROM "bus"']
    assert "bus" in dir(run)
    assert "hand, done, 2/3 intervals" in repr(run)
    with pytest.raises(AttributeError, match="no attribute 'buss'"):
        _ = run.buss


def test_a_broken_table_leaves_the_others_readable(finished):
    (finished / "branch.parquet").write_bytes(b"PAR1 no more")
    run = Run(finished)
    assert len(run.bus) == 2 * ROWS
    with pytest.raises(ResultsError, match=r"branch\.parquet"):
        _ = run.branch


def test_queries_join_tables_in_utc(finished):
    run = Run(finished)
    told = run.query(
        "with high as (select grid, max(vm_pu) as vm from Bus group by grid) "
        "select grid, vm, min(time) as first from high join \"interval\" using (grid) "
        "group by all order by grid"
    )  # fmt: skip
    assert told["grid"].tolist() == ["lv", "mv"]
    position = SCHEMAS["bus"].names.index("vm_pu")
    assert told["vm"].tolist() == [1000 * position + 105, 1000 * position + 104]
    assert told["first"].tolist() == [pd.Timestamp(START)] * 2


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("select nothing from bus", 'column "nothing" not found'),
        ("select * from buses", "buses does not exist"),
        ("selec * from bus", "syntax error"),
        ("select * from here", "here does not exist"),  # no variable of Python
    ],
)
def test_a_wrong_query_is_refused_in_one_line(finished, sql, why):
    here = pd.DataFrame({"a": [1]})
    assert len(here)
    with pytest.raises(ResultsError, match=why) as refused:
        Run(finished).query(sql)
    assert "\n" not in str(refused.value)


def test_a_run_that_goes_on_is_seen_again_when_it_is_refreshed(going_on):
    directory, writer = going_on
    run = Run(directory)
    assert (run.status, len(run.bus)) == ("running", 2 * ROWS)
    writer.write_part("bus", 2, columns(SCHEMAS["bus"], 2))
    write_summary(directory, 3, "interrupted")
    assert (run.status, len(run.bus)) == ("running", 2 * ROWS)
    again = run.refreshed()
    assert (again.status, again.intervals_done, len(again.bus)) == ("interrupted", 3, 3 * ROWS)


def test_a_part_that_is_being_written_is_not_seen(going_on):
    directory, _ = going_on
    (directory / "bus" / "part-000002.tmp").write_bytes(b"PAR1 half")
    assert len(Run(directory).bus) == 2 * ROWS


@pytest.mark.parametrize("left", [0, 1])
def test_a_query_answers_in_full_while_the_parts_are_merged(going_on, monkeypatch, left):
    """The parts become one file while they are read: none is found any more, or only some."""
    directory, writer = going_on
    parts = sorted((directory / "bus").glob("*"))[:left]
    answers = []

    def merged_meanwhile(connection, sql):
        if answers:
            return connection.sql(sql)
        answers.append([pq.read_table(part) for part in parts])
        writer.merge()
        if not left:
            raise duckdb.IOException("IO Error: No files found that match the pattern")
        return connection.from_arrow(answers[0][0])

    answer_by(monkeypatch, merged_meanwhile)
    frame = Run(directory).bus
    assert len(answers) == 1
    assert frame["interval"].tolist() == [0] * ROWS + [1] * ROWS


def test_readers_never_see_a_part_of_a_table_that_is_merged(going_on):
    directory, writer = going_on
    for interval in range(2, 40):
        writer.write_part("bus", interval, columns(SCHEMAS["bus"], interval))
    run = Run(directory)
    merging = threading.Timer(0.05, writer.merge)
    merging.start()
    counts = set()
    ended = time.monotonic() + 20.0
    while merging.is_alive() and time.monotonic() < ended:
        counts |= set(run.query("select count(*) as n from bus")["n"])
    merging.join()
    counts |= set(run.query("select count(*) as n from bus")["n"])
    assert counts == {40 * ROWS}
    assert not (directory / "bus").exists()


def cut(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def foreign(directory):
    (directory / "summary.json").write_text('{"schemes": {}, "status": "done"}', encoding="utf-8")


def without_grids(directory):
    (directory / "scenario.toml").write_text('name = "x"\n[time]\n', encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (shutil.rmtree, "does not exist"),
        (lambda d: (shutil.rmtree(d), d.write_text("x")), "is a file"),
        (lambda d: (shutil.rmtree(d), d.mkdir()), "is empty"),
        (lambda d: (d / "summary.json").unlink(), "summary.json is missing"),
        (lambda d: cut(d / "summary.json"), "summary.json: cannot be read"),
        (lambda d: (d / "summary.json").write_text("[1]"), "summary.json: holds no object"),
        (lambda d: (d / "summary.json").write_bytes(b"\xff\xfe\x00"), "cannot be read"),
        (foreign, "holds a comparison of schemes, not a run; stackelgrid report"),
        (lambda d: write_summary(d, "two", "done"), "intervals_done: expected `int`, got `str`"),
        (lambda d: (d / "scenario.toml").unlink(), "scenario.toml: cannot be read"),
        (lambda d: cut(d / "scenario.toml"), "scenario.toml: "),
        (without_grids, "scenario.toml: has no time.interval_min or no grids"),
    ],
)  # fmt: skip
def test_a_directory_that_holds_no_run_is_refused_in_one_line(finished, change, why):
    change(finished)
    with pytest.raises(ResultsError, match=why) as refused:
        Run(finished)
    assert "\n" not in str(refused.value)
    assert finished.name in str(refused.value)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda path: cut(path), "bus.parquet"),
        (lambda path: path.write_bytes(b""), "bus.parquet"),
        (lambda path: path.write_bytes(b"no table at all, not at all"), "bus.parquet"),
        (
            lambda path: pq.write_table(pq.read_table(path).drop(["vm_pu"]), path),
            "table bus has no column 'vm_pu'",
        ),
        (
            lambda path: pq.write_table(
                pq.read_table(path).set_column(4, "vm_pu", pa.array(["high"] * 2 * ROWS)), path
            ),
            "table bus: ",
        ),
    ],
)
def test_a_table_that_cannot_be_read_is_refused_in_one_line(finished, change, why):
    change(finished / "bus.parquet")
    with pytest.raises(ResultsError, match=why) as refused:
        _ = Run(finished).bus
    assert "\n" not in str(refused.value)


def test_unknown_tables_grids_and_intervals_are_refused_with_those_there_are(finished):
    run = Run(finished)
    with pytest.raises(ResultsError, match="table 'buss' is unknown; accepted: boundary, branch"):
        run.table("buss")
    with pytest.raises(ResultsError, match="grid 'tn' is unknown; accepted: mv, lv"):
        run.net("tn")
    with pytest.raises(ResultsError, match="interval 2 is not on record; 0 to 1 are accepted"):
        run.net("mv", interval=2)
    with pytest.raises(ResultsError, match=r"grids/mv.json: does not exist"):
        run.net("mv")


def test_a_net_that_is_none_is_refused_in_one_line(finished):
    (finished / "grids").mkdir()
    whys = {
        '{"a": 1': "is not a pandapower JSON file",
        '{"a": 1}': "does not hold a pandapower net",
        "[]": "does not hold a pandapower net",
    }
    for content, why in whys.items():
        (finished / "grids" / "mv.json").write_text(content, encoding="utf-8")
        with pytest.raises(ResultsError, match=rf"mv.json {why}") as refused:
            Run(finished).net("mv")
        assert "\n" not in str(refused.value)


def test_the_network_is_a_table_of_runs_that_have_it(finished):
    frame = Run(finished).network
    assert [str(t) for t in frame.dtypes] == [DTYPES[t] for t in NETWORK.schema.types]
    assert frame["grid"].tolist() == ["mv", "lv"] * (ROWS // 2)
    (finished / "network.parquet").unlink()
    with pytest.raises(ResultsError, match=r"network.parquet: does not exist"):
        _ = Run(finished).network


def test_a_half_written_last_line_of_the_log_is_left_out(finished):
    log = finished / "log.jsonl"
    with log.open("a", encoding="utf-8") as file:
        file.write('{"event": "done", "timings": {"a": 1}')
    assert [e["event"] for e in Run(finished).events] == ["start", "fallback"]
    log.write_text('{"event": \n{"event": "done"}\n', encoding="utf-8")
    with pytest.raises(ResultsError, match=r"log.jsonl: line 1 is not a JSON object"):
        _ = Run(finished).events
    log.unlink()
    assert Run(finished).events == []


@pytest.mark.parametrize("state", ["going_on", "finished"])
def test_a_directory_is_no_pattern(state, request, tmp_path):
    """`a[1]` matches `a1`, `*` whatever is there: another run beside it is not read."""
    found = request.getfixturevalue(state)
    directory = found[0] if isinstance(found, tuple) else found
    for name in ("a[1]", "*"):
        strange = tmp_path / name
        shutil.copytree(directory, strange)
        other = tmp_path / "a1"
        shutil.copytree(directory, other)
        for file in (other / "bus.parquet", *(other / "bus").glob("*")):
            if file.exists():
                table = pq.read_table(file)
                pq.write_table(table.slice(0, 1), file)
        assert len(Run(strange).bus) == len(Run(directory).bus) > len(Run(other).bus)
        shutil.rmtree(other)


def test_a_day_is_opened_and_its_buses_read_within_half_a_second(finished):
    """96 intervals of 1,400 buses; the best of three tries, as other processes may run."""
    schema = SCHEMAS["bus"]
    rows, random = 96 * 1400, np.random.default_rng(1)
    told = columns(schema, 0, rows)
    told["interval"] = np.repeat(np.arange(96), 1400)
    told |= {f.name: random.random(rows) for f in schema if f.type == pa.float64()}
    pq.write_table(pa.table(told).cast(schema), finished / "bus.parquet", compression="zstd")
    spent = []
    for _ in range(3):
        started = time.perf_counter()
        assert len(Run(finished).bus) == rows
        spent.append(time.perf_counter() - started)
    assert in_time(min(spent), 0.5)


def test_errors_of_the_database_are_errors_of_results(finished, monkeypatch):
    def fail(connection, sql):
        raise duckdb.OutOfMemoryException("Out of Memory Error: could not allocate\nmore")

    answer_by(monkeypatch, fail)
    with pytest.raises(ResultsError, match=r"could not allocate$"):
        _ = Run(finished).bus
