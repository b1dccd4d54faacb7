"""Rows of a net's tables: append elements, drop elements with their costs."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from pandapower.auxiliary import pandapowerNet

from stackelgrid.controllers.networks.net_record import NetRecord

# values of appended elements in columns that are not given; others are empty
_DEFAULTS = {
    "in_service": True,
    "parallel": 1,
    "df": 1.0,
    "scaling": 1.0,
    "step": 1.0,
    "max_step": 1,
    "g_us_per_km": 0.0,
    "c_nf_per_km": 0.0,
    "const_z_p_percent": 0.0,
    "const_i_p_percent": 0.0,
    "const_z_q_percent": 0.0,
    "const_i_q_percent": 0.0,
}


def append_rows(net: pandapowerNet, table: str, values: Mapping[str, Any]) -> list[int]:
    """Append elements to a table, in place, and return their indices.

    values: column to one value for each new element; a column that the table lacks is added,
        columns that are not given are empty or neutral.
    """
    frame = net[table]
    count = len(next(iter(values.values())))
    first = int(frame.index.max()) + 1 if len(frame) else 0
    index = pd.RangeIndex(first, first + count)
    grown = {}
    for column in (*frame.columns, *(c for c in values if c not in frame)):
        old = frame.get(column)
        dtype: Any = object if old is None else old.dtype
        new = values[column] if column in values else [_blank(column, dtype)] * count
        added = pd.Series(list(new), index=index, dtype=object)
        if old is None:
            added = added.infer_objects()
            blank = np.nan if added.dtype.kind == "f" else None
            old = pd.Series(blank, index=frame.index, dtype=added.dtype if len(frame) else object)
            dtype = added.dtype if blank is not None or not len(frame) else object
        whole = pd.concat([old.astype(object), added])
        grown[column] = whole.astype(dtype)
    net[table] = pd.DataFrame(grown)
    return [int(i) for i in index]


def _blank(column: str, dtype: Any) -> Any:
    if column in _DEFAULTS:
        return _DEFAULTS[column]
    if isinstance(dtype, pd.Int64Dtype):
        return pd.NA
    return {"f": np.nan, "b": False, "i": 0, "u": 0}.get(dtype.kind)


def drop_elements(
    net: pandapowerNet,
    table: str,
    index: Iterable[object],
    reason: str,
    record: NetRecord,
    *,
    surprising: bool = False,
) -> None:
    """Drop elements and their costs, in place.

    table, index: the elements.
    reason: why, for the record.
    surprising: whether the note is printed before a run.
    """
    rows = pd.Index(list(index))
    record.note("dropped", table, rows, reason, surprising=surprising)
    remove_rows(net, table, rows)


def remove_rows(net: pandapowerNet, table: str, index: Iterable[object]) -> None:
    """Remove elements and their costs, in place, without a note."""
    rows = pd.Index(list(index))
    net[table] = net[table].drop(rows)
    for costs in ("poly_cost", "pwl_cost"):
        cost = net[costs]
        net[costs] = cost[~((cost.et == table) & cost.element.isin(rows))]


def drop_orphaned_costs(net: pandapowerNet) -> None:
    """Drop costs of elements that a net does not have, in place."""
    for costs in ("poly_cost", "pwl_cost"):
        cost = net[costs]
        known = [
            element in net[et].index for et, element in zip(cost.et, cost.element, strict=True)
        ]
        net[costs] = cost[np.array(known, dtype=bool)]


def labels(frame: pd.DataFrame, kind: str) -> list[str]:
    """Return the names of elements; those without a name are called by kind and index."""
    return [
        name if isinstance(name, str) and name else f"{kind} {i}"
        for i, name in zip(frame.index, frame.name, strict=True)
    ]


def in_service(net: pandapowerNet, table: str) -> "np.typing.NDArray[np.bool_]":
    """Return which elements of a table are in service."""
    return np.asarray(net[table]["in_service"], dtype=np.bool_)
