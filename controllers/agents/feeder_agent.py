"""The operator of one feeder: a DSO on medium voltage, a local market operator on low voltage."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from stackelgrid.controllers.agents.fallback import hold_schedule
from stackelgrid.controllers.certification.certificate import FeederCertifier
from stackelgrid.controllers.errors import SolverError
from stackelgrid.controllers.models.active_network import ActiveNetworkLibrary
from stackelgrid.controllers.networks.reduction import reduce_network
from stackelgrid.controllers.schedule import (
    BoundaryProfile,
    Measurement,
    Plan,
    Schedule,
    Verdict,
    solve_report,
)
from stackelgrid.controllers.solvers import ClarabelSolver, Solution
from stackelgrid.controllers.solvers.conic import ProgramData, parameter_vector
from stackelgrid.controllers.system import Feeder
from stackelgrid.controllers.tolerances import PRICE_SPREAD
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.forecast import GridForecast
from stackelgrid.profiles.time_axis import Horizon


@dataclass(frozen=True)
class FeederInstance:
    """Data of one decision: what the solver gets, and where it came from.

    Loads (loaded buses, steps) in MW and MVAr, energies in MWh, head voltage (steps,) in p.u.
    behind the ideal part of the boundary transformer.
    """

    data: ProgramData
    forecast: GridForecast
    load_p_mw: Floats
    load_q_mvar: Floats
    energy_mwh: Floats
    head_vm_pu: Floats


class FeederAgent:
    """Minimises the cost of one feeder under its tariff; built once, re-solved every interval.

    `lower_buses` are the pandapower buses at which lower grids are connected; their imports are
    loads of this feeder.
    """

    def __init__(
        self,
        feeder: Feeder,
        horizon: Horizon,
        library: ActiveNetworkLibrary,
        lower_buses: Mapping[str, int],
    ) -> None:
        self.feeder, self.horizon = feeder, horizon
        devices, network = feeder.devices, feeder.network
        occupied = devices.occupied_buses | set(lower_buses.values())
        self.reduction = reduce_network(network, network.positions(sorted(occupied)))
        reduced = self.reduction.network
        self._lower = {n: int(network.positions([b])[0]) for n, b in lower_buses.items()}
        self._load_at = network.positions(devices.loads.bus)
        loaded = np.unique([*self._load_at, *self._lower.values()]).astype(np.int64)
        self._loaded = loaded
        load_rows = reduced.positions([network.bus_index[b] for b in loaded])
        self.model_arguments = (reduced, devices, load_rows, horizon.dt_h, feeder.options)
        self.compiled = library.compiled(*self.model_arguments)
        self._solver = ClarabelSolver(self.compiled.program)
        self._certifier = FeederCertifier(feeder)
        self._last: Schedule | None = None

    def decide(
        self,
        interval: int,
        measured: Measurement,
        lower: Mapping[str, BoundaryProfile],
        vm_head_pu: Floats | None = None,
    ) -> Plan:
        """Solve for the horizon that starts with `interval`; never raises for a hard instance.

        `lower` are the exchanges of the grids below, already multiplied by their copies;
        `vm_head_pu` (steps,) replaces the measured voltage where the boundary is an ideal tie.
        When the solver fails or the problem is infeasible, the last schedule is kept with the
        devices inside their limits, and the report says so.
        """
        instance = self.prepare(interval, measured, lower, vm_head_pu)
        solution = self._solver.solve(instance.data)
        report = solve_report(self._solver.name, solution)
        if report.fallback:
            schedule = hold_schedule(
                self.feeder,
                self.horizon,
                interval,
                instance.forecast,
                instance.energy_mwh,
                self._last,
                instance.load_p_mw.sum(axis=0),
                instance.load_q_mvar.sum(axis=0),
            )
        else:
            schedule = self._schedule(interval, solution)
        self._last = schedule
        verdict = self._certify(schedule, measured, instance)
        return Plan(schedule, schedule.set_points(), report, verdict)

    def prepare(
        self,
        interval: int,
        measured: Measurement,
        lower: Mapping[str, BoundaryProfile],
        vm_head_pu: Floats | None = None,
    ) -> FeederInstance:
        """Replace the data of the compiled model; raises SolverError where they are not finite."""
        forecast = self.feeder.forecast.at(interval)
        load_p, load_q = self._bus_load(forecast, lower)
        energy = self._clipped_energy(measured)
        head = self._head_voltage(measured, vm_head_pu)
        values = self._values(forecast, load_p, load_q, energy, head)
        p = parameter_vector(self.compiled.parameters, values)
        return FeederInstance(self.compiled.program.data(p), forecast, load_p, load_q, energy, head)

    def head_voltage_of(self, schedule: Schedule, bus: int) -> Floats:
        """Planned voltage (steps,) in p.u. at a pandapower bus, for a grid on an ideal tie."""
        if schedule.flows is None:
            raise SolverError(f"grid {self.feeder.name}: a fallback schedule has no voltages")
        at = int(self.feeder.network.positions([bus])[0])
        return np.asarray(np.sqrt(schedule.flows.v[at]))

    def _bus_load(
        self, forecast: GridForecast, lower: Mapping[str, BoundaryProfile]
    ) -> tuple[Floats, Floats]:
        """Uncontrolled consumption in MW and MVAr (loaded buses, steps)."""
        network = self.feeder.network
        p = np.zeros((network.buses, self.horizon.length))
        q = np.zeros_like(p)
        np.add.at(p, self._load_at, forecast.load_p_mw.T)
        np.add.at(q, self._load_at, forecast.load_q_mvar.T)
        for name, bus in self._lower.items():
            p[bus] += lower[name].p_mw
            q[bus] += lower[name].q_mvar
        return p[self._loaded], q[self._loaded]

    def _clipped_energy(self, measured: Measurement) -> Floats:
        batteries = self.feeder.devices.batteries
        return np.clip(measured.battery_e_mwh, batteries.e_min_mwh, batteries.e_max_mwh)

    def _head_voltage(self, measured: Measurement, vm_head_pu: Floats | None) -> Floats:
        """Voltage behind the ideal part of the boundary transformer (steps,)."""
        vm = np.full(self.horizon.length, measured.vm_pu) if vm_head_pu is None else vm_head_pu
        return vm / self._ratio(measured)

    def _ratio(self, measured: Measurement) -> float:
        taps = self.feeder.boundary.taps
        return self.feeder.network.head_ratio if taps is None else taps.ratio(measured.tap_pos)

    def _values(
        self, forecast: GridForecast, load_p: Floats, load_q: Floats, energy: Floats, head: Floats
    ) -> dict[str, Floats]:
        base = self.feeder.network.base_mva
        batteries = self.feeder.devices.batteries
        # what can still be reached by the end of the horizon, if the initial energy cannot
        reachable = energy + batteries.efficiency_charge * batteries.p_max_mw * float(
            self.horizon.dt_h.sum()
        )
        target = np.minimum(batteries.e_initial_mwh, 0.999 * reachable)
        export = np.minimum(forecast.export_eur_per_mwh, forecast.import_eur_per_mwh - PRICE_SPREAD)
        return {
            "v_head": head**2,
            "load_p": load_p / base,
            "load_q": load_q / base,
            "pv_available": forecast.pv_available_mw.T / base,
            "energy_initial": energy / base,
            "energy_terminal": target / base,
            "import_price": forecast.import_eur_per_mwh,
            "export_price": export,
        }

    def _schedule(self, interval: int, solution: Solution) -> Schedule:
        base, steps = self.feeder.network.base_mva, self.horizon.length
        columns = self.compiled.columns

        def values(name: str) -> Floats:
            return solution.x[columns[name]].reshape(-1, steps)

        flows = self.reduction.expand(
            values("p_branch"), values("q_branch"), values("current2"), values("v")
        )
        return Schedule(
            interval=interval,
            dt_h=self.horizon.dt_h,
            p_import_mw=base * values("p_import")[0],
            q_import_mvar=base * values("q_import")[0],
            charge_mw=base * values("charge"),
            discharge_mw=base * values("discharge"),
            battery_e_mwh=base * values("energy"),
            pv_p_mw=base * values("pv_p"),
            pv_q_mvar=base * values("pv_q"),
            unit_p_mw=base * values("unit_p"),
            flows=flows,
        )

    def _certify(
        self, schedule: Schedule, measured: Measurement, instance: FeederInstance
    ) -> Verdict:
        network, devices = self.feeder.network, self.feeder.devices
        p, q = np.zeros(network.buses), np.zeros(network.buses)
        p[self._loaded] = instance.load_p_mw[:, 0]
        q[self._loaded] = instance.load_q_mvar[:, 0]
        np.add.at(p, network.positions(devices.batteries.bus), schedule.battery_p_mw[:, 0])
        np.add.at(p, network.positions(devices.photovoltaics.bus), -schedule.pv_p_mw[:, 0])
        np.add.at(q, network.positions(devices.photovoltaics.bus), -schedule.pv_q_mvar[:, 0])
        np.add.at(p, network.positions(devices.units.bus), -schedule.unit_p_mw[:, 0])
        ratio = self._ratio(measured)
        return self._certifier.certify(
            schedule.flows,
            p,
            q,
            vm_head_pu=float(instance.head_vm_pu[0]) * ratio,
            ratio=ratio,
            load_mw=float(instance.load_p_mw[:, 0].sum()),
            p_import_mw=float(schedule.p_import_mw[0]),
        )
