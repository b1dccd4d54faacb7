"""Tree of grids that a cascade decides, and the groups of a stage that decide together."""

from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.system import Feeder, System


def trading_groups(feeders: list[Feeder]) -> tuple[tuple[str, ...], ...]:
    """Feeders of a stage that decide together: those that may trade across; the others alone."""
    trading = [
        f.name
        for f in feeders
        if f.boundary.parent is not None and f.options.trade is not None and f.options.trade.across
    ]
    groups: list[tuple[str, ...]] = []
    for f in feeders:
        if f.name not in trading:
            groups.append((f.name,))
        elif f.name == trading[0]:
            groups.append(tuple(trading))
    return tuple(groups)


def check_tree(system: System) -> None:
    """Refuse a boundary at a bus that does not exist, and a feeder that is connected twice."""
    seen: set[str] = set()
    transmission = system.transmission
    buses = {f.name: f.network.bus_index for f in system.feeders}
    if transmission is not None:
        buses[transmission.name] = transmission.network.bus_index
    for f in system.feeders:
        if f.name in seen:
            raise NetworkError(f"grid {f.name} is connected twice; one boundary is accepted")
        seen.add(f.name)
        parent = f.boundary.parent
        if parent is None:
            continue
        if parent not in buses:
            raise NetworkError(f"grid {f.name}: its parent {parent!r} is not part of the system")
        if f.boundary.bus not in buses[parent]:
            raise NetworkError(
                f"grid {f.name}: bus {f.boundary.bus} of {parent} does not exist; accepted are "
                f"{min(buses[parent])} to {max(buses[parent])}"
            )


def leaders_of(system: System, parent: str) -> tuple[Feeder, ...]:
    """Feeders directly below a grid; "" stands for a source outside."""
    return tuple(f for f in system.feeders if (f.boundary.parent or "") == parent)


def stage_parents(system: System) -> list[str]:
    """Grids with leaders below them, lowest first; "" stands for a source outside."""
    root = "" if system.transmission is None else system.transmission.name
    above = [f.boundary.parent or "" for f in reversed(system.feeders)]
    if system.transmission is not None:
        above.append(root)
    depth = {"": -1} if system.transmission is None else {"": -1, root: 0}
    for f in system.feeders:
        depth[f.name] = depth.get(f.boundary.parent or "", -1) + 1
    return sorted(dict.fromkeys(above), key=lambda p: -depth[p])
