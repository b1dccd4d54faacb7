"""Nets by the key `case` of a scenario, in any of its forms.

A form is a shipped name, a file (by its ending) or a prefix with a text. Every place that treats
files asks `is_file` and `located`.
"""

from collections.abc import Callable
from pathlib import Path

from pandapower.auxiliary import pandapowerNet

from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.checks import check_net
from stackelgrid.controllers.networks.conversion.normalise import normalise
from stackelgrid.controllers.networks.net_record import NetRecord
from stackelgrid.controllers.networks.sources import pandapower_function, simbench_code
from stackelgrid.controllers.networks.sources.json_file import read_net
from stackelgrid.controllers.networks.sources.matpower import read_matpower
from stackelgrid.controllers.networks.sources.opendss import read_opendss
from stackelgrid.controllers.networks.sources.shipped import available_cases, shipped_case
from stackelgrid.profiles.errors import shown
from stackelgrid.profiles.file_names import NET_ENDINGS

_READERS: tuple[Callable[[Path, str, NetRecord], pandapowerNet], ...] = (
    lambda path, name, record: read_net(path, name),
    read_matpower,
    read_opendss,
)
_FILES = dict(zip(NET_ENDINGS, _READERS, strict=True))
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


def read_case(case: str, name: str, record: NetRecord) -> pandapowerNet:
    """Return the net of a case as it was written, before any conversion.

    case: a shipped name, the path of a file, or a prefix with its text.
    name: name of the grid, for messages.
    record: receives notices about nets of other formats.

    Raises NetworkError.
    """
    if case in available_cases():
        return shipped_case(case)
    for prefix, read in _TEXTS.items():
        if case.startswith(prefix):
            return read(case, name, record)
    if is_file(case):
        return _FILES[Path(case).suffix](Path(case), name, record)
    raise NetworkError(
        f"grid {name}: case {shown(case)} unknown; accepted: {', '.join(available_cases())}, "
        f"{_ACCEPTED}"
    )


def load_case(
    case: str, name: str, record: NetRecord | None = None, base_mva: float | None = None
) -> pandapowerNet:
    """Return the net of a case, normalised and checked.

    case: as for `read_case`.
    name: name of the grid.
    record: receives the changes to the net.
    base_mva: replaces the net's `sn_mva`.

    Raises NetworkError.
    """
    record = NetRecord() if record is None else record
    net = read_case(case, name, record)
    if base_mva is not None:
        net.sn_mva = base_mva
    net = normalise(net, name, record)
    net.name = name
    check_net(net, name)
    return net
