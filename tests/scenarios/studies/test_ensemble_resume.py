"""A directory of an ensemble goes on as what it was begun as, or is refused by what differs."""

import json
import shutil
from importlib.metadata import version

import pytest
import tomli_w

from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.run.state import file_digests
from stackelgrid.scenarios.schema.load import load_scenario
from stackelgrid.scenarios.studies.begun import begun_ensemble as begun
from stackelgrid.scenarios.studies.ensemble_design import ensemble_begun
from stackelgrid.simulators.results.manifest import ManifestWriter

SECTIONS = {
    "deviations": {"load": {"std": 0.2}, "correlation_sites": "matrix.csv"},
    "ensemble": {"sizes": {"small": {"members": 2}, "full": {"members": 4, "intervals": 1}}},
}


@pytest.fixture
def path(write_scenario, tmp_path):
    (tmp_path / "matrix.csv").write_text("name,mv1\nmv1,1\n", encoding="utf-8")
    return write_scenario(change=lambda data: data.update(SECTIONS))


@pytest.fixture
def directory(path, tmp_path):
    """What an ensemble of size `small` leaves that ends before its first run."""
    content = load_scenario(str(path)).resolved()
    out = tmp_path / "out"
    out.mkdir()
    (out / "scenario.toml").write_text(tomli_w.dumps(content), encoding="utf-8")
    summary = {
        "version": version("stackelgrid"), "status": "interrupted", "size": "small", "members": 3,
        "intervals": 2, "runs_planned": 6, "wall_s": 1.5, "folder": str(tmp_path),
        "files": file_digests(content),
    }  # fmt: skip
    assert len(summary["files"]) == 1
    ManifestWriter(out).begin(["scenario.toml"])
    (out / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    return out


def change(directory, **values):
    path = directory / "summary.json"
    summary = json.loads(path.read_text(encoding="utf-8")) | values
    path.write_text(json.dumps(summary), encoding="utf-8")


def refused(*arguments):
    with pytest.raises(ScenarioError) as told:
        begun(*arguments)
    assert "\n" not in str(told.value)
    return str(told.value)


def test_an_ensemble_goes_on_with_its_size_and_members(directory, path, tmp_path):
    found = begun(directory, load_scenario(str(path)))
    assert not found.done
    assert found.loaded.folder == tmp_path
    wanted = ensemble_begun(found)
    assert (wanted.size, wanted.members, wanted.intervals) == ("small", 3, 2)
    assert ensemble_begun(found, members=9).members == 9


def test_a_size_with_other_intervals_is_refused(directory):
    """Runs of two intervals and of one make no mean."""
    said = "holds runs of 2 intervals, those of size full have 1"
    with pytest.raises(ScenarioError, match=said):
        ensemble_begun(begun(directory), "full")


def test_another_version_is_refused_before_its_scenario_is_read(directory):
    """What another version has written need not be valid for this one."""
    change(directory, version="0.0.1")
    (directory / "scenario.toml").write_text("colour = 'blue'\n", encoding="utf-8")
    assert "has version '0.0.1', this is" in refused(directory)


def test_a_scenario_that_is_none_is_refused_in_one_line(directory):
    (directory / "scenario.toml").write_text("colour = 'blue'\n", encoding="utf-8")
    assert str(directory / "scenario.toml") in refused(directory)


def test_another_scenario_is_refused_by_the_first_difference(directory, path):
    other = load_scenario(str(path), ["deviations.load.std=0.3"])
    assert "deviations.load.std is 0.2 in the saved run and 0.3 asked" in refused(directory, other)


def test_changed_and_lost_files_are_refused(directory, tmp_path):
    (tmp_path / "matrix.csv").write_text("name,mv1\nmv1,1.0\n", encoding="utf-8")
    assert f"{tmp_path / 'matrix.csv'} has changed" in refused(directory)
    (tmp_path / "matrix.csv").unlink()
    assert f"{tmp_path / 'matrix.csv'} is missing" in refused(directory)


@pytest.mark.parametrize("content", ["", "{}", '{"status": "done", "intervals_planned": 4}'])
def test_what_is_no_ensemble_is_refused(directory, content):
    (directory / "summary.json").write_text(content, encoding="utf-8")
    assert "holds no ensemble" in refused(directory)


@pytest.fixture
def member(directory):
    """A run of the ensemble that has ended, a file that stands for its tables."""
    folder = directory / "ensemble" / "error_level=0.5" / "scheme=bottom_up" / "variant=scenario"
    member = folder / "member=0"
    member.mkdir(parents=True)
    (member / "bus.parquet").write_bytes(b"rows")
    ManifestWriter(member).begin(["bus.parquet"])
    name = (member / "manifest.jsonl").relative_to(directory).as_posix()
    ManifestWriter(directory).begin(["scenario.toml", name])
    begun(directory)
    return member


def test_a_damaged_run_of_the_ensemble_is_named(directory, member):
    (member / "bus.parquet").write_bytes(b"ROWS")
    said = refused(directory)
    assert f"{member / 'bus.parquet'}: is not what was written" in said
    assert "remove the folder of that run, and it is run again" in said
    (member / "bus.parquet").unlink()
    assert f"{member / 'bus.parquet'}: is missing" in refused(directory)


def test_a_run_of_another_ensemble_is_named(directory, member):
    (member / "bus.parquet").write_bytes(b"other")
    ManifestWriter(member).begin(["bus.parquet"])
    assert f"{member / 'manifest.jsonl'}: is not what was written" in refused(directory)


def test_a_removed_run_is_run_again(directory, member):
    shutil.rmtree(member)
    assert not begun(directory).done


def test_a_link_in_an_ensemble_is_refused(directory, member, tmp_path):
    (directory / "unfinished").symlink_to(tmp_path)
    assert f"{directory / 'unfinished'}: is a symbolic link" in refused(directory)
