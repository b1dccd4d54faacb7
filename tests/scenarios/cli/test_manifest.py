"""A run directory knows what it holds: whatever was damaged is named, by every verb."""

import json
import os
import shutil

import pytest

from stackelgrid.analysis.report.run import write_run_report
from stackelgrid.analysis.results.errors import ResultsError
from stackelgrid.analysis.run import Run
from stackelgrid.analysis.view.data import LiveRun
from stackelgrid.profiles.errors import StackelgridError
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.run.resume import resumable, resume_run
from stackelgrid.scenarios.run.run import run_scenario
from stackelgrid.scenarios.schema.load import load_scenario
from stackelgrid.simulators.results.manifest import FILE, Manifest


@pytest.fixture(scope="module")
def runs(texts, tmp_path_factory):
    """Directories of a run that was interrupted after two of three intervals, and of a whole."""
    folder = tmp_path_factory.mktemp("held")
    path = folder / "scenario.toml"
    path.write_text(texts["feeder"].replace("intervals = 2", "intervals = 3"), encoding="utf-8")

    def stop(told):
        if told.intervals_done == 2:
            shutil.copytree(folder / "whole", folder / "interrupted")

    run_scenario(load_scenario(str(path)), folder / "whole", stop)
    return {"interrupted": folder / "interrupted", "whole": folder / "whole"}


@pytest.fixture
def copy_of(runs, tmp_path):
    """Copy of a directory, to be damaged."""
    return lambda name: shutil.copytree(runs[name], tmp_path / "run")


def _delete(path):
    path.unlink()


def _swap(path):
    other = path.with_name(
        "part-000001.parquet" if path.stem == "part-000000" else "part-000000.parquet"
    )
    other = other if other != path and other.exists() else path.with_name("interval.parquet")
    spare = path.with_name("spare")
    path.rename(spare)
    other.rename(path)
    spare.rename(other)


def _folder(path):
    path.unlink()
    path.mkdir()


def _cut(path):
    path.write_bytes(path.read_bytes()[:-20])


def _flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _append(path):
    with path.open("ab") as file:
        file.write(b"garbage")


DAMAGE = {
    "deleted": (_delete, "is missing"),
    "swapped": (_swap, "holds the content of "),
    "replaced by a folder": (_folder, "is a folder"),
    "cut": (_cut, "bytes, "),
    "one bit flipped": (_flip, "is not what was written"),
    "garbage appended": (_append, "bytes, "),
}
VERBS = {
    "resume": resumable,
    "report": write_run_report,
    "view": LiveRun,
    "export and Run": Run,
}
PARTS = ("boundary/part-000001.parquet", "bus/part-000000.parquet")
OTHERS = ("grids/mv1.json", "network.parquet")
MATRIX = [
    *((file, how) for file in PARTS for how in DAMAGE),
    *((file, how) for file in OTHERS for how in DAMAGE if how != "swapped"),
]


@pytest.mark.parametrize(("file", "how"), MATRIX)
def test_damaged_file_of_an_interrupted_run_is_named(file, how, copy_of):
    directory = copy_of("interrupted")
    if not (directory / file).exists():
        file = file.replace("boundary", "device")  # a single grid has no boundary
    damage, words = DAMAGE[how]
    damage(directory / file)
    named = {file, file.replace("000001", "000000"), file.replace("000000", "000001")}
    for verb, look in VERBS.items():
        with pytest.raises(StackelgridError) as caught:
            look(directory)
        text = str(caught.value)
        assert words in text, (verb, text)
        assert "\n" not in text
        assert any(
            str(directory / name) in text for name in (named if how == "swapped" else [file])
        )


@pytest.mark.parametrize("file", ["bus.parquet", "network.parquet", "grids/mv1.json"])
@pytest.mark.parametrize("how", DAMAGE)
def test_damaged_file_of_a_finished_run_is_named(file, how, copy_of):
    if how == "swapped" and file != "bus.parquet":
        pytest.skip("nothing to swap with")
    directory = copy_of("whole")
    damage, words = DAMAGE[how]
    damage(directory / file)
    for look in VERBS.values():
        with pytest.raises(StackelgridError, match=words) as caught:
            look(directory)
        assert str(directory / file) in str(caught.value) or how == "swapped"


@pytest.mark.parametrize("verb", ["run", "report", "export"])
def test_commands_end_with_status_2_and_one_line(verb, copy_of, command, tmp_path):
    directory = copy_of("interrupted")
    (directory / "bus" / "part-000001.parquet").unlink()
    options = {
        "run": ["--resume", directory],
        "report": [directory],
        "export": [directory, "--format", "csv", "--out", tmp_path / "csv"],
    }
    outcome = command(verb, *options[verb])
    assert outcome.status == 2
    (line,) = outcome.stderr.splitlines()
    assert "bus/part-000001.parquet: is missing" in line
    assert not (tmp_path / "csv").exists()


def test_foreign_part_is_named(copy_of):
    directory = copy_of("interrupted")
    shutil.copy(directory / "bus" / "part-000000.parquet", directory / "bus" / "part-x.parquet")
    with pytest.raises(ResultsError, match=r"part-x\.parquet: is not listed"):
        Run(directory)
    shutil.copy(directory / "bus" / "part-000000.parquet", directory / "trade.parquet")
    (directory / "bus" / "part-x.parquet").unlink()
    with pytest.raises(ResultsError, match=r"trade\.parquet: is not listed"):
        Run(directory)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text[: text.index(b"\n") + 1], "lists 0 of 2 intervals"),
        (lambda text: b"", "has no first line"),
        (lambda text: text.replace(b'"bytes"', b'"byte"', 1), "is damaged"),
        (lambda text: text.replace(b"network.parquet", b"../other.parquet"), "is not a file of"),
    ],
)
def test_damaged_manifest_is_named(change, words, copy_of):
    directory = copy_of("interrupted")
    path = directory / FILE
    path.write_bytes(change(path.read_bytes()))
    for look in VERBS.values():
        with pytest.raises(StackelgridError, match=words):
            look(directory)


def test_lost_manifest_is_named(copy_of):
    directory = copy_of("interrupted")
    (directory / FILE).unlink()
    for look in VERBS.values():
        with pytest.raises(StackelgridError, match=f"{FILE}:? is missing"):
            look(directory)


def test_directory_of_version_0_1_is_read_with_a_notice(copy_of, command):
    directory = copy_of("whole")
    (directory / FILE).unlink()
    summary = json.loads((directory / "summary.json").read_text())
    del summary["manifest"]
    (directory / "summary.json").write_text(json.dumps(summary))
    assert set(Run(directory).bus["interval"]) == {0, 1, 2}
    outcome = command("report", directory)
    assert outcome.status == 0
    assert outcome.stderr == (
        f"{directory} has no {FILE} (version 0.1 wrote none): its files are not checked\n"
    )


def test_torn_last_line_and_parts_of_a_killed_interval_do_not_count(copy_of):
    """A kill may come between any two of: parts, their line, the state."""
    directory = copy_of("interrupted")
    for table in ("bus", "interval"):
        part = directory / table / "part-000001.parquet"
        shutil.copy(part, part.with_name("part-000002.parquet"))
        shutil.copy(part, part.with_name("part-000002.parquet.tmp"))
    with (directory / FILE).open("ab") as file:
        file.write(b'{"part": 2, "files": {"bus/part-0000')
    run = Run(directory)
    assert len(run.bus) == len(run.bus.drop_duplicates(["interval", "grid", "bus"]))
    assert set(run.bus["interval"]) == {0, 1}
    assert resume_run(resumable(directory)).summary["manifest"] == FILE
    assert set(Run(directory).bus["interval"]) == {0, 1, 2}


@pytest.mark.parametrize(("change", "words"), [(_delete, "is missing"), (_cut, "bytes, ")])
def test_a_log_that_lost_lines_is_named(change, words, copy_of):
    directory = copy_of("interrupted")
    change(directory / "log.jsonl")
    with pytest.raises(ScenarioError, match=rf"log\.jsonl: .*{words}"):
        resume_run(resumable(directory))


def test_listed_interval_without_a_state_is_computed_again(copy_of, runs):
    """A kill between the line of an interval and its state: the line is taken back."""
    directory = copy_of("interrupted")
    manifest = Manifest(directory)
    manifest.read()
    line = {"part": 2, "files": {"bus/part-000002.parquet": {"bytes": 1, "sha256": "lost"}}}
    with (directory / FILE).open("ab") as file:
        file.write(json.dumps(line).encode() + b"\n")
    resume_run(resumable(directory))
    assert Run(directory).bus.equals(Run(runs["whole"]).bus)


def test_manifest_of_a_finished_run_lists_rows(runs):
    manifest = Manifest(runs["whole"])
    manifest.read()
    run = Run(runs["whole"])
    assert manifest.merged
    assert {t: e.rows for t, e in manifest.wholes.items()} == {
        t: len(run.table(t)) for t in manifest.wholes
    }
    assert set(manifest.base) == {
        "scenario.toml", "network.parquet", *(f"grids/{name}.json" for name in run.grids)
    }  # fmt: skip


@pytest.mark.parametrize(
    ("keys", "value", "words"),
    [
        (("cost_eur", "total"), "much", r"cost_eur\.total: expected `float \| null`, got `str`"),
        (("intervals_done",), "three", "intervals_done: expected `int`"),
        (("solver",), [1], "solver: expected `object"),
        (("stored_energy",), [1], "stored_energy: expected `object"),
        (("stored_energy", "end_mwh"), "full", "stored_energy.end_mwh: expected `float`"),
        (("cost_eur", "total_corrected"), [1], r"cost_eur\.total_corrected: expected `float"),
        (("certificate", "exact"), -1, "certificate.exact: expected `int` >= 0"),
        (("wall_s",), None, "wall_s: expected `float`"),
    ],
)
def test_summary_of_the_wrong_shape_is_one_line(keys, value, words, copy_of):
    directory = copy_of("whole")
    summary = json.loads((directory / "summary.json").read_text())
    place = summary
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    (directory / "summary.json").write_text(json.dumps(summary))
    for look in (Run, write_run_report, LiveRun):
        with pytest.raises(ResultsError, match=words):
            look(directory)


TREE = """
[time]
start = 2025-06-20
timezone = "Europe/Berlin"
intervals = 3
interval_min = 15
"""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("grids = [1, 2]" + TREE, r"grids\[0\]: expected `object`, got `int`"),
        ("grids = []" + TREE, "grids: expected `array` of length >= 1"),
        (
            TREE + '[[grids]]\nname = "a"\nlevel = "mv"\nparent = "b"\n'
            '[[grids]]\nname = "b"\nlevel = "lv"\nparent = "a"\n',
            "grid a is its own ancestor",
        ),
        (
            TREE + '[[grids]]\nname = "a"\nlevel = "mv"\nmultiplicity = "two"\n',
            r"multiplicity: expected `int`, got `str`",
        ),
        (TREE + '[[grids]]\nname = "../../a"\nlevel = "mv"\n', "cannot be the name of a file"),
        (TREE + '[[grids]]\nname = "/tmp/a"\nlevel = "mv"\n', "cannot be the name of a file"),
        (TREE.replace("2025-06-20", '"soon"') + '[[grids]]\nname = "a"\nlevel = "mv"\n',
         "time.start = 'soon'"),
    ],
)  # fmt: skip
def test_scenario_of_the_wrong_shape_is_one_line(text, words, copy_of, command, tmp_path):
    """Also in a directory without a manifest: nothing is written outside by an export."""
    directory = copy_of("whole")
    (directory / FILE).unlink()
    summary = json.loads((directory / "summary.json").read_text())
    del summary["manifest"]
    (directory / "summary.json").write_text(json.dumps(summary))
    (directory / "scenario.toml").write_text(text, encoding="utf-8")
    for look in (Run, write_run_report, LiveRun):
        with pytest.raises(ResultsError, match=words):
            look(directory)
    before = sorted(tmp_path.iterdir())
    outcome = command(
        "export", directory, "--format", "pandapower", "--out", tmp_path / "deep" / "er"
    )
    assert outcome.status == 2
    assert len(outcome.stderr.splitlines()) == 1
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="needs symbolic links")
@pytest.mark.parametrize("name", ["log.jsonl", "bus", "summary.json.tmp", "grids", FILE])
def test_resumed_run_writes_through_no_link(name, copy_of, tmp_path):
    directory = copy_of("interrupted")
    path, outside = directory / name, tmp_path / "outside"
    if path.exists():
        path.rename(outside)
    else:
        outside.write_text("mine")
    path.symlink_to(outside)
    before = outside.read_bytes() if outside.is_file() else sorted(outside.iterdir())
    with pytest.raises(StackelgridError, match=f"{name}: is a symbolic link"):
        resumable(directory)
    assert before == (outside.read_bytes() if outside.is_file() else sorted(outside.iterdir()))


@pytest.mark.parametrize("name", ["report.html", "report.html.tmp"])
def test_report_replaces_a_link(name, copy_of, tmp_path):
    directory, outside = copy_of("whole"), tmp_path / "outside"
    outside.write_text("mine")
    (directory / name).unlink(missing_ok=True)
    (directory / name).symlink_to(outside)
    path = write_run_report(directory)
    assert outside.read_text() == "mine"
    assert path.is_file()
    assert not path.is_symlink()
    assert not (directory / "report.html.tmp").exists()
