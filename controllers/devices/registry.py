"""Kinds of devices: the shipped ones, and those of installed packages.

A package adds a kind by an entry point of the group `stackelgrid.devices` that names a subclass of
DeviceKind (docs/howto/devices.md).
"""

from functools import cache
from importlib.metadata import entry_points

from stackelgrid.controllers.devices.batteries import Batteries
from stackelgrid.controllers.devices.caps import PowerCaps
from stackelgrid.controllers.devices.externals import Externals
from stackelgrid.controllers.devices.heat_pumps import HeatPumps
from stackelgrid.controllers.devices.kind import DeviceKind
from stackelgrid.controllers.devices.loads import Loads
from stackelgrid.controllers.devices.photovoltaics import Photovoltaics
from stackelgrid.controllers.devices.quantities import Quantity, Role
from stackelgrid.controllers.devices.sheddable_loads import SheddableLoads
from stackelgrid.controllers.devices.tasks import Tasks
from stackelgrid.controllers.devices.units import Units
from stackelgrid.controllers.devices.vehicles import Vehicles
from stackelgrid.controllers.errors import NetworkError
from stackelgrid.profiles.time_axis import Over

GROUP = "stackelgrid.devices"
SHIPPED: tuple[type[DeviceKind], ...] = (
    Loads,
    Photovoltaics,
    Batteries,
    Units,
    Vehicles,
    HeatPumps,
    Tasks,
    SheddableLoads,
    PowerCaps,
    Externals,
)
# they claim elements of pandapower that are plain loads and storages for the others
_SPECIFIC = (Vehicles, HeatPumps, Tasks, SheddableLoads, PowerCaps, Externals)


@cache
def kinds() -> tuple[type[DeviceKind], ...]:
    """Return all kinds: the shipped ones, then those of installed packages by name.

    Raises NetworkError for an entry point that cannot be loaded or is no kind, and for names that
    two kinds use.
    """
    found = list(SHIPPED)
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        where = f"entry point {entry.name} = {entry.value} of {GROUP}"
        try:
            kind = entry.load()
        except Exception as error:
            raise NetworkError(f"{where}: cannot be loaded ({error})") from error
        if not (isinstance(kind, type) and issubclass(kind, DeviceKind)):
            raise NetworkError(f"{where}: is {kind!r}; a subclass of DeviceKind is accepted")
        _check_names(where, kind, found)
        found.append(kind)
    return tuple(found)


def kind_named(name: str) -> type[DeviceKind]:
    """Return a kind by its name; raises NetworkError for an unknown one."""
    for kind in kinds():
        if kind.kind == name:
            return kind
    accepted = ", ".join(kind.kind for kind in kinds())
    raise NetworkError(f"kind of device {name!r} is unknown; accepted: {accepted}")


def claimants() -> tuple[type[DeviceKind], ...]:
    """Return the kinds in the order in which they claim elements: those of packages first."""
    others = tuple(kind for kind in SHIPPED if kind not in _SPECIFIC)
    return (*kinds()[len(SHIPPED) :], *_SPECIFIC, *others)


def quantities() -> tuple[Quantity, ...]:
    """Return the quantities of all kinds."""
    return tuple(q for kind in kinds() for q in kind.quantities)


@cache
def costly() -> tuple[type[DeviceKind], ...]:
    """Return the kinds with a cost, in the order in which costs are summed: consumers first."""
    return tuple(sorted((k for k in kinds() if k.cost_column), key=lambda kind: kind.injects))


@cache
def series_over() -> dict[str, Over]:
    """Return the value over a step of the series that have another one than their mean."""
    series = (q for q in quantities() if Role.SERIES in q.roles)
    return {q.name: q.over for q in series if q.over is not Over.MEAN}


@cache
def series_names() -> dict[str, tuple[str, ...]]:
    """Return the series of each kind that has any."""
    named = {kind.kind: kind.names(Role.SERIES) for kind in kinds()}
    return {kind: names for kind, names in named.items() if names}


def _check_names(where: str, kind: type[DeviceKind], others: list[type[DeviceKind]]) -> None:
    def names(of: type[DeviceKind]) -> set[str]:
        attributes = (q.attribute for q in of.quantities)
        found = {of.kind, of.plural, *of.data, *(q.name for q in of.quantities)}
        return found | {of.cost_column, *attributes, *of.sections} - {""}

    for other in others:
        shared = sorted(names(kind) & names(other))
        if shared:
            raise NetworkError(
                f"{where}: uses {', '.join(shared)}, which {other.__name__} has; other names are "
                "accepted"
            )
