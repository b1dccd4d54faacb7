"""Declared treatment of every table and column of a pandapower net.

`DECLARED` has a row for each column of pandapower 3.5 (net_columns_declared.py). The checks of a
net use it to refuse tables and values (`refused_tables`, `refused_values`); `explained` lists it
for one net.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd
from pandapower.auxiliary import pandapowerNet

from stackelgrid.controllers.networks.net_column import FEEDER, TRANSMISSION, Column, Treatment
from stackelgrid.controllers.networks.net_columns_declared import DECLARED

__all__ = [
    "DECLARED",
    "Column",
    "Explained",
    "Treatment",
    "declared",
    "explained",
    "refused_tables",
    "refused_values",
]

_OWN = "not a column of pandapower: kept in the net, not used"
_OWN_TABLE = "not a table of pandapower: kept in the net, not used"


@dataclass(frozen=True)
class Explained:
    """Treatment of one column of one net; `elements` rows of the table have a value.

    `column` is empty if the row concerns the whole table.
    """

    table: str
    column: str
    treatment: Treatment
    reason: str
    elements: int


def declared(table: str, column: str, *, transmission: bool) -> Column | None:
    """Declaration of a column on a transmission grid or a feeder; None if there is none."""
    scope = TRANSMISSION if transmission else FEEDER
    for row in DECLARED:
        if row.table == table and row.column == column and row.scope in ("", scope):
            return row
    return None


def refused_tables() -> tuple[str, ...]:
    """Tables whose elements have no model here, sorted."""
    return tuple(
        sorted(r.table for r in DECLARED if not r.column and r.treatment is Treatment.REFUSED)
    )


def refused_values(net: pandapowerNet) -> Iterator[tuple[str, list[int], str]]:
    """Yield table, elements and reason for every column with values that are refused."""
    for row in DECLARED:
        if row.accepts is None or row.scope or row.table not in net:
            continue
        frame = net[row.table]
        if row.column not in frame:
            continue
        values = frame[row.column]
        bad = [i for i, v in values.items() if not _empty(v) and not row.accepts(v)]
        if bad:
            yield row.table, bad, f"has {row.column} = {values.loc[bad[0]]}; {row.reason}"


def explained(net: pandapowerNet, *, transmission: bool) -> list[Explained]:
    """Return the treatment of every column with a value, in the order of the net's tables.

    Columns and tables that pandapower does not have are listed as without effect.
    """
    return list(_explained(net, transmission))


def _explained(net: pandapowerNet, transmission: bool) -> Iterator[Explained]:
    tables = {row.table for row in DECLARED}
    for table, frame in net.items():
        if not isinstance(frame, pd.DataFrame) or not len(frame):
            continue
        if table.startswith(("res_", "_")):
            continue
        whole = declared(table, "", transmission=transmission)
        if whole is not None:
            yield Explained(table, "", whole.treatment, whole.reason, len(frame))
            continue
        if table not in tables:
            yield Explained(table, "", Treatment.NO_EFFECT, _OWN_TABLE, len(frame))
            continue
        for column in frame.columns:
            filled = sum(not _empty(v) for v in frame[column])
            if not filled:
                continue
            row = declared(table, str(column), transmission=transmission)
            treatment = Treatment.NO_EFFECT if row is None else row.treatment
            reason = _OWN if row is None else row.reason
            yield Explained(table, str(column), treatment, reason, filled)


def _empty(value: Any) -> bool:
    """Return whether a cell is empty: None, NaN, NA or an empty text."""
    if value is None or (isinstance(value, str) and not value):
        return True
    return bool(pd.api.types.is_scalar(value) and pd.isna(value))
