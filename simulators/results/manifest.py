"""Manifest of a directory of results: rows, sizes and digests of its files (manifest.jsonl).

The file grows by a line with every interval of a run, or chunk of a sweep, whose parts are written,
so that a directory can be checked whenever its process was killed. A line is one of

    {"format": 1, "files": {...}}              files written before the first part
    {"part": 3, "files": {...}}                parts of an interval or chunk, manifests of a member
    {"table": "bus", "files": {...}}           the merged file that replaces the parts of a table

with `files` by name: {"bytes": 1234, "sha256": "...", "rows": 12}. A merged file is listed before
it replaces its parts; once all have been replaced, the parts are no longer listed and the first
line gives the number of tables `merged`. An unfinished last line does not count.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from stackelgrid.profiles.errors import StackelgridError
from stackelgrid.simulators.results.whole_file import appending, sync, whole_file

__all__ = ["FILE", "Entry", "Manifest", "ManifestError", "ManifestWriter", "entry_of"]

FILE = "manifest.jsonl"
FORMAT = 1
_PART = re.compile(r"part-(\d{6,})\.parquet")
# names of folders and a file; none of them leads out of the directory
_NAME = re.compile(r"(\w[\w.=:+-]*/)*\w[\w.-]*")


class ManifestError(StackelgridError):
    """Raised when a directory of results does not match its manifest."""


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """Size in bytes and SHA-256 of a file, rows of a table."""

    bytes: int
    sha256: str
    rows: int | None = None


class _Line(msgspec.Struct, omit_defaults=True):
    files: dict[str, Entry]
    format: int | None = None
    merged: int | None = None
    part: int | None = None
    table: str | None = None


def entry_of(path: Path, rows: int | None = None) -> Entry:
    """Return the entry of a file; raises OSError."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Entry(file.tell(), digest, rows)


class ManifestWriter:
    """Writes the manifest of one directory; raises OSError."""

    def __init__(self, directory: Path) -> None:
        self._directory, self._path = directory, directory / FILE

    def begin(self, names: Iterable[str] = ()) -> None:
        """Begin the manifest anew with the files written before the first part."""
        entries = {name: entry_of(self._directory / name) for name in names}
        self._write([_Line(entries, format=FORMAT)])

    def complete(self, names: Iterable[str]) -> None:
        """Write the manifest of a directory without parts: these files are all there is."""
        entries = {name: entry_of(self._directory / name) for name in names}
        self._write([_Line(entries, format=FORMAT, merged=0)])

    def only(self, names: Iterable[str]) -> None:
        """Replace the manifest of a finished run by one of these files only."""
        held = Manifest(self._directory)
        held.read()
        known = held.base | {f"{table}.parquet": entry for table, entry in held.wholes.items()}
        entries = {name: known.get(name) or entry_of(self._directory / name) for name in names}
        self._write([_Line(entries, format=FORMAT, merged=0)])

    def add(self, part: int, entries: Mapping[str, Entry], *, durable: bool) -> None:
        """Add the parts of an interval or chunk, all of them at once."""
        self._append(_Line(dict(entries), part=part), durable=durable)

    def whole(self, table: str, entry: Entry) -> None:
        """List the file that replaces the parts of a table, before it does."""
        self._append(_Line({f"{table}.parquet": entry}, table=table), durable=True)

    def keep_before(self, part: int) -> None:
        """Remove the parts from an interval or chunk on."""
        held = Manifest(self._directory)
        held.read()
        self._write([
            _Line(held.base, format=FORMAT),
            *(_Line(files, part=k) for k, files in held.parts.items() if k < part),
            *(_Line({f"{t}.parquet": e}, table=t) for t, e in held.wholes.items()),
        ])  # fmt: skip

    def settle(self, other: Iterable[str] = ()) -> None:
        """Remove the parts that merged files have replaced; add files written since."""
        held = Manifest(self._directory)
        held.read()
        base = held.base | {name: entry_of(self._directory / name) for name in other}
        left = {
            k: {n: e for n, e in files.items() if n.partition("/")[0] not in held.wholes}
            for k, files in held.parts.items()
        }
        whole = not any(left.values())
        self._write([
            _Line(base, format=FORMAT, merged=len(held.wholes) if whole else None),
            *(_Line(files, part=k) for k, files in left.items() if not whole),
            *(_Line({f"{t}.parquet": e}, table=t) for t, e in held.wholes.items()),
        ])  # fmt: skip

    def _write(self, lines: Iterable[_Line]) -> None:
        with whole_file(self._path) as unfinished:
            unfinished.write_bytes(b"".join(_text(line) for line in lines))
        sync(self._directory)

    def _append(self, line: _Line, *, durable: bool) -> None:
        with appending(self._path) as file:
            file.write(_text(line))
        if durable:
            sync(self._path)


class Manifest:
    """Reads the manifest of one directory, to its present end and on from there.

    `base` are the files that precede the parts, `parts` those of every interval or chunk, `wholes`
    the entries of merged tables that replace them, `merged` whether all are replaced.
    """

    def __init__(self, directory: Path) -> None:
        self.directory, self._path = directory, directory / FILE
        self._inode, self._first = -1, b""
        self._checked: dict[str, Entry] = {}
        self._missing = False
        self._forget()

    def _forget(self) -> None:
        self.base: dict[str, Entry] = {}
        self.parts: dict[int, dict[str, Entry]] = {}
        self.wholes: dict[str, Entry] = {}
        self._merged: int | None = None
        self._begun, self._offset = False, 0

    @property
    def exists(self) -> bool:
        """Return whether the file exists; directories of version 0.1 have none."""
        return os.path.lexists(self._path)

    @property
    def done(self) -> int:
        """Number of intervals or chunks with listed parts."""
        return len(self.parts)

    @property
    def merged(self) -> bool:
        """Return whether no parts are left."""
        return self._merged is not None

    def read(self) -> bool:
        """Read further, or anew if the file was replaced; return whether anything was new.

        Raises ManifestError.
        """
        try:
            with self._path.open("rb") as file:
                inode, first = os.fstat(file.fileno()).st_ino, file.readline()
                file.seek(max(self._offset - 1, 0))
                goes_on = (inode, first) == (self._inode, self._first)
                if not goes_on or (self._offset and file.read(1) != b"\n"):
                    self._forget()
                self._inode, self._first = inode, first
                file.seek(self._offset)
                text = file.read()
        except OSError as error:
            raise ManifestError(f"{self._path}: cannot be read ({error.strerror})") from error
        text = text[: text.rfind(b"\n") + 1]
        for line in text.splitlines():
            self._take(line)
        self._offset += len(text)
        return bool(text)

    def _take(self, text: bytes) -> None:
        try:
            line = msgspec.json.decode(text, type=_Line)
        except ValueError as error:  # wrong structure, or not UTF-8
            raise ManifestError(f"{self._path}: is damaged ({error})") from error
        for name in line.files:
            if not _NAME.fullmatch(name):
                raise ManifestError(
                    f"{self._path}: {name!r} is not a file of a directory of results"
                )
        if line.format is not None:
            if line.format != FORMAT:
                raise ManifestError(f"{self._path}: has format {line.format}; {FORMAT} is accepted")
            self.base, self._merged, self._begun = line.files, line.merged, True
        elif line.part is not None:
            self.parts[line.part] = line.files
        elif line.table is not None and len(line.files) == 1:
            (self.wholes[line.table],) = line.files.values()

    def check(
        self,
        tables: Sequence[str] = (),
        *,
        done: int = 0,
        before: int | None = None,
        missing: bool = False,
    ) -> None:
        """Compare the files with the manifest; files compared before are not compared again.

        tables: tables that may have parts or merged files.
        done: number of intervals or chunks that must be listed.
        before: interval or chunk from which on parts are ignored.
        missing: whether files may be missing.

        Raises ManifestError naming the file and the fault.
        """
        self.read()
        self._missing = missing
        while True:
            try:
                self._check_listed(before)
                self._check_whole_list(tables, done)
            except ManifestError:
                if self.read():  # a writer has merged or removed parts meanwhile
                    continue
                raise
            return

    def _check_whole_list(self, tables: Sequence[str], done: int) -> None:
        if not self._begun:
            raise ManifestError(f"{self._path}: has no first line; it is incomplete")
        if self._merged is not None and self._merged != len(self.wholes):
            raise ManifestError(
                f"{self._path}: lists {len(self.wholes)} of {self._merged} tables; it is incomplete"
            )
        if self._merged is None and self.done < done:
            raise ManifestError(
                f"{self._path}: lists {self.done} of {done} intervals or chunks; it is incomplete"
            )
        for table in tables:
            if table in self.wholes:
                continue
            path = self.directory / f"{table}.parquet"
            if path.exists() and path.name not in self.base:
                raise ManifestError(f"{path}: is not listed in {FILE}")
            for found in sorted((self.directory / table).glob("part-*.parquet")):
                match = _PART.fullmatch(found.name)
                number = int(match[1]) if match else -1
                # an interval may be in progress, or have been so when its process was killed
                under_way = number >= 0 and number not in self.parts and not self.merged
                if not under_way and f"{table}/{found.name}" not in self.parts.get(number, ()):
                    raise ManifestError(f"{found}: is not listed in {FILE}")

    def _check_listed(self, before: int | None) -> None:
        for name, entry in self.base.items():
            self._compare(name, entry)
        for table, entry in self.wholes.items():
            self._check_table(table, entry)
        for number, files in self.parts.items():
            if before is None or number < before:
                for name, entry in files.items():
                    if name.partition("/")[0] not in self.wholes:
                        self._compare(name, entry)

    def _check_table(self, table: str, entry: Entry) -> None:
        """Compare a merged file, or its parts if it has not replaced them yet."""
        name = f"{table}.parquet"
        if self._merged is None and not os.path.lexists(self.directory / name):
            try:
                for part, own in self._parts_of(table):
                    self._compare(part, own)
                return
            except ManifestError:
                if not os.path.lexists(self.directory / name):
                    raise
        self._compare(name, entry)

    def _parts_of(self, table: str) -> Iterator[tuple[str, Entry]]:
        for files in self.parts.values():
            yield from ((n, e) for n, e in files.items() if n.startswith(f"{table}/"))

    def _compare(self, name: str, entry: Entry) -> None:
        if self._checked.get(name) == entry:
            return
        path = self.directory / name
        if not os.path.lexists(path):
            if self._missing:
                return
            raise ManifestError(f"{path}: is missing; {FILE} lists it")
        if not path.is_file():
            what = "a folder" if path.is_dir() else "no file"
            raise ManifestError(f"{path}: is {what}; {FILE} lists a file")
        try:
            found = entry_of(path)
        except OSError as error:
            raise ManifestError(f"{path}: cannot be read ({error.strerror})") from error
        if found.sha256 != entry.sha256:
            raise ManifestError(f"{path}: {self._difference(entry, found)}")
        self._checked[name] = entry

    def _difference(self, listed: Entry, found: Entry) -> str:
        everything = [self.base, *self.parts.values()]
        others = [n for files in everything for n, e in files.items() if e.sha256 == found.sha256]
        others += [f"{t}.parquet" for t, e in self.wholes.items() if e.sha256 == found.sha256]
        if others:
            return f"holds the content of {others[0]}, not its own"
        if found.bytes != listed.bytes:
            return f"has {found.bytes:,} bytes, {listed.bytes:,} were written; it was changed"
        return f"is not what was written (its SHA-256 is not that of {FILE})"


def _text(line: _Line) -> bytes:
    return msgspec.json.encode(line) + b"\n"
