"""Electric vehicles at charging points: trips, charging, and feeding back where a point can."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.devices.kind import DeviceKind
from stackelgrid.controllers.devices.quantities import Quantity, Role
from stackelgrid.controllers.devices.terms import Arrays, DeviceOptions, Injection, Snap
from stackelgrid.controllers.devices.vehicles.placed import (
    UNMET_EUR_PER_MWH,
    VEHICLE,
    PlacedVehicles,
    are_vehicles,
)
from stackelgrid.profiles.arrays import Bools, Floats
from stackelgrid.profiles.time_axis import Over

if TYPE_CHECKING:
    from stackelgrid.controllers.devices.elements import NetElements
    from stackelgrid.profiles.forecast import GridForecast

_ENERGY = Role.PLAN | Role.STATE | Role.OUTPUT
_POWER = Role.PLAN | Role.SET_POINT | Role.OUTPUT


@dataclass(frozen=True)
class Vehicles(PlacedVehicles, DeviceKind):
    """Kind of device: vehicles."""

    kind: ClassVar[str] = "vehicle"
    plural: ClassVar[str] = "vehicles"
    label: ClassVar[str] = "electric vehicles"
    sweep: ClassVar[str] = "vehicle scale"
    colour: ClassVar[str] = "#6a5acd"
    symbol: ClassVar[str] = "square"
    quantities: ClassVar[tuple[Quantity, ...]] = (
        Quantity("vehicle_connected", "1", Role.SERIES | Role.OUTPUT,
                 "share of the interval at the charging point", column="connected"),
        Quantity("vehicle_driven_mwh", "MWh", Role.SERIES, "energy of trips that begin",
                 over=Over.SUM),
        Quantity("vehicle_needed_mwh", "MWh", Role.SERIES | Role.OUTPUT,
                 "energy wanted at a departure", column="needed_mwh", over=Over.LARGEST),
        Quantity("vehicle_required_mwh", "MWh", Role.SERIES | Role.OUTPUT,
                 "least energy for later trips", column="required_mwh", over=Over.LAST),
        Quantity("vehicle_charge_mw", "MW", Role.PLAN, "planned charging power",
                 variable="vehicle_charge"),
        Quantity("vehicle_back_mw", "MW", Role.PLAN, "planned power fed back",
                 variable="vehicle_back"),
        Quantity("vehicle_asked_mw", "MW", Role.OUTPUT, "set point", column="asked_mw"),
        Quantity("vehicle_p_mw", "MW", _POWER, "power, positive when charging",
                 attribute="vehicle_p_set_mw", column="p_mw", total="charging of vehicles"),
        Quantity("vehicle_limit_mw", "MW", Role.OUTPUT,
                 "most charging power while connected", column="limit_mw"),
        Quantity("vehicle_elsewhere_mw", "MW", Role.PLAN | Role.OUTPUT,
                 "power charged elsewhere: what was missing at a departure",
                 column="unmet_mw", variable="vehicle_elsewhere",
                 total="energy missing at departures of vehicles, as power over the interval",
                 lacked="missing at departures of electric vehicles"),
        Quantity("vehicle_e_mwh", "MWh", _ENERGY, "energy at the end of the interval",
                 column="e_mwh", variable="vehicle_energy",
                 total="energy of vehicles at the end of the interval"),
    )  # fmt: skip
    limits: ClassVar[Mapping[str, tuple[str, str]]] = {
        "vehicle_connection": ("charging power while connected", "MW"),
        "vehicle_size": ("size of the battery", "MWh"),
        "vehicle_room": ("energy limits while charging", "MWh"),
        "vehicle_stock": ("energy limits while feeding back", "MWh"),
        "vehicle_need": ("energy wanted at the departure", "MWh"),
        "vehicle_later": ("energy for later trips", "MWh"),
    }
    cost_column: ClassVar[str] = "vehicle_eur"
    cost_label: ClassVar[str] = "vehicles: unmet energy, wear"
    cost_meaning: ClassVar[str] = "energy that vehicles lacked at departures, and their wear"
    snaps: ClassVar[tuple[Snap, ...]] = (
        Snap(
            "vehicle_on", ("vehicle_charge",), ("vehicle_back",), "half_least_mw", some="switched"
        ),
    )
    data: ClassVar[tuple[str, ...]] = (
        "vehicle_start", "vehicle_most", "vehicle_most_back", "vehicle_driven", "vehicle_needed",
        "vehicle_least", "vehicle_highest", "vehicle_end",
    )  # fmt: skip
    consumes: ClassVar[bool] = True
    capped: ClassVar[bool] = True
    turn_down: ClassVar[int] = 1
    reducible: ClassVar[Mapping[str, str]] = {"vehicle_charge": "vehicle_charge_mw"}
    chained: ClassVar[tuple[str, ...]] = ("vehicle_energy",)
    presence: ClassVar[str] = "connected"
    uncontrolled: ClassVar[str] = "charge at once up to full"
    prosumer: ClassVar[bool] = True

    @property
    def table(self) -> tuple[str, ...]:
        return ("storage",) * len(self.index)

    @property
    def rated_mw(self) -> Floats:
        return np.maximum(self.p_max_mw, self.p_back_mw)

    @property
    def half_least_mw(self) -> Floats:
        """Power (vehicles,) in MW from which on a relaxed plan is rounded to charging."""
        return 0.5 * self.p_least_mw

    @property
    def initial(self) -> dict[str, Floats]:
        return {"vehicle_e_mwh": self.e_initial_mwh}

    def within(self, states: Arrays) -> dict[str, Floats]:
        return {"vehicle_e_mwh": np.clip(states["vehicle_e_mwh"], 0.0, self.e_max_mwh)}

    def scaled(self, factor: float) -> Self:
        """Return vehicles that count `factor` times."""
        if not factor:
            return self.none()
        sized = ("p_max_mw", "p_least_mw", "p_back_mw", "e_max_mwh", "e_initial_mwh", "reserve_mwh")
        return replace(self, **{name: factor * getattr(self, name) for name in sized})

    # -- data

    @classmethod
    def claims(cls, elements: "NetElements") -> Mapping[str, Bools]:
        return {"storage": are_vehicles(elements.net.storage)}

    @classmethod
    def read(cls, elements: "NetElements") -> Self:
        """Read the storages of type vehicle; the limits are pandapower's, in MW and MWh."""
        frame, values = elements.of(cls, "storage"), elements.values
        power, back = values(frame, "max_p_mw", np.nan), -values(frame, "min_p_mw", 0.0)
        full, least = values(frame, "max_e_mwh", np.nan), values(frame, "p_least_mw", 0.0)
        soc = values(frame, "soc_percent", 50.0)
        charge = values(frame, "efficiency_charge", 1.0)
        discharge = values(frame, "efficiency_discharge", 1.0)
        reserve = values(frame, "reserve_mwh", 0.0)
        unmet = values(frame, "unmet_eur_per_mwh", UNMET_EUR_PER_MWH)
        wear = values(frame, "wear_eur_per_mwh", 0.0)
        consumption = values(frame, "kwh_per_km", 0.17)
        checks = (
            (np.isfinite(power) & (power > 0.0), "max_p_mw > 0"),
            (np.isfinite(back) & (back >= 0.0), "min_p_mw <= 0 (feeding back)"),
            (np.isfinite(full) & (full > 0.0), "max_e_mwh > 0"),
            (values(frame, "min_e_mwh", 0.0) == 0.0, "min_e_mwh = 0 (reserve_mwh is a wish)"),
            ((least >= 0.0) & (least <= power), "0 <= p_least_mw <= max_p_mw"),
            ((soc >= 0.0) & (soc <= 100.0), "0 <= soc_percent <= 100"),
            ((reserve >= 0.0) & (reserve <= full), "0 <= reserve_mwh <= max_e_mwh"),
            ((charge > 0.0) & (charge <= 1.0), "0 < efficiency_charge <= 1"),
            ((discharge > 0.0) & (discharge <= 1.0), "0 < efficiency_discharge <= 1"),
            ((consumption >= 0.0) & (consumption <= 5.0), "0 <= kwh_per_km <= 5"),
            (unmet >= 0.0, "unmet_eur_per_mwh >= 0"),
            (wear >= 0.0, "wear_eur_per_mwh >= 0"),
            (elements.scaling(frame) == 1.0, "scaling = 1"),
        )
        for good, accepted in checks:
            elements.refuse(frame, "storage", good, f"is a vehicle and needs {accepted}")
        elements.refuse_reactive(frame, "storage", cls.label)
        return cls(
            index=elements.index(frame),
            name=elements.names(frame, VEHICLE),
            bus=frame.bus.to_numpy(dtype=np.int64),
            p_max_mw=power,
            p_least_mw=least,
            p_back_mw=back,
            e_max_mwh=full,
            e_initial_mwh=soc / 100.0 * full,
            efficiency_charge=charge,
            efficiency_discharge=discharge,
            reserve_mwh=reserve,
            unmet_eur_per_mwh=unmet,
            wear_eur_per_mwh=wear,
            kwh_per_km=consumption,
            phase=elements.phases(frame, "storage"),
        )

    # -- model

    def equations(self, m: Any, base_mva: float, dt_h: Floats, options: DeviceOptions) -> Injection:
        from stackelgrid.controllers.devices.vehicles.equations import add_vehicles

        return add_vehicles(self, m, base_mva, dt_h)

    def cost(self, m: Any, base_mva: float, dt_h: Floats, options: DeviceOptions) -> Any:
        from stackelgrid.controllers.devices.vehicles.equations import vehicle_cost

        return vehicle_cost(self, m, base_mva, dt_h)

    def parameters(
        self, forecast: "GridForecast", states: Arrays, dt_h: Floats
    ) -> dict[str, Floats]:
        connected, energy = forecast.vehicle_connected.T, states["vehicle_e_mwh"]
        driven, needed = self.departures(forecast)
        most = connected * self.p_max_mw[:, None]
        reached = energy
        for t, hours in enumerate(dt_h):
            filled = reached + hours * self.efficiency_charge * most[:, t]
            reached = np.maximum(np.minimum(filled, self.e_max_mwh), needed[:, t]) - driven[:, t]
        return {
            "vehicle_start": energy,
            "vehicle_most": most,
            "vehicle_most_back": connected * self.p_back_mw[:, None],
            "vehicle_driven": driven,
            "vehicle_needed": needed,
            "vehicle_least": np.maximum(needed - driven, 0.0),
            "vehicle_highest": self.e_max_mwh[:, None] - driven,
            "vehicle_end": np.minimum(
                forecast.vehicle_required_mwh[-1], (1.0 - tolerances.END_MARGIN) * reached
            ),
        }

    def departures(self, forecast: "GridForecast") -> tuple[Floats, Floats]:
        """Return energies driven and wanted (vehicles, steps).

        In a step of several intervals a vehicle may leave more than once: it charges on the way
        what its trips need together beyond a full battery.
        """
        driven = np.minimum(forecast.vehicle_driven_mwh.T, self.e_max_mwh[:, None])
        return driven, np.maximum(forecast.vehicle_needed_mwh.T, driven)

    def content(self) -> tuple[Floats, ...]:
        return (
            self.p_max_mw, self.p_least_mw, self.p_back_mw, self.e_max_mwh,
            self.efficiency_charge, self.efficiency_discharge, self.unmet_eur_per_mwh,
            self.wear_eur_per_mwh,
        )  # fmt: skip

    # -- schedule and physics

    @classmethod
    def complete(cls, plan: Arrays) -> dict[str, Floats]:
        if "vehicle_charge_mw" not in plan:
            return {}
        return {"vehicle_p_mw": plan["vehicle_charge_mw"] - plan["vehicle_back_mw"]}

    def consumption(self, values: Arrays) -> tuple[Floats, None]:
        return values["vehicle_p_mw"], None

    def held(
        self, last: Arrays | None, forecast: "GridForecast", states: Arrays, dt_h: Floats
    ) -> dict[str, Floats]:
        """Continue the last power within the limits; without one, charge at once up to full."""
        state = states["vehicle_e_mwh"]
        shape = (len(self.index), len(dt_h))
        power, elsewhere, energy = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        driven, needed = self.departures(forecast)
        for t, hours in enumerate(dt_h):
            connected = forecast.vehicle_connected[t]
            if last is None:  # full power, but no rest below the least power
                room = (self.e_max_mwh - state) / (hours * self.efficiency_charge)
                asked = np.where(room < connected * self.p_least_mw, 0.0, self.p_max_mw)
            else:
                asked = last["vehicle_p_mw"][:, t]
            power[:, t], elsewhere[:, t], state = self.step(
                state, asked, connected, driven[:, t], needed[:, t], hours,
            )  # fmt: skip
            energy[:, t] = state
        return {
            "vehicle_charge_mw": np.maximum(power, 0.0),
            "vehicle_back_mw": np.maximum(-power, 0.0),
            "vehicle_elsewhere_mw": elsewhere,
            "vehicle_e_mwh": energy,
            "vehicle_p_mw": power,
        }

    def hourly_cost(self, values: Arrays, options: DeviceOptions) -> Any:
        power, elsewhere = np.abs(values["vehicle_p_mw"]), values["vehicle_elsewhere_mw"]
        wear = self.spread(self.wear_eur_per_mwh, power) * power
        return np.sum(wear + self.spread(self.unmet_eur_per_mwh, power) * elsewhere, axis=0)

    def end_cost(
        self, plan: Arrays, forecast: "GridForecast", states: Arrays, dt_h: Floats
    ) -> float:
        wanted = self.parameters(forecast, states, dt_h)["vehicle_end"]
        return float(self.unmet_eur_per_mwh @ np.maximum(wanted - plan["vehicle_e_mwh"][:, -1], 0))

    def simultaneous_mw(self, plan: Arrays) -> float:
        """Return the largest power of charging and feeding back at once, above rounding."""
        both = np.minimum(plan["vehicle_charge_mw"], plan["vehicle_back_mw"])
        limit = tolerances.SIMULTANEOUS_SHARE * self.rated_mw[:, None]
        return float(np.where(both > limit, both, 0.0).max(initial=0.0))

    def trade_caps(self) -> tuple[Floats, Floats]:
        return self.p_max_mw, self.p_back_mw

    def largest_injection(self, forecast: "GridForecast") -> tuple[Floats, None]:
        return self.p_back_mw[:, None], None

    def deliver(
        self, points: Arrays, series: Arrays, states: Arrays, dt_h: float
    ) -> dict[str, Floats]:
        asked = points.get("vehicle_p_mw", self.p_max_mw)
        connected = series["vehicle_connected"]
        power, elsewhere, after = self.step(
            states["vehicle_e_mwh"], asked, connected, series["vehicle_driven_mwh"],
            series["vehicle_needed_mwh"], dt_h,
        )  # fmt: skip
        return {
            "vehicle_connected": connected,
            "vehicle_needed_mwh": series["vehicle_needed_mwh"],
            "vehicle_required_mwh": series["vehicle_required_mwh"],
            "vehicle_asked_mw": asked,
            "vehicle_limit_mw": connected * self.p_max_mw,
            "vehicle_p_mw": power,
            "vehicle_elsewhere_mw": elsewhere,
            "vehicle_e_mwh": after,
        }

    def step(
        self,
        energy_mwh: Floats,
        p_set_mw: Floats,
        connected: Floats,
        driven_mwh: Floats,
        needed_mwh: Floats,
        dt_h: float,
    ) -> tuple[Floats, Floats, Floats]:
        """Return power at the charging point and elsewhere, and energies after `dt_h` h.

        energy_mwh: energies at the start (vehicles,).
        p_set_mw: asked powers, positive when charging.
        connected: share of the time at the charging point.
        driven_mwh, needed_mwh: energy of a trip that begins in that time, after charging, and the
            energy wanted for it.
        dt_h: length in h.
        """
        gain, drain = self.efficiency_charge, 1.0 / self.efficiency_discharge
        room = np.maximum(self.e_max_mwh - energy_mwh, 0.0)
        most = np.minimum(connected * self.p_max_mw, room / (gain * dt_h))
        least = np.minimum(connected * self.p_back_mw, energy_mwh / (drain * dt_h))
        power = np.clip(p_set_mw, -np.maximum(least, 0.0), np.maximum(most, 0.0))
        # below its least power a charging point gives nothing, but for what fills the battery
        rest = (1.0 - tolerances.CURTAILED) * np.minimum(connected * self.p_least_mw, most)
        power = np.where((power > 0.0) & (power < rest), 0.0, power)
        charged = energy_mwh + dt_h * np.where(power > 0.0, gain, drain) * power
        elsewhere = np.maximum(needed_mwh - charged, 0.0)
        after = charged + elsewhere - driven_mwh
        return power, elsewhere / dt_h, np.clip(after, 0.0, self.e_max_mwh)

    def device_columns(self, outputs: Arrays) -> dict[str, Floats]:
        soc = 100.0 * outputs["vehicle_e_mwh"] / self.e_max_mwh
        return {**super().device_columns(outputs), "soc_percent": soc}
