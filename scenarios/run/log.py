"""The log of a run or study."""

import os
from pathlib import Path
from typing import Any

from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.run.json_text import json_text
from stackelgrid.simulators.results.whole_file import appending, sync

__all__ = ["RunLog"]


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
