"""Random vehicles, heat pumps, tasks, caps and sheddable loads, with forecasts and states."""

from dataclasses import dataclass

import numpy as np
import pyomo.environ as pyo

from stackelgrid.controllers.devices.caps import PowerCaps
from stackelgrid.controllers.devices.devices import Devices
from stackelgrid.controllers.devices.heat_pumps import HeatPumps
from stackelgrid.controllers.devices.kind import Controllable
from stackelgrid.controllers.devices.quantities import Role
from stackelgrid.controllers.devices.sheddable_loads import SheddableLoads
from stackelgrid.controllers.devices.tasks import Tasks
from stackelgrid.controllers.devices.vehicles import Vehicles
from stackelgrid.controllers.models.active_network import ActiveNetworkOptions
from stackelgrid.profiles.forecast import GridForecast

OPTIONS = ActiveNetworkOptions()
BUSES = 2


def placed(rng, count):
    """Indices, names, buses and phases of devices."""
    return {
        "index": tuple(range(count)), "name": tuple(f"d{k}" for k in range(count)),
        "bus": rng.integers(0, BUSES, count), "phase": ("",) * count,
    }  # fmt: skip


def some(rng, count, low, high, zero=0.0):
    """Values between limits, a share of them 0."""
    return rng.uniform(low, high, count) * (rng.random(count) >= zero)


def vehicles(rng, count=2):
    """Vehicles: some with a least power, some that feed back."""
    power, full = some(rng, count, 0.003, 0.022), some(rng, count, 0.02, 0.1)
    return Vehicles(
        **placed(rng, count), p_max_mw=power, p_least_mw=power * some(rng, count, 0.1, 0.6, 0.5),
        p_back_mw=some(rng, count, 0.003, 0.011, 0.5), e_max_mwh=full,
        e_initial_mwh=full * rng.random(count), efficiency_charge=some(rng, count, 0.7, 1.0),
        efficiency_discharge=some(rng, count, 0.7, 1.0), reserve_mwh=0.2 * full,
        unmet_eur_per_mwh=some(rng, count, 100.0, 900.0), wear_eur_per_mwh=some(rng, count, 0, 5),
        kwh_per_km=np.full(count, 0.17),
    )  # fmt: skip


def heat_pumps(rng, count=2):
    """Heat pumps: some with a backup heater, some with a store and hot water."""
    store = some(rng, count, 0.004, 0.02, 0.5)
    return HeatPumps(
        **placed(rng, count), p_max_mw=some(rng, count, 0.001, 0.006),
        backup_mw=some(rng, count, 0.001, 0.006, 0.5), tan_phi=some(rng, count, 0.0, 0.5),
        loss_mw_per_k=some(rng, count, 5e-5, 5e-4), capacity_mwh_per_k=some(rng, count, 2e-3, 0.03),
        set_c=some(rng, count, 18.0, 23.0), below_k=some(rng, count, 0.2, 2.0),
        above_k=some(rng, count, 0.2, 2.0), comfort_eur_per_k_h=some(rng, count, 0.5, 5.0),
        store_mwh=store, store_kept=some(rng, count, 0.9, 1.0),
        water_mwh=np.where(store > 0.0, some(rng, count, 0.002, 0.02), 0.0),
        ground=np.zeros(count, dtype=bool), floor=np.zeros(count, dtype=bool),
        coldest_c=np.full(count, -14.0), gains_mw=np.zeros(count), window_m2=np.zeros(count),
    )  # fmt: skip


def tasks(rng, count, whole):
    """Tasks in parts, or some of them in one run."""
    power = some(rng, count, 0.0005, 0.003)
    return Tasks(
        **placed(rng, count), p_max_mw=power, e_mwh=power * some(rng, count, 0.5, 3.0),
        whole=(rng.random(count) < 0.5) & whole, from_h=np.zeros(count), to_h=np.zeros(count),
        unserved_eur_per_mwh=some(rng, count, 500.0, 3000.0),
    )  # fmt: skip


def caps(rng, by_operator=True):
    """One cap at each bus."""
    price = some(rng, BUSES, 10.0, 200.0) if by_operator else np.full(BUSES, np.nan)
    return PowerCaps(
        **{**placed(rng, BUSES), "bus": np.arange(BUSES)}, p_cap_mw=some(rng, BUSES, 0.002, 0.01),
        held_back_eur_per_mwh=price, from_h=np.full(BUSES, 17.0), to_h=np.full(BUSES, 20.0),
    )  # fmt: skip


def sheddable_loads(rng, loads=3, count=2):
    """Parts of the loads, some of all of it."""
    return SheddableLoads(
        **placed(rng, count), share=np.minimum(some(rng, count, 0.2, 1.3), 1.0),
        price_eur_per_mwh=some(rng, count, 100.0, 900.0), nominal_mw=np.ones(count),
        q_per_p=some(rng, count, 0.0, 0.5), at_load=rng.random((count, loads)) < 0.7,
    )  # fmt: skip


@dataclass(frozen=True)
class Homes:
    """Devices with their forecast, states, and steps of any length."""

    devices: Devices
    forecast: GridForecast
    states: dict
    dt_h: np.ndarray

    def row(self, step):
        """Series of one step."""
        return {name: values[step] for name, values in self.forecast.devices.items()}

    def held(self, last=None):
        """Plan of all kinds without control, or that continues another one."""
        return self.devices.held(last, self.forecast, self.states, self.dt_h)


def homes(rng, steps=6, by_operator=True, count=2, whole=True):
    """Random homes; vehicles drive, windows of tasks open and close."""
    cars, pumps, jobs = vehicles(rng, count), heat_pumps(rng, count), tasks(rng, count, whole)
    dt_h = rng.choice([0.25, 1.0, 4.0], steps)
    shape = (steps, count)
    connected = np.where(
        rng.random(shape) < 0.6, 1.0, rng.random(shape) * rng.integers(0, 2, shape)
    )
    away = rng.random(shape) < 0.3
    driven = np.where(away, rng.random(shape) * 0.6 * cars.e_max_mwh, 0.0)
    needed = np.where(away, np.minimum(driven + 0.2 * cars.e_max_mwh, cars.e_max_mwh), 0.0)
    last = rng.integers(1, steps, count)
    opened, arrivals, ends, latest = (np.zeros(shape) for _ in range(4))
    for k in range(count):
        first = int(rng.integers(0, last[k]))
        opened[first : last[k] + 1, k] = 1.0
        arrivals[first, k] = ends[last[k], k] = latest[first, k] = 1.0
    forecast = GridForecast(
        np.full(steps, 100.0), np.full(steps, 50.0), load_p_mw=rng.random((steps, 3)) * 0.01,
        load_q_mvar=np.zeros((steps, 3)), vehicle_connected=connected, vehicle_driven_mwh=driven,
        vehicle_needed_mwh=needed, vehicle_required_mwh=rng.random(shape) * cars.e_max_mwh,
        heat_pump_cop=rng.uniform(1.0, 5.0, shape),
        heat_pump_water_cop=rng.uniform(1.0, 4.0, shape),
        heat_pump_drive_c=rng.uniform(-15.0, 30.0, shape),
        heat_pump_water_mw=rng.random(shape) * pumps.water_peak_mw, task_open=opened,
        task_arrivals=arrivals, task_ends=ends, task_latest=latest,
        task_after_h=np.zeros(shape),
        cap_open=rng.random((steps, BUSES)),
    )  # fmt: skip
    states = {
        "vehicle_e_mwh": rng.random(count) * cars.e_max_mwh,
        "heat_pump_room_c": pumps.set_c + rng.uniform(-3.0, 3.0, count),
        "heat_pump_e_mwh": rng.random(count) * pumps.store_mwh,
        "task_left_mwh": np.zeros(count), "task_rest_h": np.zeros(count),
    }  # fmt: skip
    devices = Devices((cars, pumps, jobs, sheddable_loads(rng), caps(rng, by_operator)))
    return Homes(devices, forecast, states, dt_h)


def model_of(own):
    """Model of all devices without a network, base 1 MVA, with its data; their consumption."""
    m = pyo.ConcreteModel()
    m.steps = pyo.RangeSet(0, len(own.dt_h) - 1)
    consumption, controllable, data = {}, [], {}
    for member in own.devices:
        found = member.equations(m, 1.0, own.dt_h, OPTIONS)
        if found is not None:
            consumption[member.kind] = found
            if member.capped:
                controllable.append(Controllable(member, found.p))
    for member in own.devices:
        member.restrict(m, 1.0, own.dt_h, controllable)
        data |= member.parameters(own.forecast, own.states, own.dt_h)
        data |= member.joint_parameters(own.forecast, own.devices.capped, own.held)
    for name, values in data.items():
        component = getattr(m, name)
        for key, value in zip(component.keys(), np.ravel(values), strict=True):
            component[key].set_value(float(value), skip_validation=True)
    return m, consumption, data


def violation(m, data):
    """Largest violation of rows and bounds at the values that a model holds, and where."""
    worst, where = 0.0, ""
    for row in m.component_data_objects(pyo.Constraint, active=True):
        body = pyo.value(row.body)
        over = max(
            body - pyo.value(row.upper) if row.upper is not None else 0.0,
            pyo.value(row.lower) - body if row.lower is not None else 0.0,
        )
        worst, where = max((worst, where), (over, row.name))
    for variable in m.component_objects(pyo.Var):
        if variable.name not in data:
            for one in variable.values():
                low, high = one.bounds
                over = max(
                    one.value - high if high is not None else 0.0,
                    low - one.value if low is not None else 0.0,
                )
                worst, where = max((worst, where), (over, one.name))
    return worst, where


def put_plan(m, own, plan):
    """Set the variables of a model to a plan of its devices; slacks take what is missing."""
    values = {
        q.variable: plan[q.name]
        for member in own.devices
        for q in member.quantities
        if q.variable and Role.PLAN in q.roles
    }
    pumps = own.devices.of("heat_pump")
    content = pumps.capacity_mwh_per_k[:, None] * (plan["heat_pump_room_c"] - pumps.set_c[:, None])
    goal = np.array([m.heat_pump_goal[i].value for i in m.heat_pumps])
    end = np.array([m.vehicle_end[i].value for i in m.vehicles])
    values |= {
        "vehicle_on": (plan["vehicle_charge_mw"] > 0.0)[own.devices.of("vehicle").switched],
        "vehicle_late": np.maximum(end - plan["vehicle_e_mwh"][:, -1], 0.0),
        "heat_pump_content": content,
        "heat_pump_off": pumps.capacity_mwh_per_k[:, None] * plan["heat_pump_off_k"],
        "heat_pump_missing": np.maximum(goal - content[:, -1], 0.0),
        "heat_pump_filled": plan["heat_pump_e_mwh"],
        "task_left": plan["task_left_mwh"],
        "cap_held_of": np.zeros(len(m.cap_held_of)) if m.component("cap_held_of") else [],
    }
    for name, value in values.items():
        component = m.component(name)
        if component is None:
            continue
        for key, one in zip(component.keys(), np.ravel(value), strict=True):
            component[key].set_value(float(one), skip_validation=True)
