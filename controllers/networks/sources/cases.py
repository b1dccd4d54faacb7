"""Nets by the key `case` of a scenario, normalised so that power flow and models agree."""

from pathlib import Path

from pandapower.auxiliary import pandapowerNet

from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.checks import check_net
from stackelgrid.controllers.networks.conversion.normalise import normalise
from stackelgrid.controllers.networks.net_record import NetRecord
from stackelgrid.controllers.networks.sources.json_file import read_net
from stackelgrid.controllers.networks.sources.shipped import available_cases, shipped_case


def load_case(
    case: str, name: str, record: NetRecord | None = None, base_mva: float | None = None
) -> pandapowerNet:
    """Build a test grid by name, or read a pandapower JSON file; normalised and checked.

    case: one of `available_cases()`, or a path ending in `.json`.
    name: name of the grid.
    record: receives the changes to the net.
    base_mva: replaces the net's `sn_mva`.

    Raises NetworkError.
    """
    if case in available_cases():
        net = shipped_case(case)
    elif case.endswith(".json"):
        net = read_net(Path(case), name)
    else:
        raise NetworkError(
            f"grid {name}: case {case!r} unknown; accepted: {', '.join(available_cases())} or the "
            "path of a pandapower .json file"
        )
    if base_mva is not None:
        net.sn_mva = base_mva
    net = normalise(net, name, record)
    net.name = name
    check_net(net, name)
    return net
