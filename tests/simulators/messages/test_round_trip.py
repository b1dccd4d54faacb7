"""Waiting times until a message is repeated, and until an answer is given up."""

import pytest

from stackelgrid.simulators.messages.round_trip import Patience


def test_before_anything_is_known_a_share_of_the_gate_is_waited():
    patience = Patience(600.0)
    assert patience.wait_s == pytest.approx(12.0)
    assert patience.patience_s == float("inf")
    patience.unanswered()
    assert patience.wait_s == pytest.approx(24.0)
    for _ in range(10):
        patience.unanswered()
    assert patience.wait_s == patience.longest_s == pytest.approx(150.0)


def test_repetitions_follow_the_round_trip():
    patience = Patience(600.0)
    for _ in range(60):
        patience.answered((0.0,), 8.0)
    # the usual time and a tenth; the deviation has died away
    assert patience.wait_s == pytest.approx(8.8, abs=1e-3)
    assert patience.patience_s == pytest.approx(6 * 8.8, abs=1e-2)


def test_answers_to_repeated_questions_may_only_lengthen_the_round_trip():
    """Nobody knows which of the questions was answered (Karn and Partridge 1987)."""
    patience = Patience(600.0)
    for _ in range(60):
        patience.answered((0.0,), 8.0)
    patience.answered((0.0, 7.0), 9.0)
    assert patience.trip.mean_s == pytest.approx(8.0)
    patience.answered((0.0, 7.0), 23.0)
    assert patience.trip.mean_s == pytest.approx(9.0)


@pytest.mark.parametrize(("lost", "copies"), [(0.0, 1), (0.04, 1), (0.36, 3), (0.51, 5), (0.99, 6)])
def test_as_many_copies_are_sent_as_the_loss_asks_for(lost, copies):
    """ln 0.05 / ln 0.36 = 2.9, ln 0.05 / ln 0.51 = 4.4: so many make 95 %, six at most."""
    patience = Patience(600.0)
    for _ in range(60):
        patience.answered((0.0,), 10.0)
    for _ in range(40):
        patience.counted(1000, round(1000 * (1.0 - lost)))
    assert patience.wait_s == pytest.approx(11.0 / copies, rel=1e-3)


def test_one_long_round_does_not_rule_out_all_later_ones():
    patience = Patience(600.0)
    patience.answered((0.0,), 10.0)
    patience.round.seen(400.0)
    assert patience.round_s + patience.commit_s > 600.0
    for _ in range(3):
        patience.relax()
    assert patience.round_s + patience.commit_s < 600.0
