"""Check keys and types of a run's summary.json and scenario.toml before use.

Only keys that are read are declared; values may be missing but must have the declared type.
"""

from collections.abc import Mapping
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import pandas as pd
from msgspec import Meta, Struct

from stackelgrid.profiles.file_names import check_file_name
from stackelgrid.profiles.size_limits import INTERVALS

__all__ = ["GridShape", "check_scenario_shape", "check_summary_shape"]

LEVELS = ("transmission", "mv", "lv")
Count = Annotated[int, Meta(ge=0, le=INTERVALS)]
Number = float | None


class _Timings(Struct):
    build_s: Number = None
    solve_s: Number = None
    power_flow_s: Number = None
    cosimulation_s: Number = None
    state_s: Number = None
    other_s: Number = None


class _Solver(Struct):
    conic: str | None = None
    mixed_integer: str | None = None
    version: str | None = None
    fallback_reason: str | None = None


class _Cost(Struct):
    total: Number = None
    leader: Number = None
    follower: Number = None
    total_corrected: Number = None


class _StoredOfKind(Struct):
    start_mwh: float
    end_mwh: float


class _StoredInGrid(Struct):
    start_mwh: float
    end_mwh: float
    value_eur: Number
    kinds: dict[str, _StoredOfKind] = {}


class _Stored(Struct):
    start_mwh: float
    end_mwh: float
    value_eur: Number
    grids: dict[str, _StoredInGrid]


class _Bilevel(Struct):
    scheme: str = ""
    pricing: str = ""
    max_relative_gap: Number = None
    max_gap_eur: Number = None


class _Certificate(Struct):
    exact: Count = 0
    feasible: Count = 0
    infeasible: Count = 0
    recovered: Count = 0
    max_cone_gap_pu: Number = None
    three_phase: dict[str, Any] | None = None
    realised: dict[str, Any] | None = None


class _Baseline(Struct):
    status: str
    reason: str = ""
    intervals_done: Count = 0
    cost_eur: _Cost | None = None
    wall_s: Number = None


class _Summary(Struct):
    scenario: str
    status: str
    intervals_planned: Count
    intervals_done: Count
    seed: int = 0
    version: str = ""
    folder: str = ""
    manifest: str = ""
    intervals_fallback: Count = 0
    wall_s: float = 0.0
    timings: _Timings | None = None
    solver: _Solver | None = None
    cost_eur: _Cost | None = None
    stored_energy: _Stored | None = None
    bilevel: _Bilevel | None = None
    certificate: _Certificate | None = None
    negotiation: dict[str, Any] | None = None
    baseline: _Baseline | None = None


class _Time(Struct):
    interval_min: Annotated[float, Meta(gt=0.0, le=1440.0)]
    start: Any = None
    timezone: str = "UTC"


class _Horizon(Struct):
    mode: str = "rolling"


class GridShape(Struct):
    """Keys of a grid's section used to read results."""

    name: str
    level: str
    parent: str | None = None
    bus: int | None = None
    multiplicity: Annotated[int, Meta(ge=1)] = 1
    trade: dict[str, Any] | None = None


class _Scenario(Struct):
    time: _Time
    grids: Annotated[list[GridShape], Meta(min_length=1)]
    horizon: _Horizon | None = None
    coordination: str = "central"
    controller: str = ""


def check_summary_shape(content: Mapping[str, Any]) -> None:
    """Check the summary of a run; raises ValueError that names the key."""
    _converted(content, _Summary)


def check_scenario_shape(content: Mapping[str, Any]) -> tuple[GridShape, ...]:
    """Check the scenario of a run; returns its grids. Raises ValueError that names the key."""
    scenario = _converted(content, _Scenario)
    _check_time(scenario.time)
    grids = {grid.name: grid for grid in scenario.grids}
    if len(grids) < len(scenario.grids):
        raise ValueError("grids: a name is used twice")
    for grid in scenario.grids:
        check_file_name(grid.name, "grids: name")
        if grid.level not in LEVELS:
            raise ValueError(
                f"grid {grid.name} has level {grid.level!r}; accepted: {', '.join(LEVELS)}"
            )
        _check_ancestors(grid, grids)
    return tuple(scenario.grids)


def _check_time(time: _Time) -> None:
    try:
        ZoneInfo(time.timezone)
    except (ZoneInfoNotFoundError, OSError, ValueError) as error:
        raise ValueError(
            f"time.timezone = {time.timezone!r} is unknown; an IANA name is accepted"
        ) from error
    if time.start is not None:
        try:
            pd.Timestamp(time.start)
        except (ValueError, TypeError) as error:
            raise ValueError(f"time.start = {time.start!r} is not a date or time") from error


def _check_ancestors(grid: GridShape, grids: Mapping[str, GridShape]) -> None:
    above, seen = grid, {grid.name}
    while above.parent is not None:
        if above.parent in seen:
            raise ValueError(
                f"grid {grid.name} is its own ancestor; a grid above it, or none, is accepted"
            )
        if above.parent not in grids:
            raise ValueError(f"parent {above.parent!r} is not a grid; a grid's name is accepted")
        above = grids[above.parent]
        seen.add(above.name)


def _converted(content: Mapping[str, Any], kind: type[Any]) -> Any:
    try:
        return msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        said, _, where = str(error).partition(" - at `$")
        place = where.rstrip("`").removeprefix(".")
        said = said[:1].lower() + said[1:]
        raise ValueError(f"{place}: {said}" if place else said) from error
