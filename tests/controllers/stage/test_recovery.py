"""Recovery of a stage: which rung mends what, what it costs, and what it leaves alone."""

import re
from dataclasses import fields, replace

import numpy as np
import pytest

from stackelgrid.controllers.cascade.cascade import Cascade
from stackelgrid.controllers.models.active_network import ActiveNetworkOptions
from stackelgrid.controllers.models.p2p import TradeOptions
from stackelgrid.controllers.networks.boundary import TransformerData, attach_transformer
from stackelgrid.controllers.protocol import ControllerSettings
from stackelgrid.controllers.schedule import Measurement
from stackelgrid.controllers.system import System
from stackelgrid.profiles.time_axis import Horizon

QUARTERS = Horizon((15, 15, 15), 15)
DAY = Horizon((60,) * 4, 60)  # of build_transmission
SUN = 0.9
CURTAILMENT = 80.0  # EUR/MWh
PAID_TO_EXPORT = 30.0


@pytest.fixture(scope="module")
def street(radial_net, with_devices, build_feeder):
    """`street(export, ...)`: three homes; at a negative price burning 0.04 MW of PV is cheapest."""

    def build(
        name="lv1", export=-PAID_TO_EXPORT, load=1.0, pv_mw=0.02, band=(0.9, 1.1), horizon=QUARTERS,
        options=None, parent=None, change=None, price=60.0, **arguments,
    ):  # fmt: skip
        net = radial_net([0, 1, 2], [0, 4, 4, 4], [0, 1, 1, 1])
        net.bus[["min_vm_pu", "max_vm_pu"]] = band
        if pv_mw:
            with_devices(net, pv=[(2, pv_mw), (3, pv_mw)])
        if parent is not None:
            attach_transformer(net, TransformerData(0.25, 4.0, 1.0, -2, 2, 2.5), name)
            arguments |= {"kind": "fixed_tap", "parent": parent}
        if change is not None:
            change(net)
        return build_feeder(
            net, name, horizon, load=load, pv=SUN, import_price=price, export_price=export,
            options=options or ActiveNetworkOptions(curtailment_eur_per_mwh=CURTAILMENT),
            **arguments,
        )  # fmt: skip

    return build


def controller(system, recovery=True, **changes):
    return Cascade(system, ControllerSettings(gap=1e-6, recovery=recovery, **changes))


def measure(system, vm_pu=1.0):
    return {f.name: Measurement(vm_pu, 0, f.devices.initial) for f in system.feeders}


def alone(feeder, horizon=QUARTERS):
    return System(None, (feeder,), horizon)


def decide(system, recovery=True, vm_pu=1.0, **changes):
    return controller(system, recovery, **changes).decide(0, measure(system, vm_pu))


def cost_eur(feeder, plan, curtailment=CURTAILMENT):
    """Cost of one copy over the horizon from what is exchanged and curtailed, without trade."""
    schedule, forecast = plan.schedule, feeder.forecast.at(0)
    bought, sold = np.maximum(schedule.p_import_mw, 0.0), np.maximum(-schedule.p_import_mw, 0.0)
    curtailed = (forecast.pv_available_mw.T - schedule.pv_p_mw).sum(axis=0)
    rate = forecast.import_eur_per_mwh * bought - forecast.export_eur_per_mwh * sold
    return float(schedule.dt_h @ (rate + curtailment * curtailed))


def assert_same_numbers(one, other):
    """Schedules are equal, bit for bit."""
    for f in fields(one):
        a, b = getattr(one, f.name), getattr(other, f.name)
        if f.name == "flows":
            for part in fields(a):
                np.testing.assert_array_equal(getattr(a, part.name), getattr(b, part.name))
        elif f.name == "devices":
            assert a.keys() == b.keys()
            for name in a:
                np.testing.assert_array_equal(a[name], b[name], err_msg=name)
        elif a is None:
            assert b is None
        elif f.name != "trade":
            np.testing.assert_array_equal(a, b, err_msg=f.name)


# ------------------------------------------------------------------ open cones


@pytest.fixture(scope="module")
def burnt(street):
    """A feeder that burns, its plan without recovery and the decision with it."""
    system = alone(street())
    plain = decide(system, recovery=False).plans["lv1"]
    return system.feeders[0], plain, decide(system)


def test_without_recovery_the_relaxed_plan_is_applied(burnt):
    feeder, plain, _ = burnt
    assert plain.recovery is None
    assert plain.verdict.verdict != "exact"
    assert plain.verdict.fictitious_loss_share > 1.0  # of 12 kW; 36 kW of PV
    np.testing.assert_allclose(plain.schedule.p_import_mw, 0.0, atol=1e-5)  # sells nothing
    available = feeder.forecast.at(0).pv_available_mw.T
    np.testing.assert_allclose(plain.schedule.pv_p_mw, available, atol=1e-5)  # curtails nothing


def test_a_loss_price_closes_the_cones_and_the_surplus_is_sold(burnt):
    _, plain, decision = burnt
    plan = decision.plans["lv1"]
    assert plan.verdict.verdict == "exact"
    assert set(plan.certificate.verdict) == {"exact"}
    record = plan.recovery
    assert (record.used, record.tried) == ("loss_price", (("loss_price", 1),))
    assert record.before.step(0) == plain.verdict
    assert record.before.verdict == plain.certificate.verdict
    # 36 kW less 12 kW of load and the losses, at 30 EUR/MWh to be paid
    assert plan.schedule.p_import_mw[0] == pytest.approx(-0.024, rel=0.1)
    assert plan.set_points.pv_p_mw.sum() == pytest.approx(0.036, rel=1e-4)
    assert plan.report.fallback == ""


def test_the_cost_of_recovery_is_what_the_plans_differ_by(burnt):
    feeder, plain, decision = burnt
    plan = decision.plans["lv1"]
    assert plan.recovery.cost_eur >= -1e-6
    more = cost_eur(feeder, plan) - cost_eur(feeder, plain)
    assert plan.recovery.cost_eur == pytest.approx(more, abs=1e-5)
    # three quarters of 36 kW less 12 kW and losses, sold at -30 EUR/MWh
    assert plan.recovery.cost_eur == pytest.approx(0.75 * 0.0235 * PAID_TO_EXPORT, rel=0.05)
    # penalties are no cost: the report tells the plan's own
    assert plan.report.objective_eur >= plain.report.objective_eur - 1e-6


def test_what_was_done_is_told(burnt):
    (message,) = burnt[2].messages
    assert message.startswith("lv1: schedule ")
    assert "fictitious loss" in message
    assert "mended by loss_price at +0.5" in message


def test_recovery_is_the_same_twice(street, burnt):
    again = decide(alone(street())).plans["lv1"]
    assert_same_numbers(again.schedule, burnt[2].plans["lv1"].schedule)
    record = burnt[2].plans["lv1"].recovery
    assert (again.recovery.tried, again.recovery.cost_eur) == (record.tried, record.cost_eur)


def test_an_exact_feeder_is_untouched(street):
    system = alone(street(export=30.0))
    plain, plan = (decide(system, recovery).plans["lv1"] for recovery in (False, True))
    assert plan.verdict.verdict == plain.verdict.verdict == "exact"
    assert (plan.recovery, plain.recovery) == (None, None)
    assert_same_numbers(plan.schedule, plain.schedule)
    same = {"solve_s": 0.0, "objective_term_eur": 0.0}  # the latter is NaN without a term
    assert replace(plan.report, **same) == replace(plain.report, **same)


def test_a_step_that_is_not_applied_is_left_open_in_rolling_mode(street):
    prices = np.array([30.0, 30.0, -30.0])
    feeder = street(export=prices)
    plan = decide(alone(feeder)).plans["lv1"]
    assert plan.recovery is None
    assert plan.certificate.verdict[0] == "exact"
    assert "exact" not in plan.certificate.verdict[2:]


# ------------------------------------------------------------------ limits


def single_phase(net):
    """Homes on a, b and c; PV on a and b; zero-sequence data of the lines; longer lines."""
    for column in ("r", "x"):
        net.line[f"{column}0_ohm_per_km"] = 3.0 * net.line[f"{column}_ohm_per_km"]
    net.line["c0_nf_per_km"] = 0.0
    net.load["phase"] = ["a", "b", "c"]
    net.sgen["phase"] = ["b", "a"]


@pytest.fixture(scope="module")
def unbalanced(street):
    """A feeder whose balanced voltages are within a band that phase a exceeds."""
    feeder = street(
        export=30.0, load=0.5, pv_mw=0.03, band=(0.9, 1.06), change=single_phase
    )  # fmt: skip
    return alone(replace(feeder, three_phase_view=True))


def test_a_phase_above_its_limit_is_mended_by_tightened_limits(unbalanced):
    plain = decide(unbalanced, recovery=False).plans["lv1"]
    assert plain.certificate.verdict == ("exact",) * 3  # the balanced view sees nothing
    assert plain.certificate.phases.verdict[0] == "infeasible"
    assert plain.certificate.phases.worst[0] == "bus 3 phase a"
    plan = decide(unbalanced).plans["lv1"]
    record = plan.recovery
    assert record.used == "tightened_limits"
    assert [rung for rung, _ in record.tried] == ["tightened_limits"]
    assert record.before.verdicts([0]) == ["infeasible"]
    assert record.before.columns(0)["worst_three_phase"] == "bus 3 phase a"
    assert record.before.largest_violation([0]) > 1e-3
    assert plan.certificate.verdict[0] == "exact"
    assert plan.certificate.phases.verdict[0] == "feasible"
    # the balanced ceiling moved by what phase a exceeded it: some power is given away, not all
    assert 1.04 < plan.certificate.phases.vm_pu[:, :, 0].max() <= 1.06 + 1e-4
    assert plan.certificate.vm_pu[1:, 0].max() < plain.certificate.vm_pu[1:, 0].max() - 1e-3
    assert record.cost_eur > 0.0
    more = cost_eur(unbalanced.feeders[0], plan) - cost_eur(unbalanced.feeders[0], plain)
    assert record.cost_eur == pytest.approx(more, abs=1e-5)


def test_a_head_voltage_above_the_band_ends_infeasible_with_all_that_was_tried(street):
    system = alone(street(pv_mw=0.0, export=30.0, load=0.1))
    decision = decide(system, vm_pu=1.2)
    plan = decision.plans["lv1"]
    assert plan.verdict.verdict == "infeasible"
    assert plan.verdict.violation_pu == pytest.approx(0.1, abs=5e-3)
    assert plan.schedule.p_import_mw.shape == (3,)
    tried = dict(plan.recovery.tried)
    assert set(tried) == {"loss_price", "convex_concave", "pv_curtailment", "last_good_schedule"}
    assert tried["loss_price"] == tried["last_good_schedule"] == 1
    assert tried["convex_concave"] == 5
    (message,) = decision.messages
    assert re.match(
        r"lv1: schedule infeasible \(planned bus 1: 0\.1\d* p\.u\. beyond the limit", message
    )
    assert "last_good_schedule x 1" in message


def test_a_model_without_a_solution_ends_with_a_held_schedule_that_is_told(street):
    def stiff(net):  # nothing that flows in these lines moves a voltage by 0.1 p.u.
        net.line["length_km"] = 1e-4
        net.line["max_i_ka"] = 0.05

    system = alone(street(pv_mw=0.0, export=30.0, load=0.1, change=stiff))
    decision = decide(system, vm_pu=1.2)
    plan = decision.plans["lv1"]
    assert plan.verdict.verdict == "infeasible"
    assert plan.verdict.violation_pu == pytest.approx(0.1, abs=1e-4)
    assert plan.report.fallback != ""
    assert plan.recovery.used == ""
    assert dict(plan.recovery.tried) == {"pv_curtailment": 1, "last_good_schedule": 1}
    (message,) = decision.messages
    assert message.endswith(
        "tried pv_curtailment x 1, last_good_schedule x 1, none was better"
    )  # fmt: skip


def test_pv_is_curtailed_as_far_as_ac_asks_where_no_plan_of_the_model_is_feasible(street):
    ceiling = 1.005  # no room: a phase exceeds the balanced voltage by more
    feeder = street(
        export=30.0, load=0.5, pv_mw=0.03, band=(0.9, ceiling), change=single_phase
    )  # fmt: skip
    system = alone(replace(feeder, three_phase_view=True))
    plan = decide(system).plans["lv1"]
    assert plan.recovery.used == "pv_curtailment"
    assert [rung for rung, _ in plan.recovery.tried][:2] == ["loss_price", "tightened_limits"]
    assert plan.recovery.before.verdicts([0]) == ["infeasible"]
    assert plan.certificate.verdicts([0]) == ["feasible"]  # it has no flows that could be exact
    assert plan.schedule.flows is None
    highest = plan.certificate.phases.vm_pu[:, 1:, 0].max()
    assert highest == pytest.approx(ceiling + 1e-4, abs=2e-5)  # up to the tolerance, no further
    assert 0.01 < plan.set_points.pv_p_mw.sum() < 0.054  # of 27 kW at each of two homes
    assert plan.report.fallback == "pv curtailment: no schedule of the model is AC feasible"


# ------------------------------------------------------------------ more than one leader


@pytest.fixture(scope="module")
def pair(street, build_transmission):
    """`pair(trade)`: below case30 lv1 burns at noon; lv2, with little PV, does not."""

    def build(trade=None):
        options = ActiveNetworkOptions(curtailment_eur_per_mwh=CURTAILMENT, trade=trade)
        common = {"horizon": DAY, "parent": "tn", "options": options, "intervals": 4}
        export = np.array([-PAID_TO_EXPORT, -PAID_TO_EXPORT, 20.0, 20.0])
        return System(
            build_transmission(),
            (
                street("lv1", bus=7, multiplicity=30, export=export, **common),
                street("lv2", bus=20, multiplicity=10, export=20.0, pv_mw=0.002, **common),
            ),
            DAY,
            day_ahead=True,
        )

    return build


def test_all_steps_of_a_day_ahead_plan_are_mended(pair):
    system = pair()
    plain, mended = decide(system, recovery=False), decide(system)
    before, plan = plain.plans["lv1"], mended.plans["lv1"]
    assert "exact" not in before.certificate.verdict[:2]
    assert plan.certificate.verdict == ("exact",) * 4
    assert plan.recovery.used == "loss_price"
    assert [plan.at_step(k).verdict.verdict for k in range(4)] == ["exact"] * 4
    # the other leader keeps its plan
    assert mended.plans["lv2"].recovery is None
    assert_same_numbers(mended.plans["lv2"].schedule, plain.plans["lv2"].schedule)


def test_a_stage_keeps_the_bound_of_the_relaxed_decision(pair):
    system = pair()
    plain, mended = decide(system, recovery=False), decide(system)
    before, after = plain.outcomes[-1], mended.outcomes[-1]
    assert after.bound == before.bound
    cost = 30 * mended.plans["lv1"].recovery.cost_eur
    assert cost > 1.0
    assert after.objective - before.objective == pytest.approx(cost, abs=1e-4)
    assert after.objective >= after.bound
    # the follower dispatches for what is really exchanged
    assert after.follower_gap < 1e-6
    assert after.leader_cost_eur["lv1"] - before.leader_cost_eur["lv1"] == pytest.approx(
        cost, abs=1e-4
    )  # fmt: skip


def test_trade_across_clears_after_one_of_the_traders_was_mended(pair):
    system = pair(TradeOptions(15.0, 8.0, 16.0, True))
    plain, mended = decide(system, recovery=False), decide(system)
    assert "exact" not in plain.plans["lv1"].certificate.verdict[:2]
    assert mended.plans["lv1"].recovery.used != ""
    copies = {"lv1": 30, "lv2": 10}
    net = np.zeros(4)
    traded = 0.0
    for name, plan in mended.plans.items():
        if name in copies:
            assert plan.certificate.verdict == ("exact",) * 4
            trade = plan.schedule.trade
            net += copies[name] * (trade.across_buy_mw - trade.across_sell_mw).sum(axis=0)
            traded += copies[name] * trade.across_buy_mw.sum()
    assert traded > 1e-3
    np.testing.assert_allclose(net, 0.0, atol=1e-7)
    assert mended.outcomes[-1].bound == plain.outcomes[-1].bound
    assert mended.outcomes[-1].objective >= plain.outcomes[-1].bound


def test_the_current_of_charging_beyond_a_rating_is_mended_by_tightened_limits(
    street, with_devices
):
    """The model rates the current of the series impedance, AC that at the terminals."""

    def cable(net):
        net.line["c_nf_per_km"] = 10000.0 / net.line.length_km
        net.line.loc[0, "max_i_ka"] = 0.04
        with_devices(net, batteries=[(3, 0.05, 0.1, 10.0)])

    dear = np.array([20.0, 60.0, 60.0])
    system = alone(street(pv_mw=0.0, price=dear, export=10.0, change=cable))
    plain = decide(system, recovery=False).plans["lv1"]
    assert plain.verdict.verdict == "infeasible"
    assert plain.verdict.fictitious_loss_share < 1e-6  # closed
    plan = decide(system).plans["lv1"]
    assert plan.verdict.verdict == "exact"
    assert plan.recovery.tried == (("tightened_limits", 1),)
    # the same power at the terminals' current, in proportion
    share = 1.0 / (1.0 + plain.verdict.violation_pu)
    ratio = plan.schedule.p_import_mw[0] / plain.schedule.p_import_mw[0]
    assert ratio == pytest.approx(share, abs=2e-3)
