"""Incremental reading of the tables and the log of a run that may still be running."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from stackelgrid.analysis.results.errors import ResultsError
from stackelgrid.controllers.explanation import kept_schedule
from stackelgrid.simulators.results.columns import Column, completed
from stackelgrid.simulators.results.tables import TABLES


class GrowingTable:
    """One table of a run; `update` adds the rows recorded since the last call.

    A `required` table has rows for every interval; other tables may be missing.
    """

    def __init__(
        self,
        directory: Path,
        name: str,
        grids: Sequence[str],
        columns: tuple[str, ...] | None = None,
        *,
        required: bool = False,
    ) -> None:
        declared = TABLES[name]
        self._directory, self._name, self._required = directory, name, required
        chosen = declared.names if columns is None else columns
        self._columns = [column for column in declared.columns if column.name in chosen]
        self._schema = pa.schema([column.field for column in self._columns])
        self._grids = pd.CategoricalDtype(list(grids))
        self._seen = 0
        self.frame: pd.DataFrame = self._frame(self._schema.empty_table())

    def update(self, done: int) -> None:
        """Read up to the interval `done` (exclusive); drop rows if a resumed run went back.

        Raises ResultsError for a file that cannot be read, and for missing required rows.
        """
        if done < self._seen:
            self.frame = self.frame[self.frame["interval"] < done].reset_index(drop=True)
        elif done > self._seen:
            new = self._frame(self._read(self._seen, done))
            if self._required and new["interval"].nunique() < done - self._seen:
                raise ResultsError(
                    f"{self._directory}: table {self._name} does not hold all of the {done} "
                    "intervals that are done; a directory with all its tables is accepted"
                )
            if len(new):
                joined = [self.frame, new] if len(self.frame) else [new]
                self.frame = pd.concat(joined, ignore_index=True)
        self._seen = done

    def at(self, interval: int) -> pd.DataFrame:
        """Return the rows of one interval without keeping them; raises ResultsError."""
        return self._frame(self._read(interval, interval + 1))

    def _frame(self, table: pa.Table) -> pd.DataFrame:
        # rows are often selected by grid, and categories compare fast
        frame: pd.DataFrame = table.to_pandas().astype({"grid": self._grids})
        return frame

    def _read(self, first: int, done: int) -> pa.Table:
        whole = self._directory / f"{self._name}.parquet"
        if not whole.exists():
            numbered = [
                self._directory / self._name / f"part-{k:06d}.parquet" for k in range(first, done)
            ]
            try:
                parts = [_table(p, self._columns) for p in numbered if p.exists()]
            except FileNotFoundError:
                parts = []
            # parts may have been merged and removed while they were read
            if not whole.exists():
                return pa.concat_tables([self._schema.empty_table(), *parts])
        inside = [("interval", ">=", first), ("interval", "<", done)]
        try:
            return _table(whole, self._columns, inside)
        except FileNotFoundError as error:  # the run is being removed
            raise ResultsError(f"{whole}: has vanished while it was read") from error


def _table(
    path: Path, columns: list[Column], inside: list[tuple[str, str, int]] | None = None
) -> pa.Table:
    try:
        found = pq.ParquetFile(path).schema_arrow.names
        optional = [c.name for c in columns if c.missing is not None and c.name not in found]
        names = [column.name for column in columns]
        read = [name for name in names if name not in optional]
        return completed(pq.read_table(path, columns=read, filters=inside), columns).select(names)
    except FileNotFoundError:  # parts are merged and removed while they are read
        raise
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise ResultsError(f"{path}: cannot be read ({reason})") from error


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
