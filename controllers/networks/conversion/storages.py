"""Storages without an energy capacity, which cannot be dispatched."""

import numpy as np
import pandas as pd
from pandapower.auxiliary import pandapowerNet

from stackelgrid.controllers.networks.net_record import NetRecord

_VEHICLE = "vehicle"  # a kind of device with requirements of its own


def fix_bare_storages(net: pandapowerNet, _name: str, record: NetRecord) -> None:
    """Fix storages at their power, as in runpp, that state neither energy nor `controllable`."""
    storage = net.storage
    if not len(storage):
        return
    unstated = np.ones(len(storage), dtype=bool)
    if "controllable" in storage:
        unstated = storage["controllable"].isna().to_numpy(dtype=bool)
    bare = pd.to_numeric(storage["max_e_mwh"], errors="coerce").isna().to_numpy(dtype=bool)
    index = storage.index[unstated & bare & (storage["type"] != _VEHICLE).to_numpy(dtype=bool)]
    if not len(index):
        return
    if "controllable" not in storage:
        net.storage["controllable"] = pd.Series(np.nan, index=storage.index, dtype=object)
    net.storage.loc[index, "controllable"] = False
    record.note(
        "kept", "storage", index,
        "constant at its p_mw, as in runpp: it has no max_e_mwh", surprising=True,
    )  # fmt: skip
