"""Encode states as bytes and decode them: plain data only, also from untrusted files.

A state is MessagePack. Numbers, texts and bytes are stored as such; every other value is a list
that begins with its type:

    ["tuple", items], ["list", items], ["set", items], ["dict", [[key, value], ...]], ...
    ["array", dtype, shape, order, bytes], ["scalar", dtype, bytes]
    ["controllers.schedule:Plan", values of the fields in their order]
    ["same", n]                             reference to the n-th of these lists to be completed

Only objects of STATE_TYPES are built, with the fields that these declare and nothing else. No other
name in a state is imported or called.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import fields, is_dataclass
from functools import cached_property
from importlib import import_module
from typing import Any, Literal

import msgspec
import numpy as np

from stackelgrid.profiles.errors import StackelgridError
from stackelgrid.profiles.state_types import STATE_TYPES

__all__ = ["StateError", "bytes_of_state", "state_of_bytes"]

_SCALARS = (type(None), bool, float, str, bytes)
_ITEMS: dict[str, Callable[[Iterable[Any]], Any]] = {
    "tuple": tuple,
    "list": list,
    "set": set,
    "frozenset": frozenset,
}
_PAIRS: dict[str, Callable[[Iterable[Any]], Any]] = {
    "dict": dict,
    "Counter": lambda pairs: Counter(dict(pairs)),
}
_DTYPE = re.compile(r"[<>|=][biufcMmSU][0-9]+(\[[0-9a-zA-Z]+\])?")
_MANY_BITS = 63
_ROOT = "stackelgrid"


class StateError(StackelgridError):
    """Raised for a state that is not plain data, and for bytes that do not decode to one."""


def bytes_of_state(state: Any) -> bytes:
    """Encode a state; every number keeps all its bits, shared objects stay shared.

    Raises StateError for values that are not plain data.
    """
    try:
        return msgspec.msgpack.encode(_Writer().plain(state))
    except (RecursionError, OverflowError) as error:
        raise StateError(f"is nested too deeply, or too large ({error})") from error


def state_of_bytes(data: bytes) -> Any:
    """Decode the bytes of a state; raises StateError unless they hold plain data."""
    try:
        return _Reader().value(msgspec.msgpack.decode(data))
    except (ValueError, TypeError, LookupError, OverflowError, RecursionError) as error:
        raise StateError(f"not a state ({error})") from error


class _Writer:
    def __init__(self) -> None:
        self._known: dict[int, int] = {}
        self._open: set[int] = set()
        self._alive: list[Any] = []  # keeps addresses unique: a freed one may be reused

    def plain(self, value: Any) -> Any:
        """Return a value as MessagePack's own types."""
        kind = type(value)
        if kind in _SCALARS:
            return value
        if kind is int:
            return value if value.bit_length() <= _MANY_BITS else ["int", str(value)]
        known = self._known.get(id(value))
        if known is not None:
            return ["same", known]
        if id(value) in self._open:
            raise StateError(f"{_name(kind)} holds itself")
        self._open.add(id(value))
        content = self._content(value, kind)
        self._open.discard(id(value))
        self._known[id(value)] = len(self._known)
        self._alive.append(value)
        return content

    def _content(self, value: Any, kind: type[Any]) -> list[Any]:
        name = kind.__name__
        if kind in (tuple, list, set, frozenset):
            return [name, [self.plain(item) for item in value]]
        if kind in (dict, Counter):
            return [name, [[self.plain(k), self.plain(v)] for k, v in value.items()]]
        if kind is np.ndarray:
            return self._array(value)
        if isinstance(value, np.generic) and _DTYPE.fullmatch(value.dtype.str):
            return ["scalar", value.dtype.str, value.tobytes()]
        if kind is complex:
            return ["complex", value.real, value.imag]
        if kind is slice:
            return ["slice", *(self.plain(v) for v in (value.start, value.stop, value.step))]
        label = _label(kind)
        if label not in STATE_TYPES:
            named = value if hasattr(value, "__qualname__") else kind
            raise StateError(f"{_name(named)} is not plain data")
        names = _fields(kind)
        more = set(getattr(value, "__dict__", ())) - set(names)
        for extra in more:  # cached properties are computed again
            if not isinstance(getattr(kind, extra, None), cached_property):
                raise StateError(f"{_name(kind)}.{extra} is not a field and would be lost")
        return [label, [self.plain(getattr(value, n)) for n in names]]

    def _array(self, value: "np.typing.NDArray[Any]") -> list[Any]:
        if value.dtype == object:
            items = value.ravel().tolist()
            return ["objects", list(value.shape), [self.plain(item) for item in items]]
        if not _DTYPE.fullmatch(value.dtype.str):
            raise StateError(f"an array of {value.dtype} is not plain data")
        by_column = value.flags.f_contiguous and not value.flags.c_contiguous
        order: Literal["C", "F"] = "F" if by_column else "C"
        return ["array", value.dtype.str, list(value.shape), order, value.tobytes(order)]


class _Reader:
    def __init__(self) -> None:
        self._known: list[Any] = []

    def value(self, encoded: Any) -> Any:
        """Return the value that was encoded as MessagePack's own types."""
        if not isinstance(encoded, list):
            if isinstance(encoded, dict | msgspec.msgpack.Ext):
                raise ValueError(f"{type(encoded).__name__} is not plain data")
            return encoded
        label, *content = encoded
        if label == "int":
            return int(content[0])
        if label == "same":
            return self._known[content[0]]
        built = self._built(label, content)
        self._known.append(built)
        return built

    def _built(self, label: str, content: list[Any]) -> Any:
        if label in _ITEMS:
            return _ITEMS[label](self._each(content[0]))
        if label in _PAIRS:
            return _PAIRS[label]((self.value(k), self.value(v)) for k, v in content[0])
        if label == "array":
            dtype, shape, order, data = content
            return np.frombuffer(data, _dtype(dtype)).reshape(shape, order=order).copy(order)
        if label == "objects":
            shape, items = content
            objects = np.empty(len(items), dtype=object)
            for k, item in enumerate(self._each(items)):
                objects[k] = item
            return objects.reshape(shape)
        if label == "scalar":
            return np.frombuffer(content[1], _dtype(content[0]))[0]
        if label == "complex":
            return complex(*content)
        if label == "slice":
            return slice(*self._each(content))
        if label not in STATE_TYPES:
            raise ValueError(f"{label} is not plain data")
        return _object(label, list(self._each(content[0])))

    def _each(self, items: list[Any]) -> Iterator[Any]:
        return (self.value(item) for item in items)


def _object(label: str, values: list[Any]) -> Any:
    """Build an object of a state type; runs no code of its class unless it is a message."""
    module, _, name = label.partition(":")
    kind: Any = getattr(import_module(f"{_ROOT}.{module}"), name)
    named = dict(zip(_fields(kind), values, strict=True))
    if issubclass(kind, msgspec.Struct):
        return kind(**named)
    built: Any = object.__new__(kind)
    for field, value in named.items():
        object.__setattr__(built, field, value)
    return built


def _fields(kind: type[Any]) -> tuple[str, ...]:
    if is_dataclass(kind):
        return tuple(field.name for field in fields(kind))
    return tuple(kind.__struct_fields__)


def _dtype(text: str) -> "np.dtype[Any]":
    if not _DTYPE.fullmatch(text):
        raise ValueError(f"an array of {text} is not plain data")
    return np.dtype(text)


def _label(kind: type[Any]) -> str:
    return f"{kind.__module__.removeprefix(f'{_ROOT}.')}:{kind.__qualname__}"


def _name(thing: Any) -> str:
    return f"{thing.__module__}.{thing.__qualname__}"
