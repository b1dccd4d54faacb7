"""Certificates of a whole run, balanced and phase by phase: tables and summary say the same."""

import json

import numpy as np
import pytest

from stackelgrid.scenarios.schema.load import load_scenario

GRIDS = ("mv1", "lv1")
JUDGED = (
    "cone_gap_pu", "fictitious_loss_mw", "fictitious_loss_share", "voltage_error_pu",
    "loss_error_mw", "import_error_mw", "violation_pu", "worst", "verdict", "verdict_three_phase",
    "violation_three_phase_pu", "worst_three_phase", "unbalance_pu", "unbalance_percent",
)  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory, tables_of, called):
    """`quick` with a three-phase view, by the command: tables by name and the summary."""
    directory = tmp_path_factory.mktemp("phases") / "out"
    overrides = ("certificate.three_phase=true", "time.intervals=2")
    settings = [part for o in overrides for part in ("--set", o)]
    done = called("run", "quick", "--out", directory, *settings, "--no-report")
    assert done.status == 0, done.stderr
    assert "phase by phase: 2 feasible; at most" in done.stderr
    summary = json.loads((directory / "summary.json").read_text(encoding="utf-8"))
    assert summary["status"] == "done"
    assert summary["intervals_fallback"] == 0
    return tables_of(directory), summary


@pytest.fixture(scope="module")
def tables(run):
    return run[0]


def by(table, *keys):
    return table.set_index(list(keys)).sort_index()


def test_every_step_of_every_plan_has_a_row(tables):
    steps = sum(s.count for s in load_scenario("quick").scenario.horizon.steps)
    table = tables["certificate"]
    assert len(table) == 2 * len(GRIDS) * steps
    for _, rows in table.groupby(["interval", "grid"]):
        assert rows.step.tolist() == list(range(steps))
    plan = tables["schedule"]
    plan = plan[plan.element == "boundary"]
    np.testing.assert_array_equal(
        by(table, "interval", "grid", "step").dt_h, by(plan, "interval", "grid", "step").dt_h
    )


def test_the_applied_step_says_the_same_in_both_tables(tables):
    first = by(tables["certificate"].query("step == 0"), "interval", "grid")
    interval = by(tables["interval"], "interval", "grid")
    assert len(first) == len(interval) == 4
    for column in JUDGED:
        a, b = first[column].to_numpy(), interval[column].to_numpy()
        np.testing.assert_array_equal(a, b, err_msg=column)
    assert (interval.verdict == "exact").all()
    assert (interval.loc[(slice(None), "lv1"), "verdict_three_phase"] == "feasible").all()
    assert (interval.loc[(slice(None), "mv1"), "verdict_three_phase"] == "").all()


def test_the_horizon_in_an_interval_is_that_of_its_steps(tables):
    steps = tables["certificate"].groupby(["interval", "grid"])
    interval = by(tables["interval"], "interval", "grid")
    counted = steps.verdict.value_counts().unstack(fill_value=0).get("exact")
    np.testing.assert_array_equal(interval.horizon_exact, counted)
    assert (interval.horizon_exact == 11).all()
    np.testing.assert_array_equal(interval.horizon_cone_gap_pu, steps.cone_gap_pu.max())
    np.testing.assert_array_equal(
        interval.horizon_fictitious_loss_share, steps.fictitious_loss_share.max()
    )
    np.testing.assert_array_equal(interval.horizon_violation_pu, steps.violation_pu.max())


def test_phases_are_of_lv_grids_only_and_make_the_extremes(tables):
    phase = tables["phase"]
    assert set(phase.grid) == {"lv1"}
    buses = tables["bus"].query("grid == 'lv1'")
    assert len(phase) == len(buses)
    interval = by(tables["interval"].query("grid == 'lv1'"), "interval")
    found = phase.groupby("interval")
    for name in "abc":
        np.testing.assert_array_equal(
            interval[f"min_vm_{name}_pu"], found[f"vm_{name}_pu"].min()
        )  # fmt: skip
        np.testing.assert_array_equal(interval[f"max_vm_{name}_pu"], found[f"vm_{name}_pu"].max())
    np.testing.assert_array_equal(interval.unbalance_percent, found.unbalance_percent.max())
    # what no balanced model sees: a phase's voltage less the balanced one at the same injections
    joined = by(phase, "interval", "bus").join(by(buses, "interval", "bus").vm_certified_pu)
    apart = joined[["vm_a_pu", "vm_b_pu", "vm_c_pu"]].sub(joined.vm_certified_pu, axis=0).abs()
    largest = apart.max(axis=1).groupby("interval").max()
    np.testing.assert_allclose(interval.unbalance_pu, largest, rtol=0, atol=1e-12)
    assert (interval.unbalance_pu > 1e-3).all()


def test_plans_and_reality_are_told_apart_bus_by_bus(tables):
    bus, interval = tables["bus"], by(tables["interval"], "interval", "grid")
    apart = (bus.vm_planned_pu - bus.vm_certified_pu).abs()
    error = apart.groupby([bus.interval, bus.grid]).max()
    np.testing.assert_allclose(interval.voltage_error_pu, error, atol=1e-12)
    change = (bus.vm_pu - bus.vm_certified_pu).abs().groupby([bus.interval, bus.grid]).max()
    np.testing.assert_array_equal(interval.realised_voltage_change_pu, change)
    branch = tables["branch"].groupby(["interval", "grid"])
    np.testing.assert_array_equal(interval.cone_gap_pu, branch.cone_gap_pu.max())
    assert branch.loading_certified_percent.max().between(1.0, 100.0).all()


def test_the_summary_agrees_with_the_tables(run):
    tables, summary = run
    interval, found = tables["interval"], summary["certificate"]
    assert [found[v] for v in ("exact", "feasible", "infeasible", "recovered")] == [2, 0, 0, 0]
    for key, column in (
        ("max_cone_gap_pu", "cone_gap_pu"), ("max_voltage_error_pu", "voltage_error_pu"),
        ("max_fictitious_loss_share", "fictitious_loss_share"),
        ("max_loss_error_mw", "loss_error_mw"), ("max_violation_pu", "violation_pu"),
    ):  # fmt: skip
        assert found[key] == interval[column].max()
    assert found["horizon"]["exact"] == len(tables["certificate"])
    assert found["horizon"]["max_cone_gap_pu"] == tables["certificate"].cone_gap_pu.max()
    assert found["three_phase"] == {
        "feasible": 2, "infeasible": 0, "max_violation_pu": 0.0,
        "max_unbalance_pu": interval.unbalance_pu.max(),
        "max_unbalance_percent": interval.unbalance_percent.max(),
    }  # fmt: skip
    assert found["transmission"] is None
    assert found["recovery"]["exact_before"] == 2
    assert (found["recovery"]["decisions"], found["recovery"]["rungs"]) == (0, {})
    assert found["realised"]["intervals_beyond_limits"] == 0
    assert found["realised"]["max_violation_pu"] == interval.realised_violation_pu.max() == 0.0
    assert 0.0 < summary["certificate_s"] < summary["wall_s"]


def test_without_the_view_there_are_no_phases(quick):
    assert len(quick.tables["phase"]) == 0
    assert quick.summary["certificate"]["three_phase"] is None
    assert set(quick.tables["interval"].verdict_three_phase) == {""}
    assert quick.tables["interval"].unbalance_pu.isna().all()


def test_a_customer_without_a_phase_is_refused(command, write_scenario):
    view = ("--set", "certificate.three_phase=true")
    outcome = command("validate", write_scenario("villages"), *view)
    assert outcome.status == 2
    message = outcome.stderr.strip()
    assert "\n" not in message
    assert "lv1" in message
    assert "states no phase, which a three-phase view needs; give `phase` a, b, c or" in message
    assert command("validate", write_scenario("villages")).status == 0
