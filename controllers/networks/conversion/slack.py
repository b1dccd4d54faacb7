"""Slack generators and several slacks at one bus as one external grid."""

import numpy as np
from pandapower.auxiliary import pandapowerNet

from stackelgrid.controllers.networks.conversion.rows import (
    append_rows,
    drop_elements,
    remove_rows,
)
from stackelgrid.controllers.networks.net_record import NetRecord

_LIMITS = ("min_p_mw", "max_p_mw", "min_q_mvar", "max_q_mvar")


def slack_generator(net: pandapowerNet, name: str, record: NetRecord) -> None:
    """Replace the only slack of a net, a generator with slack = True, by an external grid.

    It keeps voltage, limits and costs. A net with an external grid, or several such generators, is
    left as it is.
    """
    slack = net.gen[net.gen.slack.astype(bool)] if len(net.gen) else net.gen
    if len(net.ext_grid) or len(slack) != 1:
        return
    row, i = slack.iloc[0], slack.index[0]
    values = {
        "name": [row["name"]],
        "bus": [row.bus],
        "vm_pu": [row.vm_pu],
        "va_degree": [0.0],
        "slack_weight": [1.0],
    } | {c: [float(row[c])] for c in _LIMITS if c in slack and np.isfinite(row[c])}
    (new,) = append_rows(net, "ext_grid", values)
    for costs in ("poly_cost", "pwl_cost"):
        mine = (net[costs].et == "gen") & (net[costs].element == i)
        net[costs].loc[mine, "et"] = "ext_grid"
        net[costs].loc[mine, "element"] = new
    remove_rows(net, "gen", [i])
    record.note("converted", "gen", [i], f"ext_grid {new}: it is the slack")


def merge_slacks(net: pandapowerNet, record: NetRecord) -> None:
    """Drop further slacks at the bus of the first with the same voltage and no other data."""
    if len(net.ext_grid) < 2:
        return
    same = ["bus", "vm_pu", "va_degree"]
    limits = [c for c in _LIMITS if c in net.ext_grid]
    plain = net.ext_grid[limits].isna().all(axis=1)
    for costs in ("poly_cost", "pwl_cost"):
        costly = net[costs].element[net[costs].et == "ext_grid"]
        plain &= ~net.ext_grid.index.isin(costly)
    twice = net.ext_grid.duplicated(same) & plain
    reason = "a second slack of the same voltage"
    drop_elements(net, "ext_grid", net.ext_grid.index[twice], reason, record)
