"""Nets of MATPOWER: case files `.m` of format 2.

`matpower_code` reads the tables and the statements below them (units of distribution cases), and
pandapower's converter builds the net. Index i of pandapower is MATPOWER's bus number i + 1.
"""

from pathlib import Path
from typing import Any

import numpy as np
from pandapower.auxiliary import pandapowerNet
from pandapower.pypower.idx_brch import ANGMAX, ANGMIN, BR_STATUS, F_BUS, T_BUS, TAP
from pandapower.pypower.idx_bus import BASE_KV, BUS_I, BUS_TYPE, VMAX, VMIN
from pandapower.pypower.idx_gen import GEN_BUS, GEN_STATUS, PG, QG, VG

from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.naming import listed
from stackelgrid.controllers.networks.net_record import NetRecord
from stackelgrid.controllers.networks.sources.matpower_code import read_case_text
from stackelgrid.controllers.networks.sources.quiet import quiet
from stackelgrid.controllers.networks.sources.texts import read_text
from stackelgrid.profiles.arrays import Bools, Floats
from stackelgrid.profiles.errors import shown

_REFERENCE = 3
_ASSUMED_KV = 1.0
_LEAST_COLUMNS = {"bus": 13, "gen": 10, "branch": 11, "gencost": 5}
# columns that have a value in every row; limits may be infinite
_FINITE = {
    "bus": slice(0, BASE_KV + 1),
    "gen": [GEN_BUS, PG, QG, VG, GEN_STATUS],
    "branch": slice(0, BR_STATUS + 1),
}
# degrees: MATPOWER's limits of an angle that is not limited
_UNLIMITED_DEGREE = 360.0


def read_matpower(path: Path, name: str, record: NetRecord) -> pandapowerNet:
    """Return the net of a MATPOWER case file.

    Statements below the tables that convert units (kW, ohm) are applied. Raises NetworkError for a
    file that is not a case of format 2, statements of another kind, and elements that the net of
    pandapower would not have (`dcline`).
    """
    where = f"grid {name}: file {path}"
    found = _checked(read_case_text(read_text(path, where, errors="replace"), where), where)
    bus = found["bus"]
    if (bus[:, BASE_KV] == 0.0).all():  # allowed by MATPOWER, whose values are all in p.u.
        bus[:, BASE_KV] = _ASSUMED_KV
        record.notices.append(
            f"MATPOWER: baseKV is 0 at all buses; {_ASSUMED_KV:g} kV is taken, which changes no "
            "per-unit value"
        )
    _renumber(found, where)
    net = _converted(found, where)
    _free_slack_band(net, found, record)
    limited = _angle_limits(found["branch"])
    if limited.any():
        record.notices.append(
            f"MATPOWER: limits of angle differences of {int(limited.sum())} branches (rows "
            f"{listed(np.flatnonzero(limited) + 1)} of mpc.branch) are not used"
        )
    return net


def _checked(found: dict[str, Any], where: str) -> dict[str, Any]:
    """Return the fields that are used; raises NetworkError for missing or other ones."""
    version = found.get("version")
    if str(version) not in ("2", "2.0"):
        raise NetworkError(
            f"{where}: mpc.version is {shown(version)}; a case of format '2' is accepted"
        )
    base = found.get("baseMVA")
    if not isinstance(base, float) or not base > 0.0:
        raise NetworkError(f"{where}: mpc.baseMVA is {shown(base)}; a number above 0 is accepted")
    case: dict[str, Any] = {"baseMVA": base}
    for key, least in _LEAST_COLUMNS.items():
        values = found.get(key)
        if key == "gencost" and values is None:
            continue
        if not isinstance(values, np.ndarray) or values.ndim != 2 or values.shape[1] < least:
            raise NetworkError(f"{where}: mpc.{key} is not a table of at least {least} columns")
        case[key] = values
    for key, columns in _FINITE.items():
        if not np.isfinite(case[key][:, columns]).all():
            raise NetworkError(f"{where}: mpc.{key} holds values that are not finite numbers")
    lines = found.get("dcline")
    if isinstance(lines, np.ndarray) and len(lines):
        raise NetworkError(f"{where}: mpc.dcline has {len(lines)} rows; DC lines have no model")
    names = found.get("bus_name")
    if isinstance(names, list) and len(names) == len(case["bus"]):
        case["bus_name"] = np.array([n.strip() for n in names], dtype=object)
    return case


def _renumber(found: dict[str, Any], where: str) -> None:
    """Subtract 1 from bus numbers and write taps of lines as 1, as pandapower's converter does."""
    for key, columns in (("bus", [BUS_I]), ("gen", [GEN_BUS]), ("branch", [F_BUS, T_BUS])):
        found[key][:, columns] -= 1.0
    bus, branch = found["bus"], found["branch"]
    known = set(bus[:, BUS_I])
    if len(known) < len(bus) or min(known) < 0.0:
        raise NetworkError(f"{where}: mpc.bus has bus numbers below 1, or one of them twice")
    ends = np.concatenate([branch[:, F_BUS], branch[:, T_BUS], found["gen"][:, GEN_BUS]])
    unknown = sorted(set(ends) - known)
    if unknown:
        raise NetworkError(f"{where}: bus {unknown[0] + 1:g} is not in mpc.bus")
    if (bus[:, BASE_KV] <= 0.0).any():
        first = bus[bus[:, BASE_KV] <= 0.0, BUS_I][0] + 1
        raise NetworkError(f"{where}: bus {first:g} has no baseKV; a voltage above 0 is accepted")
    branch[branch[:, TAP] == 0.0, TAP] = 1.0


def _converted(found: dict[str, Any], where: str) -> pandapowerNet:
    from pandapower.converter.pypower import from_ppc

    try:
        with quiet():
            return from_ppc(found)
    except Exception as error:  # of the converter, for data of any kind
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise NetworkError(f"{where}: cannot be converted ({reason})") from error


def _free_slack_band(net: pandapowerNet, found: dict[str, Any], record: NetRecord) -> None:
    """Remove bands of zero width at reference buses: MATPOWER's way to state their voltage."""
    bus = found["bus"]
    fixed = (bus[:, BUS_TYPE] == _REFERENCE) & (bus[:, VMIN] == bus[:, VMAX])
    index = bus[fixed, BUS_I].astype(int)
    if len(index):
        others = bus[~fixed]
        low, high = (float(f(others[:, c])) for f, c in ((np.min, VMIN), (np.max, VMAX)))
        net.bus.loc[index, ["min_vm_pu", "max_vm_pu"]] = (low, high)
        record.notices.append(
            f"MATPOWER: bus {listed(index)}: the band of zero width fixes the voltage of the "
            f"source and is no limit; the widest band of the others, {low:g} to {high:g} p.u., "
            "is taken"
        )


def _angle_limits(branch: Floats) -> Bools:
    """Return which branches in service have a limit of their angle difference."""
    if branch.shape[1] <= ANGMAX:
        return np.zeros(len(branch), dtype=np.bool_)
    low, high = branch[:, ANGMIN], branch[:, ANGMAX]
    limited = ((low > -_UNLIMITED_DEGREE) & (low != 0.0)) | (
        (high < _UNLIMITED_DEGREE) & (high != 0.0)
    )
    return np.asarray(limited & (branch[:, BR_STATUS] != 0.0), dtype=np.bool_)
