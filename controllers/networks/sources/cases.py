"""Nets by the key `case` of a scenario, in any of its forms.

A form is a shipped name, a file (by its ending) or a prefix with a text. Every place that treats
files asks `is_file` and `located`.
"""

import copy
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pandapower.auxiliary import pandapowerNet

from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.checks import check_indices, check_net
from stackelgrid.controllers.networks.conversion.normalise import normalise
from stackelgrid.controllers.networks.net_record import NetRecord
from stackelgrid.controllers.networks.net_tables import conform_tables
from stackelgrid.controllers.networks.sources import pandapower_function, simbench_code
from stackelgrid.controllers.networks.sources.json_file import read_net
from stackelgrid.controllers.networks.sources.matpower import read_matpower
from stackelgrid.controllers.networks.sources.opendss import read_opendss
from stackelgrid.controllers.networks.sources.parts import Parts
from stackelgrid.controllers.networks.sources.shipped import available_cases, shipped_case
from stackelgrid.profiles.errors import shown
from stackelgrid.profiles.file_names import NET_ENDINGS
from stackelgrid.profiles.simbench_source import NetProfiles

_FILES: dict[str, Callable[[Path, str, NetRecord], pandapowerNet]] = {
    ".json": lambda path, name, record: read_net(path, name),
    ".m": read_matpower,
    ".dss": read_opendss,
}
_TEXTS: dict[str, Callable[[str, str, NetRecord], pandapowerNet]] = {
    pandapower_function.PREFIX: pandapower_function.read_function,
    simbench_code.PREFIX: simbench_code.read_simbench,
}
_ACCEPTED = (
    "the path of a pandapower .json, MATPOWER .m or OpenDSS .dss file, "
    f"{pandapower_function.PREFIX}FUNCTION(arguments) or {simbench_code.PREFIX}CODE"
)


def is_file(case: str) -> bool:
    """Return whether a case names a file."""
    return case.endswith(NET_ENDINGS)


def located(case: str, folder: Path) -> str:
    """Return a case with an absolute file name; relative ones start at `folder`."""
    return str(folder / case) if is_file(case) else case


@dataclass
class Source:
    """Net of a case as it was written, with its profiles, and notices about its conversion.

    It is shared between grids and not to be changed.
    """

    net: pandapowerNet
    profiles: NetProfiles | None
    notices: tuple[str, ...]

    @cached_property
    def parts(self) -> Parts:
        """Parts of the net."""
        return Parts(self.net)


def read_case(case: str, name: str) -> Source:
    """Return the net of a case as it was written, before any conversion.

    The latest nets are kept, as several grids and both validation and run read one.

    case: a shipped name, the path of a file, or a prefix with its text.
    name: name of the grid, for messages.

    Raises NetworkError.
    """
    key = (case, _stamp(case))
    if key not in _READ:
        record = NetRecord()
        found = source_of(_read(case, name, record), name, tuple(record.notices))
        while len(_READ) >= _MOST_KEPT:
            _READ.pop(next(iter(_READ)))
        _READ[key] = found
    return _READ[key]


def source_of(net: pandapowerNet, name: str, notices: tuple[str, ...] = ()) -> Source:
    """Return a net in memory as a source; its tables are checked."""
    net = copy.copy(net)
    profiles = net.pop("profiles", None)
    conform_tables(net, name)
    check_indices(net, name)
    found = NetProfiles(profiles) if isinstance(profiles, Mapping) and profiles else None
    return Source(net, found, notices)


_MOST_KEPT = 4
_READ: dict[tuple[str, tuple[int, ...]], Source] = {}


def _stamp(case: str) -> tuple[int, ...]:
    """Return time and size of the file of a case; empty if there is none."""
    try:
        found = Path(case).stat() if is_file(case) else None
    except (OSError, ValueError):
        found = None  # reported by the reader
    return () if found is None else (found.st_mtime_ns, found.st_size)


def _read(case: str, name: str, record: NetRecord) -> pandapowerNet:
    if case in available_cases():
        return shipped_case(case)
    for prefix, read in _TEXTS.items():
        if case.startswith(prefix):
            return read(case, name, record)
    for ending, read_file in _FILES.items():
        if case.endswith(ending):
            return read_file(Path(case), name, record)
    raise NetworkError(
        f"grid {name}: case {shown(case)} unknown; accepted: {', '.join(available_cases())}, "
        f"{_ACCEPTED}"
    )


def load_case(
    case: str,
    name: str,
    record: NetRecord | None = None,
    base_mva: float | None = None,
    part: str | None = None,
    without: Collection[int] = (),
) -> pandapowerNet:
    """Return the net of a case or a part of it, normalised and checked.

    case: as for `read_case`.
    name: name of the grid.
    record: receives the changes to the net.
    base_mva: replaces the net's `sn_mva`.
    part, without: part of the net, as for `Parts.cut`.

    Raises NetworkError.
    """
    record = NetRecord() if record is None else record
    source = read_case(case, name)
    record.notices += source.notices
    net = copy.copy(source.net)
    if part is not None or without:
        net = source.parts.cut(part, without, name, record)
    if base_mva is not None:
        net.sn_mva = base_mva
    net = normalise(net, name, record)  # a copy of all tables
    net.name = name
    check_net(net, name)
    return net
