"""Nets of the SimBench data set: `simbench:CODE` (optional package simbench)."""

import functools
import warnings
from typing import Any

import numpy as np
from pandapower.auxiliary import pandapowerNet

from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.naming import listed
from stackelgrid.controllers.networks.net_record import NetRecord
from stackelgrid.profiles.errors import shown
from stackelgrid.profiles.extras import install_command

PREFIX = "simbench:"


def read_simbench(case: str, name: str, record: NetRecord) -> pandapowerNet:
    """Return the net of a SimBench code, with its profiles of the year 2016 in `net.profiles`.

    Raises NetworkError for an unknown code, and if simbench is not installed.

    Source: Meinecke et al., SimBench - A Benchmark Dataset of Electric Power Systems to Compare
    Innovative Solutions Based on Power Flow Analysis, Energies 13 (2020) 3290.
    """
    where = f"grid {name}: case {shown(case)}"
    try:
        import simbench
    except ImportError as error:
        raise NetworkError(
            f"{where} needs the package simbench; {install_command('simbench')} provides it"
        ) from error
    code = case.removeprefix(PREFIX)
    if code not in _codes():
        raise NetworkError(f"{where}: no such code of SimBench{_near(code)}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about dtypes of its own data
        net = simbench.get_simbench_net(code)
    _restore_tap_changers(net, record)
    _restore_storages(net, record)
    return net


@functools.cache
def _codes() -> frozenset[str]:
    import simbench

    return frozenset(str(code) for code in simbench.collect_all_simbench_codes())


def _near(code: str) -> str:
    from difflib import get_close_matches

    found = get_close_matches(code, sorted(_codes()), 3, 0.5)
    example = ", ".join(found) or "1-LV-rural1--0-sw"
    return f"; for example {example} {'are' if len(found) > 1 else 'is'} accepted"


def _restore_tap_changers(net: pandapowerNet, record: NetRecord) -> None:
    """Set the type of tap changers, which all are ratio changers and which the package leaves out.

    pandapower from 3.0 ignores the tap position of a transformer without it.
    """
    trafo = net.trafo
    has = (trafo.tap_step_percent.fillna(0.0) > 0.0) & trafo.tap_changer_type.isna()
    net.trafo.loc[has, "tap_changer_type"] = "Ratio"
    moved = trafo.index[has & (trafo.tap_pos != trafo.tap_neutral)]
    if len(moved):
        record.notices.append(
            f"trafo {listed(moved)}: tap_changer_type is Ratio as in the data set; the package "
            "simbench leaves it out, and pandapower then ignores tap_pos"
        )


def _restore_storages(net: pandapowerNet, record: NetRecord) -> None:
    """Write limits and efficiencies of storages into the columns that are read here."""
    storage = net.storage
    if not len(storage):
        return
    power = np.maximum(storage.sn_mva, -storage.min_p_mw)
    values: dict[str, Any] = {
        "max_p_mw": power,
        "min_p_mw": -power,
        "efficiency_charge": storage.efficiency_percent,
        "efficiency_discharge": storage.efficiency_percent,
    }
    for column, new in values.items():
        net.storage[column] = new.astype(float)
    record.notices.append(
        f"storage {listed(storage.index)}: charges and discharges up to sn_mva with the stated "
        "efficiency in each direction (a share in the data set); self-discharge is not modelled"
    )
