"""Uncontrolled consumers, and all elements that no other kind of device claims."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from stackelgrid.controllers.devices.elements import NetElements
from stackelgrid.controllers.devices.kind import Arrays, DeviceKind, Quantity, Role
from stackelgrid.profiles.arrays import Bools, Floats, Ints

if TYPE_CHECKING:
    from stackelgrid.profiles.forecast import GridForecast

_ROLES = Role.SERIES | Role.OUTPUT | Role.TOTAL


@dataclass(frozen=True)
class Loads(DeviceKind):
    """Uncontrolled consumers; p_mw, q_mvar are nominal values that a profile multiplies.

    Static generators that are neither photovoltaic nor dispatchable (a negative power) and storages
    that are not controllable are listed here; `profiled` is False for them: their power is
    constant. Their demand enters a model with the exchange of the grids below, so the kind has no
    equations of its own.
    """

    table: tuple[str, ...]
    index: tuple[int, ...]
    name: tuple[str, ...]
    bus: Ints
    p_mw: Floats
    q_mvar: Floats
    profiled: Bools
    phase: tuple[str, ...]

    kind: ClassVar[str] = "load"
    plural: ClassVar[str] = "loads"
    label: ClassVar[str] = "loads"
    colour: ClassVar[str] = "#000000"
    quantities: ClassVar[tuple[Quantity, ...]] = (
        Quantity("load_p_mw", "MW", _ROLES, "active power, positive when consuming",
                 column="p_mw"),
        Quantity("load_q_mvar", "MVAr", _ROLES, "reactive power, positive when consuming",
                 column="q_mvar"),
    )  # fmt: skip
    transmission: ClassVar[bool] = True

    @property
    def uncertain(self) -> Bools:
        """Return whether each load has a profile; constant powers are known."""
        return self.profiled

    def scaled(self, factor: float) -> Self:
        """Return the same loads: their profiles are scaled."""
        return self

    def scaled_series(self, series: Arrays, factor: float) -> dict[str, Floats]:
        """Return the profiles times `factor`; constant powers stay."""
        scale = np.where(self.profiled, factor, 1.0)
        return {name: scale * series[name] for name in self.names(Role.SERIES)}

    @classmethod
    def read(cls, elements: NetElements) -> Self:
        """Read all loads, and static generators and storages of constant power."""
        parts = [(t, elements.unclaimed(t), s)
                 for t, s in (("load", 1.0), ("sgen", -1.0), ("storage", 1.0))]  # fmt: skip
        fixed, scaling = parts[1][1], elements.scaling
        for i, power in zip(fixed.index, fixed.p_mw * scaling(fixed), strict=True):
            elements.costs.count("sgen", int(i), float(power))
        return cls(
            table=tuple(table for table, frame, _ in parts for _ in range(len(frame))),
            index=tuple(i for _, frame, _ in parts for i in elements.index(frame)),
            name=tuple(n for table, frame, _ in parts for n in elements.names(frame, table)),
            bus=np.concatenate([frame.bus for _, frame, _ in parts]).astype(np.int64),
            p_mw=np.concatenate([sign * f.p_mw * scaling(f) for _, f, sign in parts]),
            q_mvar=np.concatenate([sign * f.q_mvar * scaling(f) for _, f, sign in parts]),
            profiled=np.array(
                [table == "load" for table, frame, _ in parts for _ in range(len(frame))],
                dtype=bool,
            ),
            phase=tuple(p for table, frame, _ in parts for p in elements.phases(frame, table)),
        )

    def consumption(self, values: Arrays) -> tuple[Floats, Floats]:
        """Return the power of the loads."""
        return values["load_p_mw"], values["load_q_mvar"]

    def held(
        self, last: Arrays | None, forecast: "GridForecast", states: Arrays, dt_h: Floats
    ) -> dict[str, Floats]:
        """Return nothing: a plan holds what can be decided."""
        return {}

    def deliver(
        self, points: Arrays, series: Arrays, states: Arrays, dt_h: float
    ) -> dict[str, Floats]:
        """Return the power of the profiles."""
        return {"load_p_mw": series["load_p_mw"], "load_q_mvar": series["load_q_mvar"]}

    def device_columns(self, outputs: Arrays) -> dict[str, Any]:
        """Return the columns of the table `device`, in the sign of each element's table."""
        sign = np.where(np.array(self.table, dtype=object) == "sgen", -1.0, 1.0)
        return {name: sign * power for name, power in super().device_columns(outputs).items()}
