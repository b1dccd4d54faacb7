"""Declaration of a kind of device: its interface to all layers.

A kind is a frozen dataclass that holds the data of all its devices at one grid. Arrays are
(devices,) or (devices, steps), in the order of `index`. Powers carry pandapower's sign of the
element: loads and storages consume, generators inject.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from stackelgrid.controllers.devices.quantities import Role
from stackelgrid.controllers.devices.scalable import Scalable
from stackelgrid.controllers.devices.terms import (
    Arrays,
    Curtailed,
    DeviceOptions,
    Injection,
)
from stackelgrid.profiles.arrays import Floats

# a scenario's schema reads the kinds, before pandapower and Pyomo are needed
if TYPE_CHECKING:
    from stackelgrid.controllers.devices.elements import NetElements
    from stackelgrid.controllers.devices.placement import Placed, Placing, SeriesMaker
    from stackelgrid.profiles.forecast import GridForecast
    from stackelgrid.profiles.forecast_predictors import Predictor


class Controllable(NamedTuple):
    """Devices whose consumption a cap counts, and it by device and step, p.u."""

    member: "DeviceKind"
    power: Callable[[int, int], Any]


class DeviceKind(Scalable, ABC):
    """Devices of one kind at one grid; subclasses are frozen dataclasses."""

    # -- data

    @classmethod
    def place(cls, placing: "Placing") -> "tuple[Placed, ...]":
        """Add the devices of a scenario's sections to a net; returns them by section.

        Raises ScenarioError for buses that are not accepted.
        """
        return ()

    def series(self, maker: "SeriesMaker", placed: "tuple[Placed, ...]") -> dict[str, Floats]:
        """Return the series (n, devices) of this kind.

        maker: time axis, site, weather, random generators and files of the scenario.
        placed: the devices by section, as returned by `place`.
        """
        return {}

    def realised(
        self, maker: "SeriesMaker", placed: "tuple[Placed, ...]", deviations: Any
    ) -> dict[str, Floats]:
        """Return those series (n, devices) of this kind that deviate from their profiles.

        maker: data as for `series`, at the realised outdoor temperature.
        placed: the devices by section.
        deviations: section `deviations` of the scenario.
        """
        return {}

    def predictor(
        self,
        maker: "SeriesMaker",
        placed: "tuple[Placed, ...]",
        expected: Floats,
        realised: Floats,
        outdoor: "Predictor",
    ) -> "Predictor | None":
        """Return the forecast of this kind's series, side by side; None if they are known.

        maker, placed: data as for `series`.
        expected, realised: series (n, columns).
        outdoor: forecast of the outdoor temperature (n, 1); before the issue its realised values.
        """
        return None

    @classmethod
    def has_clear_sky(cls, placed: "tuple[Placed, ...]") -> bool:
        """Return whether `clear_sky` has values."""
        return False

    def clear_sky(self, maker: "SeriesMaker", placed: "tuple[Placed, ...]") -> Floats:
        """Return the series (n, devices) under a clear sky; raises ProfileError without one."""
        raise NotImplementedError(f"{self.kind}: no clear sky")

    @classmethod
    def buses(cls, net: Any) -> list[int]:
        """Return the buses of a net with devices of this kind, for placement `among` them."""
        return []

    @classmethod
    @abstractmethod
    def read(cls, elements: "NetElements") -> Self:
        """Read the devices of a net; raises NetworkError for data that are not accepted."""

    @classmethod
    def claims(cls, elements: "NetElements") -> "Mapping[str, np.typing.NDArray[np.bool_]]":
        """Return by table which elements of a net are devices of this kind."""
        return {}

    def stored_mwh(self, states: Arrays, series: Arrays) -> Floats:
        """Return that energy (devices,) in MWh of electricity.

        states: states.
        series: values of the series in an interval.
        """
        return states[self.stored()]

    @property
    def rated_mw(self) -> Floats:
        """Largest active power of each device in either direction, MW."""
        return np.zeros(len(self.index))

    @property
    def trading(self) -> "np.typing.NDArray[np.bool_]":
        """Return whether each device makes its bus one that may trade."""
        return np.full(len(self.index), self.prosumer)

    @property
    def rated_mva(self) -> Floats:
        """Largest apparent power of each device, MVA."""
        return self.rated_mw

    @property
    def initial(self) -> dict[str, Floats]:
        """States before the first interval."""
        return {}

    def within(self, states: Arrays) -> dict[str, Floats]:
        """Return this kind's states, kept within their limits."""
        return {name: states[name] for name in self.names(Role.STATE)}

    @property
    def uncertain(self) -> "np.typing.NDArray[np.bool_]":
        """Return whether the series of each device may differ from its forecast."""
        return np.ones(len(self.index), dtype=bool)

    def series_limit(self, series: Arrays) -> Floats | None:
        """Return the largest values (n, columns) of the series; None without a limit."""
        return None

    # -- model

    def equations(
        self, m: Any, base_mva: float, dt_h: Floats, options: DeviceOptions
    ) -> Injection | None:
        """Add variables and rows to a feeder's model, p.u.; None for devices without variables.

        m: Pyomo model with the set `m.steps`.
        base_mva: base of the per-unit values.
        dt_h: length of the steps in h.
        options: prices and rules of the scenario.
        """
        return None

    def restrict(
        self, m: Any, base_mva: float, dt_h: Floats, controllable: "Sequence[Controllable]"
    ) -> None:
        """Add rows on the consumption of other kinds, after the equations of all; p.u.

        m: Pyomo model.
        base_mva: base of the per-unit values.
        dt_h: length of the steps in h.
        controllable: devices of other kinds whose consumption a cap counts.
        """
        return

    def joint_parameters(
        self,
        forecast: "GridForecast",
        others: "Sequence[DeviceKind]",
        at_rest: Callable[[], Arrays],
    ) -> dict[str, Floats]:
        """Return the values of `data` in MW that depend on other kinds.

        forecast: forecast over the horizon.
        others: kinds whose consumption a cap counts.
        at_rest: returns their plan without control.
        """
        return {}

    def cost(self, m: Any, base_mva: float, dt_h: Floats, options: DeviceOptions) -> Any:
        """Return the cost in EUR over the horizon in the variables of `equations`."""
        return 0.0

    def parameters(
        self, forecast: "GridForecast", states: Arrays, dt_h: Floats
    ) -> dict[str, Floats]:
        """Return the values of `data` in MW and MWh."""
        return {}

    def content(self) -> "tuple[np.typing.NDArray[Any], ...]":
        """Return all data that the equations depend on, besides buses."""
        return ()

    def planned(self, mw: Callable[[str], Floats], forecast: "GridForecast") -> dict[str, Floats]:
        """Return the quantities of a plan; `mw(name)` reads a variable (devices, steps) in MW."""
        return {q.name: mw(q.variable) for q in self.quantities if q.variable}

    # -- schedule

    @classmethod
    def complete(cls, plan: Arrays) -> dict[str, Floats]:
        """Return quantities of a plan that follow from the others."""
        return {}

    @abstractmethod
    def consumption(self, values: Arrays) -> tuple[Floats, Floats | None]:
        """Return active and reactive power from a plan or an interval, consumption positive.

        Reactive power is None for devices that never give any.
        """

    @abstractmethod
    def held(
        self, last: Arrays | None, forecast: "GridForecast", states: Arrays, dt_h: Floats
    ) -> dict[str, Floats]:
        """Return a plan that continues the last one within the limits; without one, the idle plan.

        last: quantities of the last plan on the present steps, or None.
        forecast: forecast over the horizon.
        states: states at its start, within their limits.
        dt_h: length of the steps in h.
        """

    def carried_out(
        self,
        step: Callable[[int, Arrays, Arrays, float], dict[str, Floats]],
        forecast: "GridForecast",
        states: Arrays,
        dt_h: Floats,
    ) -> dict[str, Floats]:
        """Return the plan that follows from the physics of one step after the other.

        step: returns the outputs of a step from its number, series, states and length in h.
        forecast: forecast over the horizon.
        states: states at its start.
        dt_h: length of the steps in h.
        """
        steps = []
        for t, hours in enumerate(dt_h):
            series = {name: forecast.devices[name][t] for name in self.names(Role.SERIES)}
            done = step(t, series, states, hours)
            states = {name: done[name] for name in self.names(Role.STATE)}
            steps.append(done)
        names, empty = self.names(Role.PLAN), np.zeros((len(self.index), 0))
        return {n: np.stack([s[n] for s in steps], axis=1) if steps else empty for n in names}

    @classmethod
    def curtailed(cls, plan: Arrays, share: Floats) -> "Curtailed | None":
        """Return a plan with a share (steps,) of its feed-in; None for kinds that never curtail."""
        return None

    @classmethod
    def feed_in_caps(cls, plan: Arrays, share: Floats) -> dict[str, Floats]:
        """Return upper limits of variables in MW that keep the feed-in to a share of a plan's."""
        return {}

    def turned_down(
        self,
        plan: Arrays,
        share: Floats,
        forecast: "GridForecast",
        states: Arrays,
        dt_h: Floats,
    ) -> dict[str, Floats]:
        """Return a plan with a share of its consumption, and the states that follow.

        plan: quantities of the plan.
        share: share of the consumption (steps,).
        forecast: forecast over the horizon.
        states: states at its start, within their limits.
        dt_h: length of the steps in h.
        """
        less = {n: plan[n] for n in self.names(Role.PLAN) if n in plan}
        less |= {name: share * plan[name] for name in self.reducible.values()}
        return self.held({**less, **self.complete(less)}, forecast, states, dt_h)

    def load_caps(self, plan: Arrays, share: Floats) -> dict[str, Floats]:
        """Return upper limits of variables in MW that keep consumption to a share of a plan's."""
        reducible = self.reducible.items()
        return {variable: self.up_to(share, plan[name]) for variable, name in reducible}

    def hourly_cost(self, values: Arrays, options: DeviceOptions) -> Any:
        """Return the cost in EUR/h of a plan (steps,) or of an interval."""
        return 0.0

    def end_cost(
        self, plan: Arrays, forecast: "GridForecast", states: Arrays, dt_h: Floats
    ) -> float:
        """Return the price in EUR of what a plan lacks at the end of the horizon.

        plan: quantities of the plan.
        forecast: forecast over the horizon.
        states: states at its start, within their limits.
        dt_h: length of the steps in h.
        """
        return 0.0

    def simultaneous_mw(self, plan: Arrays) -> float:
        """Return the largest power that a device would take and give at once in a plan, MW."""
        return 0.0

    def trade_caps(self) -> tuple[Floats, Floats]:
        """Return the most that each device can consume and give, MW, for caps of trade."""
        none = np.zeros(len(self.index))
        return (none, self.rated_mw) if self.injects else (self.rated_mw, none)

    def largest_injection(self, forecast: "GridForecast") -> tuple[Floats, Floats | None]:
        """Return upper bounds of active and reactive injection (devices, steps) in MW, MVAr."""
        p, q = self.consumption(self.held(None, forecast, self.initial, np.ones(1)))
        return -p, None if q is None else -q

    # -- physics of one interval

    @classmethod
    def set_points(cls, plan: Arrays, step: int) -> dict[str, Floats]:
        """Return the set points of one step of a plan."""
        return {n: plan[n][:, step] for n in cls.names(Role.SET_POINT) if n in plan}

    def completed(self, points: Arrays, forecast: Callable[[], Arrays]) -> dict[str, Floats]:
        """Return this kind's set points; `forecast()`, of the step, gives those left out."""
        return {n: points[n] for n in self.names(Role.SET_POINT)}

    @abstractmethod
    def deliver(
        self, points: Arrays, series: Arrays, states: Arrays, dt_h: float
    ) -> dict[str, Floats]:
        """Return the outputs of one interval, with the states at its end.

        points: set points, empty before the first ones arrive.
        series: values of the series in this interval, and what another simulator gives.
        states: states at the start of the interval.
        dt_h: length of the interval in h.
        """

    def device_columns(self, outputs: Arrays) -> dict[str, Floats]:
        """Return this kind's columns of the table `device`; others are empty."""
        return {q.column: outputs[q.name] for q in self.quantities if q.column}
