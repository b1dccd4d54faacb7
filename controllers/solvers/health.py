"""Scaling of a program: coefficient ranges, and rows with a large spread."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.solvers.conic import ConicProgram
from stackelgrid.controllers.solvers.reduce.scaling import equilibrate


@dataclass(frozen=True)
class ProgramHealth:
    """Size of a program and the spread of its coefficients, as given and equilibrated."""

    variables: int
    rows: int
    cones: int
    integers: int
    smallest: float
    largest: float
    scaled_smallest: float
    scaled_largest: float
    wide_rows: tuple[str, ...]


def program_health(program: ConicProgram, row_names: Sequence[str]) -> ProgramHealth:
    """Examine a compiled program; `wide_rows` are those whose range exceeds the tolerance."""
    given = np.abs(program.matrix.data[program.matrix.data != 0.0])
    _, scaled = equilibrate(program).matrices(program)
    after = np.abs(scaled.data[scaled.data != 0.0])
    return ProgramHealth(
        variables=program.variables,
        rows=program.rows,
        cones=len(program.cones),
        integers=len(program.integer),
        smallest=float(given.min(initial=np.inf)),
        largest=float(given.max(initial=0.0)),
        scaled_smallest=float(after.min(initial=np.inf)),
        scaled_largest=float(after.max(initial=0.0)),
        wide_rows=_wide_rows(program, row_names),
    )


def _wide_rows(program: ConicProgram, row_names: Sequence[str]) -> tuple[str, ...]:
    rows = program.matrix.tocsr()
    values = np.abs(rows.data)
    at = np.repeat(np.arange(program.rows), np.diff(rows.indptr))
    used = values > 0.0
    largest = np.zeros(program.rows)
    smallest = np.full(program.rows, np.inf)
    np.maximum.at(largest, at[used], values[used])
    np.minimum.at(smallest, at[used], values[used])
    wide = np.flatnonzero(largest > tolerances.COEFFICIENT_RANGE * smallest)
    return tuple(row_names[row] for row in wide.tolist())
