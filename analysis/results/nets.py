"""pandapower nets of a run: at its start, or with set points and results of an interval.

The net of an interval holds the applied set points, so that `pandapower.runpp(net)` reproduces the
voltages of the run. Its `res_` tables are filled from the run's tables, without a power flow.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandapower as pp
import pandas as pd
from pandapower.auxiliary import pandapowerNet
from pandapower.toolbox import clear_result_tables

from stackelgrid.analysis.results.errors import ResultsError
from stackelgrid.analysis.results.record import RunRecord
from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.boundary import boundary_trafos
from stackelgrid.controllers.networks.sources.json_file import read_net
from stackelgrid.profiles.arrays import Floats

_SET_POINTS = ("load", "sgen", "storage", "gen")
# pandapower's result columns by the columns of branch.parquet; (from, to) are a trafo's (hv, lv)
_ENDS = {"line": ("from", "to"), "trafo": ("hv", "lv")}


@dataclass(frozen=True)
class _Interval:
    """Rows of one grid in one interval, indexed by element where they have one.

    `tap_pos` is the position of the boundary transformer, None for an ideal boundary.
    """

    grid: str
    interval: int
    bus: pd.DataFrame
    branch: Mapping[str, pd.DataFrame]
    device: Mapping[str, pd.DataFrame]
    lower: pd.DataFrame
    own: pd.DataFrame
    tap_pos: int | None


def initial_net(directory: Path, grid: str) -> pandapowerNet:
    """Read a grid's net as at the start of the run; raises ResultsError."""
    path = directory / "grids" / f"{grid}.json"
    if not path.is_file():
        raise ResultsError(
            f"{path}: does not exist; runs of this version write it, members of an ensemble keep "
            "their tables only"
        )
    try:
        net = read_net(path, grid)
    except NetworkError as error:
        raise ResultsError(str(error)) from error
    clear_result_tables(net)  # results stored in the net of a user or of pandapower
    return net


def solved_net(run: RunRecord, net: pandapowerNet, grid: str, interval: int) -> pandapowerNet:
    """Return a grid's initial net with the set points applied in an interval, and its results.

    run: the run.
    net: initial net of the grid.
    grid: name of the grid.
    interval: number of the interval.

    Loads, static generators, storages and generators have the powers of device.parquet (scaling
    1); the slack has its recorded voltage and angle, the boundary transformer its recorded tap
    position. Every grid below is a load with its name, all copies together. `res_` tables are
    filled for buses, lines, transformers and all these elements. Raises ResultsError.
    """
    rows = _rows(run, grid, interval)
    _apply_devices(net, rows)
    _apply_boundary(net, rows)
    _add_lower_grids(net, rows)
    slack_p, slack_q = _slack_power(net, rows)
    _fill_elements(net, rows)
    net.res_ext_grid = _frame(net.ext_grid.index, p_mw=slack_p, q_mvar=slack_q)
    _fill_buses(net, rows)
    for element in _ENDS:
        _fill_branches(net, rows, element)
    net.name = f"{grid}, interval {interval} of {run.name}"
    return net


def _rows(run: RunRecord, grid: str, interval: int) -> _Interval:
    name = grid.replace("'", "''")

    def of(table: str, column: str = "grid") -> pd.DataFrame:
        return run.query(
            f"SELECT * FROM \"{table}\" WHERE {column} = '{name}' AND interval = {interval}"
        )

    branch, device, interval_row = of("branch"), of("device"), of("interval")
    sections = {section["name"]: section for section in run.scenario["grids"]}
    ideal = sections[grid].get("boundary", {}).get("kind", "ideal") == "ideal"
    if not ideal and "tap_pos" not in interval_row:
        raise ResultsError(
            f"{run.directory}: table interval has no column 'tap_pos', so the net of an interval "
            "is not known; run the scenario again"
        )
    return _Interval(
        grid,
        interval,
        of("bus").set_index("bus"),
        {str(e): rows.set_index("index") for e, rows in branch.groupby("element")},
        {str(e): rows.set_index("index") for e, rows in device.groupby("element")},
        of("boundary", "parent"),
        of("boundary"),
        None if ideal else int(interval_row["tap_pos"].iloc[0]),
    )


def _placed(rows: pd.DataFrame | None, index: pd.Index, what: str) -> pd.DataFrame:
    """Return rows in the order of a net's elements; raises ResultsError if one is missing."""
    if not len(index):
        return pd.DataFrame(index=index)
    missing = index if rows is None else index.difference(rows.index)
    if rows is None or len(missing):
        raise ResultsError(f"{what} {missing[0]} has no results; tables and grids do not fit")
    return rows.loc[index]


def _values(rows: pd.DataFrame, column: str) -> Floats:
    return rows[column].to_numpy(dtype=np.float64)


def _number(rows: pd.DataFrame, index: int, column: str) -> float:
    return float(rows[column].to_numpy(dtype=np.float64)[rows.index.get_loc(index)])


def _apply_devices(net: pandapowerNet, rows: _Interval) -> None:
    for element in _SET_POINTS:
        table = net[element]
        if not len(table):
            continue
        own = _placed(rows.device.get(element), table.index, f"grid {rows.grid}: {element}")
        table["p_mw"] = _values(own, "p_mw")
        table["scaling"] = 1.0
        if element != "gen":
            table["q_mvar"] = _values(own, "q_mvar")
        if element == "storage":
            table["soc_percent"] = _values(own, "soc_percent")


def _apply_boundary(net: pandapowerNet, rows: _Interval) -> None:
    """Set the voltage of the slack and the tap position of the boundary transformer."""
    slack = net.ext_grid.index[0]
    bus = int(net.ext_grid.at[slack, "bus"])
    net.ext_grid.loc[slack, ["vm_pu", "va_degree"]] = [
        _number(rows.bus, bus, "vm_pu"),
        _number(rows.bus, bus, "va_degree"),
    ]
    if rows.tap_pos is not None:
        net.trafo.loc[boundary_trafos(net), "tap_pos"] = rows.tap_pos


def _add_lower_grids(net: pandapowerNet, rows: _Interval) -> None:
    """Add every grid below as a load, all its copies together."""
    columns = [rows.lower[c] for c in ("grid", "parent_bus", "multiplicity", "p_mw", "q_mvar")]
    for grid, bus, copies, p, q in zip(*columns, strict=True):
        name = str(grid) if copies == 1 else f"{grid} ({copies} copies)"
        pp.create_load(net, int(bus), p_mw=copies * p, q_mvar=copies * q, name=name)


def _slack_power(net: pandapowerNet, rows: _Interval) -> tuple[float, float]:
    """Return the slack's power: the boundary exchange, a unit's power, or its bus' balance."""
    if len(rows.own):
        return float(rows.own["p_mw"].iloc[0]), float(rows.own["q_mvar"].iloc[0])
    own = rows.device.get("ext_grid")
    if own is not None:
        return float(own["p_mw"].iloc[0]), float(own["q_mvar"].iloc[0])
    bus = int(net.ext_grid.bus.iloc[0])
    p, q = _number(rows.bus, bus, "p_mw"), _number(rows.bus, bus, "q_mvar")
    for element, (first, second) in _ENDS.items():
        flows = rows.branch.get(element)
        if flows is None:
            continue
        for end, side in ((first, "from"), (second, "to")):
            at = net[element].index[net[element][f"{end}_bus"] == bus]
            p += float(flows.loc[at, f"p_{side}_mw"].sum())
            q += float(flows.loc[at, f"q_{side}_mvar"].sum())
    return p, q


def _angles(rows: pd.DataFrame) -> Floats:
    """Return voltage angles between -180 and 180 degrees, as in pandapower."""
    va = _values(rows, "va_degree")
    return np.where(np.abs(va) > 180.0, (va + 180.0) % 360.0 - 180.0, va)


def _frame(index: pd.Index, **columns: "Floats | float") -> pd.DataFrame:
    return pd.DataFrame(columns, index=index, dtype=np.float64)


def _fill_elements(net: pandapowerNet, rows: _Interval) -> None:
    for element in ("load", "sgen", "storage"):
        own = net[element]
        net[f"res_{element}"] = _frame(
            own.index, p_mw=_values(own, "p_mw"), q_mvar=_values(own, "q_mvar")
        )
    if len(net.gen):
        own = rows.device["gen"].loc[net.gen.index]
        at = rows.bus.loc[net.gen.bus]
        net.res_gen = _frame(
            net.gen.index,
            p_mw=_values(own, "p_mw"), q_mvar=_values(own, "q_mvar"),
            va_degree=_angles(at), vm_pu=_values(at, "vm_pu"),
        )  # fmt: skip
    if len(net.shunt):
        vm = _values(rows.bus.loc[net.shunt.bus], "vm_pu")
        vn = net.bus.vn_kv.loc[net.shunt.bus].to_numpy() / net.shunt.vn_kv.to_numpy()
        scale = (vm * vn) ** 2 * net.shunt.step.to_numpy(dtype=float)
        net.res_shunt = _frame(
            net.shunt.index,
            p_mw=net.shunt.p_mw.to_numpy() * scale, q_mvar=net.shunt.q_mvar.to_numpy() * scale,
            vm_pu=vm,
        )  # fmt: skip


def _fill_buses(net: pandapowerNet, rows: _Interval) -> None:
    """Fill bus results as in pandapower: consumption less generation, slack and shunts included."""
    own = _placed(rows.bus, net.bus.index, f"grid {rows.grid}: bus")
    power = {c: _values(own, c).copy() for c in ("p_mw", "q_mvar")}
    for element, sign in (("gen", -1.0), ("ext_grid", -1.0), ("shunt", 1.0)):
        at = net.bus.index.get_indexer(net[element].bus)
        for column, total in power.items():
            np.add.at(total, at, sign * net[f"res_{element}"][column].to_numpy(dtype=float))
    net.res_bus = _frame(
        net.bus.index, vm_pu=_values(own, "vm_pu"), va_degree=_angles(own), **power
    )


def _fill_branches(net: pandapowerNet, rows: _Interval, element: str) -> None:
    table = net[element]
    if not len(table):
        return
    own = _placed(rows.branch.get(element), table.index, f"grid {rows.grid}: {element}")
    columns: dict[str, Floats] = {}
    ends = tuple(zip(_ENDS[element], ("from", "to"), strict=True))
    for end, side in ends:
        columns[f"p_{end}_mw"] = _values(own, f"p_{side}_mw")
        columns[f"q_{end}_mvar"] = _values(own, f"q_{side}_mvar")
    first, second = _ENDS[element]
    columns["pl_mw"] = _values(own, "pl_mw")
    columns["ql_mvar"] = columns[f"q_{first}_mvar"] + columns[f"q_{second}_mvar"]
    for end, _ in ends:
        at = table[f"{end}_bus"]
        vm, vn = _values(rows.bus.loc[at], "vm_pu"), net.bus.vn_kv.loc[at].to_numpy(dtype=float)
        power = np.hypot(columns[f"p_{end}_mw"], columns[f"q_{end}_mvar"])
        columns[f"i_{end}_ka"] = power / (np.sqrt(3.0) * vm * vn)
    if element == "line":
        columns["i_ka"] = _values(own, "i_ka")
    for end, _ in ends:
        at = rows.bus.loc[table[f"{end}_bus"]]
        columns[f"vm_{end}_pu"] = _values(at, "vm_pu")
        columns[f"va_{end}_degree"] = _angles(at)
    columns["loading_percent"] = _values(own, "loading_percent")
    net[f"res_{element}"] = _frame(table.index, **columns)
