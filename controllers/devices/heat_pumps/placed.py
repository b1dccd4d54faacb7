"""Sections, placement, weather and forecasts of heat pumps with buildings."""

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from stackelgrid.controllers.devices.heat_pumps.data import HeatPumpData
from stackelgrid.controllers.devices.placement import Phase, Placed, Placement
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.section import NonNegative, Positive

if TYPE_CHECKING:
    from stackelgrid.controllers.devices.placement import Placing, SeriesMaker
    from stackelgrid.profiles.forecast_predictors import Predictor

SERIES = ("heat_pump_cop", "heat_pump_water_cop", "heat_pump_drive_c", "heat_pump_water_mw")

SOURCES, SYSTEMS = ("air", "ground"), ("radiators", "floor")

RoomTemperature = Annotated[float, Field(ge=5.0, le=35.0)]


class HeatPumpSection(Placement):
    """Heat pumps in equal buildings, one at each bus."""

    p_mw: Positive = 0.003
    """Largest electric power of the machine."""
    backup_mw: NonNegative = 0.006
    """Largest power of the resistive heater of the building."""
    power_factor: Annotated[float, Field(gt=0.0, le=1.0)] = 0.95
    """Power factor of the machine, inductive; the resistive heater has 1."""
    source: Literal["air", "ground"] = "air"
    """Source of heat: outdoor air, or brine in the ground."""
    heating: Literal["radiators", "floor"] = "radiators"
    """Heating, whose flow is 55 or 35 °C on the coldest day."""
    coldest_c: Annotated[float, Field(ge=-50.0, le=15.0)] = -14.0
    """Outdoor temperature of that day."""
    loss_kw_per_k: Positive = 0.16
    """Heat that the building loses per K between rooms and outdoor air."""
    capacity_kwh_per_k: Positive = 10.0
    """Heat that the building stores per K."""
    gains_kw: NonNegative = 0.4
    """Heat from people and appliances."""
    window_m2: NonNegative = 4.0
    """Window to the south, through which the sun heats."""
    set_c: RoomTemperature = 20.5
    """Room temperature that is wanted."""
    below_k: NonNegative = 0.5
    """Width of the comfort band below it."""
    above_k: NonNegative = 1.5
    """Width of the comfort band above it."""
    comfort_eur_per_k_h: NonNegative = 2.0
    """Price of an hour at 1 K outside of the band."""
    store_kwh: NonNegative = 0.0
    """Usable heat of the hot-water store; 0 for none."""
    store_loss_per_h: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.01
    """Share of its heat that the store loses in an hour."""
    water_kwh: NonNegative = 0.0
    """Heat drawn as hot water in a day."""
    phase: Phase | None = None
    """Connection; without it that of the customer at the bus."""

    @model_validator(mode="after")
    def _band(self) -> Self:
        if self.below_k + self.above_k <= 0.0:
            raise ValueError("the comfort band is empty: below_k + above_k > 0 is accepted")
        if self.coldest_c >= self.set_c:
            raise ValueError(
                f"coldest_c = {self.coldest_c:g} is not below set_c = {self.set_c:g}; an outdoor "
                "temperature at which rooms are heated is accepted"
            )
        if self.water_kwh > 0.0 and self.store_kwh == 0.0:
            raise ValueError("water_kwh needs a store: store_kwh > 0 is accepted")
        return self


class PlacedHeatPumps(HeatPumpData):
    """Placement and series of heat pumps with buildings."""

    sections: ClassVar[Mapping[str, tuple[Any, Any]]] = {
        "heat_pumps": (tuple[HeatPumpSection, ...], ())
    }

    @classmethod
    def place(cls, placing: "Placing") -> "tuple[Placed, ...]":
        """Add loads with the data of heat pump and building in columns of their own."""
        for group, buses in placing.groups("heat_pumps"):
            own = group.section
            placing.add(
                "load", "heat pump", buses, "heat_pumps", "heat pump", p_mw=0.0, q_mvar=0.0,
                heat_pump_mw=own.p_mw, backup_mw=own.backup_mw, power_factor=own.power_factor,
                loss_mw_per_k=1e-3 * own.loss_kw_per_k,
                capacity_mwh_per_k=1e-3 * own.capacity_kwh_per_k,
                set_c=own.set_c, below_k=own.below_k, above_k=own.above_k,
                comfort_eur_per_k_h=own.comfort_eur_per_k_h, store_mwh=1e-3 * own.store_kwh,
                store_loss_per_h=own.store_loss_per_h, water_mwh=1e-3 * own.water_kwh,
                heat_source=own.source, heating=own.heating, coldest_c=own.coldest_c,
                gains_mw=1e-3 * own.gains_kw, window_m2=own.window_m2,
                phase=placing.phases(own.phase, group.key, buses),
            )  # fmt: skip
        return ()

    def series(self, maker: "SeriesMaker", placed: "tuple[Placed, ...]") -> dict[str, Floats]:
        """Return COPs, the temperature that drives the building, and the draw of hot water."""
        from stackelgrid.profiles.hot_water import draw_of_hot_water
        from stackelgrid.profiles.photovoltaics import south_window

        outdoor = maker.temperature
        cop, water_cop = self.cops(outdoor, maker.axis.step_h)
        sun = south_window(maker.site, maker.axis, maker.regional)
        gains = self.gains_mw + 1e-6 * self.window_m2 * sun[:, None]
        drive = outdoor[:, None] + gains / self.loss_mw_per_k
        draw = draw_of_hot_water(maker.axis)[:, None] * self.water_mwh
        return dict(zip(SERIES, (cop, water_cop, drive, draw), strict=True))

    def realised(
        self, maker: "SeriesMaker", placed: "tuple[Placed, ...]", deviations: Any
    ) -> dict[str, Floats]:
        return self.series(maker, placed) if deviations.temperature_model.errs else {}

    def predictor(
        self,
        maker: "SeriesMaker",
        placed: "tuple[Placed, ...]",
        expected: Floats,
        realised: Floats,
        outdoor: "Predictor",
    ) -> "Predictor":
        """Return the series at the forecast of the temperature."""
        from stackelgrid.profiles.forecast_predictors import Derived

        step_h, assumed = maker.axis.step_h, maker.temperature
        _, _, drive, water = np.split(expected, len(SERIES), axis=1)
        warmer = drive - assumed[:, None]  # sun, people and appliances
        # a bound method, as forecasts are sent to other processes
        series = partial(self._series_at, step_h, warmer, water)
        return Derived(expected, assumed, outdoor, round(24.0 / step_h), series)

    def _series_at(
        self, step_h: float, warmer_k: Floats, water_mw: Floats, first: int, outdoor_c: Floats
    ) -> Floats:
        """Return the series (m, columns), side by side, at outdoor temperatures (m,).

        step_h: length of an interval in h.
        warmer_k: drive of the building above the outdoor temperature (n, devices).
        water_mw: draw of hot water (n, devices).
        first: interval of the first temperature.
        """
        part = slice(first, first + len(outdoor_c))
        drives = outdoor_c[:, None] + warmer_k[part]
        return np.hstack([*self.cops(outdoor_c, step_h), drives, water_mw[part]])

    def cops(self, outdoor_c: Floats, step_h: float) -> tuple[Floats, Floats]:
        """Return the COPs (n, devices) of heating and hot water at outdoor temperatures (n,)."""
        from stackelgrid.profiles.heat_pumps import HOT_WATER_C, flow_temperature, heat_pump_cop
        from stackelgrid.profiles.temperature import daily_mean

        n, count = len(outdoor_c), len(self.index)
        cop, water_cop = np.ones((2, n, count))
        if count:
            daily = daily_mean(outdoor_c, step_h)
            machines = np.stack([self.ground, self.floor, self.set_c, self.coldest_c], axis=1)
            alike, of_machine = np.unique(machines, axis=0, return_inverse=True)
            for k, (ground, floor, set_c, coldest_c) in enumerate(alike):
                at = of_machine.ravel() == k
                source: Literal["air", "ground"] = "ground" if ground else "air"
                flow = flow_temperature("floor" if floor else "radiators", daily, set_c, coldest_c)
                water = np.full(n, HOT_WATER_C)
                cop[:, at] = heat_pump_cop(source, outdoor_c, daily, flow)[:, None]
                water_cop[:, at] = heat_pump_cop(source, outdoor_c, daily, water)[:, None]
        return cop, water_cop
