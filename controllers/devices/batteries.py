"""Battery storage with charging and discharging efficiency (docs/formulation.md)."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.devices.kind import DeviceKind
from stackelgrid.controllers.devices.placement import Phase, Placement
from stackelgrid.controllers.devices.quantities import Quantity, Role
from stackelgrid.controllers.devices.terms import Arrays, DeviceOptions, Injection, Snap
from stackelgrid.profiles.arrays import Bools, Floats, Ints
from stackelgrid.profiles.section import Efficiency, NonNegative, Positive

if TYPE_CHECKING:
    from stackelgrid.controllers.devices.elements import NetElements
    from stackelgrid.controllers.devices.placement import Placed, Placing
    from stackelgrid.profiles.forecast import GridForecast

_ENERGY = Role.PLAN | Role.STATE | Role.OUTPUT
_POWER = Role.PLAN | Role.SET_POINT | Role.OUTPUT


class BatterySection(Placement):
    """Batteries of one size; without `phase` each is connected like the customer at its bus."""

    p_mw: Positive
    """Largest power of charging and of discharging."""
    e_mwh: Positive
    """Largest stored energy."""
    e_min_mwh: NonNegative = 0.0
    """Least stored energy."""
    soc_percent: Annotated[float, Field(ge=0.0, le=100.0)] = 50.0
    """State of charge before the first interval, of `e_mwh`."""
    efficiency_charge: Efficiency = 0.95
    """Stored energy per energy drawn from the grid."""
    efficiency_discharge: Efficiency = 0.95
    """Energy fed into the grid per stored energy."""
    wear_eur_per_mwh: NonNegative = 0.0
    """Cost of wear per MWh charged plus discharged, at the grid connection."""
    phase: Phase | None = None
    """Connection; without it that of the customer at the bus."""

    @model_validator(mode="after")
    def _energies(self) -> Self:
        if self.e_min_mwh >= self.e_mwh:
            raise ValueError(f"e_min_mwh must be below e_mwh = {self.e_mwh:g}")
        if self.soc_percent / 100.0 * self.e_mwh < self.e_min_mwh:
            raise ValueError(f"soc_percent lies below e_min_mwh = {self.e_min_mwh:g}")
        return self


@dataclass(frozen=True)
class Batteries(DeviceKind):
    """Storage units; power is measured at the grid connection, positive when charging.

    It lies between `p_min_mw` <= 0 (discharging; None for -`p_max_mw`) and `p_max_mw`.
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
    p_min_mw: Floats | None = None

    kind: ClassVar[str] = "battery"
    plural: ClassVar[str] = "batteries"
    label: ClassVar[str] = "batteries"
    sweep: ClassVar[str] = "battery scale"
    colour: ClassVar[str] = "#009e73"
    symbol: ClassVar[str] = "diamond"
    quantities: ClassVar[tuple[Quantity, ...]] = (
        Quantity("charge_mw", "MW", Role.PLAN, "planned charging power", variable="charge"),
        Quantity("discharge_mw", "MW", Role.PLAN, "planned discharging power",
                 variable="discharge"),
        Quantity("battery_asked_mw", "MW", Role.OUTPUT, "set point", column="asked_mw"),
        Quantity("battery_p_mw", "MW", _POWER, "power, positive when charging",
                 attribute="battery_p_set_mw", column="p_mw", total="net charging"),
        Quantity("battery_e_mwh", "MWh", _ENERGY, "energy at the end of the interval",
                 column="e_mwh", variable="energy", total="energy at the end of the interval"),
    )  # fmt: skip
    limits: ClassVar[Mapping[str, tuple[str, str]]] = {
        "charge": ("charging power", "MW"),
        "discharge": ("discharging power", "MW"),
        "energy": ("energy limits", "MWh"),
        "room_above": ("energy limits while charging", "MWh"),
        "room_below": ("energy limits while discharging", "MWh"),
        "terminal_energy": ("energy at the end of the horizon", "MWh"),
    }
    cost_column: ClassVar[str] = "wear_eur"
    cost_label: ClassVar[str] = "battery wear"
    cost_meaning: ClassVar[str] = "battery wear"
    snaps: ClassVar[tuple[Snap, ...]] = (Snap("mode", ("charge",), ("discharge",)),)
    data: ClassVar[tuple[str, ...]] = ("energy_initial", "energy_terminal")
    chained: ClassVar[tuple[str, ...]] = ("energy",)
    prosumer: ClassVar[bool] = True
    sections: ClassVar[Mapping[str, tuple[Any, Any]]] = {
        "batteries": (tuple[BatterySection, ...], ())
    }

    @property
    def table(self) -> tuple[str, ...]:
        return ("storage",) * len(self.index)

    @property
    def discharge_max_mw(self) -> Floats:
        """Largest power of discharging, (m,) in MW >= 0."""
        return self.p_max_mw if self.p_min_mw is None else -self.p_min_mw

    @property
    def rated_mw(self) -> Floats:
        return np.maximum(self.p_max_mw, self.discharge_max_mw)

    @property
    def initial(self) -> dict[str, Floats]:
        return {"battery_e_mwh": self.e_initial_mwh}

    def within(self, states: Arrays) -> dict[str, Floats]:
        return {"battery_e_mwh": np.clip(states["battery_e_mwh"], self.e_min_mwh, self.e_max_mwh)}

    def scaled(self, factor: float) -> Self:
        if not factor:
            return self.none()
        return replace(
            self,
            p_min_mw=-factor * self.discharge_max_mw,
            p_max_mw=factor * self.p_max_mw,
            e_min_mwh=factor * self.e_min_mwh,
            e_max_mwh=factor * self.e_max_mwh,
            e_initial_mwh=factor * self.e_initial_mwh,
        )

    @classmethod
    def claims(cls, elements: "NetElements") -> Mapping[str, Bools]:
        return {"storage": elements.controllable("storage")}

    @classmethod
    def place(cls, placing: "Placing") -> "tuple[Placed, ...]":
        """Add controllable storages."""
        for group, buses in placing.groups("batteries"):
            battery = group.section
            placing.add(
                "storage", "battery", buses, "batteries", "battery",
                p_mw=0.0, max_e_mwh=battery.e_mwh, min_e_mwh=battery.e_min_mwh,
                soc_percent=battery.soc_percent, max_p_mw=battery.p_mw, min_p_mw=-battery.p_mw,
                controllable=True, efficiency_charge=battery.efficiency_charge,
                efficiency_discharge=battery.efficiency_discharge,
                wear_eur_per_mwh=battery.wear_eur_per_mwh,
                phase=placing.phases(battery.phase, group.key, buses),
            )  # fmt: skip
        return ()

    @classmethod
    def read(cls, elements: "NetElements") -> Self:
        """Read the controllable storages; the limits are pandapower's, in MW and MWh."""
        frame, values = elements.of(cls, "storage"), elements.values
        power = values(frame, "max_p_mw", np.nan)
        least = values(frame, "min_p_mw", np.nan)
        least = np.where(np.isnan(least), -power, least)
        e_max = frame.max_e_mwh.to_numpy(dtype=float)
        e_min = values(frame, "min_e_mwh", 0.0)
        stated = values(frame, "soc_percent", np.nan)
        soc = np.where(np.isnan(stated), 50.0, stated)
        charge = values(frame, "efficiency_charge", 1.0)
        discharge = values(frame, "efficiency_discharge", 1.0)
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
            (
                elements.scaling(frame) == 1.0,
                "scaling = 1: limits are not scaled, and p_mw is decided",
            ),
        )
        for good, accepted in checks:
            elements.refuse(frame, "storage", good, f"needs {accepted}")
        elements.refuse_reactive(frame, "storage", cls.label)
        return cls(
            index=elements.index(frame),
            name=elements.names(frame, "storage"),
            bus=frame.bus.to_numpy(dtype=np.int64),
            p_min_mw=least,
            p_max_mw=power,
            e_min_mwh=e_min,
            e_max_mwh=e_max,
            e_initial_mwh=np.clip(soc / 100.0 * e_max, e_min, e_max),
            efficiency_charge=charge,
            efficiency_discharge=discharge,
            wear_eur_per_mwh=values(frame, "wear_eur_per_mwh", 0.0),
            phase=elements.phases(frame, "storage"),
        )

    def equations(self, m: Any, base_mva: float, dt_h: Floats, options: DeviceOptions) -> Injection:
        """Add charge, discharge and energy at the end of each step; p.u. and p.u. hours.

        `m.mode` is 1 for charging: ch <= pmax u, dis <= -pmin (1 - u). As the battery never does
        both at once, the room above (below) the energy before a step bounds charging (discharging)
        alone; with these rows a relaxed mode cannot dissipate energy in a full or empty battery.
        The rule "initial" requires at least `m.energy_terminal` at the end; with "value" the
        remaining energy has a price in the objective.
        """
        import pyomo.environ as pyo

        from stackelgrid.controllers.solvers.step_constraint import every_step

        steps = len(dt_h)
        m.batteries = pyo.RangeSet(0, len(self.index) - 1)
        power, drawn = self.p_max_mw / base_mva, self.discharge_max_mw / base_mva
        low, high = self.e_min_mwh / base_mva, self.e_max_mwh / base_mva
        gain, drain = self.efficiency_charge, 1.0 / self.efficiency_discharge
        m.charge = pyo.Var(m.batteries, m.steps, bounds=lambda m, i, t: (0.0, power[i]))
        m.discharge = pyo.Var(m.batteries, m.steps, bounds=lambda m, i, t: (0.0, drawn[i]))
        m.energy = pyo.Var(m.batteries, m.steps, bounds=lambda m, i, t: (low[i], high[i]))
        m.mode = pyo.Var(m.batteries, m.steps, domain=pyo.Binary)
        m.energy_initial = pyo.Var(m.batteries)  # data
        m.energy_terminal = pyo.Var(m.batteries)  # data

        @m.Constraint(m.batteries, m.steps)
        def energy_balance(m: Any, i: int, t: int) -> Any:
            before = m.energy[i, t - 1] if t else m.energy_initial[i]
            flow = gain[i] * m.charge[i, t] - drain[i] * m.discharge[i, t]
            return m.energy[i, t] - before - dt_h[t] * flow == 0.0

        @every_step(m, m.batteries)
        def charging(m: Any, i: int, t: int) -> Any:
            return m.charge[i, t] <= power[i] * m.mode[i, t]

        @every_step(m, m.batteries)
        def discharging(m: Any, i: int, t: int) -> Any:
            return m.discharge[i, t] <= drawn[i] * (1 - m.mode[i, t])

        @m.Constraint(m.batteries, m.steps)
        def room_above(m: Any, i: int, t: int) -> Any:
            before = m.energy[i, t - 1] if t else m.energy_initial[i]
            return before + dt_h[t] * gain[i] * m.charge[i, t] <= high[i]

        @m.Constraint(m.batteries, m.steps)
        def room_below(m: Any, i: int, t: int) -> Any:
            before = m.energy[i, t - 1] if t else m.energy_initial[i]
            return before - dt_h[t] * drain[i] * m.discharge[i, t] >= low[i]

        if options.terminal == "initial":

            @m.Constraint(m.batteries)
            def terminal_energy(m: Any, i: int) -> Any:
                return m.energy[i, steps - 1] >= m.energy_terminal[i]

        return Injection(lambda i, t: m.charge[i, t] - m.discharge[i, t])

    def cost(self, m: Any, base_mva: float, dt_h: Floats, options: DeviceOptions) -> Any:
        """Return wear, a price per MWh charged plus discharged, less the value of stored energy."""
        wear = sum(
            dt_h[t] * base_mva * self.wear_eur_per_mwh[i] * (m.charge[i, t] + m.discharge[i, t])
            for i in m.batteries
            for t in m.steps
        )
        if options.terminal != "value":
            return wear
        left = sum(m.energy[i, len(dt_h) - 1] for i in m.batteries)
        return wear - base_mva * options.terminal_value_eur_per_mwh * left

    def parameters(
        self, forecast: "GridForecast", states: Arrays, dt_h: Floats
    ) -> dict[str, Floats]:
        energy = states["battery_e_mwh"]
        reachable = energy + self.efficiency_charge * self.p_max_mw * float(dt_h.sum())
        return {
            "energy_initial": energy,
            "energy_terminal": np.minimum(
                self.e_initial_mwh, (1.0 - tolerances.END_MARGIN) * reachable
            ),
        }

    def content(self) -> tuple[Floats, ...]:
        return (
            self.discharge_max_mw, self.p_max_mw, self.e_min_mwh, self.e_max_mwh,
            self.efficiency_charge, self.efficiency_discharge, self.wear_eur_per_mwh,
        )  # fmt: skip

    @classmethod
    def complete(cls, plan: Arrays) -> dict[str, Floats]:
        if "charge_mw" not in plan:
            return {}
        return {"battery_p_mw": plan["charge_mw"] - plan["discharge_mw"]}

    def consumption(self, values: Arrays) -> tuple[Floats, None]:
        return values["battery_p_mw"], None

    def held(
        self, last: Arrays | None, forecast: "GridForecast", states: Arrays, dt_h: Floats
    ) -> dict[str, Floats]:
        """Continue the last power within limits of power and energy; without one, rest."""
        state, power = states["battery_e_mwh"], np.zeros((len(self.index), len(dt_h)))
        energy = np.repeat(state[:, None], len(dt_h), axis=1)
        if last is not None:
            for t, hours in enumerate(dt_h):
                power[:, t], state = self.step(state, last["battery_p_mw"][:, t], hours)
                energy[:, t] = state
        return {
            "charge_mw": np.maximum(power, 0.0),
            "discharge_mw": np.maximum(-power, 0.0),
            "battery_e_mwh": energy,
            "battery_p_mw": power,
        }

    def hourly_cost(self, values: Arrays, options: DeviceOptions) -> Any:
        power = np.abs(values["battery_p_mw"])
        return np.sum(self.spread(self.wear_eur_per_mwh, power) * power, axis=0)

    def simultaneous_mw(self, plan: Arrays) -> float:
        """Return the largest power of charging and discharging at once, above rounding."""
        both = np.minimum(plan["charge_mw"], plan["discharge_mw"])
        limit = tolerances.SIMULTANEOUS_SHARE * self.rated_mw[:, None]
        return float(np.where(both > limit, both, 0.0).max(initial=0.0))

    def trade_caps(self) -> tuple[Floats, Floats]:
        return self.p_max_mw, self.discharge_max_mw

    def largest_injection(self, forecast: "GridForecast") -> tuple[Floats, None]:
        return self.discharge_max_mw[:, None], None

    def deliver(
        self, points: Arrays, series: Arrays, states: Arrays, dt_h: float
    ) -> dict[str, Floats]:
        asked = points.get("battery_p_mw", np.zeros(len(self.index)))
        power, after = self.step(states["battery_e_mwh"], asked, dt_h)
        return {"battery_asked_mw": asked, "battery_p_mw": power, "battery_e_mwh": after}

    def step(self, energy_mwh: Floats, p_set_mw: Floats, dt_h: float) -> tuple[Floats, Floats]:
        """Return set points (m,) cut to limits of power and energy, and energies after `dt_h` h."""
        gain, drain = self.efficiency_charge, 1.0 / self.efficiency_discharge
        most = np.minimum(self.p_max_mw, (self.e_max_mwh - energy_mwh) / (gain * dt_h))
        least = np.maximum(-self.discharge_max_mw, (self.e_min_mwh - energy_mwh) / (drain * dt_h))
        power = np.clip(p_set_mw, np.minimum(least, 0.0), np.maximum(most, 0.0))
        after = energy_mwh + dt_h * np.where(power > 0.0, gain, drain) * power
        return power, np.clip(after, self.e_min_mwh, self.e_max_mwh)

    def device_columns(self, outputs: Arrays) -> dict[str, Floats]:
        soc = 100.0 * outputs["battery_e_mwh"] / self.e_max_mwh
        return {**super().device_columns(outputs), "soc_percent": soc}
