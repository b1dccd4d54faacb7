"""Loads and static generators given by phase, as balanced elements whose phase is kept."""

from typing import Any

import numpy as np
import pandapower as pp
import pandas as pd
from pandapower.auxiliary import pandapowerNet

from stackelgrid.controllers.networks.conversion.rows import remove_rows
from stackelgrid.controllers.networks.net_record import NetRecord
from stackelgrid.controllers.networks.phases import PHASES

_CREATE = {"load": pp.create_loads, "sgen": pp.create_sgens}


def balance_single_phases(net: pandapowerNet, name: str, record: NetRecord) -> None:
    """Replace elements given by phase, in place, by balanced ones of the same power.

    Their phase is kept in the column `phase`: one element for each phase with a power, `abc` for
    equal powers in all three, empty for connections between phases (type delta). Balanced elements
    beside them are three-phase (`abc`).
    """
    for table in _CREATE:
        _balance(net, table, record)


def _balance(net: pandapowerNet, table: str, record: NetRecord) -> None:
    single = net[f"asymmetric_{table}"]
    if not len(single):
        return
    parts: dict[str, list[Any]] = {column: [] for column in (
        "row", "bus", "p_mw", "q_mvar", "name", "scaling", "phase")}  # fmt: skip
    for i, row in single.iterrows():
        for phase, p, q in _parts(row):
            values = (i, row.bus, p, q, row["name"] if isinstance(row["name"], str) else None,
                      row.scaling, phase)  # fmt: skip
            for column, value in zip(parts, values, strict=True):
                parts[column].append(value)
    old = net[table]
    if len(old):
        known = old.phase if "phase" in old else pd.Series("", index=old.index)
        net[table]["phase"] = [p if isinstance(p, str) and p else "abc" for p in known]
    rows, buses = parts.pop("row"), parts.pop("bus")
    new = _CREATE[table](net, np.array(buses), **parts)
    for i in single.index:
        mine = [str(k) for k, row in zip(new, rows, strict=True) if row == i]
        record.note("converted", f"asymmetric_{table}", [i], f"{table} {', '.join(mine)}")
    remove_rows(net, f"asymmetric_{table}", single.index)


def _parts(row: pd.Series) -> list[tuple[str, float, float]]:
    """Return phase, p and q of the balanced elements that replace one."""
    powers = [(float(row[f"p_{k}_mw"]), float(row[f"q_{k}_mvar"])) for k in PHASES]
    used = [(k, p, q) for k, (p, q) in zip(PHASES, powers, strict=True) if p != 0.0 or q != 0.0]
    p, q = (sum(values) for values in zip(*powers, strict=True))
    if row["type"] != "wye":
        return [("", p, q)]
    if not used or len(set(powers)) == 1:
        return [("abc", p, q)]
    return used
