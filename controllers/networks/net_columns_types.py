"""Kinds of declarations about columns of pandapower nets (net_columns.py)."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

# scopes of a declaration; empty: any grid
TRANSMISSION, FEEDER = "transmission", "feeder"


class Treatment(StrEnum):
    """Treatment of a column."""

    HONOURED = "honoured"
    REPLACED = "replaced by the scenario"
    REFUSED = "refused"
    NO_EFFECT = "without effect"


@dataclass(frozen=True)
class Column:
    """Declaration of one column, or of a whole table (empty `column`).

    `accepts` decides whether a value that is not empty is accepted; without it every value is,
    or another check decides. `scope` limits the declaration to transmission grids or feeders.
    """

    table: str
    column: str
    treatment: Treatment
    reason: str
    accepts: Callable[[Any], bool] | None = None
    scope: str = ""


def honoured(table: str, columns: str, reason: str, scope: str = "") -> tuple[Column, ...]:
    """Declare columns that are used as pandapower does.

    table: table of pandapower.
    columns: their names, separated by spaces.
    reason: use of the columns, for `validate --explain`.
    scope: transmission grids or feeders only; empty: any grid.
    """
    return _rows(table, columns, Treatment.HONOURED, reason, scope)


def replaced(table: str, columns: str, reason: str, scope: str = "") -> tuple[Column, ...]:
    """Declare columns that the scenario replaces.

    table: table of pandapower.
    columns: their names, separated by spaces.
    reason: use of the columns, for `validate --explain`.
    scope: transmission grids or feeders only; empty: any grid.
    """
    return _rows(table, columns, Treatment.REPLACED, reason, scope)


def no_effect(table: str, columns: str, reason: str, scope: str = "") -> tuple[Column, ...]:
    """Declare columns that cannot change a result.

    table: table of pandapower.
    columns: their names, separated by spaces.
    reason: use of the columns, for `validate --explain`.
    scope: transmission grids or feeders only; empty: any grid.
    """
    return _rows(table, columns, Treatment.NO_EFFECT, reason, scope)


def refused(
    table: str, columns: str, reason: str, accepts: Callable[[Any], bool]
) -> tuple[Column, ...]:
    """Declare columns with restricted values.

    table: table of pandapower.
    columns: their names, separated by spaces.
    reason: accepted values, for messages.
    accepts: returns whether a value that is not empty is accepted.
    """
    return tuple(Column(table, c, Treatment.REFUSED, reason, accepts) for c in columns.split())


def refused_table(table: str, reason: str) -> tuple[Column, ...]:
    """Declare a table whose elements have no model here."""
    return (Column(table, "", Treatment.REFUSED, reason),)


def unused_table(table: str, reason: str) -> tuple[Column, ...]:
    """Declare a table that cannot change a result."""
    return (Column(table, "", Treatment.NO_EFFECT, reason),)


def _rows(
    table: str, columns: str, treatment: Treatment, reason: str, scope: str
) -> tuple[Column, ...]:
    return tuple(Column(table, c, treatment, reason, scope=scope) for c in columns.split())
