"""Curtailable photovoltaics with an inverter's reactive power (docs/formulation.md)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.devices.kind import DeviceKind
from stackelgrid.controllers.devices.quantities import Quantity, Role
from stackelgrid.controllers.devices.sunlight import PvPlane, PvSection, Sunlit, is_photovoltaic
from stackelgrid.controllers.devices.terms import Arrays, Curtailed, DeviceOptions, Injection
from stackelgrid.profiles.arrays import Bools, Floats, Ints

if TYPE_CHECKING:
    from stackelgrid.controllers.devices.elements import NetElements
    from stackelgrid.profiles.forecast import GridForecast

_POWER = Role.PLAN | Role.SET_POINT | Role.OUTPUT


@dataclass(frozen=True)
class Photovoltaics(Sunlit, DeviceKind):
    """PV systems: rated active power, inverter rating, optional power-factor limit.

    Systems at the positions `fixed` are not controllable: they feed in the available power, and
    reactive power of `fixed_q_per_p` times that, whatever their rating.
    """

    index: tuple[int, ...]
    name: tuple[str, ...]
    bus: Ints
    p_rated_mw: Floats
    sn_mva: Floats
    min_power_factor: Floats
    phase: tuple[str, ...]
    fixed: tuple[int, ...] = ()
    fixed_q_per_p: tuple[float, ...] = ()

    kind: ClassVar[str] = "pv"
    plural: ClassVar[str] = "photovoltaics"
    label: ClassVar[str] = "PV"
    sweep: ClassVar[str] = "PV scale"
    colour: ClassVar[str] = "#e69f00"
    symbol: ClassVar[str] = "triangle"
    injects: ClassVar[bool] = True
    quantities: ClassVar[tuple[Quantity, ...]] = (
        Quantity("pv_asked_mw", "MW", Role.OUTPUT, "set point", column="asked_mw"),
        Quantity("pv_limit_mw", "MW", Role.OUTPUT, "limit of the feed-in", column="limit_mw"),
        Quantity("pv_p_mw", "MW", _POWER, "active power, positive when injecting",
                 attribute="pv_p_set_mw", column="p_mw", variable="pv_p", total="feed-in of PV"),
        Quantity("pv_available_mw", "MW", Role.SERIES | Role.OUTPUT,
                 "available power", column="available_mw",
                 total="power available from the sun"),
        Quantity("pv_q_mvar", "MVAr", _POWER, "reactive power, positive when injecting",
                 attribute="pv_q_set_mvar", column="q_mvar", variable="pv_q"),
        Quantity("pv_p_max_mw", "MW", Role.PLAN | Role.SET_POINT | Role.OPTIONAL,
                 "most that a system may feed in", attribute="pv_p_max_mw"),
    )  # fmt: skip
    limits: ClassVar[Mapping[str, tuple[str, str]]] = {
        "available_power": ("available power", "MW"),
        "fixed_power": ("power that is fed in", "MW"),
        "inverter_rating": ("inverter rating", "MW"),
        "pv_p": ("limit of 0 MW", "MW"),
    }
    cost_column: ClassVar[str] = "curtailment_eur"
    cost_label: ClassVar[str] = "curtailment"
    cost_meaning: ClassVar[str] = "price of curtailed PV"
    data: ClassVar[tuple[str, ...]] = ("pv_available",)
    prosumer: ClassVar[bool] = True
    sections: ClassVar[Mapping[str, tuple[Any, Any]]] = {
        "net_pv": (PvPlane | None, None),
        "pv": (tuple[PvSection, ...], ()),
    }

    @property
    def table(self) -> tuple[str, ...]:
        return ("sgen",) * len(self.index)

    @property
    def controllable(self) -> Bools:
        """Return whether each system may be curtailed and give reactive power, (systems,)."""
        return ~np.isin(np.arange(len(self.index)), self.fixed)

    @property
    def q_per_p(self) -> Floats:
        """Reactive over active power of systems that are not controllable, else 0, (systems,)."""
        ratio = np.zeros(len(self.index))
        ratio[list(self.fixed)] = self.fixed_q_per_p
        return ratio

    @property
    def rated_mw(self) -> Floats:
        return self.p_rated_mw

    @property
    def rated_mva(self) -> Floats:
        return self.sn_mva

    def scaled(self, factor: float) -> Self:
        if not factor:
            return self.none()
        rated, sn = factor * self.p_rated_mw, factor * self.sn_mva
        return replace(self, p_rated_mw=rated, sn_mva=sn)

    def series_limit(self, series: Arrays) -> Floats:
        return np.maximum(self.p_rated_mw, series["pv_available_mw"])

    @classmethod
    def claims(cls, elements: "NetElements") -> Mapping[str, Bools]:
        return {"sgen": is_photovoltaic(elements.net.sgen)}

    @classmethod
    def read(cls, elements: "NetElements") -> Self:
        """Read PV systems: p_mw is the rated power, sn_mva the rating of the inverter."""
        frame, values = elements.of(cls, "sgen"), elements.values
        free = elements.controllable("sgen", frame)
        rated = frame.p_mw.to_numpy(dtype=float) * elements.scaling(frame)
        elements.refuse(
            frame, "sgen", ~(rated <= 0.0), "is PV with p_mw <= 0; a rated power > 0 MW is accepted"
        )
        sn = values(frame, "sn_mva", np.nan)
        elements.refuse(
            frame, "sgen", ~(sn <= 0.0),
            "is PV with sn_mva <= 0; an inverter rating > 0 MVA is accepted",
        )  # fmt: skip
        sn = np.where(np.isnan(sn), rated, sn)
        factor = values(frame, "min_power_factor", 0.0)
        elements.refuse(
            frame, "sgen", (factor >= 0.0) & (factor <= 1.0),
            "has min_power_factor outside [0, 1]",
        )  # fmt: skip
        narrow = (values(frame, "min_p_mw", 0.0) > 0.0) | (
            values(frame, "max_p_mw", np.inf) < rated
        )
        elements.refuse(
            frame, "sgen", ~(free & narrow),
            "is controllable PV with limits min_p_mw, max_p_mw inside [0, p_mw]; none are accepted "
            "(p_mw is the rated power, curtailed down to 0)",
        )  # fmt: skip
        narrow = (values(frame, "min_q_mvar", -np.inf) > -sn) | (
            values(frame, "max_q_mvar", np.inf) < sn
        )
        elements.refuse(
            frame, "sgen", ~(free & narrow),
            "is controllable PV with min_q_mvar, max_q_mvar inside its inverter rating; sn_mva and "
            "a column min_power_factor are accepted",
        )  # fmt: skip
        q = frame.q_mvar.to_numpy(dtype=float) * elements.scaling(frame)
        fixed = np.flatnonzero(~free)
        return cls(
            index=elements.index(frame),
            name=elements.names(frame, "pv"),
            bus=frame.bus.to_numpy(dtype=np.int64),
            p_rated_mw=rated,
            sn_mva=sn,
            min_power_factor=factor,
            phase=elements.phases(frame, "sgen"),
            fixed=tuple(int(i) for i in fixed),
            fixed_q_per_p=tuple(float(ratio) for ratio in q[fixed] / rated[fixed]),
        )

    def equations(self, m: Any, base_mva: float, dt_h: Floats, options: DeviceOptions) -> Injection:
        """Add active (<= available, data) and reactive output in the inverter's circle; p.u.

        Reactive power is positive when injecting, like pandapower's sgen. A power-factor limit
        keeps |q| <= p tan(acos(pf)). Systems that are not controllable deliver the available power,
        and reactive power in proportion to it.
        """
        import pyomo.environ as pyo

        from stackelgrid.controllers.solvers.step_constraint import every_step

        m.systems = pyo.RangeSet(0, len(self.index) - 1)
        rating = self.sn_mva / base_mva
        slope = np.tan(np.arccos(self.min_power_factor))
        m.pv_p = pyo.Var(m.systems, m.steps, bounds=(0.0, None))
        m.pv_q = pyo.Var(m.systems, m.steps)
        m.pv_available = pyo.Var(m.systems, m.steps)  # data

        ratio = self.q_per_p
        fixed, free = list(self.fixed), np.flatnonzero(self.controllable).tolist()

        @every_step(m, free)
        def available_power(m: Any, i: int, t: int) -> Any:
            return m.pv_p[i, t] <= m.pv_available[i, t]

        @every_step(m, fixed)
        def fixed_power(m: Any, i: int, t: int) -> Any:
            return m.pv_p[i, t] - m.pv_available[i, t] == 0.0

        @every_step(m, fixed)
        def fixed_reactive_power(m: Any, i: int, t: int) -> Any:
            return m.pv_q[i, t] - ratio[i] * m.pv_p[i, t] == 0.0

        @every_step(m, free)
        def inverter_rating(m: Any, i: int, t: int) -> Any:
            return m.pv_p[i, t] ** 2 + m.pv_q[i, t] ** 2 <= rating[i] ** 2

        limited = [i for i in free if self.min_power_factor[i] > 0.0]

        @every_step(m, limited)
        def power_factor_lagging(m: Any, i: int, t: int) -> Any:
            return m.pv_q[i, t] <= slope[i] * m.pv_p[i, t]

        @every_step(m, limited)
        def power_factor_leading(m: Any, i: int, t: int) -> Any:
            return -m.pv_q[i, t] <= slope[i] * m.pv_p[i, t]

        return Injection(lambda i, t: -m.pv_p[i, t], lambda i, t: -m.pv_q[i, t])

    def cost(self, m: Any, base_mva: float, dt_h: Floats, options: DeviceOptions) -> Any:
        """Return curtailment at a price per MWh that was available and not fed in."""
        price = options.curtailment_eur_per_mwh
        return sum(
            dt_h[t] * base_mva * price * (m.pv_available[i, t] - m.pv_p[i, t])
            for i in m.systems
            for t in m.steps
        )

    def parameters(
        self, forecast: "GridForecast", states: Arrays, dt_h: Floats
    ) -> dict[str, Floats]:
        return {"pv_available": forecast.pv_available_mw.T}

    def content(self) -> tuple[Any, ...]:
        return (self.sn_mva, self.min_power_factor, self.controllable, self.q_per_p)

    def planned(self, mw: Callable[[str], Floats], forecast: "GridForecast") -> dict[str, Floats]:
        plan = super().planned(mw, forecast)
        return {**plan, "pv_p_max_mw": self.limit(plan["pv_p_mw"], forecast.pv_available_mw.T)}

    def consumption(self, values: Arrays) -> tuple[Floats, Floats]:
        return -values["pv_p_mw"], -values["pv_q_mvar"]

    def held(
        self, last: Arrays | None, forecast: "GridForecast", states: Arrays, dt_h: Floats
    ) -> dict[str, Floats]:
        """Keep the limits of the last plan where it curtailed; without one, feed in freely."""
        available = forecast.pv_available_mw.T
        if last is None:
            p, q = available, np.zeros_like(available)
            most = np.repeat(self.sn_mva[:, None], len(dt_h), axis=1)
        else:
            p, q = last["pv_p_mw"], last["pv_q_mvar"]
            most = last.get("pv_p_max_mw", p)
        p, q = self.output(available, p, q, most)
        return {"pv_p_mw": p, "pv_q_mvar": q, "pv_p_max_mw": most}

    @classmethod
    def curtailed(cls, plan: Arrays, share: Floats) -> Curtailed:
        p, q = plan["pv_p_mw"], plan["pv_q_mvar"]
        kept, limits = share * p, plan.get("pv_p_max_mw")
        most = kept if limits is None else np.where(share < 1.0, kept, limits)
        return Curtailed(
            {"pv_p_mw": kept, "pv_q_mvar": share * q, "pv_p_max_mw": most},
            ((1.0 - share) * p).sum(axis=0),
            ((1.0 - share) * q).sum(axis=0),
        )

    @classmethod
    def feed_in_caps(cls, plan: Arrays, share: Floats) -> dict[str, Floats]:
        return {"pv_p": cls.up_to(share, plan["pv_p_mw"])}

    def hourly_cost(self, values: Arrays, options: DeviceOptions) -> Any:
        """Return curtailment in EUR/h; `pv_available_mw` is the power that was available."""
        curtailed = (values["pv_available_mw"] - values["pv_p_mw"]).sum(axis=0)
        return options.curtailment_eur_per_mwh * curtailed

    def largest_injection(self, forecast: "GridForecast") -> tuple[Floats, Floats]:
        available = forecast.pv_available_mw.T
        rating = self.sn_mva[:, None]
        p = np.minimum(available, rating)
        angle = np.arccos(self.min_power_factor)[:, None]
        limited = np.minimum(np.tan(angle) * p, np.sin(angle) * rating)
        q = np.where(self.min_power_factor[:, None] > 0.0, limited, rating)
        free = self.controllable[:, None]
        return np.where(free, p, available), np.where(free, q, self.q_per_p[:, None] * available)

    def completed(self, points: Arrays, forecast: Callable[[], Arrays]) -> dict[str, Floats]:
        p, q, most = points["pv_p_mw"], points["pv_q_mvar"], points.get("pv_p_max_mw")
        if most is None:
            most = self.limit(p, forecast()["pv_available_mw"])
        return {"pv_p_mw": p, "pv_q_mvar": q, "pv_p_max_mw": most}

    def deliver(
        self, points: Arrays, series: Arrays, states: Arrays, dt_h: float
    ) -> dict[str, Floats]:
        available = series["pv_available_mw"]
        asked = points.get("pv_p_mw", available)
        limit = points.get("pv_p_max_mw", self.sn_mva)
        q_set = points.get("pv_q_mvar", np.zeros_like(available))
        p, q = self.output(available, asked, q_set, limit)
        return {
            "pv_available_mw": available,
            "pv_asked_mw": asked,
            "pv_limit_mw": limit,
            "pv_p_mw": p,
            "pv_q_mvar": q,
        }

    def limit(self, p_mw: Floats, available_mw: Floats) -> Floats:
        """Return the limit of a plan, MW (m, ...): planned power where it curtails, else rating.

        A plan curtails where its power `p_mw` is below the forecast of available power by more than
        CURTAILED of the inverter's rating.
        """
        rating = self.spread(self.sn_mva, p_mw)
        curtailed = np.minimum(available_mw, rating) - p_mw > tolerances.CURTAILED * rating
        return np.where(curtailed, np.maximum(p_mw, 0.0), rating)

    def output(
        self,
        available_mw: Floats,
        p_set_mw: Floats,
        q_set_mvar: Floats,
        p_max_mw: Floats | None = None,
    ) -> tuple[Floats, Floats]:
        """Return active and reactive output (m, ...) in MW and MVAr; active power has priority.

        A system feeds in the available power up to its rating and `p_max_mw` (None: up to
        `p_set_mw`). `p_set_mw` is met where that differs by no more than CURTAILED of the rating, a
        solver's rounding. Reactive output stays in the inverter's circle and power factor at that
        active output. Systems that are not controllable deliver the available power at any set
        point.
        """
        rating = self.spread(self.sn_mva, available_mw)
        limit = np.maximum(p_set_mw if p_max_mw is None else p_max_mw, 0.0)
        most = np.minimum(np.minimum(available_mw, limit), rating)
        more = most - p_set_mw > tolerances.CURTAILED * rating
        p = np.where(more, most, np.clip(p_set_mw, 0.0, most))
        room = np.sqrt(np.maximum(rating**2 - p**2, 0.0))
        factor = self.spread(self.min_power_factor, available_mw)
        slope, limited = np.tan(np.arccos(factor)), factor > 0.0
        room = np.where(limited, np.minimum(room, slope * p), room)
        free = self.spread(self.controllable, available_mw)
        ratio = self.spread(self.q_per_p, available_mw)
        q = np.where(free, np.clip(q_set_mvar, -room, room), ratio * available_mw)
        return np.where(free, p, available_mw), q
