"""What a map shows of each grid: places, names and limits, which do not change during a run."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from stackelgrid.analysis.grid_map import grid_map
from stackelgrid.analysis.run_files import GridInfo
from stackelgrid.profiles.arrays import Floats, Ints

# kinds of the device table that can be chosen; loads have no symbol of their own on a map
DEVICE_KINDS = ("battery", "pv", "unit", "load")


@dataclass(frozen=True)
class GridGeometry:
    """One grid: buses in the order of `bus`, branches by positions in it.

    `x`, `y` (in a unit square, same scale on both axes) are empty where the run recorded no
    network; `low_pu` and `high_pu` are the buses' voltage limits, `max_loading_percent` what the
    branches may be loaded to, NaN where there are none.
    """

    name: str
    title: str
    level: str
    bus: tuple[int, ...]
    x: Floats
    y: Floats
    low_pu: Floats
    high_pu: Floats
    branch: tuple[tuple[str, int], ...]
    branch_ends: tuple[tuple[int, int], ...]
    max_loading_percent: Floats
    devices: tuple["DeviceGeometry", ...]
    children: tuple[tuple[str, int], ...]
    head: int

    @property
    def has_map(self) -> bool:
        """Whether every bus has a place."""
        return len(self.x) == len(self.bus) > 0


@dataclass(frozen=True)
class DeviceGeometry:
    """A device: kind, pandapower element and index, name, and the position of its bus."""

    kind: str
    element: str
    index: int
    name: str
    bus: int


def title_of(info: GridInfo) -> str:
    """A grid in words: level, copies, where it hangs."""
    words = {"transmission": "transmission", "mv": "medium voltage", "lv": "low voltage"}
    text = f"{info.name} ({words.get(info.level, info.level)}"
    if info.multiplicity > 1:
        text += f", {info.multiplicity} copies"
    return text + (f", bus {info.bus} of {info.parent})" if info.parent else ")")


def geometry(
    infos: Mapping[str, GridInfo], tables: "Elements", static: "Static | None"
) -> tuple[GridGeometry, ...]:
    """Geometry of all grids; `static` is None where a run has recorded no network."""
    return tuple(_grid(info, infos, tables, static) for info in infos.values())


@dataclass(frozen=True)
class Static:
    """What a run recorded of its grids: rows of network.parquet, limits by (grid, bus)."""

    network: pd.DataFrame
    limits: pd.DataFrame


@dataclass(frozen=True)
class Elements:
    """What the tables of a run hold: columns (grid, bus), (grid, element, index) and devices'.

    `max_loading_percent` are the limits of the branches, in their order.
    """

    bus: pd.DataFrame
    branch: pd.DataFrame
    device: pd.DataFrame
    max_loading_percent: Floats


def _grid(
    info: GridInfo,
    infos: Mapping[str, GridInfo],
    tables: Elements,
    static: Static | None,
) -> GridGeometry:
    network = None if static is None else static.network
    own = None if network is None else network[network["grid"] == info.name]
    bus = tables.bus.loc[tables.bus["grid"] == info.name, "bus"].to_numpy()
    position = {int(b): k for k, b in enumerate(bus)}
    mine = (tables.branch["grid"] == info.name).to_numpy()
    branch = tables.branch[mine]
    names = [(str(e), int(i)) for e, i in zip(branch["element"], branch["index"], strict=True)]
    x, y = _places(network, info.name, bus)
    low, high = _limits(static, info.name, bus)
    return GridGeometry(
        name=info.name,
        title=title_of(info),
        level=info.level,
        bus=tuple(position),
        x=x,
        y=y,
        low_pu=low,
        high_pu=high,
        branch=tuple(names),
        branch_ends=_ends(own, names, position),
        max_loading_percent=tables.max_loading_percent[mine],
        devices=_devices(tables.device[tables.device["grid"] == info.name], position),
        children=tuple(
            (child.name, position[child.bus])
            for child in infos.values()
            if child.parent == info.name and child.bus in position
        ),
        head=_head(own, position),
    )


def _places(network: pd.DataFrame | None, grid: str, bus: Ints) -> tuple[Floats, Floats]:
    """Coordinates in a unit square, both axes to the same scale."""
    if network is None or not len(bus):
        return np.empty(0), np.empty(0)
    places = grid_map(network, grid).buses.reindex(bus)
    x, y = places["x"].to_numpy(dtype=float), places["y"].to_numpy(dtype=float)
    span = max(float(np.ptp(x)), float(np.ptp(y))) or 1.0
    middle_x, middle_y = (x.min() + x.max()) / 2.0, (y.min() + y.max()) / 2.0
    return (x - middle_x) / span + 0.5, (y - middle_y) / span + 0.5


def _limits(static: Static | None, grid: str, bus: Ints) -> tuple[Floats, Floats]:
    if static is None:
        return np.full(len(bus), np.nan), np.full(len(bus), np.nan)
    at = pd.MultiIndex.from_product([[grid], bus])
    own = static.limits.reindex(at)
    return own["min_vm_pu"].to_numpy(dtype=float), own["max_vm_pu"].to_numpy(dtype=float)


def _ends(
    static: pd.DataFrame | None, names: list[tuple[str, int]], position: Mapping[int, int]
) -> tuple[tuple[int, int], ...]:
    """Positions of the buses at both ends of each branch; -1 where the run does not say."""
    if static is None:
        return tuple((-1, -1) for _ in names)
    rows = static[static["element"].isin(["line", "trafo"])]
    ends = {
        (str(e), int(i)): (position.get(int(a), -1), position.get(int(b), -1))
        for e, i, a, b in zip(
            rows["element"], rows["index"], rows["bus"], rows["to_bus"], strict=True
        )
    }
    return tuple(ends.get(name, (-1, -1)) for name in names)


def _devices(rows: pd.DataFrame, position: Mapping[int, int]) -> tuple[DeviceGeometry, ...]:
    shown = rows[rows["kind"].isin(DEVICE_KINDS)]
    return tuple(
        DeviceGeometry(str(kind), str(element), int(index), str(name), position[int(bus)])
        for kind, element, index, name, bus in zip(
            shown["kind"], shown["element"], shown["index"], shown["name"], shown["bus"],
            strict=True,
        )
        if int(bus) in position
    )  # fmt: skip


def _head(static: pd.DataFrame | None, position: Mapping[int, int]) -> int:
    """Position of the bus that the grid is supplied at, where its agent is drawn."""
    if static is None:
        return 0
    supply = static.loc[static["element"] == "ext_grid", "bus"]
    return position.get(int(supply.iloc[0]), 0) if len(supply) else 0
