"""Second-order-cone rows of quadratic constraints."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from stackelgrid.controllers.errors import ModelError


@dataclass(frozen=True)
class ConeRow:
    """One entry of a cone: constant + sum of coefficients times variables (keys are any ids).

    `varying` are coefficients of products of a variable and a parameter, by (variable, parameter).
    """

    coefficients: Mapping[int, float]
    constant: float
    varying: Mapping[tuple[int, int], float] = field(default_factory=dict)


def second_order_cone(
    name: str,
    quadratic: Mapping[tuple[int, int], float],
    linear: Mapping[int, float],
    constant: float,
    lower_bound: Callable[[int], float | None],
    label: Callable[[int], str],
) -> list[ConeRow]:
    """Rows (t, u...) with norm(u) <= t of the constraint quadratic + linear + constant <= 0.

    Three forms are known: sum of squares <= c x y with x, y >= 0 (rotated cone), sum of squares
    <= c t^2 with t >= 0, and a convex quadratic <= affine. Raises ModelError for any other.
    """
    products = {k: c for k, c in quadratic.items() if k[0] != k[1]}
    squares = {k[0]: c for k, c in quadratic.items() if k[0] == k[1]}
    negative = {i: c for i, c in squares.items() if c < 0.0}
    if not linear and constant >= 0.0 and len(products) + len(negative) == 1:
        if products:
            ((x, y), c), *_ = products.items()
            if c < 0.0 and not {x, y} & set(squares):
                _require_nonnegative(name, (x, y), lower_bound, label)
                head = [ConeRow({x: 1.0, y: 1.0}, 0.0), ConeRow({x: 1.0, y: -1.0}, 0.0)]
                return head + _square_rows(squares, constant, 4.0 / -c)
        else:
            ((t, c),) = negative.items()
            _require_nonnegative(name, (t,), lower_bound, label)
            rest = {i: a for i, a in squares.items() if i != t}
            return [ConeRow({t: 1.0}, 0.0), *_square_rows(rest, constant, 1.0 / -c)]
    variables = sorted({i for pair in quadratic for i in pair})
    position = {i: k for k, i in enumerate(variables)}
    matrix = np.zeros((len(variables), len(variables)))
    for (i, j), c in quadratic.items():
        matrix[position[i], position[j]] += c / 2.0
        matrix[position[j], position[i]] += c / 2.0
    values, vectors = np.linalg.eigh(matrix)
    if values[0] < -1e-9 * max(1.0, abs(values[-1])):
        raise ModelError(
            f"{name}: is not convex; accepted are convex quadratics and sums of squares below a "
            "product of non-negative variables"
        )
    factors = [
        {variables[k]: float(np.sqrt(value) * vector[k]) for k in range(len(variables))
         if vector[k] != 0.0}
        for value, vector in zip(values, vectors.T, strict=True)
        if value > 1e-12 * max(1.0, abs(values[-1]))
    ]  # fmt: skip
    if not linear:
        if constant > 0.0:
            raise ModelError(f"{name}: a sum of squares below {-constant:g} has no solution")
        return [ConeRow({}, float(np.sqrt(-constant))), *(ConeRow(f, 0.0) for f in factors)]
    slope = {i: -c for i, c in linear.items()}  # |F x|^2 <= s with s = -constant - linear
    head = [ConeRow(slope, 1.0 - constant), ConeRow(slope, -1.0 - constant)]
    return head + [ConeRow({i: 2.0 * c for i, c in f.items()}, 0.0) for f in factors]


def _square_rows(squares: Mapping[int, float], constant: float, scale: float) -> list[ConeRow]:
    rows = [ConeRow({i: float(np.sqrt(c * scale))}, 0.0) for i, c in squares.items()]
    if constant > 0.0:
        rows.append(ConeRow({}, float(np.sqrt(constant * scale))))
    return rows


def _require_nonnegative(
    name: str,
    variables: tuple[int, ...],
    lower_bound: Callable[[int], float | None],
    label: Callable[[int], str],
) -> None:
    for variable in variables:
        bound = lower_bound(variable)
        if bound is None or bound < 0.0:
            raise ModelError(
                f"{name}: {label(variable)} needs a lower bound >= 0 for this to be a cone"
            )
