"""Changes of an instance that keep its program's structure: added prices and tighter bounds."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from stackelgrid.controllers.solvers.bound_rows import BoundRows
from stackelgrid.controllers.solvers.conic import ConicProgram, ProgramData
from stackelgrid.profiles.arrays import Floats, Ints


@dataclass(frozen=True)
class Amendment:
    """Prices and bounds by variable component, in the order of its columns.

    `price` is added to the linear cost of a column. `upper` and `lower` tighten a bound that the
    program has for the column, whatever row it comes from; infinite entries change nothing, a
    column without such a row has no bound to tighten.
    """

    price: Mapping[str, Floats] = field(default_factory=dict)
    upper: Mapping[str, Floats] = field(default_factory=dict)
    lower: Mapping[str, Floats] = field(default_factory=dict)

    def __or__(self, other: "Amendment") -> "Amendment":
        """Both at once: prices add up, the tighter bound holds."""
        return Amendment(
            price=_joined(self.price, other.price, np.add),
            upper=_joined(self.upper, other.upper, np.minimum),
            lower=_joined(self.lower, other.lower, np.maximum),
        )

    def cost(self, columns: Mapping[str, Ints], x: Floats) -> float:
        """Return the cost of a point at the added prices, EUR."""
        return float(sum(price @ x[columns[name]] for name, price in self.price.items()))

    def apply(
        self,
        program: ConicProgram,
        columns: Mapping[str, Ints],
        data: ProgramData,
        weight: float = 1.0,
    ) -> ProgramData:
        """Amended vectors; `columns` are the components' in this program, `weight` of its cost."""
        q, b = data.q.copy(), data.b.copy()
        for name, price in self.price.items():
            q[columns[name]] += weight * price
        bounds = BoundRows(program)
        for changes, sign in ((self.upper, 1.0), (self.lower, -1.0)):
            place = bounds.place(sign)
            for name, values in changes.items():
                at = place[columns[name]]
                there = (at >= 0) & np.isfinite(values)
                at = at[there]
                # a bound row reads a x <= b with a single coefficient a
                rows, limit = bounds.rows[at], sign * np.abs(bounds.values[at]) * values[there]
                b[rows] = np.minimum(b[rows], limit)
        return replace(data, q=q, b=b)


def _joined(
    one: Mapping[str, Floats], other: Mapping[str, Floats], rule: Callable[[Floats, Floats], Floats]
) -> dict[str, Floats]:
    joined = dict(one)
    for name, values in other.items():
        joined[name] = rule(joined[name], values) if name in joined else values
    return joined
