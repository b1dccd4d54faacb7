"""Caps on the power of a customer's vehicles and heat pumps: in stated hours, or by the operator.

The German example is section 14a of the EnWG: the operator of a distribution grid may reduce the
power of charging points and heat pumps, never below 4.2 kW.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from pydantic import model_validator

from stackelgrid.controllers.devices.kind import Controllable, DeviceKind
from stackelgrid.controllers.devices.placement import Placement
from stackelgrid.controllers.devices.quantities import Quantity, Role
from stackelgrid.controllers.devices.terms import Arrays, DeviceOptions
from stackelgrid.profiles.arrays import Bools, Floats, Ints
from stackelgrid.profiles.section import ClockTime, NonNegative, Positive, clock_hour

if TYPE_CHECKING:
    from stackelgrid.controllers.devices.elements import NetElements
    from stackelgrid.controllers.devices.placement import Placed, Placing, SeriesMaker
    from stackelgrid.profiles.forecast import GridForecast


class CapSection(Placement):
    """Caps of one size, one at each bus, on the power of the vehicles and heat pumps there.

    With `hours` a cap holds in these hours. With `held_back_eur_per_mwh` the devices draw at least
    what they would without control, and the operator may hold back what exceeds `p_mw`.
    """

    p_mw: Positive = 0.0042
    """Power that the vehicles and heat pumps at the bus may draw in any case."""
    hours: tuple[ClockTime, ClockTime] | None = None
    """Local clock times between which the cap holds."""
    held_back_eur_per_mwh: NonNegative | None = None
    """Price of energy that the operator holds back, instead of `hours`."""

    @model_validator(mode="after")
    def _one_decision(self) -> Self:
        if (self.hours is None) == (self.held_back_eur_per_mwh is None):
            raise ValueError(
                "exactly one of hours and held_back_eur_per_mwh (the operator decides) is accepted"
            )
        return self


@dataclass(frozen=True)
class PowerCaps(DeviceKind):
    """Caps on the consumption of a customer's vehicles and heat pumps, without power themselves.

    `held_back_eur_per_mwh` is NaN for caps between the local hours `from_h` and `to_h`.
    """

    index: tuple[int, ...]
    name: tuple[str, ...]
    bus: Ints
    p_cap_mw: Floats
    held_back_eur_per_mwh: Floats
    from_h: Floats
    to_h: Floats
    phase: tuple[str, ...]

    kind: ClassVar[str] = "cap"
    plural: ClassVar[str] = "caps"
    label: ClassVar[str] = "power caps"
    quantities: ClassVar[tuple[Quantity, ...]] = (
        Quantity("cap_open", "1", Role.SERIES, "share of the interval in which a cap holds"),
        Quantity("cap_held_mw", "MW", Role.PLAN | Role.SET_POINT | Role.OUTPUT,
                 "power that the operator holds back", attribute="cap_held_set_mw",
                 column="asked_mw", variable="cap_held",
                 total="power of customers that the operator holds back",
                 lacked="held back at power caps"),
    )  # fmt: skip
    limits: ClassVar[Mapping[str, tuple[str, str]]] = {
        "cap_in_hours": ("cap of the customer's power", "MW"),
        "cap_wish": ("power of a device of the customer without control", "MW"),
        "cap_room": ("power that may be held back", "MW"),
    }
    cost_column: ClassVar[str] = "held_back_eur"
    cost_label: ClassVar[str] = "held back power"
    cost_meaning: ClassVar[str] = "price of energy of customers that the operator holds back"
    data: ClassVar[tuple[str, ...]] = ("cap_limit", "cap_wished", "cap_above")
    sections: ClassVar[Mapping[str, tuple[Any, Any]]] = {"caps": (tuple[CapSection, ...], ())}

    @property
    def table(self) -> tuple[str, ...]:
        return ("load",) * len(self.index)

    @property
    def by_operator(self) -> Bools:
        """Caps (caps,) whose operator decides."""
        return ~np.isnan(self.held_back_eur_per_mwh)

    @classmethod
    def claims(cls, elements: "NetElements") -> Mapping[str, Bools]:
        return {"load": elements.filled("load", "cap_mw", "cap_from_h", "held_back_eur_per_mwh")}

    @classmethod
    def place(cls, placing: "Placing") -> tuple[()]:
        """Add loads without power that hold the caps in columns of their own."""
        for group, buses in placing.groups("caps"):
            own = group.section
            price = own.held_back_eur_per_mwh
            first, last = map(clock_hour, own.hours) if own.hours else (np.nan, np.nan)
            placing.add(
                "load", "cap", buses, "caps", "power cap", p_mw=0.0, q_mvar=0.0, cap_mw=own.p_mw,
                held_back_eur_per_mwh=np.nan if price is None else price,
                cap_from_h=first, cap_to_h=last,
            )  # fmt: skip
        return ()

    @classmethod
    def read(cls, elements: "NetElements") -> Self:
        """Read the loads with a value in `cap_mw`, and hours or a price."""
        frame, values = elements.of(cls, "load"), elements.values
        cap, price = values(frame, "cap_mw", np.nan), values(frame, "held_back_eur_per_mwh", np.nan)
        first, last = values(frame, "cap_from_h", np.nan), values(frame, "cap_to_h", np.nan)
        hours = (first >= 0.0) & (first < 24.0) & (last >= 0.0) & (last < 24.0)
        for good, accepted in (
            (cap > 0.0, "cap_mw > 0"),
            (~(price < 0.0), "held_back_eur_per_mwh >= 0"),
            (hours | ~np.isnan(price), "0 <= cap_from_h, cap_to_h < 24, or held_back_eur_per_mwh"),
            (
                np.isnan(price) | (np.isnan(first) & np.isnan(last)),
                "either cap_from_h, cap_to_h or held_back_eur_per_mwh",
            ),
        ):
            elements.refuse(frame, "load", good, f"is a power cap and needs {accepted}")
        elements.refuse_power(frame, "load", cls.label)
        return cls(
            index=elements.index(frame),
            name=elements.names(frame, "cap"),
            bus=frame.bus.to_numpy(dtype=np.int64),
            p_cap_mw=cap,
            held_back_eur_per_mwh=price,
            from_h=first,
            to_h=last,
            phase=("abc",) * len(frame),  # without power of their own
        )

    def series(self, maker: "SeriesMaker", placed: "tuple[Placed, ...]") -> dict[str, Floats]:
        """Return the hours of the caps; 1 where the operator decides."""
        from stackelgrid.profiles.task_windows import daily_windows

        found, at = np.ones((maker.axis.length, len(self.index))), ~self.by_operator
        none = np.zeros(int(at.sum()))
        found[:, at] = daily_windows(maker.axis, self.from_h[at], self.to_h[at], none).open
        return {"cap_open": found}

    # -- model

    def restrict(
        self, m: Any, base_mva: float, dt_h: Floats, controllable: Sequence[Controllable]
    ) -> None:
        """Add the caps, and in those of the operator what the customers would draw; p.u."""
        import pyomo.environ as pyo

        from stackelgrid.controllers.solvers.step_constraint import every_step

        at = [
            [(power, i) for member, power in controllable
             for i in np.flatnonzero(member.bus == bus).tolist()]
            for bus in self.bus
        ]  # fmt: skip
        some = [k for k in range(len(self.index)) if at[k]]
        m.caps = pyo.RangeSet(0, len(self.index) - 1)
        m.cap_held = pyo.Var(m.caps, m.steps, bounds=(0.0, None))
        for name in ("cap_limit", "cap_above"):
            m.add_component(name, pyo.Var(m.caps, m.steps))  # data

        def drawn(k: int, t: int) -> Any:
            return sum(power(i, t) for power, i in at[k])

        @every_step(m, [k for k in some if not self.by_operator[k]])
        def cap_in_hours(m: Any, k: int, t: int) -> Any:
            return drawn(k, t) <= m.cap_limit[k, t]

        if decided := [(k, j) for k in some if self.by_operator[k] for j in range(len(at[k]))]:
            # device by device, or another one would burn what a vehicle does not charge
            m.cap_held_of = pyo.Var(decided, m.steps, bounds=(0.0, None))
            m.cap_wished = pyo.Var(decided, m.steps)  # data

            @every_step(m, decided)
            def cap_wish(m: Any, k: int, j: int, t: int) -> Any:
                power, i = at[k][j]
                return power(i, t) + m.cap_held_of[k, j, t] >= m.cap_wished[k, j, t]

            @every_step(m, sorted({k for k, _ in decided}))
            def cap_sum(m: Any, k: int, t: int) -> Any:
                return sum(m.cap_held_of[k, j, t] for j in range(len(at[k]))) <= m.cap_held[k, t]

        @every_step(m, m.caps)
        def cap_room(m: Any, k: int, t: int) -> Any:
            return m.cap_held[k, t] <= m.cap_above[k, t]

    def most_mw(self, others: "Sequence[DeviceKind]") -> Floats:
        """Return the most power (caps,) that the devices at each bus may draw."""
        return np.array([
            sum(float(other.trade_caps()[0][other.bus == own].sum()) for other in others)
            for own in self.bus
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
        most = self.most_mw(others)
        cap = np.minimum(self.p_cap_mw, most)[:, None]
        limit = most[:, None] - (most[:, None] - cap) * forecast.cap_open.T
        wished, total = [], np.zeros_like(limit)
        if self.by_operator.any():
            plan = at_rest()
            powers = [(other.bus, other.consumption(plan)[0]) for other in others]
            for k in np.flatnonzero(self.by_operator):
                there = [power[bus == self.bus[k]] for bus, power in powers]
                own = np.concatenate([np.zeros((0, limit.shape[1])), *there])
                wished.append(own)
                total[k] = own.sum(axis=0)
        above = np.maximum(total - cap, 0.0)
        found = {"cap_limit": limit, "cap_above": above}
        return {**found, "cap_wished": np.concatenate(wished)} if wished else found

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

    def device_columns(self, outputs: Arrays) -> dict[str, Floats]:
        return {**super().device_columns(outputs), "p_mw": np.zeros(len(self.index))}

    def hourly_cost(self, values: Arrays, options: DeviceOptions) -> Any:
        held = values["cap_held_mw"]
        return np.sum(self.spread(np.nan_to_num(self.held_back_eur_per_mwh), held) * held, axis=0)

    def largest_injection(self, forecast: "GridForecast") -> tuple[Floats, None]:
        return np.zeros((len(self.index), 1)), None

    def deliver(
        self, points: Arrays, series: Arrays, states: Arrays, dt_h: float
    ) -> dict[str, Floats]:
        return {"cap_held_mw": points.get("cap_held_mw", np.zeros(len(self.index)))}
