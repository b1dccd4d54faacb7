"""Caps on the controllable power of customers, in stated hours or at the operator's decision.

The German example is section 14a of the EnWG: the operator of a distribution grid may reduce the
power of vehicles and heat pumps, never below 4.2 kW.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from pydantic import model_validator

from stackelgrid.controllers.devices.kind import (
    Arrays,
    Controllable,
    DeviceKind,
    DeviceOptions,
)
from stackelgrid.controllers.devices.placement import Placement
from stackelgrid.controllers.devices.quantities import Quantity, Role
from stackelgrid.profiles.arrays import Bools, Floats, Ints
from stackelgrid.profiles.section import ClockTime, NonNegative, Positive

if TYPE_CHECKING:
    from stackelgrid.controllers.devices.elements import NetElements
    from stackelgrid.controllers.devices.placement import Placed, Placing, SeriesMaker
    from stackelgrid.profiles.forecast import GridForecast


class CapSection(Placement):
    """Caps of equal size, one at each bus."""

    p_mw: Positive = 0.0042
    """Power that the controllable devices of a customer have in any case."""
    hours: tuple[ClockTime, ClockTime] | None = None
    """Clock times between which the cap holds; without them the operator decides."""
    held_back_eur_per_mwh: NonNegative | None = None
    """Price of energy that the operator holds back, without `hours`."""

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        if (self.hours is None) == (self.held_back_eur_per_mwh is None):
            raise ValueError(
                "exactly one of hours and held_back_eur_per_mwh (the operator decides) is accepted"
            )
        return self


@dataclass(frozen=True)
class PowerCaps(DeviceKind):
    """Caps on the sum of a customer's controllable consumption; they have no power themselves.

    `held_back_eur_per_mwh` is NaN for caps in stated hours.
    """

    index: tuple[int, ...]
    name: tuple[str, ...]
    bus: Ints
    p_cap_mw: Floats
    held_back_eur_per_mwh: Floats
    phase: tuple[str, ...]

    kind: ClassVar[str] = "cap"
    plural: ClassVar[str] = "caps"
    label: ClassVar[str] = "power caps"
    quantities: ClassVar[tuple[Quantity, ...]] = (
        Quantity("cap_open", "1", Role.SERIES, "share of the interval in which a cap holds"),
        Quantity("cap_held_mw", "MW", Role.PLAN | Role.SET_POINT | Role.OUTPUT,
                 "power that the operator holds back", attribute="cap_held_set_mw",
                 column="asked_mw", variable="cap_held",
                 total="power of customers that the operator holds back"),
    )  # fmt: skip
    limits: ClassVar[Mapping[str, tuple[str, str]]] = {
        "cap_in_hours": ("cap of the customer's controllable power", "MW"),
        "cap_wish": ("least power of the customer's controllable devices", "MW"),
    }
    cost_column: ClassVar[str] = "held_back_eur"
    cost_label: ClassVar[str] = "held back power"
    cost_meaning: ClassVar[str] = "price of energy of customers that the operator holds back"
    data: ClassVar[tuple[str, ...]] = ("cap_limit", "cap_wished")
    sections: ClassVar[Mapping[str, tuple[Any, Any]]] = {"caps": (tuple[CapSection, ...], ())}

    @property
    def table(self) -> tuple[str, ...]:
        return ("load",) * len(self.index)

    @property
    def by_operator(self) -> Bools:
        """Whether the operator decides, (caps,)."""
        return ~np.isnan(self.held_back_eur_per_mwh)

    @classmethod
    def claims(cls, elements: "NetElements") -> Mapping[str, Bools]:
        return {"load": np.isfinite(elements.values(elements.net.load, "cap_mw", np.nan))}

    @classmethod
    def place(cls, placing: "Placing") -> "tuple[Placed, ...]":
        """Add loads without power that hold the caps in columns of their own."""
        from stackelgrid.controllers.devices.placement import Placed

        placed: list[Placed] = []
        for k, own in enumerate(placing.sections("caps")):
            buses = placing.buses(own, f"caps.{k}")
            price = own.held_back_eur_per_mwh
            placing.add(
                "load", "cap", buses, "caps", "power cap", p_mw=0.0, q_mvar=0.0, cap_mw=own.p_mw,
                held_back_eur_per_mwh=np.nan if price is None else price,
            )  # fmt: skip
            placed.append(Placed(f"caps.{k}", own, sum(p.count for p in placed), len(buses)))
        return tuple(placed)

    @classmethod
    def read(cls, elements: "NetElements") -> Self:
        """Read the loads with a column `cap_mw`."""
        frame = elements.of(cls, "load")
        cap = elements.values(frame, "cap_mw", np.nan)
        elements.refuse(frame, "load", cap > 0.0, "is a power cap and needs cap_mw > 0")
        return cls(
            index=elements.index(frame),
            name=elements.names(frame, "cap"),
            bus=frame.bus.to_numpy(dtype=np.int64),
            p_cap_mw=cap,
            held_back_eur_per_mwh=elements.values(frame, "held_back_eur_per_mwh", np.nan),
            phase=("",) * len(frame),
        )

    def series(self, maker: "SeriesMaker", placed: "tuple[Placed, ...]") -> dict[str, Floats]:
        """Return the hours of the caps; 1 where the operator decides."""
        from stackelgrid.profiles.task_windows import daily_windows

        found = np.ones((maker.axis.length, len(self.index)))
        for part in placed:
            if part.section.hours is not None:
                none, at = np.zeros(part.count), slice(part.first, part.first + part.count)
                first, last = part.section.hours
                found[:, at] = daily_windows(maker.axis, first, last, none, none).open
        return {"cap_open": found}

    # -- model

    def restrict(
        self, m: Any, base_mva: float, dt_h: Floats, controllable: Sequence[Controllable]
    ) -> None:
        """Add the caps, and in those of the operator what the customers would draw; p.u."""
        import pyomo.environ as pyo

        from stackelgrid.controllers.solvers.step_constraint import every_step

        most = self.most_mw([(member.bus, member.rated_mw) for member, _ in controllable])
        cap = np.minimum(self.p_cap_mw, most) / base_mva
        at = [
            [(power, i) for member, power in controllable
             for i in np.flatnonzero(member.bus == bus).tolist()]
            for bus in self.bus
        ]  # fmt: skip
        some = [k for k in range(len(self.index)) if at[k]]
        m.caps = pyo.RangeSet(0, len(self.index) - 1)
        room = np.where(self.by_operator, most / base_mva - cap, 0.0)
        m.cap_held = pyo.Var(m.caps, m.steps, bounds=lambda m, k, t: (0.0, max(room[k], 0.0)))
        m.cap_limit = pyo.Var(m.caps, m.steps)  # data
        m.cap_wished = pyo.Var(m.caps, m.steps)  # data

        @every_step(m, [k for k in some if not self.by_operator[k]])
        def cap_in_hours(m: Any, k: int, t: int) -> Any:
            return sum(power(i, t) for power, i in at[k]) <= m.cap_limit[k, t]

        @every_step(m, [k for k in some if self.by_operator[k]])
        def cap_wish(m: Any, k: int, t: int) -> Any:
            drawn = sum(power(i, t) for power, i in at[k])
            return drawn + m.cap_held[k, t] >= m.cap_wished[k, t]

    def most_mw(self, others: Sequence[tuple[Ints, Floats]]) -> Floats:
        """Return the rated power (caps,) of the controllable devices at each bus."""
        return np.array([
            sum(float(rated[bus == own].sum()) for bus, rated in others) for own in self.bus
        ])  # fmt: skip

    def cost(self, m: Any, base_mva: float, dt_h: Floats, options: DeviceOptions) -> Any:
        price = np.nan_to_num(self.held_back_eur_per_mwh)
        return sum(
            dt_h[t] * base_mva * price[k] * m.cap_held[k, t] for k in m.caps for t in m.steps
        )

    def joint_parameters(
        self,
        forecast: "GridForecast",
        others: "Sequence[DeviceKind]",
        at_rest: Callable[[], Arrays],
    ) -> dict[str, Floats]:
        most = self.most_mw([(o.bus, o.rated_mw) for o in others])
        cap = np.minimum(self.p_cap_mw, most)[:, None]
        limit = most[:, None] - (most[:, None] - cap) * forecast.cap_open.T
        wished = np.zeros_like(limit)
        if self.by_operator.any():
            plan = at_rest()
            for other in others:
                power, _ = other.consumption(plan)
                for k, bus in enumerate(self.bus):
                    wished[k] += power[other.bus == bus].sum(axis=0)
        return {"cap_limit": limit, "cap_wished": wished}

    def content(self) -> tuple[Floats, ...]:
        return (self.p_cap_mw, self.held_back_eur_per_mwh)

    # -- schedule and physics

    def consumption(self, values: Arrays) -> tuple[Floats, None]:
        return np.zeros_like(values["cap_held_mw"]), None

    def held(
        self, last: Arrays | None, forecast: "GridForecast", states: Arrays, dt_h: Floats
    ) -> dict[str, Floats]:
        none = np.zeros((len(self.index), len(dt_h)))
        return {"cap_held_mw": none if last is None else last["cap_held_mw"]}

    def hourly_cost(self, values: Arrays, options: DeviceOptions) -> Any:
        held = values["cap_held_mw"]
        return np.sum(self.spread(np.nan_to_num(self.held_back_eur_per_mwh), held) * held, axis=0)

    def largest_injection(self, forecast: "GridForecast") -> tuple[Floats, None]:
        return np.zeros((len(self.index), 1)), None

    def deliver(
        self, points: Arrays, series: Arrays, states: Arrays, dt_h: float
    ) -> dict[str, Floats]:
        return {"cap_held_mw": points.get("cap_held_mw", np.zeros(len(self.index)))}
