"""Form of the declaration of a column of a pandapower table (net_columns.py)."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
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


def _declare(
    treatment: Treatment,
    table: str,
    columns: str,
    reason: str,
    scope: str = "",
    accepts: Callable[[Any], bool] | None = None,
) -> tuple[Column, ...]:
    """Declare columns of a table.

    treatment: what happens to their values.
    table: table of pandapower.
    columns: their names, separated by spaces; empty for the whole table.
    reason: use of the columns or accepted values, for messages and `validate --explain`.
    scope: transmission grids or feeders only; empty: any grid.
    accepts: returns whether a value that is not empty is accepted.
    """
    return tuple(
        Column(table, column, treatment, reason, accepts, scope)
        for column in columns.split() or [""]
    )


honoured = partial(_declare, Treatment.HONOURED)  # used as pandapower does
replaced = partial(_declare, Treatment.REPLACED)
refused = partial(_declare, Treatment.REFUSED)  # a table without model, or restricted values
no_effect = partial(_declare, Treatment.NO_EFFECT)

SHORT_CIRCUIT = "short-circuit calculations only"
LABEL = "a label"


def falsy(value: Any) -> bool:
    """Accept False, 0 and empty values."""
    return not value
