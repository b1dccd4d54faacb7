"""What is connected to a grid: loads, photovoltaics, batteries, dispatchable units."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from pandapower.auxiliary import pandapowerNet

from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.checks import named
from stackelgrid.profiles.arrays import Floats, Ints

PV_TYPE = "PV"
# the phases of the three-phase view; "abc" is a balanced three-phase connection
PHASES = ("a", "b", "c")
CONNECTIONS = (*PHASES, "abc")


@dataclass(frozen=True)
class Loads:
    """Uncontrolled consumers; p_mw, q_mvar are nominal values that a profile multiplies.

    Static generators that are neither photovoltaic nor dispatchable are listed here with a
    negative power; `profiled` is False for them: they inject their constant power. `phase` is
    what each is connected to: a, b, c, abc (balanced three-phase), or empty where not stated.
    """

    table: tuple[str, ...]
    index: tuple[int, ...]
    name: tuple[str, ...]
    bus: Ints
    p_mw: Floats
    q_mvar: Floats
    profiled: "np.typing.NDArray[np.bool_]"
    phase: tuple[str, ...]


@dataclass(frozen=True)
class Photovoltaics:
    """Curtailable PV systems: rated active power, inverter rating, optional power-factor limit.

    `phase` as in Loads.
    """

    index: tuple[int, ...]
    name: tuple[str, ...]
    bus: Ints
    p_rated_mw: Floats
    sn_mva: Floats
    min_power_factor: Floats
    phase: tuple[str, ...]


@dataclass(frozen=True)
class Batteries:
    """Storage units; power is measured at the grid connection, positive when charging.

    `phase` as in Loads.
    """

    index: tuple[int, ...]
    name: tuple[str, ...]
    bus: Ints
    p_max_mw: Floats
    e_min_mwh: Floats
    e_max_mwh: Floats
    e_initial_mwh: Floats
    efficiency_charge: Floats
    efficiency_discharge: Floats
    wear_eur_per_mwh: Floats
    phase: tuple[str, ...]


@dataclass(frozen=True)
class Units:
    """Dispatchable generation: cost c2 p^2 + c1 p + c0 in EUR/h with p in MW.

    `table` is ext_grid, gen or sgen. A unit without a limit has an infinite one.
    """

    table: tuple[str, ...]
    index: tuple[int, ...]
    name: tuple[str, ...]
    bus: Ints
    p_min_mw: Floats
    p_max_mw: Floats
    c2: Floats
    c1: Floats
    c0: Floats


@dataclass(frozen=True)
class Devices:
    """All devices of one grid; `bus` holds pandapower bus indices."""

    loads: Loads
    photovoltaics: Photovoltaics
    batteries: Batteries
    units: Units

    @property
    def occupied_buses(self) -> set[int]:
        """Pandapower indices of all buses with a device."""
        kinds = (self.loads, self.photovoltaics, self.batteries, self.units)
        return {int(b) for kind in kinds for b in kind.bus}


def read_devices(
    net: pandapowerNet, name: str, *, slack_is_unit: bool, cost_factor: float = 1.0
) -> Devices:
    """Read the devices of a normalised and checked net; costs are multiplied by `cost_factor`.

    `slack_is_unit` tells whether the ext_grid is a generator (a transmission network) or the
    boundary to the grid above (a feeder).
    Raises NetworkError for storages without limits, empty limits, costs that are not convex, or
    an unknown phase.
    """
    return Devices(
        loads=_loads(net, name),
        photovoltaics=_photovoltaics(net, name),
        batteries=_batteries(net, name),
        units=_units(net, name, cost_factor, slack_is_unit),
    )


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


def _costs(net: pandapowerNet) -> pd.DataFrame:
    costs: pd.DataFrame = net.poly_cost.set_index(["et", "element"])
    return costs


def _is_unit(net: pandapowerNet, frame: pd.DataFrame) -> "np.typing.NDArray[np.bool_]":
    costs = _costs(net)
    return np.array([("sgen", i) in costs.index for i in frame.index], dtype=bool)


def _loads(net: pandapowerNet, name: str) -> Loads:
    load, sgen = net.load, net.sgen
    fixed = sgen[(sgen.type != PV_TYPE).to_numpy() & ~_is_unit(net, sgen)]
    return Loads(
        table=("load",) * len(load) + ("sgen",) * len(fixed),
        index=_index(load) + _index(fixed),
        name=_names(load, "load") + _names(fixed, "sgen"),
        bus=np.concatenate([load.bus, fixed.bus]).astype(np.int64),
        p_mw=np.concatenate([load.p_mw * _scaling(load), -fixed.p_mw * _scaling(fixed)]),
        q_mvar=np.concatenate([load.q_mvar * _scaling(load), -fixed.q_mvar * _scaling(fixed)]),
        profiled=np.array([True] * len(load) + [False] * len(fixed), dtype=bool),
        phase=_phases(load, name, "load") + _phases(fixed, name, "sgen"),
    )


def _photovoltaics(net: pandapowerNet, name: str) -> Photovoltaics:
    frame = net.sgen[(net.sgen.type == PV_TYPE).to_numpy()]
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
    factor = _values(frame, "min_power_factor", 0.0)
    if ((factor < 0.0) | (factor > 1.0)).any():
        bad = frame.index[(factor < 0.0) | (factor > 1.0)]
        raise NetworkError(f"{named(name, 'sgen', bad)} has min_power_factor outside [0, 1]")
    return Photovoltaics(
        index=_index(frame),
        name=_names(frame, "pv"),
        bus=frame.bus.to_numpy(dtype=np.int64),
        p_rated_mw=rated,
        sn_mva=np.where(np.isnan(sn), rated, sn),
        min_power_factor=factor,
        phase=_phases(frame, name, "sgen"),
    )


def _batteries(net: pandapowerNet, name: str) -> Batteries:
    frame = net.storage
    power = _values(frame, "max_p_mw", np.nan)
    e_max = frame.max_e_mwh.to_numpy(dtype=float)
    e_min = _values(frame, "min_e_mwh", 0.0)
    soc = _values(frame, "soc_percent", 50.0)
    charge = _values(frame, "efficiency_charge", 1.0)
    discharge = _values(frame, "efficiency_discharge", 1.0)
    checks = (
        (power > 0.0, "max_p_mw > 0"),
        ((e_min >= 0.0) & (e_max > e_min) & np.isfinite(e_max), "0 <= min_e_mwh < max_e_mwh"),
        ((soc >= 0.0) & (soc <= 100.0), "0 <= soc_percent <= 100"),
        ((charge > 0.0) & (charge <= 1.0), "0 < efficiency_charge <= 1"),
        ((discharge > 0.0) & (discharge <= 1.0), "0 < efficiency_discharge <= 1"),
    )
    for good, accepted in checks:
        if not good.all():
            raise NetworkError(f"{named(name, 'storage', frame.index[~good])} needs {accepted}")
    return Batteries(
        index=_index(frame),
        name=_names(frame, "storage"),
        bus=frame.bus.to_numpy(dtype=np.int64),
        p_max_mw=power,
        e_min_mwh=e_min,
        e_max_mwh=e_max,
        e_initial_mwh=np.clip(soc / 100.0 * e_max, e_min, e_max),
        efficiency_charge=charge,
        efficiency_discharge=discharge,
        wear_eur_per_mwh=_values(frame, "wear_eur_per_mwh", 0.0),
        phase=_phases(frame, name, "storage"),
    )


def _units(net: pandapowerNet, name: str, cost_factor: float, slack_is_unit: bool) -> Units:
    if len(net.pwl_cost):
        raise NetworkError(
            f"{named(name, 'pwl_cost', net.pwl_cost.index)} not supported; poly_cost is accepted"
        )
    sgen = net.sgen[(net.sgen.type != PV_TYPE).to_numpy() & _is_unit(net, net.sgen)]
    slack = (("ext_grid", net.ext_grid),) if slack_is_unit else ()
    frames = (*slack, ("gen", net.gen), ("sgen", sgen))
    costs = _costs(net)
    table: list[str] = []
    index: list[int] = []
    names: list[str] = []
    rows: list[tuple[float, ...]] = []
    for kind, frame in frames:
        for i, element_name in zip(frame.index, _names(frame, kind), strict=True):
            if (kind, i) not in costs.index:
                raise NetworkError(f"{named(name, kind, [i])} has no poly_cost")
            cost = costs.loc[(kind, i)]
            if isinstance(cost, pd.DataFrame):
                raise NetworkError(f"{named(name, kind, [i])} has several poly_costs")
            low = float(frame.at[i, "min_p_mw"]) if "min_p_mw" in frame else np.nan
            high = float(frame.at[i, "max_p_mw"]) if "max_p_mw" in frame else np.nan
            low = 0.0 if np.isnan(low) else low
            high = np.inf if np.isnan(high) else high
            if low > high:
                raise NetworkError(
                    f"{named(name, kind, [i])} has the empty range [{low:g}, {high:g}] MW; "
                    "min_p_mw <= max_p_mw is accepted"
                )
            c2 = float(cost.cp2_eur_per_mw2)
            if c2 < 0.0:
                raise NetworkError(
                    f"{named(name, kind, [i])} has cp2_eur_per_mw2 = {c2:g}; a convex cost "
                    "(>= 0) is accepted"
                )
            table.append(kind)
            index.append(int(i))
            names.append(element_name)
            rows.append((
                float(frame.at[i, "bus"]), low, high,
                c2, float(cost.cp1_eur_per_mw), float(cost.cp0_eur),
            ))  # fmt: skip
    data = np.array(rows, dtype=float).reshape(len(rows), 6).T
    return Units(
        table=tuple(table),
        index=tuple(index),
        name=tuple(names),
        bus=data[0].astype(np.int64),
        p_min_mw=data[1],
        p_max_mw=data[2],
        c2=cost_factor * data[3],
        c1=cost_factor * data[4],
        c0=cost_factor * data[5],
    )
