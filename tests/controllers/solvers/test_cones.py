"""Quadratic constraints as second-order cones: the rows describe the same set."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stackelgrid.controllers.errors import ModelError
from stackelgrid.controllers.solvers.compile.cones import second_order_cone

NUMBERS = st.floats(-3.0, 3.0, allow_subnormal=False)
POSITIVE = st.floats(0.1, 3.0)


def rows_of(quadratic, linear, constant, lower=None):
    lower = lower or {}
    return second_order_cone("c", quadratic, linear, constant, lower.get, lambda i: f"x{i}")


def cone_value(rows, x):
    """t - norm(u) of the cone at a point; >= 0 inside."""
    entries = [r.constant + sum(c * x[i] for i, c in r.coefficients.items()) for r in rows]
    return entries[0] - np.linalg.norm(entries[1:])


def constraint_value(quadratic, linear, constant, x):
    """Value that the constraint keeps <= 0."""
    squares = sum(c * x[i] * x[j] for (i, j), c in quadratic.items())
    return squares + sum(c * x[i] for i, c in linear.items()) + constant


def assert_same_side(rows, quadratic, linear, constant, x):
    value = constraint_value(quadratic, linear, constant, x)
    if abs(value) > 1e-7:  # rounding decides on the boundary itself
        assert (cone_value(rows, x) >= 0.0) == (value <= 0.0)


@settings(max_examples=150)
@given(
    c=POSITIVE, a=st.lists(POSITIVE, min_size=1, max_size=3), constant=st.sampled_from([0.0, 1.3]),
    head=st.tuples(st.floats(0.0, 3.0), st.floats(0.0, 3.0)),
    u=st.lists(NUMBERS, min_size=3, max_size=3),
)  # fmt: skip
def test_rotated_cone(c, a, constant, head, u):
    # sum of a_i u_i^2 + constant <= c x y with x, y >= 0, the form of a current cone
    quadratic = {(0, 1): -c, **{(2 + i, 2 + i): a_i for i, a_i in enumerate(a)}}
    rows = rows_of(quadratic, {}, constant, {0: 0.0, 1: 0.0})
    x = [*head, *u]
    assert_same_side(rows, quadratic, {}, constant, x)
    # on the boundary both sides are zero
    x[0], x[1] = 1.7, constraint_value(quadratic, {}, constant, [0.0, 0.0, *u]) / (1.7 * c)
    assert cone_value(rows, x) == pytest.approx(0.0, abs=1e-9)


@settings(max_examples=150)
@given(
    c=POSITIVE, a=st.lists(POSITIVE, min_size=1, max_size=3), constant=st.sampled_from([0.0, 0.7]),
    x=st.tuples(st.floats(0.0, 3.0), NUMBERS, NUMBERS, NUMBERS),
)  # fmt: skip
def test_cone_of_a_square(c, a, constant, x):
    # sum of a_i u_i^2 + constant <= c t^2 with t >= 0
    quadratic = {(0, 0): -c, **{(1 + i, 1 + i): a_i for i, a_i in enumerate(a)}}
    rows = rows_of(quadratic, {}, constant, {0: 0.0})
    assert_same_side(rows, quadratic, {}, constant, x)


@settings(max_examples=150)
@given(
    factor=st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS), min_size=1, max_size=3),
    slope=st.tuples(NUMBERS, NUMBERS, NUMBERS), constant=NUMBERS,
    x=st.tuples(NUMBERS, NUMBERS, NUMBERS),
)  # fmt: skip
def test_convex_quadratic_below_an_affine_function(factor, slope, constant, x):
    matrix = np.array(factor).T @ np.array(factor)
    if np.abs(matrix).max() < 1e-3:
        return
    quadratic = {(i, j): matrix[i, j] * (1 if i == j else 2)
                 for i in range(3) for j in range(i, 3)}  # fmt: skip
    linear = {i: s for i, s in enumerate(slope) if abs(s) > 1e-3}
    if not linear:
        return
    rows = rows_of(quadratic, linear, constant)
    assert_same_side(rows, quadratic, linear, constant, x)


def test_a_disc_has_its_radius():
    rows = rows_of({(0, 0): 4.0, (1, 1): 1.0}, {}, -9.0)  # 4 x^2 + y^2 <= 9
    assert cone_value(rows, [1.5, 0.0]) == pytest.approx(0.0, abs=1e-12)
    assert cone_value(rows, [0.0, 3.0]) == pytest.approx(0.0, abs=1e-12)
    assert cone_value(rows, [1.0, 2.0]) == pytest.approx(3.0 - np.sqrt(8.0), abs=1e-12)


@pytest.mark.parametrize(
    ("quadratic", "linear", "constant", "lower", "message"),
    [
        ({(0, 0): -1.0}, {1: 1.0}, 0.0, {0: 0.0}, "c: is not convex"),
        ({(0, 0): 1.0, (1, 1): -1.0, (2, 2): -1.0}, {}, 0.0, {1: 0.0, 2: 0.0}, "c: is not convex"),
        ({(0, 1): 1.0}, {}, -1.0, {0: 0.0, 1: 0.0}, "c: is not convex"),
        ({(0, 1): -1.0, (0, 0): 1.0}, {}, 0.0, {0: 0.0, 1: 0.0}, "c: is not convex"),
        ({(0, 1): -1.0, (2, 2): 1.0}, {}, -1.0, {0: 0.0, 1: 0.0}, "c: is not convex"),
        ({(0, 1): -1.0, (2, 2): 1.0}, {}, 0.0, {0: 0.0}, "c: x1 needs a lower bound >= 0"),
        ({(0, 1): -1.0, (2, 2): 1.0}, {}, 0.0, {0: -1.0, 1: 0.0}, "c: x0 needs a lower bound >= 0"),
        ({(0, 0): -1.0, (2, 2): 1.0}, {}, 0.0, {}, "c: x0 needs a lower bound >= 0"),
        ({(0, 0): 1.0}, {}, 2.0, {}, "c: a sum of squares below -2 has no solution"),
    ],
)
def test_what_is_no_cone_is_refused(quadratic, linear, constant, lower, message):
    with pytest.raises(ModelError, match=message):
        rows_of(quadratic, linear, constant, lower)
