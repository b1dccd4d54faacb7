"""Reader of a grid's devices: loads, photovoltaics, batteries, dispatchable units."""

import re

import numpy as np
import pandas as pd
from pandapower.auxiliary import pandapowerNet

from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.device_data import (
    CONNECTIONS,
    PHASES,
    Batteries,
    Devices,
    Loads,
    Photovoltaics,
    Units,
)
from stackelgrid.controllers.networks.naming import named
from stackelgrid.controllers.networks.unit_costs import UnitCosts
from stackelgrid.profiles.arrays import Bools, Floats

__all__ = [
    "CONNECTIONS",
    "PHASES",
    "PV_TYPE",
    "Batteries",
    "Devices",
    "Loads",
    "Photovoltaics",
    "Units",
    "controllable",
    "is_photovoltaic",
    "read_devices",
]


PV_TYPE = "PV"
# words of an sgen's type that stand for photovoltaics, in any case, beside any other words
_SOLAR = {"pv", "solar", "photovoltaic", "photovoltaics", "photovoltaik"}


def read_devices(
    net: pandapowerNet, name: str, *, slack_is_unit: bool, cost_factor: float = 1.0
) -> Devices:
    """Read the devices of a normalised and checked net; costs are multiplied by `cost_factor`.

    `slack_is_unit` states whether the ext_grid is a generator (a transmission network) or the
    boundary to the grid above (a feeder). net_columns.py declares the treatment of each column.
    Raises NetworkError for dispatched elements without limits or cost, empty limits, costs that
    are not convex or belong to no dispatched element, or an unknown phase.
    """
    costs = UnitCosts(net, name, cost_factor)
    solar, free = is_photovoltaic(net.sgen), controllable(net, "sgen")
    loads = _loads(net, name, costs)
    devices = Devices(
        loads=loads,
        photovoltaics=_photovoltaics(net, name),
        batteries=_batteries(net, name),
        units=_units(net, name, costs, slack_is_unit, net.sgen[~solar & free]),
    )
    costs.refuse_unused({"ext_grid"})
    return devices


def is_photovoltaic(sgen: pd.DataFrame) -> Bools:
    """Return whether the type of each static generator is photovoltaics: PV, Solar, PV roof, ..."""
    words = (re.split(r"[^a-z]+", str(kind).casefold()) for kind in sgen["type"])
    return np.array([not _SOLAR.isdisjoint(w) for w in words], dtype=bool)


def controllable(net: pandapowerNet, table: str) -> Bools:
    """Return whether each element is controllable; by default gen and storage are."""
    frame = net[table]
    assumed = table in ("gen", "storage")
    if "controllable" not in frame:
        return np.full(len(frame), assumed)
    values = [assumed if pd.isna(value) else bool(value) for value in frame["controllable"]]
    return np.array(values, dtype=bool)


def _names(frame: pd.DataFrame, table: str) -> tuple[str, ...]:
    return tuple(
        str(n) if isinstance(n, str) and n else f"{table} {i}"
        for n, i in zip(frame.name, frame.index, strict=True)
    )


def _index(frame: pd.DataFrame) -> tuple[int, ...]:
    return tuple(int(i) for i in frame.index)


def _values(frame: pd.DataFrame, column: str, missing: float) -> Floats:
    if column not in frame:
        return np.full(len(frame), missing)
    values = frame[column].to_numpy(dtype=float)
    return np.where(np.isnan(values), missing, values)


def _scaling(frame: pd.DataFrame) -> Floats:
    return _values(frame, "scaling", 1.0)


def _refuse(name: str, frame: pd.DataFrame, table: str, good: Bools, text: str) -> None:
    if not good.all():
        raise NetworkError(f"{named(name, table, frame.index[~good])} {text}")


def _phases(frame: pd.DataFrame, name: str, table: str) -> tuple[str, ...]:
    if "phase" not in frame:
        return ("",) * len(frame)
    values = ["" if pd.isna(value) else value for value in frame.phase]
    for element, value in zip(frame.index, values, strict=True):
        if value not in ("", *CONNECTIONS):
            raise NetworkError(
                f"{named(name, table, [element])} has phase {value!r}; accepted: "
                f"{', '.join(CONNECTIONS)} (three-phase), or empty if not known"
            )
    return tuple(values)


def _loads(net: pandapowerNet, name: str, costs: UnitCosts) -> Loads:
    load, sgen = net.load, net.sgen
    fixed = sgen[~is_photovoltaic(sgen) & ~controllable(net, "sgen")]
    resting = net.storage[~controllable(net, "storage")]
    for i, power in zip(fixed.index, fixed.p_mw * _scaling(fixed), strict=True):
        costs.count("sgen", int(i), float(power))
    parts = (("load", load, 1.0), ("sgen", fixed, -1.0), ("storage", resting, 1.0))
    return Loads(
        table=tuple(table for table, frame, _ in parts for _ in range(len(frame))),
        index=tuple(i for _, frame, _ in parts for i in _index(frame)),
        name=tuple(n for table, frame, _ in parts for n in _names(frame, table)),
        bus=np.concatenate([frame.bus for _, frame, _ in parts]).astype(np.int64),
        p_mw=np.concatenate([sign * frame.p_mw * _scaling(frame) for _, frame, sign in parts]),
        q_mvar=np.concatenate([sign * frame.q_mvar * _scaling(frame) for _, frame, sign in parts]),
        profiled=np.array([table == "load" for table, frame, _ in parts for _ in range(len(frame))],
                          dtype=bool),
        phase=tuple(p for table, frame, _ in parts for p in _phases(frame, name, table)),
    )  # fmt: skip


def _photovoltaics(net: pandapowerNet, name: str) -> Photovoltaics:
    frame = net.sgen[is_photovoltaic(net.sgen)]
    free = controllable(net, "sgen")[is_photovoltaic(net.sgen)]
    rated = frame.p_mw.to_numpy(dtype=float) * _scaling(frame)
    if (rated <= 0.0).any():
        raise NetworkError(
            f"{named(name, 'sgen', frame.index[rated <= 0.0])} is PV with p_mw <= 0; "
            "a rated power > 0 MW is accepted"
        )
    sn = _values(frame, "sn_mva", np.nan)
    if (sn <= 0.0).any():
        raise NetworkError(
            f"{named(name, 'sgen', frame.index[sn <= 0.0])} is PV with sn_mva <= 0; "
            "an inverter rating > 0 MVA is accepted"
        )
    sn = np.where(np.isnan(sn), rated, sn)
    factor = _values(frame, "min_power_factor", 0.0)
    if ((factor < 0.0) | (factor > 1.0)).any():
        bad = frame.index[(factor < 0.0) | (factor > 1.0)]
        raise NetworkError(f"{named(name, 'sgen', bad)} has min_power_factor outside [0, 1]")
    narrow = (_values(frame, "min_p_mw", 0.0) > 0.0) | (_values(frame, "max_p_mw", np.inf) < rated)
    _refuse(
        name, frame, "sgen", ~(free & narrow),
        "is controllable PV with limits min_p_mw, max_p_mw inside [0, p_mw]; none are accepted "
        "(p_mw is the rated power, curtailed down to 0)",
    )  # fmt: skip
    narrow = (_values(frame, "min_q_mvar", -np.inf) > -sn) | (
        _values(frame, "max_q_mvar", np.inf) < sn
    )
    _refuse(
        name, frame, "sgen", ~(free & narrow),
        "is controllable PV with min_q_mvar, max_q_mvar inside its inverter rating; sn_mva and a "
        "column min_power_factor are accepted",
    )  # fmt: skip
    q = frame.q_mvar.to_numpy(dtype=float) * _scaling(frame)
    fixed = np.flatnonzero(~free)
    return Photovoltaics(
        index=_index(frame),
        name=_names(frame, "pv"),
        bus=frame.bus.to_numpy(dtype=np.int64),
        p_rated_mw=rated,
        sn_mva=sn,
        min_power_factor=factor,
        phase=_phases(frame, name, "sgen"),
        fixed=tuple(int(i) for i in fixed),
        fixed_q_per_p=tuple(float(ratio) for ratio in q[fixed] / rated[fixed]),
    )


def _batteries(net: pandapowerNet, name: str) -> Batteries:
    frame = net.storage[controllable(net, "storage")]
    power = _values(frame, "max_p_mw", np.nan)
    least = _values(frame, "min_p_mw", np.nan)
    least = np.where(np.isnan(least), -power, least)
    e_max = frame.max_e_mwh.to_numpy(dtype=float)
    e_min = _values(frame, "min_e_mwh", 0.0)
    stated = _values(frame, "soc_percent", np.nan)
    soc = np.where(np.isnan(stated), 50.0, stated)
    charge = _values(frame, "efficiency_charge", 1.0)
    discharge = _values(frame, "efficiency_discharge", 1.0)
    checks = (
        (power > 0.0, "max_p_mw > 0 (or controllable = False: fixed at its p_mw)"),
        (least <= 0.0, "min_p_mw <= 0 (discharging)"),
        (np.isfinite(power) & np.isfinite(least), "finite min_p_mw and max_p_mw"),
        (
            (e_min >= 0.0) & (e_max > e_min) & np.isfinite(e_max),
            "0 <= min_e_mwh < max_e_mwh (or controllable = False: fixed at its p_mw)",
        ),
        ((soc >= 0.0) & (soc <= 100.0), "0 <= soc_percent <= 100"),
        (~(stated / 100.0 * e_max < e_min), "soc_percent of at least min_e_mwh"),
        ((charge > 0.0) & (charge <= 1.0), "0 < efficiency_charge <= 1"),
        ((discharge > 0.0) & (discharge <= 1.0), "0 < efficiency_discharge <= 1"),
        (_scaling(frame) == 1.0, "scaling = 1: limits are not scaled, and p_mw is decided"),
        (_values(frame, "q_mvar", 0.0) == 0.0, "q_mvar = 0: batteries give no reactive power"),
        (
            (_values(frame, "min_q_mvar", 0.0) <= 0.0) & (_values(frame, "max_q_mvar", 0.0) >= 0.0),
            "min_q_mvar <= 0 <= max_q_mvar: batteries give no reactive power",
        ),
    )
    for good, accepted in checks:
        _refuse(name, frame, "storage", good, f"needs {accepted}")
    return Batteries(
        index=_index(frame),
        name=_names(frame, "storage"),
        bus=frame.bus.to_numpy(dtype=np.int64),
        p_min_mw=least,
        p_max_mw=power,
        e_min_mwh=e_min,
        e_max_mwh=e_max,
        e_initial_mwh=np.clip(soc / 100.0 * e_max, e_min, e_max),
        efficiency_charge=charge,
        efficiency_discharge=discharge,
        wear_eur_per_mwh=_values(frame, "wear_eur_per_mwh", 0.0),
        phase=_phases(frame, name, "storage"),
    )


def _units(
    net: pandapowerNet, name: str, costs: UnitCosts, slack_is_unit: bool, dispatched: pd.DataFrame
) -> Units:
    """Return the slack, voltage-controlling generators and dispatched static generators."""
    slack = net.ext_grid if slack_is_unit else net.ext_grid.iloc[:0]
    low, high, coefficients = [], [], []
    frames = (("ext_grid", slack), ("gen", net.gen), ("sgen", dispatched))
    for table, frame in frames:
        free = np.full(len(frame), True) if table != "gen" else controllable(net, "gen")
        for k, i in enumerate(frame.index):
            cost = costs.take(table, int(i), required=bool(free[k]))
            coefficients.append(cost)
            if free[k]:
                least, most = _limits(frame, k, table, name, needed=table != "ext_grid")
            else:
                least = most = float((frame.p_mw.to_numpy(dtype=float) * _scaling(frame))[k])
            low.append(least)
            high.append(most)
    _check_dispatched_sgens(dispatched, name)
    c0, c1, c2 = np.array(coefficients, dtype=float).reshape(len(low), 3).T
    return Units(
        table=tuple(table for table, frame in frames for _ in range(len(frame))),
        index=tuple(i for _, frame in frames for i in _index(frame)),
        name=tuple(n for table, frame in frames for n in _names(frame, table)),
        bus=np.concatenate([frame.bus for _, frame in frames]).astype(np.int64),
        p_min_mw=np.array(low, dtype=float),
        p_max_mw=np.array(high, dtype=float),
        c2=c2,
        c1=c1,
        c0=c0,
        fixed_eur_per_h=costs.fixed_eur_per_h,
    )


def _limits(
    frame: pd.DataFrame, row: int, table: str, name: str, *, needed: bool
) -> tuple[float, float]:
    """Return the limits of a dispatched element in MW; infinite if the slack has none."""
    values, index = [], frame.index[row]
    for column, missing in (("min_p_mw", -np.inf), ("max_p_mw", np.inf)):
        value = float(_values(frame, column, np.nan)[row])
        if np.isnan(value) and needed:
            raise NetworkError(
                f"{named(name, table, [index])} is dispatched and has no {column}; a limit in MW, "
                "or controllable = False (fixed at its p_mw), is accepted"
            )
        values.append(missing if np.isnan(value) else value)
    low, high = values
    if low > high:
        raise NetworkError(
            f"{named(name, table, [index])} has the empty range [{low:g}, {high:g}] MW; "
            "min_p_mw <= max_p_mw is accepted"
        )
    scaling = float(_scaling(frame)[row])
    if needed and scaling != 1.0:
        raise NetworkError(
            f"{named(name, table, [index])} is dispatched and has scaling = {scaling:g}; 1 is "
            "accepted: limits are not scaled, and p_mw is decided"
        )
    return low, high


def _check_dispatched_sgens(frame: pd.DataFrame, name: str) -> None:
    _refuse(
        name, frame, "sgen", _values(frame, "q_mvar", 0.0) == 0.0,
        "is dispatched and has q_mvar != 0; 0 is accepted: units give no reactive power",
    )  # fmt: skip
    good = (_values(frame, "min_q_mvar", 0.0) <= 0.0) & (_values(frame, "max_q_mvar", 0.0) >= 0.0)
    _refuse(
        name, frame, "sgen", good,
        "is dispatched and must give reactive power; min_q_mvar <= 0 <= max_q_mvar is accepted",
    )  # fmt: skip
