"""Energy and heat balances of a run's devices, from the table `device` and the realised series."""

import numpy as np

from stackelgrid.controllers.devices.quantities import Role


def largest_errors(tables, built):
    """Return the largest error of every balance over all grids and intervals, by name.

    `vehicles`, `stores` and `tasks` in MWh, `rooms` in K, `heat pumps` (sum of powers) in MW.
    """
    found = {}
    device = tables["device"]
    dt_h = built.scenario.time.interval_min / 60.0
    for grid, devices in built.devices.items():
        rows = device[device.grid == grid]
        for member in devices:
            balance = _BALANCES.get(member.kind)
            if balance is None:
                continue
            own = rows[rows.kind == member.kind].sort_values(["interval", "index"])
            shape = (-1, len(member.index))
            columns = {c: own[c].to_numpy().reshape(shape) for c in own if own[c].dtype == float}
            count = len(columns["p_mw"])
            names = member.names(Role.SERIES)
            series = {n: built.series[grid].devices[n][:count] for n in names}
            for name, error in balance(member, columns, series, dt_h):
                found[name] = max(found.get(name, 0.0), float(np.abs(error).max(initial=0.0)))
    return found


def before(first, values):
    """Values at the start of each interval (n, devices) from those at its end."""
    return np.vstack([first, values[:-1]])


def _vehicles(own, c, series, dt):
    charged = np.maximum(c["p_mw"], 0.0) * own.efficiency_charge
    given = np.maximum(-c["p_mw"], 0.0) / own.efficiency_discharge
    moved = dt * (charged - given + c["unmet_mw"]) - series["vehicle_driven_mwh"]
    yield "vehicles", c["e_mwh"] - before(own.e_initial_mwh, c["e_mwh"]) - moved


def _heat_pumps(own, c, series, dt):
    house = c["p_mw"] - c["hot_water_mw"] - c["backup_mw"] - c["boost_mw"]
    yield "machines", np.maximum(house + c["hot_water_mw"] - own.p_max_mw, 0.0)
    # dT/dt = (drive - T) / (R C) + heat / C over an interval of constant heat
    kept = np.exp(-dt * own.loss_mw_per_k / own.capacity_mwh_per_k)
    heat = series["heat_pump_cop"] * house + c["backup_mw"]
    limit = series["heat_pump_drive_c"] + heat / own.loss_mw_per_k
    room = before(own.set_c, c["room_c"])
    yield "rooms", c["room_c"] - kept * room - (1.0 - kept) * limit
    stores = own.store_mwh > 0.0
    into = series["heat_pump_water_cop"] * c["hot_water_mw"] + c["boost_mw"]
    into = into - series["heat_pump_water_mw"]
    left = own.store_kept**dt * before(0.5 * own.store_mwh, c["e_mwh"]) + dt * into
    yield "stores", (c["e_mwh"] - left)[:, stores]


def _tasks(own, c, series, dt):
    come = own.e_mwh * series["task_arrivals"]
    left = before(np.zeros(len(own.index)), c["task_left_mwh"]) + come
    yield "tasks", c["task_left_mwh"] - left + dt * (c["p_mw"] + c["unmet_mw"])


_BALANCES = {"vehicle": _vehicles, "heat_pump": _heat_pumps, "task": _tasks}
