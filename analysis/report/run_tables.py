"""Tables of the report of a run: grids, costs, extremes, and the worst intervals with reasons."""

import numpy as np

from stackelgrid.analysis.figures.costs import NOTHING_EUR, cost_kinds, cost_sides
from stackelgrid.analysis.report.page import ReportTable
from stackelgrid.analysis.results.axes import LEVELS, Clock, copies
from stackelgrid.analysis.results.baseline import compared_with
from stackelgrid.analysis.results.findings import violations, violations_by_view
from stackelgrid.analysis.results.limits import has_network
from stackelgrid.analysis.results.needs import amount_text, rounding, unmet_needs
from stackelgrid.analysis.run import Run
from stackelgrid.controllers import tolerances
from stackelgrid.controllers.devices.registry import kinds
from stackelgrid.controllers.explanation import reasons, violations_text
from stackelgrid.controllers.verdict import EXACT, FEASIBLE
from stackelgrid.controllers.words import words

_MOST_ROWS, _MOST_NEEDS = 12, 24
_SYSTEM, _LEADERS = "cost of the system", "leaders, with their payments at the boundary"


def grid_table(run: Run) -> ReportTable:
    """Build the table of grids: position, number of copies, devices."""
    count = copies(run)
    first = run.bus["interval"] == run.bus["interval"].min()
    buses = run.bus[first].groupby("grid").size()
    devices = run.device[run.device["interval"] == run.device["interval"].min()]
    by_kind = devices.groupby(["grid", "kind"]).size()
    present = [kind for kind in kinds() if (devices["kind"] == kind.kind).any()]
    solvers = run.interval.groupby("grid")["solver"].unique()
    rows = []
    for name, grid in run.grids.items():
        where = f"bus {grid.bus} of {grid.parent}" if grid.parent else "root"
        numbers = [str(by_kind.get((name, kind.kind), 0)) for kind in present]
        rows.append(
            (
                name,
                LEVELS[grid.level],
                where,
                str(count[name]),
                str(buses.get(name, 0)),
                *numbers,
                ", ".join(words(solver) for solver in sorted(solvers.get(name, [])) if solver),
            )
        )
    columns = ("grid", "level", "connected at", "copies", "buses", *(k.label for k in present))
    return ReportTable("Grids", (*columns, "solver"), tuple(rows), "Numbers are those of one copy.")


def cost_table(run: Run) -> ReportTable:
    """Build the table of costs by kind, and by leaders and follower, beside those without control.

    Costs are not corrected by stored energy.
    """
    other = compared_with(run)
    own, without = _costs(run), _costs(other) if other else {}
    names = [name for name in {**own, **without} if _shown(own, without, name)]
    rows = [
        (name, *(_eur(costs.get(name, 0.0)) for costs in (own, without) if costs)) for name in names
    ]
    return ReportTable(
        "Costs in EUR, not corrected by stored energy",
        ("kind", "this run", "without control") if without else ("kind", "EUR"),
        tuple(rows),
        "Payments between grids of the system are transfers: part of the payments of "
        "leaders, not of the cost of the system.",
    )


def _costs(run: Run) -> dict[str, float]:
    """Return costs in EUR by kind, then of the system and its sides; NaN where not known."""
    parts, sides = cost_kinds(run).sum(), cost_sides(run).sum(skipna=False)
    found = {str(name): float(eur) for name, eur in parts.items()} | {_SYSTEM: sides["system"]}
    if len(run.grids) > 1:
        found |= {_LEADERS: sides["leaders"], "follower": sides["follower"]}
    return found


def _shown(own: dict[str, float], without: dict[str, float], name: str) -> bool:
    """Return whether a kind of cost is worth a row; the sides always are."""
    amounts = [abs(costs.get(name, 0.0)) for costs in (own, without)]
    return name in (_SYSTEM, _LEADERS, "follower") or max(amounts) > NOTHING_EUR


def _eur(amount: float) -> str:
    return "not known: a nodal price is missing" if np.isnan(amount) else f"{amount:,.2f}"


def extremes_table(run: Run, when: Clock) -> ReportTable:
    """Build the table of extreme voltages and loadings of every grid, with place and time."""
    rows = []
    names = _bus_names(run)
    for grid in run.grids:
        buses = run.bus[run.bus["grid"] == grid].dropna(subset=["vm_pu"])
        branches = run.branch[run.branch["grid"] == grid]
        cells = [grid]
        for pick in ("argmin", "argmax"):
            if buses.empty:
                cells += ["", ""]
                continue
            at = buses.iloc[int(getattr(buses["vm_pu"].to_numpy(), pick)())]
            bus = _named("bus", int(at["bus"]), names.get((grid, int(at["bus"])), ""))
            cells += [f"{at['vm_pu']:.4f}", f"{bus}, {when.text(int(at['interval']))}"]
        if branches["loading_percent"].max() > 0.0:
            at = branches.iloc[int(branches["loading_percent"].to_numpy().argmax())]
            cells += [
                f"{at['loading_percent']:.1f}",
                f"{at['element']} {at['index']}, {when.text(int(at['interval']))}",
            ]
        else:
            cells += ["", ""]
        rows.append(tuple(cells))
    return ReportTable(
        "Extremes of every grid",
        ("grid", "lowest p.u.", "where", "highest p.u.", "where", "fullest %", "where"),
        tuple(rows),
    )


def worst_table(run: Run, when: Clock) -> ReportTable | None:
    """Build the table of the worst intervals with violations and reasons; None without any."""
    table = run.interval
    feeder = table["level"] != "transmission"
    three = table["verdict_three_phase"]
    largest = violations_by_view(table).max(axis=1)
    chosen = (
        (largest > tolerances.AC_LIMIT_PU)
        | (feeder & ~table["verdict"].isin([EXACT, ""]))
        | ~three.isin(["", FEASIBLE])
        | table["fallback"]
        | (table["recovery_tried"] != "")
    )
    rows = table.assign(largest=largest.fillna(0.0))[chosen]
    if rows.empty:
        return None
    rows = rows.sort_values(
        ["largest", "fictitious_loss_share", "interval"], ascending=[False, False, True]
    )
    first = rows.head(_MOST_ROWS)
    shown = [
        (
            when.text(int(row["interval"])),
            str(row["grid"]),
            str(row["verdict"]) or "none",
            violations_text(beyond) or "nothing",
            "; ".join(reasons(row)),
        )
        for row, beyond in zip(first.to_dict("records"), violations(run, first), strict=True)
    ]
    left = len(rows) - len(shown)
    return ReportTable(
        "Worst intervals",
        ("time", "grid", "plan", "beyond limits", "why"),
        tuple(shown),
        f"{left} more are in interval.parquet." if left else "",
    )


def unmet_table(run: Run, when: Clock) -> ReportTable | None:
    """Build the table of the devices whose needs were not met, worst first; None without any."""
    rows = []
    for need in unmet_needs(run):
        column = need.quantity.column
        own = run.device[run.device["kind"] == need.kind.kind]
        for _, mine in own.groupby(["grid", "element", "index"], sort=False):
            amount = float(run.dt_h * mine[column].sum())
            if amount > rounding(need.unit):
                at = mine.iloc[int(mine[column].to_numpy().argmax())]
                name = str(at["name"]) or f"{at['element']} {at['index']}"
                text = (need.quantity.lacked, str(at["grid"]), f"{name} at bus {at['bus']}")
                most = when.text(int(at["interval"]))
                rows.append((amount, (*text, amount_text(amount, need.unit), most)))
    if not rows:
        return None
    rows.sort(key=lambda row: -row[0])
    left = len(rows) - _MOST_NEEDS
    more = f" {left} more devices are in device.parquet." if left > 0 else ""
    return ReportTable(
        "Needs that were not met, by device",
        ("need", "grid", "device", "amount", "most at"),
        tuple(text for _, text in rows[:_MOST_NEEDS]),
        f"Amounts are those of one copy.{more}",
    )


def _bus_names(run: Run) -> dict[tuple[str, int], str]:
    if not has_network(run):
        return {}
    buses = run.network[run.network["element"] == "bus"]
    return {
        (str(g), int(i)): str(n)
        for g, i, n in zip(buses["grid"], buses["index"], buses["name"], strict=True)
    }


def _named(kind: str, index: int, name: str) -> str:
    own = name if name not in ("", str(index), f"{kind} {index}") else ""
    return f"{kind} {index} ({own})" if own else f"{kind} {index}"
