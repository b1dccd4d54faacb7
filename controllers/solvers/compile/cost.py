"""Linear or quadratic expressions as the cost of a conic program."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.sparse import coo_array, csc_array, csr_array, triu


def cost_form(
    repn: Any, column: Callable[[int], int], variables: int, parameters: int, sign: float
) -> dict[str, Any]:
    """Return the fields of a `ConicProgram` that describe its cost.

    repn: Pyomo's quadratic representation of the expression.
    column: column of a variable, those of parameters behind the others.
    variables: number of columns of variables.
    parameters: number of parameters.
    sign: factor of the expression, 1 or -1.
    """
    n, count = variables, parameters
    q0, offset_linear = np.zeros(n), np.zeros(count)
    for variable, c in repn.linear.items():
        place = column(variable)
        target, at = (q0, place) if place < n else (offset_linear, place - n)
        target[at] += sign * c
    hessian: list[tuple[int, int, float]] = []
    prices: list[tuple[int, int, float]] = []
    offsets: list[tuple[int, int, float]] = []
    for (a, b), c in (repn.quadratic or {}).items():
        i, j = sorted((column(a), column(b)))
        if j < n:
            hessian.append((i, j, sign * c * (2.0 if i == j else 1.0)))
        elif i < n:
            prices.append((i, j - n, sign * c))
        else:
            offsets.append((i - n, j - n, sign * c))
    return {
        "quadratic": csc_array(triu(csc_array(_coo(hessian, (n, n))))),
        "q0": q0,
        "q_parameters": csr_array(_coo(prices, (n, count))),
        "offset0": float(sign * repn.constant),
        "offset_linear": offset_linear,
        "offset_quadratic": csr_array(_coo(offsets, (count, count))),
    }


def _coo(entries: list[tuple[int, int, float]], shape: tuple[int, int]) -> coo_array:
    data = np.array(entries, dtype=float).reshape(len(entries), 3).T
    return coo_array((data[2], (data[0].astype(int), data[1].astype(int))), shape=shape)
