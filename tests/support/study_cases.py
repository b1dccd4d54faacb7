"""Numbers and rows of studies that are made by hand."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd

from stackelgrid.analysis.kpis.indicators import TOTAL, Row

COMMON = {"seed": 7, "version": "0.1.0", "status": "done", "wall_s": 12.5}
SOLVER = {"conic": "clarabel", "mixed_integer": "misocp", "version": "1.2", "fallback_reason": ""}
# total cost by scheme; the best is proven by its bound, the second is dearer by 1 %
COSTS = {"bottom_up": 1010.0, "integrated": 1000.0, "uncoordinated": 1250.0}
REGRETS = (10.0, 20.0, 30.0)
# 0 - 1 - 2 - 3 and a lateral 1 - 4
FEEDER = SimpleNamespace(
    parent=np.array([0, 1, 2, 1]),
    buses=5,
    branches=4,
    bus_index=(0, 1, 2, 3, 4),
    branch_table=("line",) * 4,
    branch_index=(10, 11, 12, 13),
)


def write_summary(directory, **content):
    directory.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"scenario": "village", **COMMON, **content})
    (directory / "summary.json").write_text(text, encoding="utf-8")


def scheme_rows(scheme, cost):
    totals = {
        "total_cost": cost, "leader_cost": 0.4 * cost, "follower_cost": 0.7 * cost, "import": 5.0,
        "objective": cost, "bound": cost, "gap_eur": 0.0, "fallbacks": 0.0,
    }  # fmt: skip
    return [*(Row(TOTAL, k, v) for k, v in totals.items()), Row("mv1", "import", 5.0)]


def exchange_of(scheme):
    return pd.DataFrame({
        "scheme": scheme, "grid": "mv1", "start_h": [0.0, 1.0], "dt_h": 1.0, "p_mw": [2.0, 3.0],
    })  # fmt: skip


def sweep_rows():
    """Six points on a grid of PV scale and ceiling: three exact, of these two predicted."""
    verdicts = ("exact", "exact", "infeasible", "exact", "feasible", "infeasible")
    holds = (True, False, False, True, False, False)
    shares = (1e-9, 2e-9, 0.1, 1e-9, 0.2, 0.5)
    points, steps, lines = [], [], []
    for k, verdict in enumerate(verdicts):
        known = {
            "price_condition": True, "voltage_condition": holds[k], "line_condition": True,
            "predicted_exact": holds[k],
        }  # fmt: skip
        points.append({
            "point": k, "pv_scale": float(k % 3), "load_scale": 1.0,
            "vm_max_pu": 1.05 + 0.05 * (k // 3), "battery_scale": 1.0, "status": "optimal",
            "reason": "", "verdict": verdict, "max_fictitious_loss_share": shares[k],
            "build_s": 0.1, "solve_s": 0.2, "certify_s": 0.3, **known,
        })  # fmt: skip
        steps.append({"point": k, "step": 0, "verdict": verdict, **known})
        lines += [
            {"point": k, "line": f"line {n}", "inexact_steps": int(n == 12 and verdict != "exact"),
             "c1_fails": False}
            for n in FEEDER.branch_index
        ]  # fmt: skip
    return {"points": points, "steps": steps, "lines": lines}


def kpi_rows(regrets=REGRETS, scheme="bottom_up", level=1.0):
    """Costs of members with errors and under perfect foresight, and their differences."""
    key = {"error_level": level, "scheme": scheme, "grid": TOTAL}
    rows = []
    for member, regret in enumerate(regrets):
        for variant, cost in (("perfect", 1000.0), ("scenario", 1000.0 + regret)):
            own = {**key, "variant": variant, "member": member}
            rows.append({**own, "kpi": "cost", "unit": "EUR", "value": cost})
            imbalance = 0.0 if variant == "perfect" else 2.0 + member
            for grid in (TOTAL, "mv1"):
                told = {"kpi": "imbalance", "unit": "MWh", "value": imbalance}
                rows.append({**own, **told, "grid": grid})
            beyond = {"kpi": "intervals_beyond_limits", "unit": "1", "value": 0.0}
            rows.append({**own, **beyond})
        for kpi, unit, value in (
            ("regret", "EUR", regret), ("regret_percent", "%", 0.1 * regret)
        ):  # fmt: skip
            told = {"variant": "scenario", "member": member, "kpi": kpi, "unit": unit}
            rows.append({**key, **told, "value": value})
    return rows
