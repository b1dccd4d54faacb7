"""Columns of the tables of studies: comparisons, exactness sweeps, ensembles; declared once."""

import pyarrow as pa

from stackelgrid.controllers.devices.registry import kinds
from stackelgrid.controllers.words import words
from stackelgrid.simulators.results.columns import (
    Column,
    Table,
    count,
    flag,
    group,
    label,
    number,
    table,
)

# quantities that a sweep varies, with their names in texts; empty for the scenario's own value
SCALES = {f"{kind.kind}_scale": kind for kind in kinds() if kind.sweep}
_OTHERS = ("export_price_eur_per_mwh", "vm_max_pu")
_ORDER = ("pv_scale", "load_scale", *_OTHERS, "battery_scale")  # then the kinds of packages
DIMENSIONS = {name: words(name) for name in dict.fromkeys((*_ORDER, *SCALES))}
CONDITIONS = ("price_condition", "voltage_condition", "line_condition")


def _dimension(name: str) -> Column:
    """Return the column of a varied quantity."""
    if name in SCALES:
        return number(name, "1", f"factor of all {SCALES[name].label}")
    text, unit = DIMENSIONS[name].split(", ")
    return number(name, unit, text)


def _whole(name: str, text: str) -> Column:
    """Return a column of whole numbers as pandas counts them."""
    return Column(name, pa.int64(), "", text)


_GRID = label("grid", "name of the grid; `total`: all active networks together")
_UNIT = label("unit", "unit of the value")

COMPARE = table(
    "compare",
    "One row for each basis, scheme, grid and indicator.",
    label("basis", "`plan`: the decision at interval 0 over the whole horizon; `closed_loop`: the "
          "whole run, realised"),
    label("scheme", "order of decision"),
    label("pricing", "tariff or lmp"),
    label("status", "`done`, or why the scheme failed; a failed one has one row without a value"),
    _GRID,
    label("indicator", "name, as in the list of indicators"),
    _UNIT,
    number("value", "", "in that unit; empty where it is not defined"),
)  # fmt: skip

COMPARE_EXCHANGE = table(
    "compare_exchange",
    "One row for each basis, scheme, active network and step; all copies of a network.",
    label("basis", "plan or closed_loop"),
    label("scheme", "order of decision"),
    label("grid", "active network"),
    number("start_h", "h", "start of the step, from the start of the horizon or run"),
    number("dt_h", "h", "its length"),
    number("p_mw", "MW", "exchange with the grid above, positive for imports"),
)

QUALITIES = table(
    "qualities",
    "One row for each quality of communication, grid and indicator of a closed loop.",
    label("quality", "name of the quality"),
    label("pricing", "tariff or lmp"),
    label("status", "`done`, or why the run failed"),
    _GRID,
    label("indicator", "name, as in the list of indicators"),
    _UNIT,
    number("value", "", "in that unit; empty where it is not defined"),
)

_POINT = count("point", "number of the point, in the order of the design")
_CONDITIONS = (
    flag("price_condition", "whether the price condition holds (points: in all steps)"),
    flag("voltage_condition", "whether the voltage condition holds"),
    flag("line_condition", "whether C1 holds at all lines"),
    flag("predicted_exact", "whether all three do"),
)
_MARGIN = number("min_margin", "1", "smallest margin of C1: holds if > 0, 1 without reverse flow")

POINTS = table(
    "points",
    "One row for each point.",
    _POINT,
    group(
        "dimensions", "a price or ceiling that is not varied is empty (the scenario's own)",
        *(_dimension(name) for name in DIMENSIONS),
    ),
    group(
        "schedule", "empty where there is no solution",
        label("status", "status of the solver"),
        label("reason", "limits in conflict, without a solution"),
        number("objective_eur", "EUR", "cost over the horizon"),
        number("gap", "1", "proven relative gap"),
        number("import_mwh", "MWh", "planned import"),
        number("export_mwh", "MWh", "planned export"),
        number("curtailed_mwh", "MWh", "planned curtailment"),
    ),
    group(
        "certificate", "",
        label("verdict", "of the worst step: `exact`, `feasible` or `infeasible`"),
        count("steps", "number of steps"),
        count("steps_exact", "of these exact"),
        count("steps_feasible", "of these feasible"),
        count("steps_infeasible", "of these infeasible"),
        number("max_cone_gap_pu", "p.u.", "largest abs(l v - P^2 - Q^2)"),
        number("max_fictitious_loss_share", "1", "largest fictitious loss of a step relative to "
               "its load"),
        number("fictitious_loss_mwh", "MWh", "fictitious loss over the horizon"),
        number("max_voltage_error_pu", "p.u.", "planned against AC voltage"),
        number("max_violation_pu", "p.u.", "AC violation of a limit"),
        label("worst_line", "line with the largest fictitious loss; empty for exact points"),
        count("worst_step", "step with the largest fictitious loss"),
    ),
    group(
        "before solving", "",
        *_CONDITIONS,
        label("failing_line", "line with the smallest margin where C1 fails"),
        label("failing_direction", "cause of the failure: active or reactive flow"),
        _MARGIN,
        number("highest_vm_pu", "p.u.", "linear estimate of the voltage at the largest injections"),
    ),
    group(
        "time", "",
        number("build_s", "s", "wall-clock time of building a model, at the first point that "
               "needs it"),
        number("solve_s", "s", "wall-clock time of the solve"),
        number("certify_s", "s", "wall-clock time of the certificate"),
    ),
)  # fmt: skip

STEPS = table(
    "steps",
    "One row for each point and step.",
    _POINT,
    count("step", "step of the horizon, from 0"),
    label("verdict", "`exact`, `feasible` or `infeasible`"),
    number("cone_gap_pu", "p.u.", "largest abs(l v - P^2 - Q^2)"),
    number("fictitious_loss_share", "1", "fictitious loss relative to the load"),
    number("voltage_error_pu", "p.u.", "planned against AC voltage"),
    number("violation_pu", "p.u.", "AC violation of a limit"),
    number("import_mw", "MW", "planned import"),
    *_CONDITIONS,
    _MARGIN,
)

LINES = table(
    "lines",
    "One row for each point and line.",
    _POINT,
    label("line", "name of the line"),
    number("max_fictitious_loss_share", "1", "largest fictitious loss of the line in a step, "
           "relative to the load"),
    number("max_cone_gap_pu", "p.u.", "largest abs(l v - P^2 - Q^2)"),
    count("inexact_steps", "steps in which its own fictitious loss is above 1e-6 of the load"),
    count("c1_failing_steps", "steps in which C1 fails"),
    flag("c1_fails", "whether C1 fails in a step"),
)  # fmt: skip

TREE = table(
    "tree",
    "The feeder as a tree, for drawings; one row for each bus, the head first.",
    label("bus", "pandapower's index, as a text"),
    _whole("parent", "row of the bus before, -1 for the head"),
    label("line", "line from the bus before, its name as in `lines`; empty for the head"),
    _whole("depth", "lines from the head"),
    _whole("row", "position across: laterals have rows of their own"),
)

_ERROR_LEVEL = number("error_level", "1", "factor of deviations and of the forecasts' errors")
_MEMBER_OF = (
    _ERROR_LEVEL,
    label("scheme", "controller"),
    label("variant", "`scenario`, `perfect` (foresight) or one of the variants"),
)

KPIS = table(
    "kpis",
    "One row for each run, grid and key figure.",
    *_MEMBER_OF,
    _whole("member", "number of the member, from 0"),
    label("grid", "name of the grid; `total`: all of them"),
    label("kpi", "name, as in the list of key figures"),
    _UNIT,
    number("value", "", "in that unit; empty where it is not defined"),
)

STATISTICS = table(
    "statistics",
    "One row for each error level, scheme, variant, grid and key figure: over its members.",
    *_MEMBER_OF,
    label("grid", "name of the grid; `total`: all of them"),
    label("kpi", "name, as in the list of key figures"),
    _UNIT,
    _whole("members", "members with a value"),
    number("mean", "", "mean of their values, in that unit"),
    number("std", "", "standard deviation"),
    number("low", "", "lower end of the 95 % confidence interval of the mean"),
    number("high", "", "upper end"),
)

COMPARE_TABLES: tuple[Table, ...] = (COMPARE, COMPARE_EXCHANGE, QUALITIES)
SWEEP_TABLES: tuple[Table, ...] = (POINTS, STEPS, LINES, TREE)
ENSEMBLE_TABLES: tuple[Table, ...] = (KPIS, STATISTICS)
