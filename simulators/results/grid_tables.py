"""Tables of a grid's buses, branches and boundary in an interval; the table of its elements."""

import numpy as np

from stackelgrid.profiles.arrays import Floats
from stackelgrid.simulators.results.columns import KEY, Table, count, label, number, table
from stackelgrid.simulators.results.grid_interval import NAN, GridInterval, price_now


def _loading_certified(s: GridInterval) -> Floats:
    most = s.grid.limits.loading_max_percent
    return s.of_branches("loading") * np.where(np.isfinite(most), most, NAN)


BUS: Table[GridInterval] = table(
    "bus",
    "One row for each bus.",
    *KEY,
    count("bus", "pandapower's index", lambda s: np.array(s.grid.bus_index)),
    number("vm_pu", "p.u.", "realised voltage", lambda s: s.seen["bus_vm_pu"]),
    number("va_degree", "degree", "angle, of the whole system's reference",
           lambda s: s.seen["bus_va_degree"]),
    number("p_mw", "MW", "consumption of devices and lower grids; voltage-controlling generators "
           "are in the device table", lambda s: s.seen["bus_p_total_mw"]),
    number("q_mvar", "MVAr", "the same, reactive", lambda s: s.seen["bus_q_total_mvar"]),
    number("price_eur_per_mwh", "EUR/MWh", "nodal price of the grid's own dispatch as a follower: "
           "of the DC-OPF in a transmission network, of the MV dispatch in a feeder with grids "
           "below; the last one while a dispatch is held; else empty",
           lambda s: price_now(s.plan, len(s.grid.bus_index))),
    number("vm_planned_pu", "p.u.", "voltage of the relaxation at the plan's applied step; empty "
           "in a transmission network", lambda s: s.of_buses("vm_planned_pu")),
    number("vm_certified_pu", "p.u.", "voltage of AC at the planned injections of that step",
           lambda s: s.of_buses("vm_pu")),
)  # fmt: skip

BRANCH: Table[GridInterval] = table(
    "branch",
    "One row for each line and transformer; powers are positive into the branch.",
    *KEY,
    label("element", "line or trafo",
          lambda s: np.array([t for t, _ in s.grid.branches], dtype=object)),
    count("index", "pandapower's index",
          lambda s: np.array([i for _, i in s.grid.branches], dtype=np.int64)),
    number("p_from_mw", "MW", "into the from end: a transformer's upper side",
           lambda s: s.seen["branch_p_from_mw"]),
    number("q_from_mvar", "MVAr", "the same, reactive", lambda s: s.seen["branch_q_from_mvar"]),
    number("p_to_mw", "MW", "into the to end", lambda s: s.seen["branch_p_to_mw"]),
    number("q_to_mvar", "MVAr", "the same, reactive", lambda s: s.seen["branch_q_to_mvar"]),
    number("pl_mw", "MW", "losses",
           lambda s: s.seen["branch_p_from_mw"] + s.seen["branch_p_to_mw"]),
    number("i_ka", "kA", "current at the larger end", lambda s: s.seen["branch_i_ka"]),
    number("loading_percent", "%", "of the rating; 0 where there is none",
           lambda s: s.seen["branch_loading_percent"]),
    number("cone_gap_pu", "p.u.", "abs(l v - P^2 - Q^2) at the plan's applied step",
           lambda s: s.of_branches("cone_gap_pu")),
    number("fictitious_loss_mw", "MW", "r (l - (P^2 + Q^2) / v) at that step; an interior point "
           "leaves it a rounding above or below zero",
           lambda s: s.of_branches("fictitious_loss_mw")),
    number("loading_certified_percent", "%", "by AC at the planned injections; empty without a "
           "rating", _loading_certified),
)  # fmt: skip

BOUNDARY: Table[GridInterval] = table(
    "boundary",
    "One row for each grid with a parent; powers are of one copy, into the lower grid.",
    *KEY,
    label("parent", "grid above", lambda s: s.grid.parent),
    count("parent_bus", "its bus", lambda s: s.grid.parent_bus),
    count("multiplicity", "copies of the grid at that bus", lambda s: s.grid.multiplicity),
    label("kind", "oltc, fixed_tap or ideal", lambda s: s.grid.boundary_kind),
    number("p_mw", "MW", "exchange", lambda s: s.seen["slack_p_mw"]),
    number("q_mvar", "MVAr", "the same, reactive", lambda s: s.seen["slack_q_mvar"]),
    number("p_planned_mw", "MW", "planned exchange", lambda s: s.p_import_planned_mw),
    number("vm_pu", "p.u.", "voltage on the upstream side", lambda s: s.seen["slack_vm_pu"]),
    count("tap_pos", "position of the tap; 0 if ideal, where the net's tap stays",
          lambda s: s.seen["tap_pos"]),
    number("mismatch_mva", "MVA", "power used by the upper grid less power drawn by the lower "
           "grid, at the end of the loop"),
    number("mismatch_pu", "p.u.", "the larger of that on the lower grid's base and the voltage "
           "mismatch"),
    number("import_eur_per_mwh", "EUR/MWh", "price of imports",
           lambda s: s.grid.series.import_eur_per_mwh[s.interval]),
    number("export_eur_per_mwh", "EUR/MWh", "price of exports",
           lambda s: s.grid.series.export_eur_per_mwh[s.interval]),
    number("nodal_price_eur_per_mwh", "EUR/MWh", "nodal price at the parent's bus"),
)  # fmt: skip

NETWORK = table(
    "network",
    "Static, one row for each bus, branch and device of a grid; empty where an element has no such "
    "quantity.",
    label("grid", "name of the grid"),
    label("level", "transmission, mv or lv"),
    label("element", "pandapower's table: bus, line, trafo, load, sgen, storage, gen or ext_grid"),
    count("index", "pandapower's index"),
    label("name", "pandapower's name"),
    count("bus", "the bus itself, a device's bus, or a branch's first bus (upper side)"),
    count("to_bus", "a branch's second bus; -1 elsewhere"),
    number("x", "", "coordinate of a bus, in the unit of the net (degrees, metres)"),
    number("y", "", "the same"),
    number("vn_kv", "kV", "rated voltage of a bus"),
    number("min_vm_pu", "p.u.", "lower voltage limit of a bus"),
    number("max_vm_pu", "p.u.", "upper voltage limit of a bus"),
    number("length_km", "km", "length of a line"),
    number("max_i_ka", "kA", "rating of a line"),
    number("sn_mva", "MVA", "rating of a transformer or device"),
    number("p_mw", "MW", "power of a device as the net states it"),
    number("max_p_mw", "MW", "largest power of a device"),
    number("max_e_mwh", "MWh", "capacity of a storage"),
    number("max_loading_percent", "%", "loading limit of a branch; empty without a rating",
           missing=NAN),
)  # fmt: skip
