"""A manifest is read while it grows and while it is replaced."""

import pytest

from stackelgrid.profiles.errors import StackelgridError
from stackelgrid.simulators.results.manifest import (
    FILE,
    Manifest,
    ManifestError,
    ManifestWriter,
    entry_of,
)
from stackelgrid.simulators.results.whole_file import appending, own_folder, whole_file


def part(directory, number, text="rows"):
    path = directory / "bus" / f"part-{number:06d}.parquet"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{text} {number}")
    return {f"bus/{path.name}": entry_of(path, rows=1)}


@pytest.fixture
def writer(tmp_path):
    (tmp_path / "scenario.toml").write_text("name")
    writer = ManifestWriter(tmp_path)
    writer.begin(["scenario.toml"])
    for k in range(3):
        writer.add(k, part(tmp_path, k), durable=False)
    return writer


@pytest.fixture
def seen(writer, tmp_path):
    """A manifest that has been read up to the third interval."""
    seen = Manifest(tmp_path)
    seen.check(("bus",), done=3)
    return seen


def test_interval_is_read_on(seen, writer, tmp_path):
    writer.add(3, part(tmp_path, 3), durable=True)
    seen.check(("bus",), done=4)
    assert seen.done == 4
    with pytest.raises(ManifestError, match="lists 4 of 5 intervals"):
        seen.check(("bus",), done=5)


def test_line_without_its_end_does_not_count_yet(seen, writer, tmp_path):
    path = tmp_path / FILE
    before = path.read_bytes()
    writer.add(3, part(tmp_path, 3), durable=True)
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    seen.check(("bus",), done=3)
    assert seen.done == 3
    path.write_bytes(whole)
    seen.check(("bus",), done=4)
    assert len(before) < len(whole)


def test_run_that_went_back_is_followed_back(seen, writer, tmp_path):
    writer.keep_before(1)
    for k in (1, 2):
        (tmp_path / "bus" / f"part-{k:06d}.parquet").unlink()
    seen.check(("bus",), done=1)
    assert seen.done == 1
    for k in (1, 2):
        writer.add(k, part(tmp_path, k, "others"), durable=False)
    seen.check(("bus",), done=3)


def test_parts_may_be_merged_while_they_are_looked_at(seen, writer, tmp_path):
    whole = tmp_path / "bus.parquet"
    with whole_file(whole) as unfinished:
        unfinished.write_text("all rows")
        writer.whole("bus", entry_of(unfinished, rows=3))
        seen.check(("bus",), done=3)  # listed, and not yet in the place of the parts
    seen.check(("bus",), done=3)
    for k in range(3):
        (tmp_path / "bus" / f"part-{k:06d}.parquet").unlink()
    Manifest(tmp_path).check(("bus",), done=3)
    writer.settle()
    seen.check(("bus",), done=3)
    assert seen.merged
    whole.unlink()
    with pytest.raises(ManifestError, match=r"bus\.parquet: is missing"):
        Manifest(tmp_path).check(("bus",), done=3)


def test_lost_part_is_named_before_and_after_its_whole_is_listed(writer, tmp_path):
    lost = tmp_path / "bus" / "part-000001.parquet"
    lost.unlink()
    for _ in range(2):
        with pytest.raises(ManifestError, match=r"part-000001\.parquet: is missing"):
            Manifest(tmp_path).check(("bus",), done=3)
        writer.whole("bus", entry_of(tmp_path / "scenario.toml"))


def test_what_an_interval_left_that_was_killed_does_not_count(seen, tmp_path):
    part(tmp_path, 3)
    seen.check(("bus",), done=3)
    Manifest(tmp_path).check(("bus",), done=3, before=3)


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/../../x", "a//b", "", ".", "a\\nb"])
def test_names_lead_nowhere_else(name, writer, tmp_path):
    with (tmp_path / FILE).open("a") as file:
        file.write(f'{{"part": 3, "files": {{"{name}": {{"bytes": 1, "sha256": ""}}}}}}\n')
    with pytest.raises(ManifestError, match="is not a file of a directory of results"):
        Manifest(tmp_path).check()


def test_nothing_is_written_through_a_link(tmp_path):
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    outside.write_text("mine")
    inside.mkdir()
    for name in ("a", "b.tmp", "log"):
        (inside / name).symlink_to(outside)
    for name in ("a", "b"):
        with whole_file(inside / name) as unfinished:
            unfinished.write_text("theirs")
        assert (inside / name).read_text() == "theirs"
        assert not (inside / name).is_symlink()
    with pytest.raises(OSError, match="symbolic link"), appending(inside / "log"):
        pass
    (inside / "folder").symlink_to(tmp_path)
    with pytest.raises(StackelgridError, match="folder: is a symbolic link"):
        own_folder(inside / "folder")
    assert outside.read_text() == "mine"
