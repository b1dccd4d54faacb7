"""The last warning of a log that grows."""

import json
from pathlib import Path
from typing import Any


class LogTail:
    """Follows log.jsonl of a run that goes on; `warning` is empty as long as there is none.

    Lines that are no event (a full disk cuts one short, and the next is glued to it) are left out.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._offset = path, 0
        self.warning = ""

    def update(self) -> None:
        """Read what has been appended; a log that a resumed run has cut is read anew."""
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
            # thousands of lines tell of solves: they are not worth parsing
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
        return f"last schedule kept ({'; '.join(map(str, event.get('reasons', ())))})"
    return str(event.get("text", "")) if event.get("event") == "warning" else ""
