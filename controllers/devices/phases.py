"""Requirements of a three-phase view on the devices of a grid."""

from stackelgrid.controllers.devices.devices import Devices
from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.naming import named
from stackelgrid.controllers.networks.phases import PHASES


def check_phases(devices: Devices, name: str) -> None:
    """Raise NetworkError for devices without phase, and for buses with customers on several phases.

    A bus is the connection of one customer, so its single-phase loads share a phase (a balanced
    load may be beside them). Dispatchable units are three-phase machines and need no phase.
    """
    loads = devices.loads
    elements = [
        element
        for member in devices
        for element in zip(member.table, member.index, member.phase, strict=True)
    ]
    for table in sorted({table for table, _, _ in elements}):
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
