"""Devices of another size, for sweeps."""

from dataclasses import fields
from typing import Self

import numpy as np

from stackelgrid.controllers.devices.declaration import Declaration
from stackelgrid.controllers.devices.quantities import Role
from stackelgrid.controllers.devices.terms import Arrays
from stackelgrid.profiles.arrays import Floats


class Scalable(Declaration):
    """Devices of one kind whose size a sweep changes."""

    def needs_world(self) -> str:
        """Return why the power is not known without a simulated world; empty where it is."""
        return ""

    def scaled(self, factor: float) -> Self:
        """Return devices of `factor` times the size, for sweeps; none for a factor of 0."""
        return self if factor else self.none()

    def scaled_series(self, series: Arrays, factor: float) -> dict[str, Floats]:
        """Return this kind's series (n, devices) for `scaled(factor)`."""
        own = self._grown(Role.SERIES, series, factor)
        return own if factor else {name: values[:, :0] for name, values in own.items()}

    def scaled_states(self, states: Arrays, factor: float) -> dict[str, Floats]:
        """Return this kind's states for `scaled(factor)`."""
        own = self._grown(Role.STATE, states, factor)
        return own if factor else {name: values[:0] for name, values in own.items()}

    def _grown(self, role: Role, values: Arrays, factor: float) -> dict[str, Floats]:
        """Return the quantities of a role: powers and energies grow, others do not."""
        return {
            q.name: values[q.name] * (factor if q.unit in ("MW", "MVAr", "MWh") else 1.0)
            for q in self.quantities
            if role in q.roles
        }

    def none(self) -> Self:
        """Return the same data without devices."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]
        return type(self)(**{
            name: value[:0] if isinstance(value, tuple | np.ndarray) else value
            for name, value in values.items()
        })  # fmt: skip
