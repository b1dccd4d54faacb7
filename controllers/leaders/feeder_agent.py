"""The operator of one feeder: a DSO on medium voltage, a local market operator on low voltage."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from stackelgrid.controllers.certification.certificate import FeederCertifier
from stackelgrid.controllers.certification.conditions import Conditions
from stackelgrid.controllers.errors import SolverError
from stackelgrid.controllers.fallback import end_cost, held_cost, held_trade, hold_schedule
from stackelgrid.controllers.leaders.feeder_data import boundary_data, model_data
from stackelgrid.controllers.leaders.feeder_records import (
    TARIFF,
    FeederInstance,
    FeederPoint,
    FeederState,
    Variant,
)
from stackelgrid.controllers.leaders.feeder_schedule import (
    feeder_schedule,
    feeder_trade,
    middle_price,
    reduced_flows,
)
from stackelgrid.controllers.models.active_network import ActiveNetworkLibrary
from stackelgrid.controllers.models.objective_term import term_eur
from stackelgrid.controllers.models.p2p import prosumers_of
from stackelgrid.controllers.networks.reduction import FlowState, reduce_network
from stackelgrid.controllers.schedule import (
    BoundaryProfile,
    Measurement,
    Plan,
    Schedule,
    SolveReport,
)
from stackelgrid.controllers.solvers import CompiledModel
from stackelgrid.controllers.solvers.conic import parameter_vector
from stackelgrid.controllers.solvers.snapping import SnapRule
from stackelgrid.controllers.system import Feeder
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.forecast import GridForecast
from stackelgrid.profiles.time_axis import Horizon


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
        self.prosumers = prosumers_of(devices, feeder.load_peak_mw)
        self._library = library
        own = (self.prosumers, horizon.dt_h, feeder.options)
        self.model_arguments = (reduced, devices, load_rows, *own)
        self.compiled = library.compiled(*self.model_arguments)
        self._variants = {TARIFF: self.compiled}
        self._certifier = FeederCertifier(feeder)
        self._last: Schedule | None = None
        self._last_good: Schedule | None = None

    def model(self, variant: Variant) -> CompiledModel:
        """Compiled model of a variant, built when first needed."""
        if variant not in self._variants:
            network, devices, load_rows, prosumers, dt_h, options = self.model_arguments
            trade = options.trade
            if trade is not None and not variant.across:
                trade = replace(trade, across=False)
            options = replace(options, tariff=variant.tariff, trade=trade)
            self._variants[variant] = self._library.compiled(
                network, devices, load_rows, prosumers, dt_h, options
            )
        return self._variants[variant]

    def parameters(self, instance: "FeederInstance", variant: Variant) -> dict[str, Floats]:
        """Values of the parameters that a variant has."""
        known = self.model(variant).parameters
        return {name: value for name, value in instance.values.items() if name in known}

    def _vector(self, instance: "FeederInstance", variant: Variant) -> Floats:
        parameters = self.model(variant).parameters
        return parameter_vector(parameters, self.parameters(instance, variant))

    def own_cost(self, instance: "FeederInstance", x: Floats, variant: Variant) -> float:
        """Cost in EUR of one copy without the payment at the boundary."""
        compiled = self.model(variant)
        data = compiled.program.data(self._vector(instance, variant))
        cost = compiled.program.objective(x, data)
        if not variant.tariff:
            return cost
        bought, sold = (x[compiled.columns[name]] for name in ("bought", "sold"))
        prices = instance.values["import_price"] * bought - instance.values["export_price"] * sold
        return cost - self.feeder.network.base_mva * float(np.sum(self.horizon.dt_h * prices))

    def billed(self, x: Floats, variant: Variant) -> Floats:
        """Exchange (steps,) of one copy in MW that no trade across feeders has paid for."""
        columns = self.model(variant).columns
        billed = x[columns["p_import"]].copy()
        if "across_net" in columns:
            billed -= x[columns["across_net"]]
        return self.feeder.network.base_mva * billed

    def exchange(self, x: Floats, variant: Variant) -> Floats:
        """Exchange (steps,) of one copy in MW, import positive."""
        columns = self.model(variant).columns
        return self.feeder.network.base_mva * x[columns["p_import"]]

    def tariff_payment(self, instance: "FeederInstance", x: Floats, variant: Variant) -> float:
        """Payment of one copy in EUR under the tariff."""
        billed, dt = self.billed(x, variant), self.horizon.dt_h
        bought = instance.values["import_price"] * np.maximum(billed, 0.0)
        sold = instance.values["export_price"] * np.maximum(-billed, 0.0)
        return float(np.sum(dt * (bought - sold)))

    def prepare(
        self,
        interval: int,
        measured: Measurement,
        lower: Mapping[str, BoundaryProfile],
        vm_head_pu: Floats | None = None,
    ) -> FeederInstance:
        """Data of the compiled model for a horizon.

        interval: first interval of the horizon.
        measured: measurements of the grid.
        lower: exchanges of the grids below, all copies.
        vm_head_pu: voltage (steps,) that replaces the measured one at an ideal tie.
        """
        forecast = self.feeder.forecast.at(interval)
        load_p, load_q = self._bus_load(forecast, lower)
        states = self.feeder.devices.within(measured.devices)
        head = self._head_voltage(measured, vm_head_pu)
        values = model_data(
            self.feeder, self.prosumers, self.horizon, forecast, states, (load_p, load_q), head
        ) | boundary_data(self.feeder, forecast, measured)
        term = self.feeder.options.objective
        if term is not None:
            values |= term.values(interval, self.horizon, forecast, measured)
        return FeederInstance(interval, measured, values, forecast, load_p, load_q, states, head)

    def plan(
        self,
        instance: FeederInstance,
        point: FeederPoint,
        across_price: Floats,
    ) -> Plan:
        """Plan from a point of this feeder's model, or (its x is None) by holding the last one.

        `across_price` (steps,) in EUR/MWh is the price of trade across feeders.
        """
        if point.x is None:
            schedule = self.held(instance, self._last)
        else:
            schedule = self.schedule(instance, point)
            if self.feeder.options.trade is not None:
                trade = feeder_trade(
                    self.prosumers.bus,
                    self.feeder.network.base_mva,
                    point.x,
                    self.model(point.variant).columns,
                    middle_price(instance.forecast),
                    across_price,
                )
                schedule = replace(schedule, trade=trade)
        report = replace(point.report, objective_term_eur=self.term_eur(instance, point))
        return self.certified(instance, schedule, report)

    def term_eur(self, instance: "FeederInstance", point: FeederPoint) -> float | None:
        """User's term of the objective at a point in EUR, one copy; None without term or point."""
        if point.x is None or self.feeder.options.objective is None:
            return None
        p = self._vector(instance, point.variant)
        return term_eur(self.model(point.variant), point.x, p)

    def schedule(self, instance: FeederInstance, point: FeederPoint) -> Schedule:
        """Schedule of a point of this feeder's model, without contracts."""
        assert point.x is not None
        columns = self.model(point.variant).columns
        return feeder_schedule(
            instance.interval,
            self.reduction,
            self.horizon.dt_h,
            point.x,
            columns,
            self.feeder.devices,
            instance.forecast,
        )

    def held(self, instance: FeederInstance, last: Schedule | None) -> Schedule:
        """Continue a schedule within the limits of the devices; without one they idle.

        Contracts are not continued: prosumers buy from the grid and sell to it.
        """
        schedule = hold_schedule(
            self.feeder,
            self.horizon,
            instance.interval,
            instance.forecast,
            instance.states,
            last,
            instance.load_p_mw.sum(axis=0),
            instance.load_q_mvar.sum(axis=0),
        )
        own_mw = self._prosumer_load_mw(instance)
        if own_mw is None:
            return schedule
        price = middle_price(instance.forecast)
        trade = held_trade(self.feeder, schedule, self.prosumers, own_mw, price)
        return replace(schedule, trade=trade)

    def held_cost(self, instance: FeederInstance, schedule: Schedule) -> float:
        """Cost of a held schedule over the horizon in EUR, one copy, the tariff's payment too."""
        own_mw = self._prosumer_load_mw(instance)
        seen = instance.forecast
        steps = held_cost(self.feeder, schedule, seen, self.prosumers, own_mw)
        return steps + end_cost(self.feeder, schedule, seen, instance.states, instance.values)

    def _prosumer_load_mw(self, instance: FeederInstance) -> Floats | None:
        """Loads of the prosumers (prosumers, steps); None for a feeder without trade."""
        own_load = instance.values.get("prosumer_load")
        return None if own_load is None else self.feeder.network.base_mva * own_load

    def flows(self, point: FeederPoint) -> FlowState:
        """Flows of a point in the reduced network."""
        assert point.x is not None
        columns = self.model(point.variant).columns
        return reduced_flows(point.x, columns, self.horizon.length)

    def certified(self, instance: FeederInstance, schedule: Schedule, report: SolveReport) -> Plan:
        """Plan that applies the first step of a schedule, with its certificate."""
        certificate = self._certifier.certify(schedule, self.conditions(instance))
        return Plan(
            schedule, schedule.set_points(), report, certificate.step(0), certificate=certificate
        )

    def adopt(self, plan: Plan) -> None:
        """Remember the plan that is going to be applied."""
        self._last = plan.schedule
        if plan.certificate is not None and plan.certificate.good((plan.step,)):
            self._last_good = plan.schedule

    def state(self) -> FeederState:
        """Schedules to continue, and seconds spent."""
        return FeederState(self._last, self._last_good, self._certifier.seconds)

    def restore(self, state: FeederState) -> None:
        """Take the schedules to continue."""
        self._last, self._last_good = state.last, state.last_good
        self._certifier.seconds = state.certificate_s

    @property
    def last_good(self) -> Schedule | None:
        """The last adopted schedule whose applied step was AC feasible."""
        return self._last_good

    @property
    def certificate_s(self) -> float:
        """Seconds spent on certificates so far."""
        return self._certifier.seconds

    def snap_rules(self, variant: Variant = TARIFF) -> tuple[SnapRule, ...]:
        """Binaries by net direction: modes of devices, roles of the prosumers."""
        c = self.model(variant).columns
        rules = []
        for member in self.feeder.devices:
            for s in member.snaps:
                if s.binary not in c:  # no device needs the binary
                    continue
                length = self.horizon.length
                some = getattr(member, s.some) if s.some else np.ones(len(member.index), bool)
                at = np.repeat(some, length)
                first, second = (tuple(c[n][at] for n in names) for names in (s.first, s.second))
                threshold = None
                if s.threshold:
                    per_unit = getattr(member, s.threshold) / self.feeder.network.base_mva
                    threshold = np.repeat(per_unit, length)[at]
                steps = length if s.counted else 0
                rules.append(SnapRule(c[s.binary], first, second, threshold, steps))
        if "role" in c:
            rules.append(SnapRule(c["role"], (c["buy"],), (c["sell"],)))
        return tuple(rules)

    def uncontrolled_cost(self, instance: FeederInstance) -> float:
        """Cost in EUR of serving the uncontrolled load alone at the import price."""
        load = instance.load_p_mw.sum(axis=0)
        return float(np.sum(self.horizon.dt_h * instance.forecast.import_eur_per_mwh * load))

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

    def _head_voltage(self, measured: Measurement, vm_head_pu: Floats | None) -> Floats:
        """Voltage behind the ideal part of the boundary transformer (steps,)."""
        vm = np.full(self.horizon.length, measured.vm_pu) if vm_head_pu is None else vm_head_pu
        return vm / self._ratio(measured)

    def _ratio(self, measured: Measurement) -> float:
        taps = self.feeder.boundary.taps
        return self.feeder.network.head_ratio if taps is None else taps.ratio(measured.tap_pos)

    def conditions(self, instance: FeederInstance) -> Conditions:
        """Return the conditions for the certificate of a schedule."""
        p, q = np.zeros((2, self.feeder.network.buses, self.horizon.length))
        p[self._loaded], q[self._loaded] = instance.load_p_mw, instance.load_q_mvar
        ratio = self._ratio(instance.measured)
        return Conditions(
            bus_p_mw=p,
            bus_q_mvar=q,
            load_p_mw=instance.forecast.load_p_mw.T,
            load_q_mvar=instance.forecast.load_q_mvar.T,
            vm_slack_pu=instance.head_vm_pu * ratio,
            ratio=ratio,
        )
