"""Argument checks that the modules of this package share; each error message is one line."""

import math

import numpy as np
import numpy.typing as npt

from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.errors import ProfileError


def require_number(
    owner: str, name: str, value: float, low: float, high: float, *, open_low: bool = False
) -> None:
    """Raise ProfileError unless a value is a finite number in a range.

    owner, name: names of the object and of the value, for the message.
    value: the value to check.
    low, high: accepted range.
    open_low: whether `low` itself is refused.
    """
    number = isinstance(value, int | float | np.integer | np.floating)
    inside = (
        number
        and not isinstance(value, bool)
        and math.isfinite(value)
        and (low < value if open_low else low <= value)
        and value <= high
    )
    if not inside:
        bracket = "(" if open_low else "["
        raise ProfileError(
            f"{owner}: {name} is {value!r}; a finite number in {bracket}{low:g}, {high:g}] "
            "is accepted"
        )


def require_count(owner: str, name: str, value: int, low: int) -> None:
    """Raise ProfileError unless a value is a whole number of at least `low`.

    owner, name: names of the object and of the value, for the message.
    value: the value to check.
    low: smallest accepted number.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < low:
        raise ProfileError(
            f"{owner}: {name} is {value!r}; a whole number of at least {low} is accepted"
        )


def finite_array(
    owner: str,
    name: str,
    values: npt.ArrayLike,
    length: int | None = None,
    low: float = -math.inf,
    high: float = math.inf,
) -> Floats:
    """Return values as a one-dimensional float array of finite numbers.

    owner, name: names of the object and of the values, for the message.
    values: the values to check.
    length: accepted length; None: any positive one.
    low, high: accepted range.

    Raises ProfileError naming the first offending entry.
    """
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ProfileError(f"{owner}: {name} is not numeric; numbers are accepted") from error
    if array.ndim != 1 or array.size == 0 or (length is not None and array.size != length):
        wanted = f"({length},)" if length is not None else "(n,) with n of at least 1"
        raise ProfileError(f"{owner}: {name} has shape {array.shape}; {wanted} is accepted")
    bad = np.flatnonzero(~(np.isfinite(array) & (array >= low) & (array <= high)))
    if bad.size:
        raise ProfileError(
            f"{owner}: {name} is {array[bad[0]]} at step {bad[0]}; "
            f"finite values in [{low:g}, {high:g}] are accepted"
        )
    return array
