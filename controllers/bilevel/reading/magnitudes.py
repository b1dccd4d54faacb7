"""Check of the numbers of a program against the range that solvers can resolve."""

from collections.abc import Callable

import numpy as np
from scipy.sparse import coo_array, csr_array

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.bilevel.problem import BilevelProgram
from stackelgrid.controllers.errors import ModelError
from stackelgrid.profiles.arrays import Floats, Ints


def check_sizes(program: BilevelProgram) -> None:
    """Raise ModelError, naming the row or the column, for numbers above LARGEST_NUMBER."""
    leader, follower, names = program.leader, program.follower, program.names

    def leader_row(row: int) -> str:
        return names.leader_rows[row] if names.leader_rows else f"row {row} of the leader"

    for level, row in ((leader, leader_row), (follower, names.follower_row)):
        for matrix in (level.matrix, level.b_parameters):
            entries = coo_array(csr_array(matrix))
            _check(entries.data, entries.coords[0], row, "coefficient")
        _check(level.b0, np.arange(level.rows), row, "right-hand side or bound")

    def of_leader(column: int) -> str:
        return f"objective, {names.column(column)}"

    def of_follower(column: int) -> str:
        return f"{names.follower} objective, {names.column(program.n_x + column)}"

    for level, column in ((leader, of_leader), (follower, of_follower)):
        _check(level.q0, np.arange(level.variables), column, "coefficient")
        for matrix in (level.quadratic, level.q_parameters):
            entries = coo_array(csr_array(matrix))
            _check(entries.data, entries.coords[0], column, "coefficient")
        for values in (np.array([level.offset0]), level.offset_linear, level.offset_quadratic.data):
            _check(values, np.zeros(len(values), dtype=np.int64), lambda _: "objective", "constant")


def _check(values: Floats, places: Ints, name: Callable[[int], str], what: str) -> None:
    large = np.flatnonzero(np.abs(values) > tolerances.LARGEST_NUMBER)
    if len(large):
        raise ModelError(
            f"{name(int(places[large[0]]))}: has a {what} of {values[large[0]]:g}; up to "
            f"{tolerances.LARGEST_NUMBER:g} in size is accepted, and None where there is no bound"
        )
