"""Names of rows, made when they are read: only messages and explanations need them."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, overload

from pyomo.core.base.component_namer import index_repr

from stackelgrid.profiles.arrays import Ints


class ComponentNames(Sequence[str]):
    """Names of the members of a Pyomo component, without the component itself."""

    def __init__(self, name: str, keys: Sequence[Any], *, indexed: bool = True) -> None:
        self._name, self._keys, self._indexed = name, keys, indexed

    @classmethod
    def of(cls, component: Any) -> "ComponentNames":
        """Names of the members in the order of the component."""
        return cls(component.name, tuple(component.keys()), indexed=component.is_indexed())

    def __len__(self) -> int:
        return len(self._keys)

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[str, ...]: ...
    def __getitem__(self, at: int | slice) -> str | tuple[str, ...]:
        if isinstance(at, slice):
            return tuple(self._label(key) for key in self._keys[at])
        return self._label(self._keys[at])

    def _label(self, key: Any) -> str:
        return f"{self._name}{index_repr(key)}" if self._indexed else self._name


@dataclass(frozen=True)
class NamePart:
    """Successive rows whose names are those of `names` at the positions `at`, after a prefix."""

    names: Sequence[str]
    at: Ints
    prefix: str = ""

    def label(self, k: int) -> str:
        """Name of the part's row k."""
        return self.prefix + self.names[int(self.at[k])]


class RowNames(Sequence[str]):
    """Names of all rows of a program, part by part."""

    def __init__(self, parts: Sequence[NamePart]) -> None:
        self._parts = [part for part in parts if len(part.at)]
        self._ends = list(accumulate(len(part.at) for part in self._parts))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __iter__(self) -> Iterator[str]:
        return (part.label(k) for part in self._parts for k in range(len(part.at)))

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[str, ...]: ...
    def __getitem__(self, at: int | slice) -> str | tuple[str, ...]:
        if isinstance(at, slice):
            return tuple(self[k] for k in range(len(self))[at])
        row = range(len(self))[at]  # refuses what is out of range
        part = bisect_right(self._ends, row)
        return self._parts[part].label(row - (self._ends[part - 1] if part else 0))
