"""Static data of maps: positions, names and limits of each grid."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from stackelgrid.analysis.figures.grid_map import GridMap, grid_map
from stackelgrid.analysis.results.axes import LEVELS
from stackelgrid.analysis.results.files import GridInfo
from stackelgrid.analysis.results.limits import bus_limits, has_network
from stackelgrid.analysis.run import Run
from stackelgrid.profiles.arrays import Floats, Ints


@dataclass(frozen=True)
class Device:
    """A device: kind, pandapower element and index, name, and the position of its bus."""

    kind: str
    element: str
    index: int
    name: str
    bus: int


@dataclass(frozen=True)
class GridGeometry:
    """One grid: buses in the order of `bus`, branches by positions in it.

    `x`, `y` (in a unit square, same scale on both axes) are empty if the run recorded no network;
    `tree` is True if they are depths and rows of a tree; `sides` has the side of each bus's number
    (a above, b below, r right), `names` the buses' names by position, where they are more than it;
    `low_pu` and `high_pu` are the buses' voltage limits, `max_loading_percent` the loading limits
    of the branches; NaN without a limit.
    """

    name: str
    title: str
    level: str
    parent: str | None
    multiplicity: int
    bus: tuple[int, ...]
    x: Floats
    y: Floats
    tree: bool
    sides: str
    names: Mapping[int, str]
    low_pu: Floats
    high_pu: Floats
    branch: tuple[tuple[str, int], ...]
    branch_ends: tuple[tuple[int, int], ...]
    max_loading_percent: Floats
    devices: tuple[Device, ...]
    children: tuple[tuple[str, int], ...]
    head: int

    @property
    def has_map(self) -> bool:
        """True if every bus has a position."""
        return len(self.x) == len(self.bus) > 0


def title_of(info: GridInfo) -> str:
    """A grid in words: level, copies, where it hangs."""
    text = f"{info.name} ({LEVELS[info.level]}"
    if info.multiplicity > 1:
        text += f", {info.multiplicity} copies"
    return text + (f", bus {info.bus} of {info.parent})" if info.parent else ")")


def geometry(
    run: Run, bus: pd.DataFrame, branch: pd.DataFrame, device: pd.DataFrame, limits: Floats
) -> tuple[GridGeometry, ...]:
    """Return all grids; without places and limits where the run has recorded no network.

    bus: the elements in the tables of a run by grid, bus.
    branch: by grid, element, index.
    device: by grid, kind, element, index, name, bus.
    limits: loading limits of the branches in their order, percent.
    """
    return tuple(_grid(run, info, bus, branch, device, limits) for info in run.grids.values())


def _grid(
    run: Run,
    info: GridInfo,
    buses: pd.DataFrame,
    branches: pd.DataFrame,
    devices: pd.DataFrame,
    limits: Floats,
) -> GridGeometry:
    bus = buses.loc[buses["grid"] == info.name, "bus"].to_numpy()
    position = {int(b): k for k, b in enumerate(bus)}
    mine = (branches["grid"] == info.name).to_numpy()
    branch = branches[mine]
    names = [(str(e), int(i)) for e, i in zip(branch["element"], branch["index"], strict=True)]
    found = grid_map(run.network, info.name) if has_network(run) and len(bus) else None
    x, y = (np.empty(0), np.empty(0)) if found is None else _places(found, bus)
    low, high = _limits(run, info.name, bus)
    return GridGeometry(
        name=info.name,
        title=title_of(info),
        level=info.level,
        parent=info.parent,
        multiplicity=info.multiplicity,
        bus=tuple(position),
        x=x,
        y=y,
        tree=found is not None and found.tree,
        sides="" if found is None else "".join(s[0] for s in found.buses["side"].reindex(bus)),
        names={} if found is None else _names(found, bus),
        low_pu=low,
        high_pu=high,
        branch=tuple(names),
        branch_ends=_ends(found, names, position),
        max_loading_percent=limits[mine],
        devices=_devices(devices[devices["grid"] == info.name], position),
        children=tuple(
            (child.name, position[child.bus])
            for child in run.grids.values()
            if child.parent == info.name and child.bus in position
        ),
        head=position.get(found.heads[0], 0) if found is not None and found.heads else 0,
    )


def _places(found: GridMap, bus: Ints) -> tuple[Floats, Floats]:
    """Coordinates in a unit square, both axes to the same scale."""
    places = found.buses.reindex(bus)
    x, y = places["x"].to_numpy(dtype=float), places["y"].to_numpy(dtype=float)
    span = max(float(np.ptp(x)), float(np.ptp(y))) or 1.0
    middle_x, middle_y = (x.min() + x.max()) / 2.0, (y.min() + y.max()) / 2.0
    return (x - middle_x) / span + 0.5, (y - middle_y) / span + 0.5


def _names(found: GridMap, bus: Ints) -> dict[int, str]:
    """Names of buses by position, without those that repeat the number."""
    names = found.buses["name"].reindex(bus).fillna("").astype(str)
    return {k: n for k, (b, n) in enumerate(names.items()) if n and n != str(b)}


def _limits(run: Run, grid: str, bus: Ints) -> tuple[Floats, Floats]:
    """Lower and upper voltage limits of buses; NaN where the run does not say."""
    if not has_network(run):
        return np.full(len(bus), np.nan), np.full(len(bus), np.nan)
    own = bus_limits(run).reindex(pd.MultiIndex.from_product([[grid], bus]))
    return own["min_vm_pu"].to_numpy(dtype=float), own["max_vm_pu"].to_numpy(dtype=float)


def _ends(
    found: GridMap | None, names: list[tuple[str, int]], position: Mapping[int, int]
) -> tuple[tuple[int, int], ...]:
    """Positions of the buses at both ends of each branch; -1 where the run does not say."""
    nowhere = (-1, -1)
    if found is None:
        return (nowhere,) * len(names)
    ends = found.branches.set_index(["element", "index"])[["bus", "to_bus"]]
    at = {
        (str(e), int(i)): (position.get(int(a), -1), position.get(int(b), -1))
        for (e, i), a, b in ends.itertuples()
    }
    return tuple(at.get(name, nowhere) for name in names)


def _devices(rows: pd.DataFrame, position: Mapping[int, int]) -> tuple[Device, ...]:
    columns = (rows[c] for c in ("kind", "element", "index", "name", "bus"))
    return tuple(
        Device(str(kind), str(element), int(index), str(name), position[int(bus)])
        for kind, element, index, name, bus in zip(*columns, strict=True)
        if int(bus) in position
    )
