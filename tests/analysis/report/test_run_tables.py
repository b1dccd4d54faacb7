"""The table of the worst intervals: what was violated, and why."""

import pytest
from support.run_rows import NAN, judged, run_of

from stackelgrid.analysis.figures import certificates
from stackelgrid.analysis.report.run_tables import worst_table
from stackelgrid.analysis.results.axes import clock

GRIDS = {"tn": ("transmission", None, 1), "lv1": ("lv", "tn", 1)}
REAL = {"realised_violation_pu": 0.01, "realised_worst": "line 4"}
DIVERGED = {"verdict": "infeasible", "violation_pu": NAN, "worst": "AC power flow diverged"}


def table(*rows):
    run = run_of(GRIDS, interval=rows)
    return worst_table(run, clock(run))


@pytest.mark.parametrize(
    ("row", "beyond", "why"),
    [
        (
            judged(0, "lv1", **REAL),
            "in reality line 4: 1.0% above its rating",
            "the plan held the limits, reality differs by up to 0.004 p.u.",
        ),
        (
            judged(0, "lv1", verdict="", violation_pu=NAN, realised_voltage_change_pu=NAN, **REAL),
            "in reality line 4: 1.0% above its rating",
            "the controller gives no certificate",
        ),
        (
            judged(0, "lv1", **REAL, **DIVERGED),
            "in reality line 4: 1.0% above its rating; planned AC power flow diverged",
            "",
        ),
        (
            judged(
                0, "tn", level="transmission", verdict="infeasible", violation_pu=0.042,
                worst="line 3 at 104.2 % of its limit (DC 98.0 %)", cone_gap_pu=NAN,
                fictitious_loss_share=NAN,
            ),
            "planned line 3: 104.2 % of its limit (DC 98.0 %)",
            "DC neglects losses, voltages and reactive power",
        ),
        (
            judged(
                0, "tn", level="transmission", verdict="feasible", cone_gap_pu=NAN,
                fictitious_loss_share=NAN, **REAL,
            ),
            "in reality line 4: 1.0% above its rating",
            "the plan held the limits, reality differs by up to 0.004 p.u.",
        ),
        (
            judged(
                0, "lv1", verdict_three_phase="infeasible", violation_three_phase_pu=0.02,
                worst_three_phase="bus 9 phase b",
            ),
            "planned, by phase bus 9 phase b: 0.02 p.u. beyond the limit",
            "balanced within limits, phase by phase not",
        ),
        (
            judged(0, "lv1", verdict="feasible", fictitious_loss_share=NAN, cone_gap_pu=NAN),
            "nothing",
            "a schedule without flows: nothing to be exact",
        ),
        (
            judged(
                0, "lv1", recovery="last_good", verdict_before="infeasible",
                recovery_tried="last_good x 1", violation_before_pu=float("inf"),
            ),
            "nothing",
            "recovered by last good (at first infeasible, its AC power flow diverged)",
        ),
    ],
    ids=[
        "reality", "uncertified", "diverged", "dispatch", "dispatch in reality", "phases",
        "fallback", "recovered",
    ],
)  # fmt: skip
def test_a_bad_interval_has_its_place_and_reason(row, beyond, why):
    ((_, _, _, told, reason),) = table(row).rows
    assert told == beyond
    assert reason == why


def test_the_worst_are_told_whole_however_many_there_are():
    # a real violation in each of 300 intervals must not hide what was planned in the worst
    rows = [judged(k, "lv1", **REAL) for k in range(300)]
    rows[7] |= {"verdict": "infeasible", "violation_pu": 0.5, "worst": "line 8"}
    rows[9] |= DIVERGED
    told = table(*rows)
    assert [row[0] for row in told.rows[:2]] == ["20 Jun 14:15", "20 Jun 13:45"]
    assert told.rows[0][3].endswith("; planned AC power flow diverged")
    assert told.rows[1][3].endswith("; planned line 8: 50.0% above its rating")
    assert told.note == "288 more are in interval.parquet."


def test_nothing_is_worst_where_all_was_well():
    assert table(judged(0, "lv1")) is None


def test_a_diverged_plan_is_in_the_figures_of_the_certificate():
    rows = [
        judged(0, "lv1", violation_pu=0.01, verdict="infeasible", worst="bus 3"),
        judged(1, "lv1", **DIVERGED),
        judged(0, "tn", level="transmission", verdict="feasible"),
        judged(1, "tn", level="transmission", verdict="feasible"),
    ]
    run = run_of(GRIDS, interval=rows)
    traces = {trace.name: trace for trace in certificates.violations(run).data}
    assert traces["planned"].y[0] == 0.01
    assert list(traces["planned, diverged"].x) == [clock(run).middles[1]]
    strip = certificates.certificate_strip(run).data[0]
    assert strip.text[list(strip.y).index("lv1")][1] == "infeasible, AC power flow diverged"
