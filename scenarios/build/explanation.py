"""Text of `validate --explain` for a grid, from declared columns and the record of changes."""

from collections.abc import Iterator
from textwrap import wrap

from stackelgrid.controllers.networks.naming import listed
from stackelgrid.controllers.networks.net_columns import Treatment
from stackelgrid.controllers.networks.net_record import Fate, NetRecord, Note
from stackelgrid.scenarios.build.grids import BuiltGrid

_WIDTH = 80
# changes of one column listed in full; more are summarised
_MOST_CHANGES = 3
_GROUPS: tuple[tuple[str, Treatment | None, tuple[Fate, ...]], ...] = (
    ("taken from the net", Treatment.HONOURED, ("kept", "joined")),
    ("converted to equivalents", None, ("converted",)),
    ("checked: other values are refused", Treatment.REFUSED, ()),
    ("replaced by the scenario", Treatment.REPLACED, ("replaced",)),
    ("added by the scenario", None, ("added",)),
    ("ignored, without effect on results", Treatment.NO_EFFECT, ("ignored",)),
    ("dropped", None, ("dropped",)),
)


def explanation(grid: BuiltGrid) -> Iterator[str]:
    """Yield lines of at most 80 characters about one grid; groups without entries are left out."""
    groups = [(title, [*_columns(grid.record, t), *_notes(grid.record, fates)])
              for title, t, fates in _GROUPS]  # fmt: skip
    for title, entries in [("converted", grid.record.notices), *groups]:
        if not entries:
            continue
        yield f"  {title}"
        for entry in entries:
            yield from wrap(
                entry, _WIDTH, initial_indent=" " * 4, subsequent_indent=" " * 6,
                break_on_hyphens=False,
            )  # fmt: skip


def _columns(record: NetRecord, treatment: Treatment | None) -> Iterator[str]:
    """Yield one entry for each table and reason, with the columns that it applies to."""
    found: dict[tuple[str, str], list[str]] = {}
    rows: dict[str, int] = {}
    for row in record.columns:
        rows[row.table] = max(rows.get(row.table, 0), row.elements)
        if row.treatment == treatment:
            found.setdefault((row.table, row.reason), []).append(row.column)
    for (table, reason), columns in found.items():
        named = " " + ", ".join(columns) if any(columns) else ""
        yield f"{table}{named} ({rows[table]}): {reason}"


def _notes(record: NetRecord, fates: tuple[Fate, ...]) -> Iterator[str]:
    """Yield one entry for notes with the same column, key and text; many texts are summarised."""
    changes: dict[tuple[str, str, str], dict[str, list[int]]] = {}
    for note in record.notes:
        if note.fate in fates:
            texts = changes.setdefault(_about(note), {})
            texts.setdefault(note.text, []).extend(note.index)
    for (table, column, key), texts in changes.items():
        name = f"{table} {column}".rstrip()
        source = f" [{key}]" if key else ""
        if column and len(texts) > _MOST_CHANGES:
            text, elements = next(iter(texts.items()))
            number = sum(len(index) for index in texts.values())
            yield f"{name} of {number}: {len(texts)} different, {elements[0]}: {text}, ...{source}"
            continue
        for text, elements in texts.items():
            yield f"{name} {listed(sorted(elements))}: {text}{source}"


def _about(note: Note) -> tuple[str, str, str]:
    return note.table, note.column, note.key
