"""Certificates in tables and totals, from certificates made by hand."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from support.records import schedule_of

from stackelgrid.controllers.networks.limits import GridLimits
from stackelgrid.controllers.networks.order import NetOrder
from stackelgrid.controllers.schedule import Plan, SolveReport
from stackelgrid.controllers.verdict import (
    Certificate,
    PhaseView,
    Recovery,
    TransmissionCertificate,
)
from stackelgrid.simulators.results.grid_interval import GridInterval
from stackelgrid.simulators.results.grid_tables import BRANCH, BUS
from stackelgrid.simulators.results.interval_table import CERTIFICATE, INTERVAL, PHASE, steps_of
from stackelgrid.simulators.results.tables import KeptRows
from stackelgrid.simulators.results.totals import certificate_section, largest_known

NAN = float("nan")
STEPS = 2
# a network of three buses and two branches; the net has them in another order
ORDER = NetOrder(bus=np.array([2, 0, 1]), branch=np.array([1, 0]))
LIMITS = GridLimits(
    bus_name=("bus 0", "bus 1", "bus 2"),
    vm_min_pu=np.full(3, 0.9),
    vm_max_pu=np.full(3, 1.1),
    branch_name=("line 0", "line 1"),
    loading_max_percent=np.array([np.inf, 80.0]),
)


def certificate(phases=None, verdict=("exact", "infeasible")):
    """Two steps: the first is well, at the second 0.3 MW are burnt and bus 2 is too high."""
    return Certificate(
        verdict=verdict,
        cone_gap_pu=np.array([[1e-9, 0.2], [2e-9, 0.1]]),
        fictitious_loss_mw=np.array([[1e-9, 0.3], [-1e-9, -1e-9]]),
        fictitious_loss_share=np.array([1e-9, 0.15]),
        vm_planned_pu=np.array([[1.0, 1.0], [1.01, 1.02], [1.02, 1.03]]),
        vm_pu=np.array([[1.0, 1.0], [1.01, 1.05], [1.02, 1.13]]),
        loading=np.array([[0.5, 0.6], [NAN, NAN]]),
        loss_planned_mw=np.array([0.02, 0.32]),
        loss_mw=np.array([0.02, 0.05]),
        import_error_mw=np.array([1e-9, 0.27]),
        import_error_mvar=np.zeros(2),
        violation_pu=np.array([0.0, 0.03]),
        worst=("", "bus 2"),
        phases=phases,
    )


def phase_view():
    """Phase b of bus 2 is 0.02 above the limit at the first step, all is well at the second."""
    vm = np.broadcast_to(np.array([[1.0], [1.01], [1.02]]), (3, 3, STEPS)).copy()
    vm[1, 2, 0], vm[2, 1, 0] = 1.12, 0.97
    return PhaseView(
        verdict=("infeasible", "feasible"),
        vm_pu=vm,
        unbalance_percent=np.array([[0.0, 0.0], [0.4, 0.1], [1.5, 0.2]]),
        loading=np.full((2, STEPS), NAN),
        unbalance_pu=np.array([0.1, 0.0]),
        violation_pu=np.array([0.02, 0.0]),
        worst=("bus 2 phase b", ""),
    )


def dispatch_certificate():
    """AC loses 2 and 3 MW that the dispatch neglects; a line is overloaded at the second step."""
    one, none = np.zeros(STEPS), np.full(STEPS, -1)
    return TransmissionCertificate(
        verdict=("feasible", "infeasible"),
        loss_mw=np.array([2.0, 3.0]),
        loss_share=np.array([0.01, 0.015]),
        slack_p_mw=np.array([30.0, 31.0]),
        slack_deviation_mw=np.array([2.0, -3.5]),
        slack_violation_mw=one,
        vm_pu=np.array([[1.0, 1.0], [0.99, 0.98], [1.02, 1.03]]),
        vm_bus=none,
        vm_violation_pu=one,
        loading=np.array([[0.9, 1.2], [0.0, 0.0]]),
        dc_loading=np.array([[0.8, 0.9], [0.0, 0.0]]),
        branch=np.array([0, 0]),
        rating_violation=np.array([0.0, 0.2]),
        unit_q_mvar=np.zeros((2, STEPS)),
        reactive_unit=("", ""),
        reactive_violation_mvar=one,
        violation_pu=np.array([0.0, 0.2]),
        worst=("", "line 4"),
    )


def mended(cost_eur=1.5, used="loss_price"):
    judged = certificate()
    tried = (("loss_price", 1), ("tightened_limits", 3))
    return Recovery(used, tried, judged, cost_eur)


def plan_of(judged=None, step=0, **parts):
    """A plan without devices."""
    nothing = [np.zeros((0, STEPS))] * 6
    schedule = schedule_of(0, np.array([0.25, 1.0]), np.zeros(2), np.zeros(2), *nothing)
    report = SolveReport("clarabel", "optimal", 0.0, 0.0, 0.0, 1, 0.0)
    known = judged or parts.get("transmission")
    verdict = known.step(step) if known is not None else None
    points = schedule.set_points(step)
    return Plan(schedule, points, report, verdict, step, certificate=judged, **parts)


# columns of interval.parquet on the plan
OF_PLANS = [
    c for g in INTERVAL.groups if g.title.startswith("plan") or g.title == "recovery"
    for c in g.columns
]  # fmt: skip


def certificate_columns(plan):
    """The columns of interval.parquet on a plan."""
    source = GridInterval(grid=None, seen={"plan": plan})
    return SimpleNamespace(**{column.name: column.of(source) for column in OF_PLANS})


def filled(table, source):
    """The rows of a table from one source (or several), as arrays."""
    sources = source if isinstance(source, list) else [source]
    rows = table.rows(0, np.datetime64(0, "ms"), [("lv1", one) for one in sources])
    return {name: np.asarray(values) for name, values in rows.items()}


def in_net(plan, buses=3, bus_index=(7, 4, 9)):
    """A grid whose net has its buses and branches in another order than its network."""
    grid = SimpleNamespace(
        bus_index=range(buses), branches=[("line", 0), ("line", 1)], order=ORDER, limits=LIMITS,
        network_bus_index=bus_index,
    )  # fmt: skip
    return GridInterval(grid=grid, seen={"plan": plan})


def on_plans(table, source, *names):
    """The values of some columns in the rows of a source."""
    return {c.name: c.of(source) for c in table.columns if c.name in names}


# ------------------------------------------------------------------ interval.parquet


def test_the_applied_step_and_the_horizon_are_told_apart():
    c = certificate_columns(plan_of(certificate()))
    assert (c.verdict, c.violation_pu, c.worst) == ("exact", 0.0, "")
    assert c.cone_gap_pu == 2e-9
    assert c.fictitious_loss_mw == 1e-9  # what is negative by rounding gives nothing back
    assert c.voltage_error_pu == 0.0
    assert (c.horizon_exact, c.horizon_feasible, c.horizon_infeasible) == (1, 0, 1)
    assert c.horizon_cone_gap_pu == 0.2
    assert c.horizon_fictitious_loss_share == 0.15
    assert c.horizon_violation_pu == 0.03


def test_a_later_step_of_a_day_ahead_plan_repeats_neither_horizon_nor_cost():
    plan = plan_of(certificate(phase_view()), recovery=mended())
    first, later = certificate_columns(plan), certificate_columns(plan.at_step(1))
    assert (first.recovery, first.recovery_decisions, first.horizon_infeasible) == (
        "loss_price", 4, 1,
    )  # fmt: skip
    assert first.horizon_infeasible_three_phase == 1
    assert (later.verdict, later.worst) == ("infeasible", "bus 2")
    assert later.fictitious_loss_mw == pytest.approx(0.3)
    assert later.voltage_error_pu == pytest.approx(0.1)
    assert later.loss_error_mw == pytest.approx(0.27)
    assert later.verdict_three_phase == "feasible"
    assert (first.verdict_before, later.verdict_before) == ("exact", "infeasible")
    assert (first.violation_before_pu, later.violation_before_pu) == (0.0, 0.03)
    assert (later.recovery, later.recovery_decisions) == ("loss_price", 0)
    assert (later.horizon_exact, later.horizon_infeasible) == (0, 0)
    assert later.horizon_infeasible_three_phase == 0
    assert np.isnan(
        [later.recovery_eur, later.horizon_cone_gap_pu, later.horizon_violation_pu]
    ).all()


def test_recovery_is_told_with_what_was_found_and_tried():
    c = certificate_columns(plan_of(certificate(), recovery=mended()))
    assert c.recovery_tried == "loss_price x 1, tightened_limits x 3"
    assert (c.verdict_before, c.violation_before_pu, c.recovery_eur) == ("exact", 0.0, 1.5)


def test_phases_are_told_by_their_extremes():
    c = certificate_columns(plan_of(certificate(phase_view())))
    assert (c.verdict, c.verdict_three_phase) == ("exact", "infeasible")
    assert (c.violation_three_phase_pu, c.worst_three_phase) == (0.02, "bus 2 phase b")
    assert (c.unbalance_pu, c.unbalance_percent) == (0.1, 1.5)
    assert (c.min_vm_a_pu, c.min_vm_b_pu, c.min_vm_c_pu) == (1.0, 1.0, 0.97)
    assert (c.max_vm_a_pu, c.max_vm_b_pu, c.max_vm_c_pu) == (1.02, 1.12, 1.02)


def test_without_a_certificate_the_columns_are_empty():
    for plan in (None, plan_of()):
        c = certificate_columns(plan)
        assert {getattr(c, f.name) for f in OF_PLANS if f.type == "string"} == {""}
        floats = [getattr(c, f.name) for f in OF_PLANS if f.type == "double"]
        assert len(floats) > 20
        assert np.isnan(floats).all()


def test_a_schedule_without_flows_has_ac_values_only():
    judged = certificate()
    nothing = np.full((2, STEPS), NAN)
    held = replace(
        judged, cone_gap_pu=nothing, fictitious_loss_mw=nothing,
        fictitious_loss_share=np.full(STEPS, NAN), vm_planned_pu=np.full((3, STEPS), NAN),
        violation_pu=np.array([0.01, NAN]), worst=("bus 1", "diverged"),
        verdict=("infeasible", "infeasible"),
    )  # fmt: skip
    c = certificate_columns(plan_of(held))
    assert np.isnan([c.cone_gap_pu, c.voltage_error_pu, c.horizon_cone_gap_pu]).all()
    assert np.isnan(c.fictitious_loss_mw)
    # the largest of a horizon leaves out steps without a number
    assert (c.violation_pu, c.horizon_violation_pu) == (0.01, 0.01)


def test_a_dispatch_is_told_by_its_losses_and_the_slack():
    c = certificate_columns(plan_of(transmission=dispatch_certificate()))
    assert (c.verdict, c.loss_error_mw, c.import_error_mw) == ("feasible", 2.0, 2.0)
    assert (c.horizon_exact, c.horizon_feasible, c.horizon_infeasible) == (0, 1, 1)
    assert c.horizon_violation_pu == 0.2
    assert np.isnan([c.cone_gap_pu, c.voltage_error_pu, c.horizon_cone_gap_pu]).all()


# ------------------------------------------------------------------ certificate, phase, bus, branch


def test_every_step_of_a_horizon_has_a_row():
    rows = filled(CERTIFICATE, steps_of(plan_of(certificate(phase_view()))))
    assert {len(column) for column in rows.values()} == {STEPS}
    assert rows["grid"].tolist() == ["lv1", "lv1"]
    assert (rows["step"].tolist(), rows["dt_h"].tolist()) == ([0, 1], [0.25, 1.0])
    assert rows["verdict"].tolist() == ["exact", "infeasible"]
    np.testing.assert_allclose(rows["fictitious_loss_mw"], [1e-9, 0.3])
    np.testing.assert_allclose(rows["import_error_mw"], [1e-9, 0.27])
    assert rows["worst"].tolist() == ["", "bus 2"]
    assert rows["verdict_three_phase"].tolist() == ["infeasible", "feasible"]
    assert rows["worst_three_phase"].tolist() == ["bus 2 phase b", ""]
    assert rows["unbalance_percent"].tolist() == [1.5, 0.2]
    # the row of the applied step says what interval.parquet says
    columns = certificate_columns(plan_of(certificate(phase_view())))
    for name in set(rows) - {"interval", "time", "grid", "step", "dt_h"}:
        assert rows[name][0] == getattr(columns, name)


def test_rows_of_a_balanced_certificate_and_of_a_dispatch_have_no_phases():
    for plan in (plan_of(certificate()), plan_of(transmission=dispatch_certificate())):
        rows = filled(CERTIFICATE, steps_of(plan))
        assert rows["verdict_three_phase"].tolist() == ["", ""]
        assert np.isnan(rows["violation_three_phase_pu"]).all()
        assert np.isnan(rows["unbalance_percent"]).all()
    assert rows["loss_error_mw"].tolist() == [2.0, 3.0]
    assert rows["import_error_mw"].tolist() == [2.0, 3.5]
    assert steps_of(plan_of()) == []


def test_phases_are_of_the_applied_step_in_network_order():
    rows = filled(PHASE, in_net(plan_of(certificate(phase_view()))))
    assert rows["bus"].tolist() == [7, 4, 9]
    assert rows["vm_b_pu"].tolist() == [1.0, 1.01, 1.12]
    assert rows["vm_c_pu"].tolist() == [1.0, 0.97, 1.02]
    assert rows["unbalance_percent"].tolist() == [0.0, 0.4, 1.5]
    later = filled(PHASE, in_net(plan_of(certificate(phase_view()), step=1)))
    assert later["vm_b_pu"].tolist() == [1.0, 1.01, 1.02]
    assert in_net(plan_of(certificate())).phases is None


def test_voltages_of_a_plan_are_placed_in_the_order_of_the_net():
    certified = ("vm_planned_pu", "vm_certified_pu")
    # the fourth bus is not its
    found = on_plans(BUS, in_net(plan_of(certificate(), step=1), 4), *certified)
    np.testing.assert_array_equal(found["vm_planned_pu"], [1.02, 1.03, 1.0, NAN])
    np.testing.assert_array_equal(found["vm_certified_pu"], [1.05, 1.13, 1.0, NAN])
    found = on_plans(BUS, in_net(plan_of(transmission=dispatch_certificate())), *certified)
    np.testing.assert_array_equal(found["vm_certified_pu"], [0.99, 1.02, 1.0])
    assert np.isnan(found["vm_planned_pu"]).all()
    for plan in (None, plan_of()):
        assert np.isnan(list(on_plans(BUS, in_net(plan), *certified).values())).all()


def test_branches_of_a_plan_are_placed_in_the_order_of_the_net():
    certified = ("cone_gap_pu", "fictitious_loss_mw", "loading_certified_percent")
    found = on_plans(BRANCH, in_net(plan_of(certificate(), step=1)), *certified)
    np.testing.assert_array_equal(found["cone_gap_pu"], [0.1, 0.2])
    np.testing.assert_array_equal(found["fictitious_loss_mw"], [-1e-9, 0.3])
    # 0.6 of a limit of 80 %; the other line has none
    np.testing.assert_allclose(found["loading_certified_percent"], [NAN, 48.0])
    dispatch = in_net(plan_of(transmission=dispatch_certificate(), step=1))
    found = on_plans(BRANCH, dispatch, *certified)
    np.testing.assert_allclose(found["loading_certified_percent"], [NAN, 96.0])
    assert np.isnan(found["cone_gap_pu"]).all()
    assert np.isnan(list(on_plans(BRANCH, in_net(None), *certified).values())).all()


# ------------------------------------------------------------------ summary.json


def row(grid="mv1", level="mv", copies=1, realised=0.0, where="", **columns):
    """A row of interval.parquet with what totals of certificates look at."""
    empty = {"string": "", "int32": 0, "bool": False, "double": NAN}
    others = {c.name: empty.get(str(c.type)) for c in INTERVAL.columns}
    known = {
        "grid": grid, "level": level, "copies": copies,
        "realised_violation_pu": realised, "realised_worst": where,
    }  # fmt: skip
    return others | known | columns


def totals(*rows):
    """Totals of rows, given with their interval."""
    kept = KeptRows(INTERVAL)
    for interval, one in rows:
        kept.add({name: [value] for name, value in (one | {"interval": interval}).items()})
    return certificate_section(kept)


def test_the_worst_grid_judges_an_interval():
    found = totals(
        (0, row("mv1", verdict="exact")),
        (0, row("lv1", verdict="feasible", cone_gap_pu=0.2)),
        (1, row("mv1", verdict="infeasible", violation_pu=0.01)),
        (1, row("lv1", verdict="exact", cone_gap_pu=0.1)),
        (2, row("mv1", verdict="exact")),
        (2, row("lv1", verdict="exact", violation_pu=NAN)),
        (3, row("mv1")),  # a controller without certificates
    )
    assert [found[v] for v in ("exact", "feasible", "infeasible")] == [1, 1, 1]
    assert (found["max_cone_gap_pu"], found["max_violation_pu"]) == (0.2, 0.01)
    assert (found["three_phase"], found["transmission"]) == (None, None)


def test_a_dispatch_is_counted_apart():
    found = totals(
        (0, row("tn", "transmission", verdict="infeasible", violation_pu=0.3, loss_error_mw=4.0)),
        (0, row("mv1", verdict="exact", violation_pu=0.0, loss_error_mw=1e-9)),
        (1, row("tn", "transmission", verdict="feasible", violation_pu=0.0, loss_error_mw=5.0)),
        (1, row("mv1", verdict="exact", violation_pu=0.0, loss_error_mw=1e-9)),
    )
    assert [found[v] for v in ("exact", "feasible", "infeasible")] == [2, 0, 0]
    assert (found["max_violation_pu"], found["max_loss_error_mw"]) == (0.0, 1e-9)
    assert found["transmission"] == {
        "feasible": 1, "infeasible": 1, "max_violation_pu": 0.3, "max_loss_mw": 5.0,
    }  # fmt: skip


def test_steps_of_all_horizons_add_up():
    found = totals(
        (0, row("mv1", verdict="exact", horizon_exact=9, horizon_cone_gap_pu=1e-8)),
        (0, row("lv1", verdict="exact", horizon_exact=7, horizon_feasible=2,
                horizon_cone_gap_pu=0.3, horizon_fictitious_loss_share=0.1)),
        (1, row("mv1", verdict="exact", horizon_exact=8, horizon_infeasible=1,
                horizon_violation_pu=0.02)),
        (1, row("tn", "transmission", verdict="feasible", horizon_feasible=9)),
    )["horizon"]  # fmt: skip
    assert found == {
        "exact": 24, "feasible": 2, "infeasible": 1, "max_cone_gap_pu": 0.3,
        "max_fictitious_loss_share": 0.1, "max_violation_pu": 0.02,
    }  # fmt: skip


def test_phases_count_intervals_of_grids_that_have_them():
    found = totals(
        (0, row("mv1", verdict="exact")),
        (0, row("lv1", "lv", verdict="exact", verdict_three_phase="feasible", unbalance_pu=0.02)),
        (0, row("lv2", "lv", verdict="exact", verdict_three_phase="infeasible",
                violation_three_phase_pu=0.01, unbalance_percent=1.0)),
        (1, row("lv1", "lv", verdict="exact", verdict_three_phase="feasible")),
    )  # fmt: skip
    assert found["exact"] == 2  # the balanced verdict
    assert found["three_phase"] == {
        "feasible": 1, "infeasible": 1, "max_violation_pu": 0.01, "max_unbalance_pu": 0.02,
        "max_unbalance_percent": 1.0,
    }  # fmt: skip


def test_recovered_counts_intervals_and_plans_count_apart():
    loss = {"recovery": "loss_price", "recovery_decisions": 1, "verdict_before": "infeasible"}
    found = totals(
        (0, row("mv1", verdict="exact", recovery_eur=2.0, **loss)),
        (0, row("lv1", "lv", copies=7, verdict="exact", recovery_eur=0.5, **loss)),
        (1, row("mv1", verdict="exact")),
        (2, row("mv1", verdict="feasible", recovery_tried="loss_price x 1, convex_concave x 5",
                recovery_decisions=6, verdict_before="feasible", recovery_eur=0.0)),
        (3, row("lv1", "lv", copies=7, verdict="exact", recovery="pv_curtailment",
                recovery_decisions=2, verdict_before="feasible", recovery_eur=-0.25)),
    )  # fmt: skip
    assert found["recovered"] == 2  # intervals 0 and 3; in 2 nothing was better
    assert found["recovery"] == {
        "exact_before": 1, "feasible_before": 2, "infeasible_before": 1, "plans_mended": 3,
        "rungs": {"loss_price": 2, "pv_curtailment": 1}, "decisions": 10,
        "cost_eur": 2.0 + 7 * 0.5 - 7 * 0.25,
    }  # fmt: skip


def test_reality_is_judged_for_every_grid_beyond_the_tolerance():
    found = totals(
        (0, row("mv1", verdict="exact", realised=5e-5, where="bus 1")),  # within 1e-4
        (1, row("mv1", verdict="exact", realised=0.01, where="bus 17")),
        (1, row("lv1", verdict="exact", realised=0.03, where="line 4")),
        (2, row("tn", "transmission", verdict="feasible", realised=0.02, where="bus 8")),
        (3, row("mv1", verdict="exact", realised=NAN)),
    )["realised"]
    assert found == {
        "intervals_beyond_limits": 2, "max_violation_pu": 0.03, "worst": "lv1 line 4 in interval 1",
    }  # fmt: skip


def test_the_larger_of_a_number_and_nothing_is_the_number():
    assert largest_known([0.2, NAN]) == 0.2
    assert largest_known([0.2, 0.3]) == 0.3
    assert largest_known([NAN]) == largest_known([]) == 0.0
