"""Sheddable loads: customers that give up a part of their demand at a price."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import Field

from stackelgrid.controllers.devices.kind import DeviceKind
from stackelgrid.controllers.devices.placement import Phase, Placement
from stackelgrid.controllers.devices.quantities import Quantity, Role
from stackelgrid.controllers.devices.terms import Arrays, DeviceOptions, Injection
from stackelgrid.profiles.arrays import Bools, Floats, Ints
from stackelgrid.profiles.section import NonNegative

if TYPE_CHECKING:
    from stackelgrid.controllers.devices.elements import NetElements
    from stackelgrid.controllers.devices.placement import Placing
    from stackelgrid.profiles.forecast import GridForecast


class SheddableSection(Placement):
    """Customers who give up a part of the load at their bus at a price."""

    percent: Annotated[float, Field(gt=0.0, le=100.0)] = 100.0
    """Largest part of the load at the bus that may be shed."""
    price_eur_per_mwh: NonNegative
    """Price of energy that is not served."""
    phase: Phase | None = None
    """Connection; without it that of the customer at the bus."""


@dataclass(frozen=True)
class SheddableLoads(DeviceKind):
    """Parts of the loads at some buses that may be shed.

    Their power is the change of the demand: 0, or negative where load is shed. `at_load`
    (devices, loads) marks the loads of their buses.
    """

    index: tuple[int, ...]
    name: tuple[str, ...]
    bus: Ints
    share: Floats
    price_eur_per_mwh: Floats
    nominal_mw: Floats
    q_per_p: Floats
    at_load: Bools
    phase: tuple[str, ...]

    kind: ClassVar[str] = "sheddable"
    plural: ClassVar[str] = "sheddable_loads"
    label: ClassVar[str] = "sheddable loads"
    sweep: ClassVar[str] = "demand that can be shed"
    colour: ClassVar[str] = "#b03a6e"
    quantities: ClassVar[tuple[Quantity, ...]] = (
        Quantity("shed_asked_mw", "MW", Role.OUTPUT, "set point", column="asked_mw"),
        Quantity("shed_p_mw", "MW", Role.PLAN | Role.SET_POINT | Role.OUTPUT,
                 "change of the demand, negative where load is shed",
                 attribute="shed_p_set_mw", column="p_mw", variable="shed_p",
                 total="change of the demand of sheddable loads"),
        Quantity("shed_limit_mw", "MW", Role.OUTPUT, "largest power that may be shed",
                 column="limit_mw"),
        Quantity("shed_lost_mw", "MW", Role.OUTPUT, "power that is shed", column="unmet_mw",
                 total="power that is shed", lacked="shed at a price"),
    )  # fmt: skip
    limits: ClassVar[Mapping[str, tuple[str, str]]] = {
        "shed_most": ("part of the demand that may be shed", "MW"),
    }
    cost_column: ClassVar[str] = "shedding_eur"
    cost_label: ClassVar[str] = "load shedding"
    cost_meaning: ClassVar[str] = "price of demand that is shed"
    data: ClassVar[tuple[str, ...]] = ("shed_available",)
    prosumer: ClassVar[bool] = True
    turn_down: ClassVar[int] = 4
    sections: ClassVar[Mapping[str, tuple[Any, Any]]] = {
        "sheddable": (tuple[SheddableSection, ...], ())
    }

    @property
    def table(self) -> tuple[str, ...]:
        return ("load",) * len(self.index)

    @property
    def rated_mw(self) -> Floats:
        return self.share * np.abs(self.nominal_mw)

    def scaled(self, factor: float) -> Self:
        if not factor:
            return self.none()
        share = factor * self.share
        together = (self.at_load * (share @ self.at_load)).max(axis=1)  # of one load
        return replace(self, share=share / np.maximum(together, 1.0))

    # -- data

    @classmethod
    def claims(cls, elements: "NetElements") -> Mapping[str, Bools]:
        return {"load": elements.filled("load", "shed_percent", "shed_eur_per_mwh")}

    @classmethod
    def place(cls, placing: "Placing") -> tuple[()]:
        """Add loads without power that hold percentage and price in columns of their own."""
        for group, buses in placing.groups("sheddable"):
            own = group.section
            placing.add(
                "load", "sheddable", buses, "sheddable", "sheddable load", p_mw=0.0, q_mvar=0.0,
                shed_percent=own.percent, shed_eur_per_mwh=own.price_eur_per_mwh,
                phase=placing.phases(own.phase, group.key, buses),
            )  # fmt: skip
        return ()

    @classmethod
    def read(cls, elements: "NetElements") -> Self:
        """Read the loads with a column `shed_percent`, a part of the other loads at their bus."""
        frame, loads = elements.of(cls, "load"), elements.unclaimed("load")
        percent = elements.values(frame, "shed_percent", np.nan)
        price = elements.values(frame, "shed_eur_per_mwh", np.nan)
        at_load = frame.bus.to_numpy()[:, None] == loads.bus.to_numpy()[None, :]
        p, q = (
            at_load @ (loads[c].to_numpy(dtype=float) * elements.scaling(loads))
            for c in ("p_mw", "q_mvar")
        )
        bus = frame.bus.to_numpy(dtype=np.int64)
        together = (bus[:, None] == bus[None, :]) @ np.nan_to_num(percent)
        for good, accepted in (
            ((percent > 0.0) & (percent <= 100.0), "0 < shed_percent <= 100"),
            (price >= 0.0, "shed_eur_per_mwh >= 0"),
            (together <= 100.0, "shed_percent of at most 100 together with the others at its bus"),
            (at_load.any(axis=1), "another load at its bus, whose demand it reduces"),
        ):
            elements.refuse(frame, "load", good, f"is a sheddable load and needs {accepted}")
        elements.refuse_power(frame, "load", cls.label)
        return cls(
            index=elements.index(frame),
            name=elements.names(frame, "sheddable"),
            bus=bus,
            share=percent / 100.0,
            price_eur_per_mwh=price,
            nominal_mw=p,
            q_per_p=np.divide(q, p, out=np.zeros(len(p)), where=p > 0.0),
            at_load=at_load,
            phase=elements.phases(frame, "load"),
        )

    def available(self, load_p_mw: Floats) -> Floats:
        """Return the largest power (devices, ...) that may be shed of loads (loads, ...)."""
        demand = self.at_load @ np.maximum(load_p_mw[: self.at_load.shape[1]], 0.0)
        return np.asarray(self.spread(self.share, demand) * demand)

    # -- model

    def equations(self, m: Any, base_mva: float, dt_h: Floats, options: DeviceOptions) -> Injection:
        """Add the change of the demand, not below minus what may be shed (data); p.u."""
        import pyomo.environ as pyo

        from stackelgrid.controllers.solvers.step_constraint import every_step

        m.sheddable = pyo.RangeSet(0, len(self.index) - 1)
        m.shed_p = pyo.Var(m.sheddable, m.steps, bounds=(None, 0.0))
        m.shed_available = pyo.Var(m.sheddable, m.steps)  # data

        @every_step(m, m.sheddable)
        def shed_most(m: Any, i: int, t: int) -> Any:
            return m.shed_p[i, t] + m.shed_available[i, t] >= 0.0

        ratio = self.q_per_p
        return Injection(lambda i, t: m.shed_p[i, t], lambda i, t: ratio[i] * m.shed_p[i, t])

    def cost(self, m: Any, base_mva: float, dt_h: Floats, options: DeviceOptions) -> Any:
        """Return the price of energy that is not served."""
        return -sum(
            dt_h[t] * base_mva * self.price_eur_per_mwh[i] * m.shed_p[i, t]
            for i in m.sheddable
            for t in m.steps
        )

    def parameters(
        self, forecast: "GridForecast", states: Arrays, dt_h: Floats
    ) -> dict[str, Floats]:
        return {"shed_available": self.available(forecast.load_p_mw.T)}

    def content(self) -> tuple[Floats, ...]:
        return (self.price_eur_per_mwh, self.q_per_p)

    # -- schedule and physics

    def consumption(self, values: Arrays) -> tuple[Floats, Floats]:
        power = values["shed_p_mw"]
        return power, self.spread(self.q_per_p, power) * power

    def held(
        self, last: Arrays | None, forecast: "GridForecast", states: Arrays, dt_h: Floats
    ) -> dict[str, Floats]:
        """Shed what the last plan shed, up to what may be shed; without a plan nothing."""
        most = self.available(forecast.load_p_mw.T)
        power = np.zeros_like(most) if last is None else np.clip(last["shed_p_mw"], -most, 0.0)
        return {"shed_p_mw": power}

    def turned_down(
        self,
        plan: Arrays,
        share: Floats,
        forecast: "GridForecast",
        states: Arrays,
        dt_h: Floats,
    ) -> dict[str, Floats]:
        most = self.available(forecast.load_p_mw.T)
        return {"shed_p_mw": np.minimum(plan["shed_p_mw"], -(1.0 - share) * most)}

    def hourly_cost(self, values: Arrays, options: DeviceOptions) -> Any:
        power = values["shed_p_mw"]
        return -np.sum(self.spread(self.price_eur_per_mwh, power) * power, axis=0)

    def trade_caps(self) -> tuple[Floats, Floats]:
        none = np.zeros(len(self.index))  # it only reduces what the customer needs
        return none, none

    def largest_injection(self, forecast: "GridForecast") -> tuple[Floats, Floats]:
        most = self.available(forecast.load_p_mw.T)
        return most, np.maximum(self.spread(self.q_per_p, most) * most, 0.0)

    def deliver(
        self, points: Arrays, series: Arrays, states: Arrays, dt_h: float
    ) -> dict[str, Floats]:
        most = self.available(series["load_p_mw"])
        asked = points.get("shed_p_mw", np.zeros_like(most))
        power = np.clip(asked, -most, 0.0)
        return {
            "shed_asked_mw": asked,
            "shed_p_mw": power,
            "shed_limit_mw": most,
            "shed_lost_mw": -power,
        }
