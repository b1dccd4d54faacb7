"""Dispatchable generation with convex cost; shared by feeders and the DC-OPF."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from pydantic import model_validator

from stackelgrid.controllers.devices.kind import DeviceKind
from stackelgrid.controllers.devices.quantities import Quantity, Role
from stackelgrid.controllers.devices.terms import Arrays, DeviceOptions, Injection
from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.naming import named
from stackelgrid.profiles.arrays import Bools, Floats, Ints
from stackelgrid.profiles.section import Finite, Index, NonNegative, Positive, Section

if TYPE_CHECKING:
    import pandas as pd

    from stackelgrid.controllers.devices.elements import NetElements
    from stackelgrid.controllers.devices.placement import Placed, Placing
    from stackelgrid.profiles.forecast import GridForecast


class UnitSection(Section):
    """A dispatchable unit with cost c2 p^2 + c1 p (EUR/h, p in MW)."""

    bus: Index
    """Bus of the unit."""
    p_max_mw: Positive
    """Largest power."""
    p_min_mw: NonNegative = 0.0
    """Least power; a unit cannot be switched off."""
    c1_eur_per_mwh: Finite
    """Linear cost."""
    c2_eur_per_mw2h: NonNegative = 0.0
    """Quadratic cost."""

    @model_validator(mode="after")
    def _limits(self) -> Self:
        if self.p_min_mw > self.p_max_mw:
            raise ValueError(f"p_min_mw must be at most p_max_mw = {self.p_max_mw:g}")
        return self


@dataclass(frozen=True)
class Units(DeviceKind):
    """Dispatchable generation: cost in EUR/h c2 p^2 + c1 p + c0 (p in MW), or a maximum of lines.

    `table` is ext_grid, gen or sgen. A unit without a limit has an infinite one; a generator that
    is not controllable has equal limits. `fixed_eur_per_h` is the cost of static generators that
    are not controllable. `pieces` of each unit are slopes in EUR/MWh and intercepts in EUR/h, whose
    maximum is added to its polynomial; empty where it has none (no entry: for all units).
    """

    table: tuple[str, ...]
    index: tuple[int, ...]
    name: tuple[str, ...]
    bus: Ints
    p_min_mw: Floats
    p_max_mw: Floats
    c2: Floats
    c1: Floats
    c0: Floats
    fixed_eur_per_h: float = 0.0
    pieces: tuple[tuple[tuple[float, float], ...], ...] = ()

    kind: ClassVar[str] = "unit"
    plural: ClassVar[str] = "units"
    label: ClassVar[str] = "units"
    colour: ClassVar[str] = "#cc79a7"
    symbol: ClassVar[str] = "square"
    one_by_one: ClassVar[bool] = True
    injects: ClassVar[bool] = True
    quantities: ClassVar[tuple[Quantity, ...]] = (
        Quantity("unit_asked_mw", "MW", Role.OUTPUT, "set point", column="asked_mw"),
        Quantity("unit_p_mw", "MW", Role.PLAN | Role.SET_POINT | Role.OUTPUT,
                 "active power, positive when injecting", attribute="unit_p_set_mw",
                 column="p_mw", variable="unit_p",
                 total="dispatchable units; in a transmission grid the slack unit delivers what "
                 "the power flow leaves to it"),
    )  # fmt: skip
    cost_column: ClassVar[str] = "generation_eur"
    cost_label: ClassVar[str] = "units"
    cost_meaning: ClassVar[str] = "cost of dispatchable units"
    transmission: ClassVar[bool] = True
    sections: ClassVar[Mapping[str, tuple[Any, Any]]] = {"units": (tuple[UnitSection, ...], ())}

    @property
    def phase(self) -> tuple[str, ...]:
        return ("abc",) * len(self.index)

    @property
    def rated_mw(self) -> Floats:
        return np.maximum(self.p_max_mw, -self.p_min_mw)

    @classmethod
    def claims(cls, elements: "NetElements") -> Mapping[str, Bools]:
        """Return generators, controllable static generators and the slack of a transmission net."""
        net = elements.net
        return {
            "ext_grid": np.full(len(net.ext_grid), elements.slack_is_unit),
            "gen": np.full(len(net.gen), True),
            "sgen": elements.controllable("sgen"),
        }

    @classmethod
    def place(cls, placing: "Placing") -> "tuple[Placed, ...]":
        """Add controllable static generators with their costs."""
        for k, unit in enumerate(placing.sections("units")):
            bus = placing.bus(unit.bus, f"units.{k}")
            index = placing.add(
                "sgen", "unit", [bus], "units", "dispatchable unit", p_mw=0.0,
                min_p_mw=unit.p_min_mw, max_p_mw=unit.p_max_mw, type="unit", controllable=True,
            )  # fmt: skip
            placing.cost("sgen", index, unit.c1_eur_per_mwh, unit.c2_eur_per_mw2h)
        return ()

    @classmethod
    def read(cls, elements: "NetElements") -> Self:
        """Read the slack, voltage-controlling generators and dispatched static generators."""
        low, high, costs = [], [], []
        frames = [(table, elements.of(cls, table)) for table in ("ext_grid", "gen", "sgen")]
        for table, frame in frames:
            every = np.full(len(frame), True)
            free = elements.controllable("gen", frame) if table == "gen" else every
            for k, i in enumerate(frame.index):
                costs.append(elements.costs.take(table, int(i), required=bool(free[k])))
                if free[k]:
                    least, most = _limits(elements, frame, k, table, needed=table != "ext_grid")
                else:
                    power = frame.p_mw.to_numpy(dtype=float) * elements.scaling(frame)
                    least = most = float(power[k])
                low.append(least)
                high.append(most)
        elements.refuse_reactive(frames[-1][1], "sgen", cls.label)
        coefficients = [(cost.c0, cost.c1, cost.c2) for cost in costs]
        c0, c1, c2 = np.array(coefficients, dtype=float).reshape(len(low), 3).T
        return cls(
            table=tuple(table for table, frame in frames for _ in range(len(frame))),
            index=tuple(i for _, frame in frames for i in elements.index(frame)),
            name=tuple(n for table, frame in frames for n in elements.names(frame, table)),
            bus=np.concatenate([frame.bus for _, frame in frames]).astype(np.int64),
            p_min_mw=np.array(low, dtype=float),
            p_max_mw=np.array(high, dtype=float),
            c2=c2,
            c1=c1,
            c0=c0,
            fixed_eur_per_h=elements.costs.fixed_eur_per_h,
            pieces=tuple(cost.pieces for cost in costs) if any(c.pieces for c in costs) else (),
        )

    @property
    def piecewise(self) -> tuple[int, ...]:
        """Positions of the units with a piecewise linear cost."""
        return tuple(u for u, lines in enumerate(self.pieces) if lines)

    def equations(
        self, m: Any, base_mva: float, dt_h: Floats, options: DeviceOptions | None = None
    ) -> Injection:
        """Add the output of every unit within its limits; p.u., without a missing limit."""
        import pyomo.environ as pyo

        from stackelgrid.controllers.solvers.step_constraint import every_step

        def limits(m: Any, u: int, t: int) -> tuple[float | None, float | None]:
            low, high = self.p_min_mw[u], self.p_max_mw[u]
            return (
                float(low / base_mva) if np.isfinite(low) else None,
                float(high / base_mva) if np.isfinite(high) else None,
            )

        m.units = pyo.RangeSet(0, len(self.index) - 1)
        m.unit_p = pyo.Var(m.units, m.steps, bounds=limits)
        if self.piecewise:
            m.unit_cost = pyo.Var(self.piecewise, m.steps)  # EUR/h over the base

            @every_step(m, [(u, k) for u in self.piecewise for k in range(len(self.pieces[u]))])
            def cost_line(m: Any, u: int, k: int, t: int) -> Any:
                slope, intercept = self.pieces[u][k]
                return m.unit_cost[u, t] - slope * m.unit_p[u, t] >= intercept / base_mva

        return Injection(lambda u, t: -m.unit_p[u, t])

    def cost(
        self, m: Any, base_mva: float, dt_h: Floats, options: DeviceOptions | None = None
    ) -> Any:
        """Return generation cost: dt (c2 p^2 + c1 p + c0), p in MW, lines, and fixed power."""
        fixed = float(self.fixed_eur_per_h * dt_h.sum())
        if self.piecewise:
            fixed += sum(
                dt_h[t] * base_mva * m.unit_cost[u, t] for u in self.piecewise for t in m.steps
            )
        return fixed + sum(
            dt_h[t]
            * (
                self.c2[u] * base_mva**2 * m.unit_p[u, t] ** 2
                + self.c1[u] * base_mva * m.unit_p[u, t]
                + self.c0[u]
            )
            for u in m.units
            for t in m.steps
        )

    def content(self) -> tuple[Floats, ...]:
        fixed = np.array([self.fixed_eur_per_h])
        lines = [(u, *line) for u in self.piecewise for line in self.pieces[u]]
        pieces = (np.array(lines),) if lines else ()
        return (self.p_min_mw, self.p_max_mw, self.c2, self.c1, self.c0, fixed, *pieces)

    def describe(self, part: str, at: int, size: Callable[[str], str]) -> str | None:
        if part == "unit_p":
            limits = f"[{self.p_min_mw[at]:g}, {self.p_max_mw[at]:g}] MW"
            return f"{self.table[at]} {self.index[at]}: limits {limits} {size('MW')}"
        if part in ("ramp_up", "ramp_down"):
            return f"{self.table[at]} {self.index[at]}: ramp limit {size('MW')}"
        return None

    def consumption(self, values: Arrays) -> tuple[Floats, None]:
        """Return minus the power of static generators.

        Generators that hold a voltage and the slack enter the power flow on their own.
        """
        power = values["unit_p_mw"]
        static = self.spread(np.array([t == "sgen" for t in self.table], dtype=bool), power)
        return -np.where(static, power, 0.0), None

    def held(
        self, last: Arrays | None, forecast: "GridForecast", states: Arrays, dt_h: Floats
    ) -> dict[str, Floats]:
        """Continue the last power within the limits; without one, as little as they allow."""
        nothing = np.zeros((len(self.index), len(dt_h)))
        return {"unit_p_mw": self.output(nothing if last is None else last["unit_p_mw"])}

    def hourly_cost(self, values: Arrays, options: DeviceOptions | None = None) -> Any:
        """Return the cost of generation in EUR/h."""
        p = values["unit_p_mw"]
        c2, c1, c0 = (self.spread(c, p) for c in (self.c2, self.c1, self.c0))
        lines = sum(
            np.max([slope * p[u] + start for slope, start in self.pieces[u]], axis=0)
            for u in self.piecewise
        )
        return (c2 * p**2 + c1 * p + c0).sum(axis=0) + self.fixed_eur_per_h + lines

    def largest_injection(self, forecast: "GridForecast") -> tuple[Floats, None]:
        """Return the upper limits; raises NetworkError for a unit without one."""
        endless = np.flatnonzero(~np.isfinite(self.p_max_mw))
        if len(endless):
            u = endless[0]
            raise NetworkError(
                f"{self.table[u]} {self.index[u]} has no max_p_mw; the exactness condition needs a "
                "finite one"
            )
        return self.p_max_mw[:, None], None

    def deliver(
        self, points: Arrays, series: Arrays, states: Arrays, dt_h: float
    ) -> dict[str, Floats]:
        asked = points.get("unit_p_mw", np.zeros(len(self.index)))
        return {"unit_asked_mw": asked, "unit_p_mw": self.output(asked)}

    def output(self, p_set_mw: Floats) -> Floats:
        """Return the output (m, ...) in MW inside the limits."""
        least, most = (self.spread(limit, p_set_mw) for limit in (self.p_min_mw, self.p_max_mw))
        return np.clip(p_set_mw, least, most)

    def device_columns(self, outputs: Arrays) -> dict[str, Floats]:
        return {**super().device_columns(outputs), "available_mw": self.p_max_mw}


def _limits(
    elements: "NetElements", frame: "pd.DataFrame", row: int, table: str, *, needed: bool
) -> tuple[float, float]:
    """Return the limits of a dispatched element in MW; infinite if the slack has none."""
    values, index, grid = [], frame.index[row], elements.grid
    for column, missing in (("min_p_mw", -np.inf), ("max_p_mw", np.inf)):
        value = float(elements.values(frame, column, np.nan)[row])
        if np.isnan(value) and needed:
            raise NetworkError(
                f"{named(grid, table, [index])} is dispatched and has no {column}; a limit in MW, "
                "or controllable = False (fixed at its p_mw), is accepted"
            )
        values.append(missing if np.isnan(value) else value)
    low, high = values
    if low > high:
        raise NetworkError(
            f"{named(grid, table, [index])} has the empty range [{low:g}, {high:g}] MW; "
            "min_p_mw <= max_p_mw is accepted"
        )
    scaling = float(elements.scaling(frame)[row])
    if needed and scaling != 1.0:
        raise NetworkError(
            f"{named(grid, table, [index])} is dispatched and has scaling = {scaling:g}; 1 is "
            "accepted: limits are not scaled, and p_mw is decided"
        )
    return low, high
