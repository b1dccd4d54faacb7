"""Best responses in turn: equilibria, remaining gains, trade that clears, shared limits."""

import numpy as np
import pytest

from stackelgrid.controllers.schedule import Measurement
from stackelgrid.controllers.schemes import diagonalization
from stackelgrid.controllers.schemes.best_response import ActiveNetwork


def measure(system):
    return {f.name: Measurement(1.0, 0, f.devices.initial) for f in system.feeders}


def across_of(outcome, system, side):
    return sum(
        f.boundary.multiplicity
        * getattr(outcome.plans[f.name].schedule.trade, f"across_{side}_mw").sum(axis=0)
        for f in system.feeders
    )


@pytest.mark.parametrize("pricing", ["tariff", "lmp"])
def test_nobody_gains_where_the_turns_settle(system, decide, pricing):
    outcome = decide(system, "diagonalization", pricing)
    assert any("settled after" in text for text in outcome.messages)
    size = abs(outcome.leader_eur)
    assert set(outcome.remaining_gain_eur) == {"lv1", "lv2", "lv3"}
    for gain in outcome.remaining_gain_eur.values():
        assert -1e-6 * size <= gain <= 1e-4 * size
    assert outcome.objective - outcome.bound == pytest.approx(
        sum(outcome.remaining_gain_eur.values()), abs=1e-6
    )
    assert outcome.rounds >= 2


@pytest.mark.parametrize("pricing", ["tariff", "lmp"])
def test_trade_across_clears_at_the_end(system, decide, pricing):
    outcome = decide(system, "diagonalization", pricing)
    bought, sold = (across_of(outcome, system, side) for side in ("buy", "sell"))
    assert bought.sum() > 0.1
    np.testing.assert_allclose(bought, sold, rtol=0, atol=1e-6)


def test_without_anything_shared_it_is_the_decision_of_each_alone(build_system, decide):
    system = build_system(across=False)
    outcome = decide(system, "diagonalization")
    assert outcome.rounds == 2
    assert max(outcome.remaining_gain_eur.values()) <= 1e-6 * outcome.leader_eur
    for scheme in ("uncoordinated", "bottom_up"):
        other = decide(system, scheme)
        for f in system.feeders:
            np.testing.assert_allclose(
                outcome.plans[f.name].schedule.p_import_mw,
                other.plans[f.name].schedule.p_import_mw,
                rtol=0,
                atol=1e-7,
            )


def test_shared_limits_have_one_price(tight, decide):
    """The exchange stays within them, at a cost that is nearly the leaders' least."""
    outcome, best = decide(tight, "diagonalization"), decide(tight)
    assert np.isfinite(outcome.follower_cost_eur)
    assert outcome.leader_eur == pytest.approx(best.leader_eur, rel=1e-3)
    assert max(outcome.remaining_gain_eur.values()) <= 1e-3 * outcome.leader_eur


def test_limits_that_nobody_can_keep_are_named(build_system, with_cascade):
    system = build_system(rating_mva=3.0)
    outcome = with_cascade(system, "diagonalization").decide(0, measure(system)).outcomes[-1]
    assert any("limits of tn" in text for text in outcome.messages)
    assert not any(outcome.plans[f.name].report.fallback for f in system.feeders)


def test_nodal_best_responses_cost_the_group_no_less_than_deciding_together(system, decide):
    together, apart = (decide(system, s, "lmp") for s in ("bottom_up", "diagonalization"))
    assert apart.leader_eur >= together.bound - 1e-6 * abs(together.bound)
    # each foresees the follower: closer to the group's cost than what ignores the prices
    assert apart.leader_eur < decide(system, "uncoordinated", "lmp").leader_eur


def test_a_second_decision_repeats_the_first(build_system, with_cascade):
    system = build_system(across=False)
    cascade = with_cascade(system, "diagonalization")
    stage = cascade.stages[-1]
    instance = cascade.prepare(stage, 0, measure(system))
    first, second = (stage.scheme.decide(instance) for _ in range(2))
    assert first.objective == second.objective
    for name in first.points:
        np.testing.assert_array_equal(first.points[name].x, second.points[name].x)


def test_turns_that_were_stopped_say_so_and_still_clear(system, with_cascade, monkeypatch):
    monkeypatch.setattr(diagonalization, "ROUNDS", 1)
    outcome = with_cascade(system, "diagonalization").decide(0, measure(system)).outcomes[-1]
    assert any("not settled after 1 rounds" in text for text in outcome.messages)
    bought, sold = (across_of(outcome, system, side) for side in ("buy", "sell"))
    np.testing.assert_allclose(bought, sold, rtol=0, atol=1e-6)
    assert outcome.leader_eur >= outcome.bound


def test_cycling_best_responses_are_reported(build_system, with_cascade, monkeypatch):
    system = build_system(across=False)
    cascade = with_cascade(system, "diagonalization")
    stage = cascade.stages[-1]
    now, later = (cascade.prepare(stage, k, measure(system)) for k in (0, 1))
    turns = dict.fromkeys(now.leaders, 0)
    respond = ActiveNetwork.respond

    def fickle(network, instance, offer, *, nodal, alone=False):
        if alone:
            return respond(network, instance, offer, nodal=nodal, alone=True)
        turns[network.name] += 1
        data = (now if turns[network.name] % 2 else later).leaders[network.name]
        return respond(network, data, offer, nodal=nodal)

    monkeypatch.setattr(ActiveNetwork, "respond", fickle)
    monkeypatch.setattr(diagonalization, "same_offer", lambda one, other: False)
    decision = stage.scheme.decide(now)
    assert any("best responses repeat every 2 rounds" in text for text in decision.messages)
    assert decision.rounds == 3
