"""Devices whose power a simulator of the user computes while the world runs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from stackelgrid.controllers.devices.kind import DeviceKind
from stackelgrid.controllers.devices.placement import Placed
from stackelgrid.controllers.devices.quantities import Quantity, Role
from stackelgrid.controllers.devices.terms import Arrays, DeviceOptions, Injection
from stackelgrid.controllers.errors import NetworkError
from stackelgrid.profiles.arrays import Bools, Floats, Ints

if TYPE_CHECKING:
    from stackelgrid.controllers.devices.elements import NetElements
    from stackelgrid.controllers.devices.placement import Placing, SeriesMaker
    from stackelgrid.profiles.forecast import GridForecast


@dataclass(frozen=True)
class Externals(DeviceKind):
    """Entities of users' simulators at the buses of a grid; consumption is positive.

    Without limits (NaN) their power is not decided. `p_rated_mw` is the largest in either
    direction, 0 if it is not known; `profiled` marks those with a forecast file.
    """

    index: tuple[int, ...]
    name: tuple[str, ...]
    bus: Ints
    p_initial_mw: Floats
    p_min_mw: Floats
    p_max_mw: Floats
    p_rated_mw: Floats
    price_eur_per_mwh: Floats
    profiled: Bools
    phase: tuple[str, ...]

    kind: ClassVar[str] = "external"
    plural: ClassVar[str] = "externals"
    label: ClassVar[str] = "users' simulators"
    sweep: ClassVar[str] = "power of users' simulators"
    colour: ClassVar[str] = "#6b6ecf"
    uncontrolled: ClassVar[str] = "users' simulators get no set points"
    quantities: ClassVar[tuple[Quantity, ...]] = (
        Quantity("external_profile_mw", "MW", Role.SERIES, "forecast of a file"),
        Quantity("external_given_mw", "MW", Role.GIVEN, "mean active power over the interval",
                 attribute="external_p_mw"),
        Quantity("external_given_mvar", "MVAr", Role.GIVEN, "the same, reactive",
                 attribute="external_q_mvar"),
        Quantity("external_announced_mw", "MW", Role.GIVEN,
                 "power that the simulator announces for the next intervals",
                 attribute="external_plan_mw"),
        Quantity("external_asked_mw", "MW",
                 Role.PLAN | Role.SET_POINT | Role.OPTIONAL | Role.OUTPUT,
                 "set point; empty where the power is not planned", attribute="external_p_set_mw",
                 column="asked_mw"),
        Quantity("external_p_mw", "MW", Role.PLAN | Role.STATE | Role.OUTPUT,
                 "active power, positive when consuming", column="p_mw", variable="external_p",
                 total="power of users' simulators"),
        Quantity("external_q_mvar", "MVAr", Role.PLAN | Role.STATE | Role.OUTPUT,
                 "reactive power, positive when consuming", column="q_mvar",
                 variable="external_q", total="the same, reactive"),
        Quantity("external_next_mw", "MW", Role.STATE | Role.OUTPUT,
                 "power in the next intervals: as announced, else that of the last one"),
    )  # fmt: skip
    cost_column: ClassVar[str] = "external_eur"
    cost_label: ClassVar[str] = "users' simulators"
    cost_meaning: ClassVar[str] = "price of energy below the most that users' simulators may draw"
    data: ClassVar[tuple[str, ...]] = ("external_expected", "external_reactive")
    is_load: ClassVar[bool] = True
    turn_down: ClassVar[int] = 4
    sections: ClassVar[Mapping[str, tuple[Any, Any]]] = {}  # they are entities of [[simulators]]

    @property
    def table(self) -> tuple[str, ...]:
        return ("load",) * len(self.index)

    @property
    def planned_here(self) -> Bools:
        """Devices (devices,) whose power the agent plans."""
        return ~np.isnan(self.p_max_mw)

    @property
    def trading(self) -> Bools:
        return self.planned_here

    @property
    def rated_mw(self) -> Floats:
        limits = np.maximum(np.abs(self.p_min_mw), np.abs(self.p_max_mw))
        return np.fmax(limits, self.p_rated_mw)

    @property
    def initial(self) -> dict[str, Floats]:
        return {
            "external_p_mw": self.p_initial_mw,
            "external_q_mvar": np.zeros(len(self.index)),
            "external_next_mw": self.p_initial_mw[:, None],
        }

    def needs_world(self) -> str:
        unknown = np.flatnonzero(~(self.planned_here | self.profiled))
        if not len(unknown):
            return ""
        where = f"load {self.index[unknown[0]]} ({self.name[unknown[0]]})"
        return (
            f"{where}: its power is known while its simulator runs; a forecast of a file, or "
            "p_min_mw and p_max_mw, is accepted"
        )

    def scaled(self, factor: float) -> Self:
        if not factor:
            return self.none()
        sized = ("p_initial_mw", "p_min_mw", "p_max_mw", "p_rated_mw")
        return replace(self, **{name: factor * getattr(self, name) for name in sized})

    # -- data

    @classmethod
    def claims(cls, elements: "NetElements") -> Mapping[str, Bools]:
        return {"load": elements.filled("load", "external")}

    @classmethod
    def place(cls, placing: "Placing") -> tuple[Placed, ...]:
        """Add loads without power of their own that hold name and limits in columns."""
        if "external" in placing.net.load:
            placing.refuse("case", "has loads with a column external, which [[simulators]] adds; "
                           "a net without them is accepted")  # fmt: skip
        placed, nothing = [], float("nan")
        for group, buses in placing.groups("entities"):
            own, key = group.section, group.key
            placing.add(
                "load", own.label, buses, key, "entity of a user's simulator", p_mw=0.0,
                q_mvar=0.0, external=key, external_initial_mw=own.p_initial_mw,
                external_min_mw=nothing if own.p_min_mw is None else own.p_min_mw,
                external_max_mw=nothing if own.p_max_mw is None else own.p_max_mw,
                external_rated_mw=own.p_rated_mw or 0.0, external_eur_per_mwh=own.price_eur_per_mwh,
                external_profiled=own.forecast.file is not None,
                phase=placing.phases(own.phase, key, buses),
            )  # fmt: skip
            placed.append(group)
        return tuple(placed)

    @classmethod
    def read(cls, elements: "NetElements") -> Self:
        """Read the loads with a text in the column `external`."""
        frame, values = elements.of(cls, "load"), elements.values
        elements.refuse_power(frame, "load", cls.label)
        return cls(
            index=elements.index(frame),
            name=elements.names(frame, "external"),
            bus=frame.bus.to_numpy(dtype=np.int64),
            p_initial_mw=values(frame, "external_initial_mw", 0.0),
            p_min_mw=values(frame, "external_min_mw", np.nan),
            p_max_mw=values(frame, "external_max_mw", np.nan),
            p_rated_mw=values(frame, "external_rated_mw", 0.0),
            price_eur_per_mwh=values(frame, "external_eur_per_mwh", 0.0),
            profiled=values(frame, "external_profiled", 0.0) > 0.0,
            phase=elements.phases(frame, "load"),
        )

    def series(self, maker: "SeriesMaker", placed: tuple[Placed, ...]) -> dict[str, Floats]:
        """Return the forecasts of files, 0 for the devices without one."""
        from stackelgrid.controllers.devices.externals.profile import profile_mw

        found = np.zeros((maker.axis.length, len(self.index)))
        for group in placed:
            if group.section.forecast.file is not None:
                at = slice(group.first, group.first + group.count)
                sign = 1.0 if group.section.p.sign == "consumption" else -1.0
                found[:, at] = sign * profile_mw(maker, group, self.name[at])
        return {"external_profile_mw": found}

    def expected(self, forecast: "GridForecast", states: Arrays, dt_h: Floats) -> Floats:
        """Return the forecast (devices, steps): of a file, announced, or the last power.

        Beyond what is announced its last value holds.
        """
        known = states["external_next_mw"]
        counts = np.rint(dt_h / dt_h[0]).astype(np.int64)
        at = np.minimum(np.arange(counts.sum()), known.shape[1] - 1)
        starts = np.cumsum(counts) - counts
        ahead = np.add.reduceat(known[:, at], starts, axis=1) / counts
        return np.where(self.profiled[:, None], forecast.external_profile_mw.T, ahead)

    # -- model

    def equations(self, m: Any, base_mva: float, dt_h: Floats, options: DeviceOptions) -> Injection:
        """Add active power, planned within its limits or as expected, and reactive power; p.u."""
        from stackelgrid.controllers.devices.externals.equations import add_externals

        return add_externals(self.p_min_mw / base_mva, self.p_max_mw / base_mva, m)

    def cost(self, m: Any, base_mva: float, dt_h: Floats, options: DeviceOptions) -> Any:
        """Return the price of energy below the largest power."""
        priced = np.flatnonzero(self.planned_here & (self.price_eur_per_mwh > 0.0))
        return sum(
            dt_h[t] * self.price_eur_per_mwh[i] * (self.p_max_mw[i] - base_mva * m.external_p[i, t])
            for i in priced.tolist()
            for t in m.steps
        )

    def parameters(
        self, forecast: "GridForecast", states: Arrays, dt_h: Floats
    ) -> dict[str, Floats]:
        expected = self.expected(forecast, states, dt_h)
        reactive = np.repeat(states["external_q_mvar"][:, None], len(dt_h), axis=1)
        return {"external_expected": expected, "external_reactive": reactive}

    def content(self) -> tuple[Floats, ...]:
        return (self.p_min_mw, self.p_max_mw, self.price_eur_per_mwh)

    def planned(self, mw: Callable[[str], Floats], forecast: "GridForecast") -> dict[str, Floats]:
        plan = super().planned(mw, forecast)
        return {**plan, "external_asked_mw": plan["external_p_mw"]}

    # -- schedule and physics

    def within_limits(self, p_mw: Floats) -> Floats:
        """Return powers within the limits, where there are any."""
        low, high = (self.spread(limit, p_mw) for limit in (self.p_min_mw, self.p_max_mw))
        return np.asarray(np.fmin(np.fmax(p_mw, low), high))

    def consumption(self, values: Arrays) -> tuple[Floats, Floats]:
        return values["external_p_mw"], values["external_q_mvar"]

    def held(
        self, last: Arrays | None, forecast: "GridForecast", states: Arrays, dt_h: Floats
    ) -> dict[str, Floats]:
        """Keep the last set points; without a plan there are none, and power is as expected."""
        values = self.parameters(forecast, states, dt_h)
        plan = {
            "external_p_mw": values["external_expected"],
            "external_q_mvar": values["external_reactive"],
        }
        if last is None or "external_asked_mw" not in last:
            return plan
        planned = self.planned_here[:, None]
        asked = np.where(planned, self.within_limits(last["external_p_mw"]), plan["external_p_mw"])
        return {**plan, "external_p_mw": asked, "external_asked_mw": asked}

    def turned_down(
        self,
        plan: Arrays,
        share: Floats,
        forecast: "GridForecast",
        states: Arrays,
        dt_h: Floats,
    ) -> dict[str, Floats]:
        least, p = self._least(), plan["external_p_mw"]
        asked = np.where(least < p, np.maximum(np.minimum(share * p, p), least), p)
        return {**self.held(None, forecast, states, dt_h),
                "external_p_mw": asked, "external_asked_mw": asked}  # fmt: skip

    def load_caps(self, plan: Arrays, share: Floats) -> dict[str, Floats]:
        least, p = self._least(), plan["external_p_mw"]
        return {"external_p": np.where(least < p, np.maximum(self.up_to(share, p), least), np.inf)}

    def _least(self) -> Floats:
        """Return the power (devices, 1) down to which demand can be reduced; else infinite."""
        return np.where(self.planned_here, np.fmax(self.p_min_mw, 0.0), np.inf)[:, None]

    def hourly_cost(self, values: Arrays, options: DeviceOptions) -> Any:
        """Return the price in EUR/h of the energy below the largest power."""
        power = values["external_p_mw"]
        below = np.nan_to_num(self.spread(self.p_max_mw, power) - power)
        return np.sum(self.spread(self.price_eur_per_mwh, power) * below, axis=0)

    def trade_caps(self) -> tuple[Floats, Floats]:
        low, high = np.nan_to_num(self.p_min_mw), np.nan_to_num(self.p_max_mw)
        return np.maximum(high, 0.0), np.maximum(-low, 0.0)

    def largest_injection(self, forecast: "GridForecast") -> tuple[Floats, Floats]:
        """Return the limits, or the profile; raises NetworkError for a device without either."""
        if reason := self.needs_world():
            raise NetworkError(reason)
        profile = -forecast.external_profile_mw.T
        limit = np.where(self.planned_here, -self.p_min_mw, 0.0)[:, None]
        most = np.where(self.planned_here[:, None], limit, profile)
        return most, np.zeros_like(most)  # without a world there is no reactive power

    def completed(self, points: Arrays, forecast: Callable[[], Arrays]) -> dict[str, Floats]:
        nothing = np.full(len(self.index), np.nan)
        asked = points.get("external_asked_mw", nothing)
        return {"external_asked_mw": np.where(self.planned_here, asked, nothing)}

    def deliver(
        self, points: Arrays, series: Arrays, states: Arrays, dt_h: float
    ) -> dict[str, Floats]:
        """Return what the simulators have given; without any the power is as it was."""
        p = series.get("external_given_mw", states["external_p_mw"])
        announced = series.get("external_announced_mw", p[:, None])
        return {
            "external_asked_mw": points.get("external_asked_mw", np.full(len(p), np.nan)),
            "external_p_mw": p,
            "external_q_mvar": series.get("external_given_mvar", states["external_q_mvar"]),
            "external_next_mw": _continued(p, announced),
        }


def _continued(p_mw: Floats, announced_mw: Floats) -> Floats:
    """Return announced powers (devices, intervals); where they end (NaN) the last power holds."""
    values = np.concatenate([p_mw[:, None], announced_mw], axis=1)
    known = np.where(np.isnan(values), 0, np.arange(values.shape[1]))
    return np.take_along_axis(values, np.maximum.accumulate(known, axis=1), axis=1)[:, 1:]
