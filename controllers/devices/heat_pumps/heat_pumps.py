"""Heat pumps that heat a building, with a backup heater and, where wanted, a hot-water store."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.devices.heat_pumps.columns import read_columns
from stackelgrid.controllers.devices.heat_pumps.data import FAR_K
from stackelgrid.controllers.devices.heat_pumps.placed import PlacedHeatPumps
from stackelgrid.controllers.devices.kind import DeviceKind
from stackelgrid.controllers.devices.quantities import Quantity, Role
from stackelgrid.controllers.devices.terms import Arrays, DeviceOptions, Injection
from stackelgrid.profiles.arrays import Bools, Floats
from stackelgrid.profiles.hot_water import largest_draw

if TYPE_CHECKING:
    from stackelgrid.controllers.devices.elements import NetElements
    from stackelgrid.profiles.forecast import GridForecast

_POWER = Role.PLAN | Role.SET_POINT | Role.OUTPUT
_STATE = Role.PLAN | Role.STATE | Role.OUTPUT


@dataclass(frozen=True)
class HeatPumps(PlacedHeatPumps, DeviceKind):
    """Kind of device: heat pumps."""

    kind: ClassVar[str] = "heat_pump"
    plural: ClassVar[str] = "heat_pumps"
    label: ClassVar[str] = "heat pumps"
    sweep: ClassVar[str] = "heat pump scale"
    colour: ClassVar[str] = "#aa4499"
    symbol: ClassVar[str] = "diamond"
    quantities: ClassVar[tuple[Quantity, ...]] = (
        Quantity("heat_pump_cop", "1", Role.SERIES | Role.OUTPUT,
                 "COP while heating", column="cop"),
        Quantity("heat_pump_water_cop", "1", Role.SERIES, "the same while making hot water"),
        Quantity("heat_pump_drive_c", "degC", Role.SERIES,
                 "temperature that the building would take without heating"),
        Quantity("heat_pump_water_mw", "MW", Role.SERIES, "heat drawn as hot water"),
        Quantity("heat_pump_asked_mw", "MW", Role.OUTPUT, "set point", column="asked_mw"),
        Quantity("heat_pump_house_mw", "MW", _POWER, "power of the machine for the building",
                 attribute="heat_pump_house_set_mw", column="heating_mw",
                 variable="heat_pump_house"),
        Quantity("heat_pump_store_mw", "MW", _POWER, "power of the machine for hot water",
                 attribute="heat_pump_store_set_mw", column="hot_water_mw",
                 variable="heat_pump_store"),
        Quantity("heat_pump_backup_mw", "MW", _POWER, "power of the resistive heater",
                 attribute="heat_pump_backup_set_mw", column="backup_mw",
                 variable="heat_pump_backup"),
        Quantity("heat_pump_boost_mw", "MW", _POWER | Role.OPTIONAL,
                 "power of the resistive heater for hot water, at least what the store lacks",
                 attribute="heat_pump_boost_set_mw", column="boost_mw",
                 variable="heat_pump_boost"),
        Quantity("heat_pump_p_mw", "MW", Role.PLAN | Role.OUTPUT, "power, with resistive heater",
                 column="p_mw", total="power of heat pumps and their resistive heaters"),
        Quantity("heat_pump_q_mvar", "MVAr", Role.PLAN | Role.OUTPUT, "reactive power",
                 column="q_mvar"),
        Quantity("heat_pump_room_c", "degC", _STATE, "room temperature at the end",
                 column="room_c", between=("room_min_c", "room_max_c")),
        Quantity("heat_pump_low_c", "degC", Role.OUTPUT, "lower end of the comfort band",
                 column="room_min_c"),
        Quantity("heat_pump_high_c", "degC", Role.OUTPUT, "upper end of the comfort band",
                 column="room_max_c"),
        Quantity("heat_pump_e_mwh", "MWh", _STATE, "heat in the store at the end of the interval",
                 column="e_mwh"),
        Quantity("heat_pump_stored_mwh", "MWh", Role.OUTPUT,
                 "heat in the store and, above the set temperature, in the building, over the COP",
                 total="heat of heat pumps in stores and, above the set temperatures, in buildings "
                 "at the end of the interval, as electricity at its COP"),
        Quantity("heat_pump_off_k", "K", Role.PLAN | Role.OUTPUT,
                 "distance of the room temperature from its comfort band", column="off_comfort_k",
                 total="distances of room temperatures from their comfort bands",
                 lacked="outside the comfort bands of rooms"),
    )  # fmt: skip
    limits: ClassVar[Mapping[str, tuple[str, str]]] = {
        "heat_pump_machine": ("power of the machine", "MW"),
        "heat_pump_backup": ("power of the resistive heater", "MW"),
        "heat_pump_filled": ("energy limits of the store", "MWh"),
    }
    cost_column: ClassVar[str] = "comfort_eur"
    cost_label: ClassVar[str] = "lost comfort"
    cost_meaning: ClassVar[str] = "price of room temperatures outside their comfort bands"
    data: ClassVar[tuple[str, ...]] = (
        "heat_pump_cop", "heat_pump_water_cop", "heat_pump_start", "heat_pump_drive",
        "heat_pump_water_start", "heat_pump_drawn", "heat_pump_goal",
    )  # fmt: skip
    consumes: ClassVar[bool] = True
    capped: ClassVar[bool] = True
    turn_down: ClassVar[int] = 2
    reducible: ClassVar[Mapping[str, str]] = {
        name: f"{name}_mw" for name in ("heat_pump_house", "heat_pump_store", "heat_pump_backup")
    }
    bands: ClassVar[tuple[str, ...]] = ("room_c", "cop")
    uncontrolled: ClassVar[str] = "hold the set temperatures of rooms, and full stores"
    parts: ClassVar[tuple[str, ...]] = ("heating_mw", "hot_water_mw", "backup_mw", "boost_mw")
    chained: ClassVar[tuple[str, ...]] = ("heat_pump_content", "heat_pump_filled")
    prosumer: ClassVar[bool] = True

    @property
    def table(self) -> tuple[str, ...]:
        return ("load",) * len(self.index)

    @property
    def rated_mw(self) -> Floats:
        return self.p_max_mw + self.backup_mw

    @property
    def water_peak_mw(self) -> Floats:
        """Largest draw of hot water, (heat pumps,)."""
        return largest_draw() * self.water_mwh

    @property
    def rated_mva(self) -> Floats:
        return np.hypot(self.rated_mw, self.tan_phi * self.p_max_mw)

    @property
    def initial(self) -> dict[str, Floats]:
        return {"heat_pump_room_c": self.set_c, "heat_pump_e_mwh": 0.5 * self.store_mwh}

    def within(self, states: Arrays) -> dict[str, Floats]:
        low, high = self.set_c - FAR_K, self.set_c + FAR_K
        return {
            "heat_pump_room_c": np.clip(states["heat_pump_room_c"], low, high),
            "heat_pump_e_mwh": np.clip(states["heat_pump_e_mwh"], 0.0, self.store_mwh),
        }

    def stored_mwh(self, states: Arrays, series: Arrays) -> Floats:
        """Return the electricity that makes the heat in buildings and stores again."""
        building = self.capacity_mwh_per_k * (states["heat_pump_room_c"] - self.set_c)
        store = states["heat_pump_e_mwh"] / series["heat_pump_water_cop"]
        return building / series["heat_pump_cop"] + store

    def scaled(self, factor: float) -> Self:
        """Return heat pumps and buildings of `factor` times the size; temperatures stay."""
        if not factor:
            return self.none()
        sized = (
            "p_max_mw", "backup_mw", "loss_mw_per_k", "capacity_mwh_per_k", "store_mwh",
            "water_mwh", "gains_mw", "window_m2",
        )  # fmt: skip
        return replace(self, **{name: factor * getattr(self, name) for name in sized})

    # -- data

    @classmethod
    def claims(cls, elements: "NetElements") -> Mapping[str, Bools]:
        return {"load": elements.filled("load", "heat_pump_mw", "loss_mw_per_k", "heat_source")}

    @classmethod
    def read(cls, elements: "NetElements") -> Self:
        """Read the loads with a value in `heat_pump_mw`, the electric power of the machine."""
        return cls(**read_columns(elements, elements.of(cls, "load"), cls.label))

    # -- model

    def equations(self, m: Any, base_mva: float, dt_h: Floats, options: DeviceOptions) -> Injection:
        from stackelgrid.controllers.devices.heat_pumps.equations import add_heat_pumps

        return add_heat_pumps(self, m, base_mva, dt_h)

    def cost(self, m: Any, base_mva: float, dt_h: Floats, options: DeviceOptions) -> Any:
        from stackelgrid.controllers.devices.heat_pumps.equations import heat_pump_cost

        return heat_pump_cost(self, m, base_mva, dt_h)

    def parameters(
        self, forecast: "GridForecast", states: Arrays, dt_h: Floats
    ) -> dict[str, Floats]:
        cop = forecast.heat_pump_cop.T
        drive = forecast.heat_pump_drive_c.T
        most = cop * self.p_max_mw[:, None] + self.backup_mw[:, None]
        reached = states["heat_pump_room_c"]
        for t, hours in enumerate(dt_h):  # with all its power
            reached = self.room(reached, drive[:, t], most[:, t], hours)
            reached = np.minimum(reached, self.set_c)
        margin = 1.0 + tolerances.END_MARGIN  # below the set temperature
        goal = margin * self.capacity_mwh_per_k * np.minimum(reached - self.set_c, 0.0)
        return {
            "heat_pump_cop": cop,
            "heat_pump_water_cop": forecast.heat_pump_water_cop.T,
            "heat_pump_start": self.capacity_mwh_per_k * (states["heat_pump_room_c"] - self.set_c),
            "heat_pump_drive": self.capacity_mwh_per_k[:, None] * (drive - self.set_c[:, None]),
            "heat_pump_water_start": states["heat_pump_e_mwh"],
            "heat_pump_drawn": forecast.heat_pump_water_mw.T,
            "heat_pump_goal": goal,
        }

    def content(self) -> tuple[Floats, ...]:
        return (
            self.p_max_mw, self.backup_mw, self.tan_phi, self.loss_mw_per_k,
            self.capacity_mwh_per_k, self.below_k, self.above_k, self.comfort_eur_per_k_h,
            self.store_mwh, self.store_kept, self.water_mwh,
        )  # fmt: skip

    # -- schedule and physics

    def planned(self, mw: Callable[[str], Floats], forecast: "GridForecast") -> dict[str, Floats]:
        plan = super().planned(mw, forecast)
        content = mw("heat_pump_content") / self.capacity_mwh_per_k[:, None]
        states = {
            "heat_pump_room_c": self.set_c[:, None] + content,
            "heat_pump_e_mwh": mw("heat_pump_filled"),
        }
        return {**plan, **states, **self.totals({**plan, **states})}

    def totals(self, values: Arrays) -> dict[str, Floats]:
        """Return active and reactive power and the distance from the comfort band."""
        machine = values["heat_pump_house_mw"] + values["heat_pump_store_mw"]
        heater = values["heat_pump_backup_mw"] + values["heat_pump_boost_mw"]
        off = values["heat_pump_room_c"] - self.spread(self.set_c, machine)
        low, high = (self.spread(v, machine) for v in (self.below_k, self.above_k))
        return {
            "heat_pump_p_mw": machine + heater,
            "heat_pump_q_mvar": self.spread(self.tan_phi, machine) * machine,
            "heat_pump_off_k": np.maximum(np.maximum(-low - off, off - high), 0.0),
        }

    def consumption(self, values: Arrays) -> tuple[Floats, Floats]:
        return values["heat_pump_p_mw"], values["heat_pump_q_mvar"]

    def held(
        self, last: Arrays | None, forecast: "GridForecast", states: Arrays, dt_h: Floats
    ) -> dict[str, Floats]:
        """Continue the last powers within the limits; without a plan thermostats decide."""

        def step(t: int, series: Arrays, states: Arrays, hours: float) -> dict[str, Floats]:
            asked = self.thermostat(series, states, hours)
            if last is not None:
                asked |= {name: last[name][:, t] for name in asked if name in last}
            return self.run(asked, series, states, hours)

        return self.carried_out(step, forecast, states, dt_h)

    def thermostat(self, series: Arrays, states: Arrays, dt_h: float) -> dict[str, Floats]:
        """Return set points that hold the set temperature and fill the store by the machine."""
        kept = self.kept(dt_h)
        free = kept * states["heat_pump_room_c"] + (1.0 - kept) * series["heat_pump_drive_c"]
        wanted = np.maximum(self.set_c - free, 0.0) * self.loss_mw_per_k / (1.0 - kept)
        house = np.minimum(wanted / series["heat_pump_cop"], self.p_max_mw)
        left = np.maximum(wanted - series["heat_pump_cop"] * house, 0.0)
        heat = self.store_mwh - self.store_kept**dt_h * states["heat_pump_e_mwh"]
        water = np.maximum(heat / dt_h + series["heat_pump_water_mw"], 0.0)
        store = np.minimum(water / series["heat_pump_water_cop"], self.p_max_mw - house)
        return {
            "heat_pump_house_mw": house,
            "heat_pump_store_mw": np.where(self.store_mwh > 0.0, store, 0.0),
            "heat_pump_backup_mw": np.minimum(left, self.backup_mw),
            "heat_pump_boost_mw": np.zeros(len(self.index)),
        }

    def run(self, asked: Arrays, series: Arrays, states: Arrays, dt_h: float) -> dict[str, Floats]:
        """Return powers and states after `dt_h` h of set points within the limits."""
        house = np.clip(asked["heat_pump_house_mw"], 0.0, self.p_max_mw)
        before = self.store_kept**dt_h * states["heat_pump_e_mwh"]
        drawn, cop = series["heat_pump_water_mw"], series["heat_pump_water_cop"]
        room = np.maximum((self.store_mwh - before) / dt_h + drawn, 0.0) / cop
        store = np.clip(asked["heat_pump_store_mw"], 0.0, np.minimum(self.p_max_mw - house, room))
        store = np.where(self.store_mwh > 0.0, store, 0.0)
        filled = before + dt_h * (cop * store - drawn)
        lacking, left = np.maximum(-filled, 0.0) / dt_h, (self.store_mwh - filled) / dt_h
        most = np.maximum(np.minimum(drawn, left), 0.0)
        boost = np.maximum(np.clip(asked["heat_pump_boost_mw"], 0.0, most), lacking)
        backup = np.clip(asked["heat_pump_backup_mw"], 0.0, self.backup_mw)
        heat = series["heat_pump_cop"] * house + backup
        values = {
            "heat_pump_house_mw": house,
            "heat_pump_store_mw": store,
            "heat_pump_backup_mw": backup,
            "heat_pump_boost_mw": boost,
            "heat_pump_room_c": self.room(
                states["heat_pump_room_c"], series["heat_pump_drive_c"], heat, dt_h
            ),
            "heat_pump_e_mwh": np.clip(filled + dt_h * boost, 0.0, self.store_mwh),
        }
        return {**values, **self.totals(values)}

    def room(self, room_c: Floats, drive_c: Floats, heat_mw: Floats, dt_h: float) -> Floats:
        """Return room temperatures after `dt_h` h of constant heat and outdoor conditions."""
        kept = self.kept(dt_h)
        return kept * room_c + (1.0 - kept) * (drive_c + heat_mw / self.loss_mw_per_k)

    def turned_down(
        self,
        plan: Arrays,
        share: Floats,
        forecast: "GridForecast",
        states: Arrays,
        dt_h: Floats,
    ) -> dict[str, Floats]:
        none = np.zeros_like(plan["heat_pump_boost_mw"])  # what the store lacks is heated anyway
        less = {**plan, "heat_pump_boost_mw": none}
        return super().turned_down(less, share, forecast, states, dt_h)

    def completed(self, points: Arrays, forecast: Callable[[], Arrays]) -> dict[str, Floats]:
        none = {"heat_pump_boost_mw": np.zeros(len(self.index))}
        return {n: {**none, **points}[n] for n in self.names(Role.SET_POINT)}

    def hourly_cost(self, values: Arrays, options: DeviceOptions) -> Any:
        off = values["heat_pump_off_k"]
        return np.sum(self.spread(self.comfort_eur_per_k_h, off) * off, axis=0)

    def end_cost(
        self, plan: Arrays, forecast: "GridForecast", states: Arrays, dt_h: Floats
    ) -> float:
        goal = self.parameters(forecast, states, dt_h)["heat_pump_goal"] / self.capacity_mwh_per_k
        below = np.maximum(goal + self.set_c - plan["heat_pump_room_c"][:, -1], 0.0)
        return float(self.comfort_eur_per_k_h @ below)

    def trade_caps(self) -> tuple[Floats, Floats]:
        return self.rated_mw + self.water_peak_mw, np.zeros(len(self.index))

    def largest_injection(self, forecast: "GridForecast") -> tuple[Floats, Floats]:
        nothing = np.zeros((len(self.index), 1))
        return nothing, nothing

    def deliver(
        self, points: Arrays, series: Arrays, states: Arrays, dt_h: float
    ) -> dict[str, Floats]:
        own = self.thermostat(series, states, dt_h)
        asked = {name: points.get(name, values) for name, values in own.items()}
        done = self.run(asked, series, states, dt_h)
        return {
            "heat_pump_cop": series["heat_pump_cop"],
            "heat_pump_asked_mw": np.sum(list(asked.values()), axis=0),
            "heat_pump_low_c": self.set_c - self.below_k,
            "heat_pump_high_c": self.set_c + self.above_k,
            "heat_pump_stored_mwh": self.stored_mwh(done, series),
            **done,
        }

    def device_columns(self, outputs: Arrays) -> dict[str, Floats]:
        stores = self.store_mwh > 0.0
        size = np.where(stores, self.store_mwh, 1.0)
        soc = np.where(stores, 100.0 * outputs["heat_pump_e_mwh"] / size, np.nan)
        return {**super().device_columns(outputs), "soc_percent": soc}
