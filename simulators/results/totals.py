"""Totals of a run in summary.json, computed from its tables; sums are in the order of the rows."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import compress
from math import isinf
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.devices.registry import costly
from stackelgrid.controllers.verdict import EXACT, FEASIBLE, INFEASIBLE
from stackelgrid.profiles.arrays import Bools, Floats
from stackelgrid.simulators.results.decision_tables import SEPARATOR

Amount = TypeVar("Amount", float, Floats)

_RANK = {"": 0, EXACT: 1, FEASIBLE: 2, INFEASIBLE: 3}
# columns with the costs that a grid bears itself
OWN_EUR = (
    *(kind.cost_column for kind in costly()),
    "retail_eur", "fee_eur", "capacity_eur", "emission_eur",
)  # fmt: skip
UNSAFE_MIXTURE = "mixture unsafe"


class Rows(Protocol):
    """Rows of a table, by column."""

    def __getitem__(self, column: str, /) -> Any:
        """Return the values of a column (rows,)."""
        ...


@dataclass(frozen=True)
class Selected:
    """Selected rows of a table."""

    rows: Rows
    which: Bools

    def __getitem__(self, column: str, /) -> Any:
        return self.rows[column][self.which]


def largest_known(values: Any) -> float:
    """Return the largest value, at least 0; NaN is ignored."""
    return float(np.fmax.reduce(values, initial=0.0))


def sum_in_order(values: Floats) -> float:
    """Return the sum in the order of the values, which a pairwise sum would not keep."""
    return 0.0 + float(np.cumsum(values)[-1]) if len(values) else 0.0


def _different(intervals: Any) -> int:
    return len(np.unique(intervals))


def intervals_fallback(rows: Rows) -> int:
    """Return the number of intervals in which some grid's schedule is a fallback."""
    return _different(rows["interval"][rows["fallback"]])


# ------------------------------------------------------------------ costs


@dataclass(frozen=True)
class CostSides(Generic[Amount]):
    """Costs in EUR of all copies.

    `leaders` are the grids below the root with what they pay to it, `follower` is the root,
    `system` is both without that payment, which is a transfer. NaN where a cost is not known.
    """

    leaders: Amount
    follower: Amount
    system: Amount
    paid_to_root: Amount


def cost_sides(
    parents: Mapping[str, str],
    own_eur: Mapping[str, Amount],
    payment_eur: Mapping[str, Amount],
    follower_eur: Amount,
) -> CostSides[Amount]:
    """Split the cost of a system between its leaders and the follower.

    `parents` maps every grid to the one above it, "" for the root. `own_eur` and `payment_eur` are
    those of the grids below the root: their cost without the payment at their boundary, and that
    payment; payments between grids below the root cancel. `follower_eur` is the cost of the root,
    that of a root feeder with its payment to the source outside.
    """
    root = next(name for name, parent in parents.items() if not parent)
    own: Any = sum(own_eur.values(), 0.0)
    paid: Any = sum((v for n, v in payment_eur.items() if parents[n] == root), 0.0)
    return CostSides(own + paid, follower_eur, follower_eur + own, paid)


def run_costs(rows: Rows, parents: Mapping[str, str]) -> CostSides[float]:
    """Return the cost of a run from the rows of `interval`."""
    own: dict[str, float] = {}
    paid: dict[str, float] = {}
    of_copy = sum(rows[name] for name in OWN_EUR)
    for grid in parents:
        at = rows["grid"] == grid
        for total, eur in ((own, of_copy), (paid, rows["boundary_eur"])):
            total[grid] = sum_in_order(rows["copies"][at] * eur[at])
    root = next(name for name, parent in parents.items() if not parent)
    follower = own.pop(root) + paid.pop(root)
    return cost_sides(parents, own, paid, follower)


# ------------------------------------------------------------------ certificates


def certificate_section(rows: Rows) -> dict[str, Any]:
    """Return the section `certificate` of summary.json; null for views that are missing.

    The worst feeder judges an interval; DC dispatch is counted separately.
    """
    is_dispatch = rows["level"] == "transmission"
    feeders, dispatch = Selected(rows, ~is_dispatch), Selected(rows, is_dispatch)
    phases = Selected(rows, ~is_dispatch & (rows["verdict_three_phase"] != ""))
    seen = np.where(feeders["verdict_three_phase"] == INFEASIBLE, INFEASIBLE, feeders["verdict"])
    before = np.where(feeders["verdict_before"] != "", feeders["verdict_before"], seen)
    plan = _intervals(feeders, feeders["verdict"])
    first = _intervals(feeders, before)
    phase = _intervals(phases, phases["verdict_three_phase"])
    upper = _intervals(dispatch, dispatch["verdict"])
    mended = (feeders["recovery"] != "") & (seen != INFEASIBLE)
    made = mended & (feeders["recovery_decisions"] > 0)  # counted once for each plan
    beyond = rows["realised_violation_pu"] > tolerances.AC_LIMIT_PU
    return {
        **{verdict: plan[verdict] for verdict in (EXACT, FEASIBLE, INFEASIBLE)},
        "recovered": _different(feeders["interval"][mended]),
        "max_cone_gap_pu": largest_known(feeders["cone_gap_pu"]),
        "max_voltage_error_pu": largest_known(feeders["voltage_error_pu"]),
        "max_violation_pu": largest_known(feeders["violation_pu"]),
        "max_fictitious_loss_share": largest_known(feeders["fictitious_loss_share"]),
        "max_loss_error_mw": largest_known(feeders["loss_error_mw"]),
        "horizon": {
            **{v: int(feeders[f"horizon_{v}"].sum()) for v in (EXACT, FEASIBLE, INFEASIBLE)},
            "max_cone_gap_pu": largest_known(feeders["horizon_cone_gap_pu"]),
            "max_fictitious_loss_share": largest_known(feeders["horizon_fictitious_loss_share"]),
            "max_violation_pu": largest_known(feeders["horizon_violation_pu"]),
        },
        "three_phase": {
            "feasible": phase[FEASIBLE],
            "infeasible": phase[INFEASIBLE],
            "max_violation_pu": largest_known(feeders["violation_three_phase_pu"]),
            "max_unbalance_pu": largest_known(feeders["unbalance_pu"]),
            "max_unbalance_percent": largest_known(feeders["unbalance_percent"]),
        }
        if len(phases["interval"])
        else None,
        "transmission": {
            "feasible": upper[FEASIBLE] + upper[EXACT],
            "infeasible": upper[INFEASIBLE],
            "max_violation_pu": largest_known(dispatch["violation_pu"]),
            "max_loss_mw": largest_known(dispatch["loss_error_mw"]),
        }
        if len(dispatch["interval"])
        else None,
        "recovery": {
            **{f"{v}_before": first[v] for v in (EXACT, FEASIBLE, INFEASIBLE)},
            "plans_mended": int(made.sum()),
            "rungs": dict(sorted(Counter(feeders["recovery"][made].tolist()).items())),
            "decisions": int(feeders["recovery_decisions"].sum()),
            "cost_eur": sum_in_order((feeders["copies"] * feeders["recovery_eur"])[made]),
        },
        "realised": {
            "intervals_beyond_limits": _different(rows["interval"][beyond]),
            "max_violation_pu": largest_known(rows["realised_violation_pu"]),
            "worst": _worst_place(rows) if beyond.any() else "",
        },
    }


def _intervals(rows: Rows, verdicts: Any) -> dict[str, int]:
    """Return the number of intervals by their worst verdict."""
    worst = np.zeros(int(rows["interval"].max(initial=-1)) + 1, dtype=int)
    np.maximum.at(worst, rows["interval"], [_RANK[verdict] for verdict in verdicts])
    return {verdict: int((worst == rank).sum()) for verdict, rank in _RANK.items()}


def _worst_place(rows: Rows) -> str:
    """Return grid, place and interval of the largest violation in reality."""
    k = int(np.nanargmax(rows["realised_violation_pu"]))
    return f"{rows['grid'][k]} {rows['realised_worst'][k]} in interval {rows['interval'][k]}"


# ------------------------------------------------------------------ negotiations


def rounds_of_negotiations(tables: Mapping[str, Rows]) -> list[int]:
    """Return the number of rounds of every negotiation, by messages or in one process."""
    recorded = tables["negotiation"]["rounds"]
    if len(recorded):
        return [int(rounds) for rounds in recorded]
    begun = np.flatnonzero(tables["round"]["round"] == 1)
    return [int(n) for n in np.diff([*begun, len(tables["round"]["round"])])]


def negotiation_section(tables: Mapping[str, Rows]) -> dict[str, Any] | None:
    """Return the section `negotiation` of summary.json; None for a run without negotiations.

    Entries on messages are null for negotiations in one process; fallbacks and doubts count agents
    and intervals.
    """
    rounds = rounds_of_negotiations(tables)
    if not rounds:
        return None
    recorded, agents = tables["negotiation"], tables["commitment"]
    committed = recorded["committed"] != ""
    seconds = recorded["agreement_after_sec"][~np.isnan(recorded["agreement_after_sec"])]
    worst = largest_known(recorded["worst_mixture_pu"])
    by_messages = {
        "negotiations": len(committed),
        "agreements": int(committed.sum()),
        **{
            key: int(recorded[column].sum())
            for key, column in (
                ("attempts", "attempts"), ("messages", "sent"), ("delivered", "delivered"),
                ("lost", "lost"), ("in_outage", "in_outage"), ("duplicated", "duplicated"),
                ("reordered", "reordered"), ("bytes", "bytes_sent"),
            )
        },
        "agreement_mean_sec": sum_in_order(seconds) / len(seconds) if len(seconds) else None,
        "agreement_max_sec": float(seconds.max()) if len(seconds) else None,
        "fallbacks": int((~agents["on_new"]).sum()),
        "intervals_fallback_by_reason": _reasons(recorded, agents),
        **{k: int(recorded[k].sum()) for k in ("in_doubt", "settled", "refused", "ignored")},
        "failures": sum(len(text.split(SEPARATOR)) for text in recorded["failures"] if text),
        "unsafe_mixtures": sum(reason_kind(r) == UNSAFE_MIXTURE for r in recorded["reason"]),
        "max_mixture_pu": None if isinf(worst) else worst,  # JSON has no infinity
    }  # fmt: skip
    return {
        "rounds_max": max(rounds),
        "rounds_mean": sum(rounds) / len(rounds),
        **{key: value if len(committed) else None for key, value in by_messages.items()},
    }


def _reasons(recorded: Rows, agents: Rows) -> dict[str, int]:
    """Return the number of intervals by the kind of reason why agents are on no new schedule."""
    keys = list(zip(agents["interval"], agents["follower"], strict=True))
    held, new = Counter(keys), Counter(compress(keys, agents["on_new"]))
    found: dict[str, set[int]] = {}
    columns = (recorded[c] for c in ("interval", "grid", "committed", "reason", "members"))
    for interval, grid, committed, reason, members in zip(*columns, strict=True):
        kinds = {
            reason_kind(reason): not committed,
            "heard of no commit": committed and members > new[interval, grid],
            "left out": committed and members < held[interval, grid],
        }
        for kind in (kind for kind, seen in kinds.items() if seen):
            found.setdefault(kind, set()).add(interval)
    return {kind: len(intervals) for kind, intervals in sorted(found.items())}


def reason_kind(reason: str) -> str:
    """Return a reason without agents and places, so that equal ones can be counted."""
    if reason.startswith("no vote from "):
        return "no vote"
    if reason.endswith(" voted no"):
        return "voted no"
    return reason.partition(":")[0]
