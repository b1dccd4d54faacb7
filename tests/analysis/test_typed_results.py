"""Types of results: declared keys are those of the files, and a user's script is checked."""

import pytest
from support.typed_summary import mismatches

from stackelgrid.analysis import Run
from stackelgrid.analysis.results.record import TABLES
from stackelgrid.analysis.results.summaries import RunSummary

SCRIPT = """
import pandas as pd

import stackelgrid as sg


def key_figures(run: sg.Run) -> tuple[float | None, int, str]:
    frame: pd.DataFrame = run.interval
    nominal: pd.DataFrame = run.query("select * from network")
    level: str = run.grids["lv1"].level
    before: sg.Run | None = run.baseline
    baseline = run.summary["baseline"]
    reason: str = "" if baseline is None else baseline["reason"]
    print(frame, nominal, before, reason)
    return run.summary["cost_eur"]["total"], run.summary["certificate"]["exact"], level


def studies() -> tuple[int, str, list[str]]:
    sg.validate("quick", set={"time.intervals": 1}, explain=True)
    sweep = sg.exactness("quick", size="small")
    points: pd.DataFrame = sweep.tables.points
    ensemble = sg.ensemble("quick", members=2)
    comparison = sg.compare("quick", schemes=["bottom_up"])
    print(points, comparison.comparison.failed())
    return sweep.summary["exact"], comparison.summary["pricing"], ensemble.summary["schemes"]


figures = key_figures(sg.run(sg.Scenario(extends="quick"), out="runs/typed", report=False))
"""
WRONG = """
import stackelgrid as sg

run = sg.run(5)
run.summary["cost"]
run.summary["cost_eur"]["totl"]
run.nothing
total: float = run.summary["cost_eur"]["total"]
sg.run("quick", ouput="runs")
"""


@pytest.mark.parametrize("name", ["quick", "three_levels"])
def test_the_declared_keys_are_those_of_a_run(name, request):
    run = Run(request.getfixturevalue(name).directory)
    assert mismatches(run.summary, RunSummary) == []


def test_other_keys_and_types_are_found(quick):
    summary = dict(Run(quick.directory).summary)
    assert mismatches(summary | {"seed": "3"}, RunSummary) == ["summary.seed: is str, not int"]
    assert mismatches(summary | {"more": 1}, RunSummary) == ["summary.more: is not declared"]
    del summary["solver"]
    assert mismatches(summary, RunSummary) == ["summary.solver: is missing"]


def test_every_table_is_a_typed_attribute():
    declared = {name for kind in Run.__mro__ for name in vars(kind).get("__annotations__", {})}
    assert declared >= set(TABLES)


@pytest.mark.slow
def test_a_users_script_is_checked_strictly(tmp_path, monkeypatch):
    from mypy import api

    monkeypatch.chdir(tmp_path)
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    (tmp_path / "wrong.py").write_text(WRONG, encoding="utf-8")
    options = ["--strict", "--no-error-summary", "--cache-dir", str(tmp_path / "cache")]
    printed, errors, status = api.run([*options, "script.py"])
    assert (printed, errors, status) == ("", "", 0)
    printed, _, status = api.run([*options, "wrong.py"])
    assert status == 1
    lines = [line.split(":", 2)[1] for line in printed.splitlines() if ": error:" in line]
    assert [int(line) for line in lines] == [4, 5, 6, 7, 8, 9]
