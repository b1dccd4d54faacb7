"""States as bytes: every bit is kept, what is shared stays shared, nothing else can be built."""

from collections import Counter, deque
from dataclasses import is_dataclass
from decimal import Decimal
from importlib import import_module
from typing import get_args, get_type_hints

import msgspec
import numpy as np
import pytest

from stackelgrid.profiles.plain_state import StateError, bytes_of_state, state_of_bytes
from stackelgrid.profiles.state_types import STATE_TYPES
from stackelgrid.simulators.timings import Timings

NAN = np.frombuffer(np.array([0x7FF8000000000123], dtype=np.uint64).tobytes(), dtype=np.float64)


@pytest.mark.parametrize(
    "value",
    [
        None, True, -1, 2**63, -(2**200), 0.1, float("-inf"), "text", b"bytes", 1 - 2j,
        (1, [2, {3}], frozenset({"a"})), {("a", 1): {2.0: None}}, Counter(a=2), slice(1, None, 2),
        Timings(build_s=1.5),
    ],
)  # fmt: skip
def test_plain_values_come_back_as_they_were(value):
    again = state_of_bytes(bytes_of_state(value))
    assert again == value
    assert type(again) is type(value)


@pytest.mark.parametrize(
    "array",
    [
        NAN, np.array(2.5), np.empty((0, 3)), np.arange(6, dtype=np.int32).reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.arange(10.0)[::3],
        np.array(["a", "bcd"]), np.array(["2025-06-20"], dtype="datetime64[ns]"),
        np.array([True, False]), np.array([1 + 2j]),
    ],
)  # fmt: skip
def test_arrays_keep_bits_type_and_order(array):
    again = state_of_bytes(bytes_of_state(array))
    assert (again.dtype, again.shape) == (array.dtype, array.shape)
    assert again.tobytes() == array.tobytes()
    assert again.flags.f_contiguous == array.copy("K").flags.f_contiguous
    assert again.flags.writeable


def test_numbers_of_numpy_keep_their_type():
    again = state_of_bytes(bytes_of_state([np.float32(0.1), np.float64(0.1), np.bool_(True)]))
    assert [type(v) for v in again] == [np.float32, np.float64, np.bool_]
    assert again == [np.float32(0.1), 0.1, True]


def test_what_is_shared_stays_shared():
    array = np.zeros(3)
    first, second, objects = state_of_bytes(
        bytes_of_state([{"a": array}, (array,), np.array([array, "x"], dtype=object)])
    )
    assert first["a"] is second[0] is objects[0]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (deque([1]), "collections.deque is not plain data"),
        (Decimal(1), "decimal.Decimal is not plain data"),
        (lambda: 1, "<lambda> is not plain data"),
        (np.array([1], dtype=[("a", int)]), "is not plain data"),
        (np.dtype(float), "is not plain data"),
    ],
)
def test_other_objects_are_refused_when_they_are_saved(value, words):
    with pytest.raises(StateError, match=words):
        bytes_of_state([value])


def test_attribute_that_is_no_field_is_refused():
    timings = Timings()
    timings.other = 1
    with pytest.raises(StateError, match=r"Timings\.other is not a field"):
        bytes_of_state(timings)


def test_list_in_itself_is_refused():
    value = []
    value.append(value)
    with pytest.raises(StateError, match="list holds itself"):
        bytes_of_state(value)


@pytest.mark.parametrize(
    "told",
    [
        ["subprocess:Popen", [["true"]]],
        ["simulators.tables:TableWriter", ["/tmp"]],
        ["simulators.timings:Timings", [1.0]],
        ["os:system", ["true"]],
        ["builtins:eval", ["1"]],
        ["array", "|O", [1], "C", b"12345678"],
        ["array", "<f8", [1000000, 1000000], "C", b"12345678"],
        ["array", "<f8,(2,3)i4", [1], "C", b"12345678"],
        ["same", 7],
        ["dict", [[["list", []], 1]]],
        ["tuple"],
        [],
        [["list", []]],
        {"a": 1},
    ],
)
def test_foreign_bytes_build_nothing(told):
    with pytest.raises(StateError):
        state_of_bytes(msgspec.msgpack.encode(told))


def test_deep_nesting_is_refused():
    with pytest.raises(StateError):
        state_of_bytes(b"\x91" * 100_000)


def test_listed_types_hold_no_other_dataclass():
    """A type that only an annotation names would be refused when a run saves it."""
    named = set()
    for name in STATE_TYPES:
        module, kind = name.split(":")
        hints = get_type_hints(getattr(import_module(f"stackelgrid.{module}"), kind))
        pending = list(hints.values())
        while pending:
            hint = pending.pop()
            pending += get_args(hint)
            if is_dataclass(hint):
                named.add(f"{hint.__module__.removeprefix('stackelgrid.')}:{hint.__qualname__}")
    assert named
    assert named <= STATE_TYPES
