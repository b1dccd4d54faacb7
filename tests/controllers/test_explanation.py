"""Why an interval, a plan or a point is not good: every verdict and reason, from a row."""

import re

import pytest

from stackelgrid.controllers.explanation import (
    explanation,
    point_explanation,
    reasons,
    severity,
    violated,
    worse_verdict,
)

NAN, INF = float("nan"), float("inf")
GOOD = {
    "grid": "lv1", "level": "lv", "verdict": "exact", "violation_pu": 0.0, "worst": "",
    "fictitious_loss_share": 1e-9, "voltage_error_pu": 1e-9, "verdict_three_phase": "",
    "violation_three_phase_pu": NAN, "worst_three_phase": "", "recovery": "", "recovery_tried": "",
    "verdict_before": "", "violation_before_pu": NAN, "fallback": False, "fallback_reason": "",
    "realised_violation_pu": 0.0, "realised_worst": "", "realised_voltage_change_pu": 0.004,
}  # fmt: skip
COLLAPSE = "AC power flow diverged; solvable up to 80.0 % of the power"
TN = {"level": "transmission", "fictitious_loss_share": NAN, "voltage_error_pu": NAN}
NO_FLOWS = {"fictitious_loss_share": NAN, "voltage_error_pu": NAN}

CASES = {
    "exact": ({}, (0, 0.0), ""),
    "a dispatch within limits": ({**TN, "verdict": "feasible"}, (0, 0.0), ""),
    "an exact dispatch": (TN, (0, 0.0), ""),
    "within the tolerance of a power flow": ({"realised_violation_pu": 3e-8}, (0, 0.0), ""),
    "within limits by phase": (
        {"verdict_three_phase": "feasible", "violation_three_phase_pu": 0.0}, (0, 0.0), "",
    ),
    "fictitious losses": (
        {"verdict": "feasible", "fictitious_loss_share": 0.25}, (1, 0.0),
        "relaxation not tight: fictitious losses of 0.25 of the load",
    ),
    "voltages": (
        {"verdict": "feasible", "voltage_error_pu": 0.0021}, (1, 0.0),
        "planned voltages differ from AC by up to 0.0021 p.u.",
    ),
    "no flows": (
        {"verdict": "feasible", **NO_FLOWS}, (1, 0.0),
        "a schedule without flows: nothing to be exact",
    ),
    "a bus": (
        {"verdict": "infeasible", "violation_pu": 0.0123, "worst": "bus 17"}, (2, 0.0123),
        "planned bus 17: 0.012 p.u. beyond the limit",
    ),
    "a line": (
        {"verdict": "infeasible", "violation_pu": 0.042, "worst": "line 3"}, (2, 0.042),
        "planned line 3: 4.2% above its rating",
    ),
    "a line with open cones": (
        {"verdict": "infeasible", "violation_pu": 0.5, "worst": "trafo 0",
         "fictitious_loss_share": 0.1}, (2, 0.5),
        "planned trafo 0: 50.0% above its rating; relaxation not tight: fictitious losses of 0.1 "
        "of the load",
    ),
    "a line of a dispatch": (
        {**TN, "verdict": "infeasible", "violation_pu": 0.042,
         "worst": "line 3 at 104.2 % of its limit (DC 98.0 %)"}, (2, 0.042),
        "planned line 3: 104.2 % of its limit (DC 98.0 %); DC neglects losses, voltages and "
        "reactive power",
    ),
    "a generator of a dispatch": (
        {**TN, "verdict": "infeasible", "violation_pu": 0.3, "worst": "gen 2 at 30.10 MVAr"},
        (2, 0.3),
        "planned gen 2: 30.10 MVAr, beyond its limit; DC neglects losses, voltages and reactive "
        "power",
    ),
    "a diverged plan": (
        {"verdict": "infeasible", "violation_pu": NAN, "worst": f"grid lv1: {COLLAPSE}",
         **NO_FLOWS}, (2, INF), f"planned {COLLAPSE}",
    ),
    "a diverged plan without a reason": (
        {"verdict": "infeasible", "violation_pu": NAN}, (2, INF), "planned AC power flow diverged",
    ),
    "an infinite violation": (
        {"verdict": "infeasible", "violation_pu": INF, "worst": "bus 3"}, (2, INF),
        "planned AC power flow diverged",
    ),
    "a phase": (
        {"verdict_three_phase": "infeasible", "violation_three_phase_pu": 0.02,
         "worst_three_phase": "bus 9 phase b"}, (2, 0.02),
        "planned, by phase bus 9 phase b: 0.02 p.u. beyond the limit; balanced within limits, "
        "phase by phase not",
    ),
    "a diverged three-phase plan": (
        {"verdict_three_phase": "infeasible", "violation_three_phase_pu": NAN,
         "worst_three_phase": "three-phase power flow diverged"}, (2, INF),
        "planned, by phase three-phase power flow diverged; balanced within limits, phase by "
        "phase not",
    ),
    "reality": (
        {"realised_violation_pu": 2e-4, "realised_worst": "bus 4"}, (3, 2e-4),
        "in reality bus 4: 0.0002 p.u. beyond the limit; the plan held the limits, reality "
        "differs by up to 0.004 p.u.",
    ),
    "reality as planned": (
        {"realised_violation_pu": 0.01, "realised_worst": "line 4", "verdict": "infeasible",
         "violation_pu": 0.01, "worst": "line 4"}, (3, 0.01),
        "in reality and planned line 4: 1.0% above its rating",
    ),
    "reality without a solution": (
        {"realised_violation_pu": NAN, "realised_voltage_change_pu": NAN}, (3, INF),
        "in reality AC power flow diverged; the plan held the limits",
    ),
    "no certificate": (
        {"verdict": "", "violation_pu": NAN, **NO_FLOWS}, (0, 0.0),
        "the controller gives no certificate",
    ),
    "reality without a certificate": (
        {"verdict": "", "violation_pu": NAN, "realised_violation_pu": 0.01,
         "realised_worst": "line 4"}, (3, 0.01),
        "in reality line 4: 1.0% above its rating; the controller gives no certificate",
    ),
    "a fallback": (
        {"verdict": "feasible", **NO_FLOWS, "fallback": True, "fallback_reason": "no solution"},
        (1, 0.0),
        "the last schedule is kept: no solution; a schedule without flows: nothing to be exact",
    ),
    "a mended plan": (
        {"recovery": "loss_price", "recovery_tried": "loss_price x 1", "verdict_before": "feasible",
         "violation_before_pu": 0.0}, (0, 0.0), "recovered by loss price (at first feasible)",
    ),
    "a mended violation": (
        {"recovery": "pv_curtailment", "verdict_before": "infeasible",
         "violation_before_pu": 0.0123}, (0, 0.0),
        "recovered by PV curtailment (at first infeasible, 0.012 beyond a limit, in p.u. or as a "
        "share of a rating)",
    ),
    "a mended plan that had diverged": (
        {"recovery": "last_good_schedule", "verdict_before": "infeasible",
         "violation_before_pu": INF}, (0, 0.0),
        "recovered by last good schedule (at first infeasible, its AC power flow diverged)",
    ),
    "a plan that could not be mended": (
        {"verdict": "infeasible", "violation_pu": 0.02, "worst": "bus 3",
         "recovery_tried": "loss_price x 5, pv_curtailment x 1"}, (2, 0.02),
        "planned bus 3: 0.02 p.u. beyond the limit; recovery tried (loss price x 5, PV "
        "curtailment x 1), nothing was better",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "rank", "text"), CASES.values(), ids=CASES)
def test_a_row_has_its_sentence_and_rank(change, rank, text):
    row = GOOD | change
    assert explanation(row) == text
    assert severity(row) == rank
    assert not re.search(r"\b(nan|inf)\b", explanation(row))


def test_a_diverged_plan_names_no_element():
    row = GOOD | {"verdict": "infeasible", "violation_pu": NAN, "worst": f"grid lv1: {COLLAPSE}"}
    (found,) = violated(row).values()
    assert (found.view, found.element, found.violation_pu) == ("plan", "", INF)


def test_a_step_of_a_horizon_has_no_reality():
    """Rows of certificate.parquet know neither what happened nor what was decided before."""
    row = {
        "grid": "lv1", "step": 2, "verdict": "infeasible", "violation_pu": 0.1, "worst": "bus 1",
        "fictitious_loss_share": 1e-9, "voltage_error_pu": 1e-9, "verdict_three_phase": "",
    }  # fmt: skip
    assert explanation(row) == "planned bus 1: 0.1 p.u. beyond the limit"
    assert reasons(row) == []


@pytest.mark.parametrize(
    ("balanced", "phases", "worse"),
    [
        ("exact", "", "exact"),
        ("exact", "feasible", "exact"),
        ("exact", "infeasible", "infeasible"),
        ("infeasible", "feasible", "infeasible"),
        ("", "", ""),
    ],
)
def test_the_worse_view_judges_a_plan(balanced, phases, worse):
    assert worse_verdict({"verdict": balanced, "verdict_three_phase": phases}) == worse


POINT = {
    "status": "optimal", "reason": "", "steps": 14, "steps_infeasible": 0, "verdict": "exact",
    "max_violation_pu": 0.0, "max_fictitious_loss_share": 1e-9, "max_voltage_error_pu": 1e-9,
    "worst_line": "", "worst_step": NAN,
}  # fmt: skip
OPEN = {"max_fictitious_loss_share": 0.5, "worst_line": "line 17", "worst_step": 10.0}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({}, ""),
        (
            {"verdict": "", "status": "infeasible", "reason": "limits in conflict: bus 3",
             "max_violation_pu": NAN},
            "infeasible: limits in conflict: bus 3",
        ),
        ({"verdict": "", "status": "failed", "max_violation_pu": NAN}, "failed"),
        (
            {"verdict": "feasible", **OPEN},
            "relaxation not tight: fictitious losses of 0.5 of the load; line 17 loses most, in "
            "step 10",
        ),
        (
            {"verdict": "infeasible", "steps_infeasible": 3, "max_violation_pu": 0.021, **OPEN},
            "3 of 14 steps infeasible (at most 0.021 beyond a limit, in p.u. or as a share of a "
            "rating); relaxation not tight: fictitious losses of 0.5 of the load; line 17 loses "
            "most, in step 10",
        ),
        (
            {"verdict": "infeasible", "steps_infeasible": 1, "max_violation_pu": NAN,
             "max_voltage_error_pu": NAN},
            "1 of 14 steps infeasible (AC power flow diverged)",
        ),
    ],
    ids=["exact", "unsolved", "failed", "open", "infeasible", "diverged"],
)  # fmt: skip
def test_a_point_has_its_sentence(change, text):
    assert point_explanation(POINT | change) == text
