"""Directories of studies: what they hold, and which ones are refused in one line."""

import json
import shutil

import pandas as pd
import pyarrow.parquet as pq
import pytest

from stackelgrid.analysis.comparison import PLAN
from stackelgrid.analysis.exactness.tables import table_of, write_chunk
from stackelgrid.analysis.report.kinds import is_study, study_page, write_study_report
from stackelgrid.analysis.results.errors import ResultsError
from stackelgrid.analysis.studies import read_comparison, read_ensemble, read_sweep
from stackelgrid.simulators.results.manifest import ManifestWriter

READERS = {"compared": read_comparison, "swept": read_sweep, "ensembled": read_ensemble}


def refused(directory, reader=study_page):
    with pytest.raises(ResultsError) as told:
        reader(directory)
    text = str(told.value)
    assert "\n" not in text
    assert str(directory) in text
    return text


def test_a_comparison_is_read_as_it_was_written(compared, comparison):
    study = read_comparison(compared)
    assert study.kind == "schemes"
    assert study.comparison.status == comparison.status
    pd.testing.assert_frame_equal(study.comparison.indicators, comparison.indicators)
    pd.testing.assert_frame_equal(study.comparison.exchange, comparison.exchange)


def test_qualities_are_read_as_columns_of_a_closed_loop(compared_qualities):
    study = read_comparison(compared_qualities)
    assert study.kind == "qualities"
    assert study.comparison.status["closed_loop", "deaf"] == "failed: nobody answers"
    assert study.comparison.totals("closed_loop", "extra_cost")["lossy"] == 20.0


def test_parts_of_an_unfinished_sweep_are_read(swept):
    points = pq.read_table(swept / "points.parquet")
    steps, lines = (pq.read_table(swept / f"{n}.parquet") for n in ("steps", "lines"))
    first = points.slice(0, 2)
    keep = {"points": first}
    for name, table in (("steps", steps), ("lines", lines)):
        rows = [r for r in table.to_pylist() if r["point"] < 2]
        keep[name] = table_of(name, rows)
    for name in keep:
        (swept / f"{name}.parquet").unlink()
    ManifestWriter(swept).begin()
    write_chunk(swept, 3, keep)
    with pytest.raises(ResultsError, match="table points holds 2 of 6 points"):
        read_sweep(swept)
    path = swept / "summary.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"points_done": 2}))
    study = read_sweep(swept)
    assert study.tables.points["point"].tolist() == [0, 1]
    assert len(study.tables.lines) == 8


@pytest.mark.parametrize("name", READERS)
def test_a_study_of_another_kind_is_refused(name, request):
    directory = request.getfixturevalue(name)
    assert is_study(directory)
    for other, reader in READERS.items():
        if other != name:
            assert "holds no" in refused(directory, reader)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("break_it", ["truncate", "columns", "folder"])
def test_a_broken_table_is_refused_by_its_name(name, break_it, request):
    directory = request.getfixturevalue(name)
    path = sorted(directory.glob("*.parquet"))[-1]
    content = path.read_bytes()
    if break_it == "truncate":
        path.write_bytes(content[: len(content) // 2])
    elif break_it == "columns":
        pd.DataFrame({"other": [1.0]}).to_parquet(path)
    else:
        path.unlink()
        path.mkdir()
    assert path.name in refused(directory)


@pytest.mark.parametrize("name", READERS)
def test_a_lost_table_or_key_is_named(name, request):
    directory = request.getfixturevalue(name)
    summary = json.loads((directory / "summary.json").read_text())
    del summary["version"]
    (directory / "summary.json").write_text(json.dumps(summary))
    assert "has no 'version'" in refused(directory)
    summary |= {"version": "0.1.0", "wall_s": "long"}
    (directory / "summary.json").write_text(json.dumps(summary))
    assert "wall_s: 'long'" in refused(directory)
    summary["wall_s"] = 1
    (directory / "summary.json").write_text(json.dumps(summary))
    lost = {"compared": "compare", "swept": "points", "ensembled": "kpis"}[name]
    (directory / f"{lost}.parquet").unlink()
    assert f"{lost}.parquet: is missing" in refused(directory)


def test_foreign_directories_are_refused(tmp_path, compared):
    assert "does not exist" in refused(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    assert "is empty" in refused(tmp_path / "empty")
    (compared / "summary.json").write_text('{"schemes": ["a"], "status"')
    assert "cannot be read" in refused(compared)
    (compared / "summary.json").write_text('{"tool": "another"}')
    assert "holds no comparison, sweep or ensemble" in refused(compared)
    shutil.rmtree(compared)
    compared.write_text("a file")
    assert "is a file" in refused(compared)


@pytest.mark.parametrize("content", [b"", b"PAR1 and then nothing"])
def test_a_broken_run_of_an_unfinished_ensemble_is_refused_in_one_line(ensembled, content):
    summary = json.loads((ensembled / "summary.json").read_text())
    (ensembled / "summary.json").write_text(json.dumps({**summary, "status": "interrupted"}))
    (ensembled / "scenario.toml").write_text("[time]\ninterval_min = 15\n", encoding="utf-8")
    runs = ensembled / "ensemble"
    run = runs / "error_level=1.0" / "scheme=bottom_up" / "variant=scenario" / "member=0"
    run.mkdir(parents=True)
    for table in ("interval", "indicators"):
        (run / f"{table}.parquet").write_bytes(content)
    assert f"{runs}: cannot be read (" in refused(ensembled)
    for table in ("interval", "indicators"):  # of something else
        pd.DataFrame({"other": [1.0]}).to_parquet(run / f"{table}.parquet")
    assert f"{runs}: cannot be read (" in refused(ensembled)


def test_a_run_is_no_study(tmp_path):
    (tmp_path / "summary.json").write_text('{"intervals_planned": 4, "intervals_done": 4}')
    assert not is_study(tmp_path)


def test_a_directory_that_cannot_be_written_is_named(compared):
    (compared / "report.html.tmp").mkdir()
    assert "cannot be written" in refused(compared, write_study_report)


def test_schemes_without_a_row_are_no_scheme(compared):
    study = read_comparison(compared)
    assert study.comparison.done(PLAN) == ("bottom_up", "integrated", "uncoordinated")
    assert study.comparison.totals(PLAN, "no_such").isna().all()
