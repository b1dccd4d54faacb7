"""The last warning of a growing log."""

import json
from pathlib import Path
from typing import Any

from stackelgrid.controllers.explanation import kept_schedule


class LogTail:
    """Follows log.jsonl of a running run; `warning` is empty until there is one.

    Lines that do not hold an event are left out: a full disk can cut a line, so that the next one
    continues it.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._offset = path, 0
        self.warning = ""

    def update(self) -> None:
        """Read appended lines; read all lines again if a resumed run has cut the log."""
        try:
            with self._path.open("rb") as file:
                if self._offset:  # after a line, unless the log has been cut meanwhile
                    file.seek(self._offset - 1)
                    if file.read(1) != b"\n":
                        self._offset, self.warning = 0, ""
                file.seek(self._offset)
                text = file.read()
        except OSError:
            return
        end = text.rfind(b"\n") + 1
        self._offset += end
        for line in text[:end].splitlines():
            # parse only warnings: a log holds thousands of lines on solves
            if b'"event": "warning"' in line or b'"event": "fallback"' in line:
                self._take(line)

    def _take(self, line: bytes) -> None:
        try:
            event = json.loads(line)
        except ValueError:
            return
        if not isinstance(event, dict):
            return
        text = _text(event)
        if text:
            interval = event.get("interval")
            self.warning = text if interval is None else f"interval {interval}: {text}"


def _text(event: dict[str, Any]) -> str:
    if event.get("event") == "fallback":
        return kept_schedule("; ".join(map(str, event.get("reasons", ()))))
    return str(event.get("text", "")) if event.get("event") == "warning" else ""
