"""Rows of a conic program under construction, and their names.

Names are made when they are read: only messages and explanations need them.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any, overload

import numpy as np
from pyomo.core.base.component_namer import index_repr
from scipy.sparse import coo_array, csc_array, csr_array

from stackelgrid.controllers.solvers.compile.cones import ConeRow
from stackelgrid.controllers.solvers.varying import Varying
from stackelgrid.profiles.arrays import Floats, Ints


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


@dataclass(frozen=True)
class RowBlock:
    """Rows -a x + s = constant: entries (row, column, value), constants and names.

    Columns from the number of variables on are parameters. `varying` holds entries whose value is
    a factor times a parameter: row, column, column of the parameter; `factor` (entries,).
    """

    row: Ints
    column: Ints
    value: Floats
    b: Floats
    names: NamePart
    varying: Ints = field(default_factory=lambda: np.zeros((3, 0), np.int64))
    factor: Floats = field(default_factory=lambda: np.zeros(0))


class RowTable:
    """Rows of one kind, in order: equations, inequalities or cones."""

    def __init__(self) -> None:
        self.blocks: list[RowBlock] = []
        self.count = 0

    def append(self, block: RowBlock) -> int:
        """Add rows after those that are there; the first of them."""
        first = self.count
        self.blocks.append(block)
        self.count += len(block.b)
        return first


class Entries:
    """Rows of one component that are read one by one."""

    def __init__(self) -> None:
        self.b: list[float] = []
        self._label: list[int] = []
        self._row: list[int] = []
        self._column: list[int] = []
        self._value: list[float] = []
        self._varying: list[tuple[int, int, int]] = []
        self._factor: list[float] = []

    def add(self, entry: ConeRow, label: int) -> int:
        """Append the row `entry.constant + entry.coefficients x >= 0` of the member `label`."""
        at = len(self.b)
        self.b.append(entry.constant)
        self._label.append(label)
        for column, coefficient in entry.coefficients.items():
            self._row.append(at)
            self._column.append(column)
            self._value.append(-coefficient)
        for (column, parameter), coefficient in entry.varying.items():
            self._varying.append((at, column, parameter))
            self._factor.append(-coefficient)
        return at

    def block(self, names: Sequence[str]) -> RowBlock:
        """Return the rows as arrays."""
        return RowBlock(
            np.array(self._row, np.int64),
            np.array(self._column, np.int64),
            np.array(self._value, float),
            np.array(self.b, float),
            NamePart(names, np.array(self._label, np.int64)),
            np.array(self._varying, np.int64).reshape(-1, 3).T,
            np.array(self._factor, float),
        )


def unit_rows(
    first: int, member: Ints, coefficient: Floats, b: Floats, names: Sequence[str]
) -> RowBlock:
    """Rows coefficient x + s = b of members of a component whose columns begin at `first`."""
    return RowBlock(np.arange(len(b)), first + member, coefficient, b, NamePart(names, member))


def shifted_rows(first: RowBlock, steps: int) -> tuple[RowBlock, Ints]:
    """Rows of every step from those of the first, and where they are (rows of `first`, steps).

    Columns and members move on by one from step to step. The rows of one member stay together,
    its steps follow each other.
    """
    member = first.names.at
    begins = np.flatnonzero(np.diff(member, prepend=-1))
    size: Ints = np.diff(begins, append=len(member)).astype(np.int64)
    start, length = np.repeat(begins, size), np.repeat(size, size)
    t = np.arange(steps)
    place = (start * steps + np.arange(len(member)) - start)[:, None] + length[:, None] * t
    b: Floats = np.empty(place.size)
    at: Ints = np.empty(place.size, np.int64)
    b[place], at[place] = first.b[:, None], member[:, None] + t
    block = RowBlock(
        place[first.row].ravel(),
        (first.column[:, None] + t).ravel(),
        np.repeat(first.value, steps),
        b,
        NamePart(first.names.names, at),
        np.stack(
            [
                place[first.varying[0]].ravel(),
                (first.varying[1][:, None] + t).ravel(),
                (first.varying[2][:, None] + t).ravel(),
            ]
        ),
        np.repeat(first.factor, steps),
    )
    return block, place


def varying_entries(
    tables: Sequence[RowTable], variables: int, parameters: int, matrix: csc_array
) -> Varying | None:
    """Return the entries of stacked rows whose values depend on parameters; None without any."""
    blocks = [block for table in tables for block in table.blocks]
    if not any(len(block.factor) for block in blocks):
        return None
    first = np.cumsum([0, *(len(block.b) for block in blocks)])
    row = np.concatenate([at + b.varying[0] for at, b in zip(first, blocks, strict=False)])
    column = np.concatenate([block.varying[1] for block in blocks])
    parameter = np.concatenate([block.varying[2] for block in blocks]) - variables
    factor = np.concatenate([block.factor for block in blocks])
    # several products may fall on one entry
    at, entry = np.unique(column * matrix.shape[0] + row, return_inverse=True)
    shape = (len(at), parameters)
    found = Varying(
        at % matrix.shape[0],
        at // matrix.shape[0],
        np.zeros(len(at)),
        csr_array(coo_array((factor, (entry, parameter)), shape=shape)),
    )
    stored = found.stored(matrix)
    return replace(found, constant=stored.data[found.places(stored)])


def stacked(
    tables: Sequence[RowTable], variables: int, parameters: int
) -> tuple[csc_array, csr_array, Floats, list[NamePart]]:
    """Matrices over variables and parameters, constants, names of all rows."""
    none = Entries().block(())  # a program may have no rows
    blocks = [none, *(block for table in tables for block in table.blocks)]
    first = np.cumsum([0, *(len(block.b) for block in blocks)])
    row = np.concatenate([at + block.row for at, block in zip(first, blocks, strict=False)])
    column = np.concatenate([block.column for block in blocks])
    value = np.concatenate([block.value for block in blocks])
    rows, data = int(first[-1]), column >= variables
    own = (value[~data], (row[~data], column[~data]))
    others = (value[data], (row[data], column[data] - variables))
    return (
        csc_array(coo_array(own, shape=(rows, variables))),
        csr_array(coo_array(others, shape=(rows, parameters))),
        np.concatenate([block.b for block in blocks]),
        [block.names for block in blocks],
    )
