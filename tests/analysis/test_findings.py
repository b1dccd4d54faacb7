from dataclasses import replace

import numpy as np
import pytest
from support.run_rows import NAN, judged, limits, run_of, voltages

from stackelgrid.analysis.results.axes import Clock, clock
from stackelgrid.analysis.results.findings import Findings, Place, findings, sentence, violations
from stackelgrid.controllers.explanation import Violated

WHEN = Clock(
    np.arange(96),
    np.datetime64("2025-06-20T00:00", "s") + np.arange(97) * np.timedelta64(900, "s"),
    "time (Europe/Berlin)",
)
GOOD = Findings(
    planned=96,
    done=96,
    status="done",
    cost_eur=12345.4,
    beyond_in_reality=0,
    infeasible=0,
    infeasible_phases=0,
    inexact=0,
    uncertified=0,
    fallbacks=0,
    recovered=0,
    worst=None,
)
BUS = Violated("reality", "bus 17", 0.007, "1.0570 p.u. against 1.05 p.u.")
WORST = Place(73, "mv2", BUS)
COST = "; cost 12,345 EUR."


@pytest.mark.parametrize(
    ("change", "state", "told"),
    [
        ({}, "good", f"All 96 intervals were exact and within limits{COST}"),
        (
            {"recovered": 3},
            "good",
            f"All 96 intervals were exact and within limits, 3 after a recovery{COST}",
        ),
        (
            {"beyond_in_reality": 3, "worst": WORST},
            "bad",
            "3 of 96 intervals beyond limits in reality (worst: bus 17 of mv2 at 18:15, "
            f"1.0570 p.u. against 1.05 p.u.){COST}",
        ),
        (
            {"infeasible_phases": 2, "worst": replace(WORST, violated=replace(BUS, view="phases"))},
            "bad",
            "Plan beyond limits phase by phase in 2 of 96 intervals (worst: bus 17 of mv2 at "
            f"18:15, 1.0570 p.u. against 1.05 p.u.){COST}",
        ),
        (
            {"fallbacks": 1, "inexact": 2},
            "warning",
            "1 of 96 intervals by fallback, 2 of 96 intervals feasible but not exact, all within "
            f"limits{COST}",
        ),
        (
            {"done": 1, "planned": 1, "fallbacks": 1, "inexact": 1},
            "warning",
            "The interval was by fallback, the interval was feasible but not exact, within "
            f"limits{COST}",
        ),
        (
            {"uncertified": 96},
            "warning",
            f"96 of 96 intervals without a certificate, all within limits{COST}",
        ),
        (
            {"done": 28, "status": "interrupted"},
            "warning",
            "Interrupted after 28 of 96 intervals: all 28 intervals were exact and within limits"
            f"{COST}",
        ),
        (
            {"done": 1, "status": "running"},
            "good",
            f"Going on, 1 of 96 intervals done: the interval was exact and within limits{COST}",
        ),
        (
            {"cost_eur": NAN},
            "good",
            "All 96 intervals were exact and within limits; cost not known.",
        ),
        (
            {"done": 0, "status": "interrupted"},
            "warning",
            "Interrupted after 0 of 96 intervals: no interval is on record yet.",
        ),
    ],
)
def test_the_verdict_says_what_is_wrong_and_where(change, state, told):
    found = replace(GOOD, **change)
    assert found.state == state
    assert sentence(found, WHEN) == told


GRIDS = {"tn": ("transmission", None, 1), "lv1": ("lv", "tn", 1)}
SUMMARY = {"intervals_planned": 2, "cost_eur": {"total": 10.0}}
COLLAPSE = "AC power flow diverged; solvable up to 80.0 % of the power"


def test_a_plan_without_a_power_flow_is_the_worst_of_all_plans():
    rows = [
        judged(0, "lv1", verdict="infeasible", violation_pu=0.02, worst="bus 3"),
        judged(
            1, "lv1", verdict="infeasible", violation_pu=NAN, worst=f"grid lv1: {COLLAPSE}",
            verdict_three_phase="infeasible", worst_three_phase="three-phase power flow diverged",
        ),
    ]  # fmt: skip
    run = run_of(GRIDS, summary=SUMMARY, interval=rows)
    found = findings(run)
    assert found.infeasible == 2
    assert found.worst == Place(1, "lv1", Violated("plan", "", np.inf, COLLAPSE))
    assert sentence(found, clock(run)) == (
        f"Plan infeasible in 2 of 2 intervals (worst: lv1 at 12:15, {COLLAPSE}), plan beyond "
        "limits phase by phase in 1; cost 10 EUR."
    )
    first, second = violations(run, run.interval)
    assert list(first) == ["plan"]
    assert second["phases"].value == "three-phase power flow diverged"


def test_what_happened_comes_before_a_plan_without_a_power_flow():
    rows = [
        judged(0, "lv1", verdict="infeasible", violation_pu=NAN, worst=COLLAPSE),
        judged(1, "lv1", realised_violation_pu=0.2, realised_worst="line 4"),
    ]
    found = findings(run_of(GRIDS, summary=SUMMARY, interval=rows))
    above = Violated("reality", "line 4", 0.2, "20.0% above its rating")
    assert found.worst == Place(1, "lv1", above)


@pytest.mark.parametrize(
    ("worst", "element", "value"),
    [
        ("bus 5 at 1.0612 p.u.", "bus 5", "1.0612 p.u. against 1.06 p.u."),
        ("bus 6 at 0.9312 p.u.", "bus 6", "0.9312 p.u., beyond its limit"),  # no limit is known
        ("gen 2 at 30.10 MVAr", "gen 2", "30.10 MVAr, beyond its limit"),
        ("ext_grid 0 at 90.00 MW", "ext_grid 0", "90.00 MW, beyond its limit"),
        (
            "line 3 at 104.2 % of its limit (DC 98.0 %)",
            "line 3",
            "104.2 % of its limit (DC 98.0 %)",
        ),
    ],
)
def test_places_of_a_dispatch_are_told_in_its_units(tmp_path, worst, element, value):
    row = judged(
        0, "tn", level="transmission", verdict="infeasible", violation_pu=0.011, worst=worst
    )
    run = run_of(
        GRIDS, directory=tmp_path, summary=SUMMARY, interval=[row],
        network=limits("tn", NAN, 1.06, [5]) + limits("tn", NAN, NAN, [6]),
        bus=voltages(0, "tn", {5: 1.0612, 6: 0.9312}, "vm_certified_pu"),
    )  # fmt: skip
    (found,) = violations(run, run.interval)
    assert found == {"plan": Violated("plan", element, 0.011, value)}
    worst = findings(run).worst
    assert worst == Place(0, "tn", found["plan"])
    assert worst.text(clock(run)) == f"{element} of tn at 12:00, {value}"
