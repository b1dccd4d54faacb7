"""Record of the changes to a net before it is simulated, kept by all code that changes it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import pandas as pd
from pandapower.auxiliary import pandapowerNet

from stackelgrid.controllers.networks.net_columns import Explained

Fate = Literal["kept", "converted", "joined", "added", "replaced", "ignored", "dropped"]


# fates of elements that are not in the simulated net
_LOST = ("dropped", "joined", "converted")


@dataclass(frozen=True)
class Note:
    """Change to some elements of one table; `column` and scenario `key` where it has one.

    `surprising` marks a change that a user may not expect; it is printed before a run.
    """

    fate: Fate
    table: str
    index: tuple[int, ...]
    text: str
    column: str = ""
    key: str = ""
    surprising: bool = False


@dataclass
class NetRecord:
    """Notes in the order in which they were made, and the bus that replaces each joined one.

    `columns` is the treatment of each column of the net as it was read, on a transmission grid or a
    feeder. `notices` are lines about a net that was converted from another format.
    """

    transmission: bool = False
    columns: tuple[Explained, ...] = ()
    notices: list[str] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    bus_of: dict[int, int] = field(default_factory=dict)

    def note(
        self,
        fate: Fate,
        table: str,
        index: Iterable[object],
        text: str,
        *,
        column: str = "",
        key: str = "",
        surprising: bool = False,
    ) -> None:
        """Add a note on elements; nothing if `index` is empty.

        fate: kind of change.
        table, index: elements of the net.
        text: the change in words.
        column, key: column of the table and key of the scenario, if there is one.
        surprising: whether a user may not expect the change; it is printed before a run.
        """
        elements = tuple(int(str(i)) for i in index)
        if elements:
            self.notes.append(Note(fate, table, elements, text, column, key, surprising))

    def join(self, bus_of: Mapping[int, int]) -> None:
        """Record buses that replace others which were joined to them."""
        self.bus_of = {old: bus_of.get(new, new) for old, new in self.bus_of.items()}
        self.bus_of |= bus_of

    def bus(self, index: int) -> int:
        """Bus of the simulated grid for a bus of the user's net."""
        return self.bus_of.get(index, index)

    def loss_of(self, table: str, index: int) -> str:
        """Return why an element of the user's net is not in the grid; empty without a note."""
        for note in reversed(self.notes):
            if note.table == table and index in note.index and note.fate in _LOST:
                return note.text
        return ""


def replace_values(
    net: pandapowerNet,
    record: NetRecord,
    table: str,
    column: str,
    values: object,
    key: str,
    index: Iterable[object] | None = None,
) -> None:
    """Write a scenario's values into a column of a net and into the record.

    net: the net to change.
    record: receives the changes; elements that had the value before are not noted.
    table, column: place of the values.
    values: one value, or one for each of `index`.
    key: key of the scenario.
    index: elements; None: all.
    """
    frame = net[table]
    rows = frame.index if index is None else pd.Index(list(index))
    before = frame[column].loc[rows] if column in frame else pd.Series(float("nan"), index=rows)
    if index is None:
        frame[column] = values
    else:
        frame.loc[rows, column] = values
    after = frame[column].loc[rows]
    same = (before == after) | (before.isna() & after.isna())
    changes: dict[str, list[object]] = {}
    for i, old, new in zip(rows[~same], before[~same], after[~same], strict=True):
        changes.setdefault(f"{_shown(old)} -> {_shown(new)}", []).append(i)
    for text, elements in changes.items():
        record.note("replaced", table, elements, text, column=column, key=key)


def _shown(value: object) -> str:
    if value is None or value != value:
        return "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
