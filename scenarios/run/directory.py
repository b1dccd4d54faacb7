"""The directory of a run or study: its lock, scenario, summary and log."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import Any

import tomli_w

from stackelgrid.profiles.errors import StackelgridError
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.simulators.results.whole_file import appending, sync, whole_file

# folder of a run or study for nets and tables that its scenario held in memory
INPUTS = "inputs"
_BEFORE_A_RUN = ("scenario.toml.tmp", INPUTS)


def check_out(out: Path) -> None:
    """Refuse a directory that is not empty or cannot be created."""
    try:
        out.lstat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:  # a name that is too long
        raise ScenarioError(f"--out {out}: cannot be written ({error.strerror})") from error
    if out.exists() and not out.is_dir():
        raise ScenarioError(f"--out {out}: is a file; a new or empty directory is accepted")
    # a run killed before it began leaves at most an incomplete scenario and its inputs
    if out.is_dir() and any(path.name not in _BEFORE_A_RUN for path in out.iterdir()):
        what = "holds a run" if (out / "summary.json").exists() else "is not empty"
        raise ScenarioError(f"--out {out}: {what}; a new or empty directory is accepted")


@contextmanager
def beginning(out: Path) -> Iterator[None]:
    """Convert errors of a directory that cannot be written at the beginning to a ScenarioError."""
    try:
        yield
    except OSError as error:
        raise ScenarioError(f"--out {out}: cannot be written ({error.strerror})") from error


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """Convert errors of a directory that cannot be written to a one-line StackelgridError."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise StackelgridError(f"{out}: cannot be written ({reason})") from error


@contextmanager
def claimed(out: Path) -> Iterator[None]:
    """Reserve a new or empty directory; refuse it if another process has begun there."""
    with beginning(out):
        out.mkdir(parents=True, exist_ok=True)
    with locked(out):
        check_out(out)
        yield


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Lock a run directory; raises ScenarioError if another process writes to it."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ScenarioError(f"{directory}: another process is running it") from error
        yield
    finally:
        os.close(handle)


def write_scenario(out: Path, content: Mapping[str, Any]) -> None:
    """Write scenario.toml atomically and durably; `content` is the resolved scenario."""
    _replace(out / "scenario.toml", tomli_w.dumps(content), durable=True)


def write_summary(out: Path, content: Mapping[str, Any], *, durable: bool = False) -> None:
    """Replace summary.json atomically, so that readers never find it incomplete."""
    _replace(out / "summary.json", json_text(content, indent=2) + "\n", durable=durable)


def _replace(path: Path, text: str, *, durable: bool) -> None:
    """Replace a file atomically; if `durable`, it survives a loss of power."""
    with whole_file(path, durable=durable) as unfinished:
        unfinished.write_text(text, encoding="utf-8")
    if durable:
        sync(path.parent)


def json_text(content: Any, indent: int | None = None) -> str:
    """Return plain data as JSON; numbers that are not finite become null."""
    return json.dumps(finite(content), indent=indent, allow_nan=False)


def finite(content: Any) -> Any:
    """Return plain data with None in place of numbers that are not finite."""
    if isinstance(content, float):
        return content if isfinite(content) else None
    if isinstance(content, Mapping):
        return {key: finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [finite(value) for value in content]
    return content


class RunLog:
    """log.jsonl: one JSON object a line."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "log.jsonl"

    def event(self, kind: str, **fields: Any) -> None:
        """Append one event."""
        with appending(self._path) as file:
            file.write(f"{json_text({'event': kind, **fields})}\n".encode())

    def sync(self) -> int:
        """Write the log to disk, safe from a loss of power; return its length in bytes."""
        sync(self._path)
        return self._path.stat().st_size

    def cut(self, length: int) -> None:
        """Cut the log to a length in bytes.

        Raises ScenarioError if it is missing or shorter.
        """
        try:
            found = self._path.stat().st_size
        except FileNotFoundError as error:
            raise ScenarioError(
                f"{self._path}: is missing; put it back, or begin in a new directory"
            ) from error
        if found < length:
            raise ScenarioError(
                f"{self._path}: has {found:,} bytes, {length:,} were written; put it back, or "
                "begin in a new directory"
            )
        os.truncate(self._path, length)
