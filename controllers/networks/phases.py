"""Requirements of a three-phase view on the devices of a grid."""

from collections.abc import Sequence

import numpy as np

from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.devices import CONNECTIONS, PHASES, Devices
from stackelgrid.controllers.networks.naming import named
from stackelgrid.profiles.arrays import Floats

__all__ = ["CONNECTIONS", "PHASES", "check_phases", "phase_shares"]


def phase_shares(phase: Sequence[str]) -> Floats:
    """Return the share of each phase in the power of elements, (3, n) with columns that sum to one.

    An element on a, b or c has its whole power there, one on abc a third on each. Raises
    NetworkError for other phases.
    """
    unknown = sorted({p for p in phase if p not in CONNECTIONS})
    if unknown:
        raise NetworkError(
            f"phase {unknown[0]!r} has no share of the phases; accepted: {', '.join(CONNECTIONS)}"
        )
    one = {p: np.eye(3)[k] for k, p in enumerate(PHASES)} | {"abc": np.full(3, 1.0 / 3.0)}
    return np.array([one[p] for p in phase], dtype=float).reshape(len(phase), 3).T


def check_phases(devices: Devices, name: str) -> None:
    """Raise NetworkError for devices without phase, and for buses with customers on several phases.

    A bus is the connection of one customer, so its single-phase loads share a phase (a balanced
    load may be beside them). Dispatchable units are three-phase machines and need no phase.
    """
    loads, pv, batteries = devices.loads, devices.photovoltaics, devices.batteries
    elements = (
        *zip(loads.table, loads.index, loads.phase, strict=True),
        *(("sgen", i, phase) for i, phase in zip(pv.index, pv.phase, strict=True)),
        *(("storage", i, phase) for i, phase in zip(batteries.index, batteries.phase, strict=True)),
    )
    for table in ("load", "sgen", "storage"):
        lost = sorted(i for kind, i, phase in elements if kind == table and not phase)
        if lost:
            raise NetworkError(
                f"{named(name, table, lost)} states no phase, which a three-phase view needs; "
                "give `phase` a, b, c or abc (balanced)"
            )
    at_bus: dict[int, set[str]] = {}
    for table, bus, phase in zip(loads.table, loads.bus.tolist(), loads.phase, strict=True):
        if table == "load" and phase in PHASES:
            at_bus.setdefault(bus, set()).add(phase)
    for bus, phases in sorted(at_bus.items()):
        if len(phases) > 1:
            raise NetworkError(
                f"grid {name}: bus {bus} has customers on phases {' and '.join(sorted(phases))}; "
                "one phase at a bus, or abc, is accepted"
            )
