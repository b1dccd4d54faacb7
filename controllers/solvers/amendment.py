"""Changes of an instance that keep its program's structure: added prices and tighter bounds."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy.sparse import csr_array

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
        bounds = bound_rows(program)
        sides = ((self.upper, bounds.upper, 1.0), (self.lower, bounds.lower, -1.0))
        for changes, rows, sign in sides:
            for name, values in changes.items():
                at = rows[columns[name]]
                there = (at >= 0) & np.isfinite(values)
                # a bound row reads a x <= b with a single coefficient a
                limit = sign * np.abs(bounds.coefficient[at[there]]) * values[there]
                b[at[there]] = np.minimum(b[at[there]], limit)
        return ProgramData(q, b, data.offset)


def _joined(
    one: Mapping[str, Floats], other: Mapping[str, Floats], rule: Callable[[Floats, Floats], Floats]
) -> dict[str, Floats]:
    joined = dict(one)
    for name, values in other.items():
        joined[name] = rule(joined[name], values) if name in joined else values
    return joined


@dataclass(frozen=True)
class BoundRows:
    """Rows with a single variable by its column, -1 for none; the rows' coefficient."""

    upper: Ints
    lower: Ints
    coefficient: Floats


def bound_rows(program: ConicProgram) -> BoundRows:
    """Find the inequalities with a single variable."""
    first, last = program.zero, program.zero + program.nonneg
    rows = csr_array(csr_array(program.matrix)[first:last])
    single = np.flatnonzero(np.diff(rows.indptr) == 1)
    column = rows.indices[rows.indptr[single]]
    value = rows.data[rows.indptr[single]]
    upper, lower = np.full((2, program.variables), -1, dtype=np.int64)
    upper[column[value > 0.0]] = first + single[value > 0.0]
    lower[column[value < 0.0]] = first + single[value < 0.0]
    coefficient = np.zeros(program.rows)
    coefficient[first + single] = value
    return BoundRows(upper, lower, coefficient)
