"""Data of the page of a run: values, and updates while the run goes on."""

import base64
import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.run_cases import SMALL, RecordedRun

from stackelgrid.analysis.results.errors import ResultsError
from stackelgrid.analysis.view.data import LiveRun
from stackelgrid.analysis.view.series import series
from stackelgrid.analysis.view.source import Element


def matrix(text, rows):
    return np.frombuffer(base64.b64decode(text), dtype="<f4").reshape(rows, -1)


@pytest.fixture
def recorded(tmp_path):
    return RecordedRun(tmp_path / "run", SMALL, 6)


def test_chunk_holds_the_voltages_of_the_table_in_the_order_of_the_geometry(recorded):
    live = LiveRun(recorded.record(4).directory)
    chunk = live.chunk(1)
    assert (chunk.first, chunk.done) == (1, 4)
    vm = matrix(chunk.vm_pu, 3)
    order = [(g.name, bus) for g in live.grids for bus in g.bus]
    assert len(order) == 32 == vm.shape[1]
    expected = [[recorded.vm_pu(k, *element) for element in order] for k in (1, 2, 3)]
    np.testing.assert_allclose(vm, expected, rtol=1e-7)
    loading = matrix(chunk.loading_percent, 3)
    branches = [(g.name, line) for g in live.grids for _, line in g.branch]
    expected = [[recorded.loading_percent(k, *b) for b in branches] for k in (1, 2, 3)]
    np.testing.assert_allclose(loading, expected, rtol=1e-6)


def test_chunk_holds_certificates_and_exchanges_in_the_order_of_the_grids(tmp_path):
    changes = {
        ("interval", "tn", 2): {"lower_p_mw": 7.5, "level": "transmission"},
        ("interval", "lv1", 1): {"recovery": "curtailed PV", "p_import_mw": -0.25},
    }
    case = RecordedRun(tmp_path / "run", SMALL, 4, changes=changes).record(3)
    chunk = LiveRun(case.directory).chunk(1)
    assert chunk.states == ["11", "14"]  # numbers in verdict_states.STATES: exact, infeasible
    assert chunk.marks == [" R", " ✕"]
    exchange = matrix(chunk.exchange_mw, 2)
    # tn: into the grids below; lv1: from above
    np.testing.assert_allclose(exchange, [[np.nan, -0.25], [7.5, 0.3]], rtol=1e-6)


def test_a_growing_run_is_read_part_by_part_and_never_twice(recorded, monkeypatch):
    import pyarrow.parquet as pq

    live = LiveRun(recorded.record(3).directory)
    read, original = [], pq.read_table
    monkeypatch.setattr(pq, "read_table", lambda p, **own: read.append(p) or original(p, **own))
    assert live.update().done == 3
    assert read == []  # the summary has not changed
    recorded.record()
    assert live.update().done == 4
    assert {p.name for p in read} == {"part-000003.parquet"}
    assert sorted({p.parent.name for p in read if p.parent.name in ("bus", "trade")}) == [
        "bus", "trade"
    ]  # fmt: skip
    assert live.table("bus")["interval"].value_counts().to_dict() == dict.fromkeys(range(4), 32)


def test_what_is_read_from_parts_equals_what_is_read_after_the_merge(recorded):
    growing = LiveRun(recorded.record(5).directory)
    recorded.record(summary=False)
    recorded.finish()
    growing.update()  # the last interval comes from the merged files
    whole = LiveRun(recorded.directory)
    assert growing.chunk(0) == whole.chunk(0)
    for name in ("bus", "branch", "device", "interval", "trade"):
        assert growing.table(name).equals(whole.table(name)), name


def test_a_resumed_run_that_goes_back_is_followed_back(recorded):
    live = LiveRun(recorded.record(5).directory)
    recorded.go_back(3)
    assert live.update().done == 3
    assert live.chunk(5).first == 3
    assert live.table("bus")["interval"].max() == 2
    recorded.record(2)
    live.update()
    assert live.table("bus")["interval"].value_counts().to_dict() == dict.fromkeys(range(5), 32)


def test_another_run_in_the_same_directory_is_opened_anew(recorded, tmp_path):
    live = LiveRun(recorded.record(5).directory)
    before = live.identity
    recorded.directory.rename(tmp_path / "old")
    RecordedRun(recorded.directory, {"mv1": ("mv", None, None, 7)}, 2).record()
    progress = live.update()
    assert (progress.done, progress.planned) == (1, 2)
    assert [g.name for g in live.grids] == ["mv1"]
    assert live.identity != before


def test_a_run_before_its_first_interval_is_shown_and_then_followed(recorded):
    live = LiveRun(recorded.directory)
    assert live.update().done == 0
    assert live.chunk(0).vm_pu == ""
    recorded.record()
    live.update()
    assert matrix(live.chunk(0).vm_pu, 1).shape == (1, 32)


def test_progress_tells_time_left_and_a_run_that_has_been_killed(recorded):
    live = LiveRun(recorded.record(1).directory)
    progress = live.update()
    assert progress.status == "running"
    assert progress.left_s is None  # what came before may have been slower, or an earlier part
    recorded.record()
    progress = live.update()
    assert 0.0 < progress.left_s <= 4 * 2.0  # 2 s an interval, less what has passed
    assert progress.silent_s is None
    old = time.time() - 500.0
    os.utime(recorded.directory / "summary.json", (old, old))
    assert live.update().silent_s == pytest.approx(500.0, abs=5.0)
    recorded.finish("interrupted")
    progress = live.update()
    assert (progress.status, progress.left_s, progress.silent_s) == ("interrupted", None, None)


def test_last_warning_of_the_log_is_told_also_when_a_line_is_half_written(recorded):
    recorded.log(event="warning", interval=1, text="first")
    recorded.log(event="fallback", interval=2, reasons=["no solution", "late"])
    with (recorded.directory / "log.jsonl").open("a") as file:
        file.write('{"event": "warning", "interval": 3, "te')
    live = LiveRun(recorded.record(2).directory)
    assert live.update().warning == "interval 2: the last schedule is kept: no solution; late"
    with (recorded.directory / "log.jsonl").open("a") as file:
        file.write('xt": "whole"}\n')
    recorded.record()
    assert live.update().warning == "interval 3: whole"


def test_lines_of_a_log_that_are_no_event_are_left_out(recorded):
    recorded.log(event="warning", interval=1, text="first")
    with (recorded.directory / "log.jsonl").open("a") as file:
        file.write('{"event": "fallback", "in{"event": "warning", "interval": 1, "text": "new"}\n')
        file.write('["event", "fallback", "event": "warning"]\n')
        file.write('[{"event": "warning"}]\n')
    live = LiveRun(recorded.record(2).directory)
    assert live.update().warning == "interval 1: first"
    recorded.log(event="warning", text="no report was written")
    recorded.record()
    assert live.update().warning == "no report was written"


def test_log_that_was_cut_and_has_grown_again_is_read_anew(recorded):
    log = recorded.directory / "log.jsonl"
    recorded.log(event="solve", interval=0)
    recorded.log(event="warning", interval=1, text="before the cut")
    live = LiveRun(recorded.record(2).directory)
    assert live.update().warning == "interval 1: before the cut"
    log.write_text("")
    recorded.log(event="warning", interval=1, text="after the cut, and longer than before " * 3)
    recorded.log(event="solve", interval=1)
    recorded.record()
    assert live.update().warning.startswith("interval 1: after the cut")


def test_a_part_that_cannot_be_read_is_a_line_on_the_page_and_mended_later(recorded):
    live = LiveRun(recorded.record(2).directory)
    recorded.record(summary=False)
    part = recorded.directory / "bus" / "part-000002.parquet"
    content = part.read_bytes()
    part.write_bytes(content[:50])
    recorded.write_summary("running")
    progress = live.update()
    assert progress.problem.startswith(f"{part}: cannot be read")
    assert "\n" not in progress.problem
    assert progress.done == 2
    part.write_bytes(content)
    progress = live.update()
    assert (progress.problem, progress.done) == ("", 3)
    assert live.table("bus")["interval"].value_counts().to_dict() == dict.fromkeys(range(3), 32)


@pytest.mark.parametrize("table", ["bus", "interval"])
def test_a_run_whose_tables_are_missing_is_refused_in_one_line(recorded, table):
    recorded.record(3).finish()
    (recorded.directory / f"{table}.parquet").unlink()
    with pytest.raises(ResultsError, match=f"table {table} does not hold all of the 3") as refused:
        LiveRun(recorded.directory)
    assert "\n" not in str(refused.value)


def test_another_run_that_cannot_be_read_yet_is_a_line_on_the_page(recorded, tmp_path):
    live = LiveRun(recorded.record(2).directory)
    recorded.directory.rename(tmp_path / "old")
    other = RecordedRun(recorded.directory, {"mv1": ("mv", None, None, 7)}, 2).record()
    part = other.directory / "bus" / "part-000000.parquet"
    content = part.read_bytes()
    part.write_bytes(content[:50])
    progress = live.update()
    assert "cannot be read" in progress.problem
    assert (progress.done, live.done) == (2, 2)
    assert live.update().problem == progress.problem
    part.write_bytes(content)
    progress = live.update()
    assert (progress.problem, progress.done, progress.planned) == ("", 1, 2)


def test_a_merged_file_that_vanishes_is_a_line_on_the_page(recorded, monkeypatch):
    import pyarrow.parquet as pq

    live = LiveRun(recorded.record(2).directory)
    recorded.record(summary=False)
    recorded.finish()

    def gone(path, **_):
        raise FileNotFoundError(path)

    with monkeypatch.context() as patched:
        patched.setattr(pq, "read_table", gone)
        assert "bus.parquet: has vanished" in live.update().problem
    assert live.update().problem == ""


def test_a_directory_that_may_not_be_read_is_refused_in_one_line(recorded, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(ResultsError, match="cannot be read \\(Permission denied\\)"):
        LiveRun(recorded.directory)


def test_branches_without_a_rating_have_no_loading(tmp_path):
    ratings = {("tn", 4): np.nan, ("tn", 5): 80.0}
    changes = {
        ("branch", "tn", k): {"loading_percent": 0.0 if k else 70.0, "i_ka": 0.1} for k in (0, 1)
    }
    case = RecordedRun(tmp_path / "run", SMALL, 3, ratings=ratings, changes=changes)
    live = LiveRun(case.record(2).directory)
    loading = matrix(live.chunk(0).loading_percent, 2)
    assert np.isnan(loading[:, 4]).all()
    assert np.isnan(loading).sum() == 2
    titles = [p.title for p in series(live, Element("line", "tn", 4, "line")).panels]
    assert titles == ["flow", "current"]
    loaded = series(live, Element("line", "tn", 5, "line")).panels[0]
    assert (loaded.title, loaded.limits) == ("loading", (80.0,))


def test_a_branch_of_an_older_run_has_no_rating_where_a_current_is_no_loading(tmp_path):
    changes = {("branch", "tn", k): {"loading_percent": 0.0, "i_ka": 0.1} for k in (0, 1)}
    changes |= {("branch", "lv1", 1): {"loading_percent": 0.0, "i_ka": 0.0}}
    case = RecordedRun(tmp_path / "run", SMALL, 3, changes=changes).record(2)
    network = case.directory / "network.parquet"
    pd.read_parquet(network).drop(columns="max_loading_percent").to_parquet(network)
    live = LiveRun(case.directory)
    assert np.isnan(live.grid("tn").max_loading_percent).all()
    assert (live.grid("lv1").max_loading_percent == 100.0).all()
    assert np.isnan(matrix(live.chunk(0).loading_percent, 2)).sum() == 2 * 11


def test_the_tightest_interval_is_the_one_closest_to_a_limit(tmp_path):
    # the head of tn is far from 1 p.u., but no limit is asked of it
    changes = {
        ("bus", "tn", 1): {"vm_pu": 1.049},
        ("bus", "tn", 2): {"vm_pu": 1.0},
        ("bus", "lv1", 2): {"vm_pu": 0.955},
    }
    case = RecordedRun(tmp_path / "run", SMALL, 3, changes=changes).record(3)
    assert LiveRun(case.directory).tightest() == 1
    assert LiveRun(RecordedRun(tmp_path / "new", SMALL, 3).directory).tightest() == 0


def test_a_run_without_a_network_has_elements_but_no_maps(tmp_path):
    recorded = RecordedRun(tmp_path / "run", SMALL, 3, network=False).record(2)
    live = LiveRun(recorded.directory)
    assert [g.has_map for g in live.grids] == [False, False]
    assert [len(g.bus) for g in live.grids] == [12, 20]
    assert matrix(live.chunk(0).vm_pu, 2).shape == (2, 32)


def test_a_directory_that_is_no_run_is_refused_in_one_line(tmp_path):
    with pytest.raises(ResultsError, match="does not exist") as refused:
        LiveRun(tmp_path / "nothing")
    assert "\n" not in str(refused.value)


def test_series_are_those_of_the_tables(recorded):
    live = LiveRun(recorded.record(4).directory)
    found = series(live, Element("bus", "lv1", 7))
    assert found.title == "Bus 7 of lv1"
    voltage = found.panels[0]
    assert (voltage.unit, voltage.limits) == ("p.u.", (0.95, 1.05))
    real = next(line for line in voltage.lines if line.name == "reality")
    np.testing.assert_allclose(real.values, [recorded.vm_pu(k, "lv1", 7) for k in range(4)])

    found = series(live, Element("line", "tn", 4, "line"))
    np.testing.assert_allclose(
        found.panels[0].lines[0].values, [recorded.loading_percent(k, "tn", 4) for k in range(4)]
    )
    batteries = [d for d in live.grid("lv1").devices if d.kind == "battery"]
    assert [d.bus for d in batteries] == [5, 10, 15]
    chosen = batteries[1]
    found = series(live, Element("battery", "lv1", chosen.index, chosen.element))
    assert found.title == "battery 10 at bus 10 of lv1"
    power, charge = found.panels[:2]
    assert [line.name for line in power.lines] == ["reality"]
    np.testing.assert_allclose(power.lines[0].values, [1.0, 2.0, 3.0, 4.0])
    assert power.unit == "kW"
    np.testing.assert_allclose(
        charge.lines[0].values, [recorded.soc_percent(k, 10) for k in range(4)]
    )
    found = series(live, Element("agent", "lv1"))
    assert [p.title for p in found.panels] == [
        "import", "own devices", "boundary price", "voltage extremes"
    ]  # fmt: skip
    np.testing.assert_allclose(found.panels[0].lines[-1].values, [100.0, 200.0, 300.0, 400.0])
    assert series(live, Element("bus", "lv1", 999)).panels == ()
