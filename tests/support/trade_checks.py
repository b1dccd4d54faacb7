"""Checks that the tables of every run with trade satisfy."""

import numpy as np

from stackelgrid.controllers.devices.registry import kinds


def sums(trade, *keys):
    """Signed sums: what is bought less what is sold."""
    signed = trade.p_mw.where(trade.side == "buy", -trade.p_mw)
    return signed.groupby([trade[k] for k in keys]).sum()


def surplus_of(device):
    """PV and discharge less all consumption at every prosumer bus, by interval and grid."""
    signed = device.p_mw.where(device.kind == "pv", -device.p_mw)
    signed = signed.where(device.element != "sgen", device.p_mw)
    return signed.groupby([device.interval, device.grid, device.bus]).sum()


def prosumer_buses(device):
    own = device[device.kind.isin([kind.kind for kind in kinds() if kind.prosumer])]
    return {(g, b) for g, b in zip(own.grid, own.bus, strict=True)}


def assert_balanced(tables, copies, atol=1e-6):
    """Inside per grid and interval, across with copies, and against the devices."""
    trade, device = tables["trade"], tables["device"]
    assert (trade.p_mw > 0.0).all()
    inside = sums(trade[trade.market == "inside"], "grid", "interval")
    assert (inside.abs() <= atol).all()
    across = trade[trade.market == "across"].copy()
    across["p_mw"] *= across.grid.map(copies)
    assert (sums(across, "interval").abs() <= atol).all()
    contracts = sums(trade, "interval", "grid", "bus")
    found = surplus_of(device)
    buses = prosumer_buses(device)
    keys = [k for k in found.index if (k[1], k[2]) in buses and k[1] in copies]
    assert {(g, b) for _, g, b in contracts.index} <= buses
    bought = contracts.reindex(keys, fill_value=0.0)
    np.testing.assert_allclose(found[keys], -bought, rtol=0, atol=atol)


def assert_one_role(trade):
    """Nobody buys and sells in one interval."""
    sides = trade[trade.p_mw > 1e-6].groupby(["interval", "grid", "bus"]).side.nunique()
    assert (sides == 1).all()


def assert_one_mode(tables, efficiency):
    """Energies follow from the net power alone: nothing is charged and discharged at once."""
    schedule = tables["schedule"]
    battery = schedule[schedule.element == "storage"]
    assert len(battery)
    for _, rows in battery.groupby(["interval", "grid", "index"]):
        rows = rows.sort_values("step")
        p, dt = rows.p_mw.to_numpy(), rows.dt_h.to_numpy()
        gained = dt * (efficiency["charge"] * np.maximum(p, 0.0)
                       - np.maximum(-p, 0.0) / efficiency["discharge"])  # fmt: skip
        np.testing.assert_allclose(np.diff(rows.e_mwh), gained[1:], rtol=0, atol=1e-7)
    assert (tables["interval"].simultaneous_mw == 0.0).all()
