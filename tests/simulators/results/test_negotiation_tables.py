"""Tables, totals and events of negotiations, from decisions written by hand."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from stackelgrid.controllers.decision import Decision, Negotiation, Outcome, Round
from stackelgrid.simulators.results.decision_tables import negotiation_events
from stackelgrid.simulators.results.recorder import write_decision
from stackelgrid.simulators.results.tables import RunTables, TableWriter, read_table
from stackelgrid.simulators.results.totals import (
    negotiation_section,
    reason_kind,
    rounds_of_negotiations,
)

NAN = float("nan")
TIMES = pd.date_range("2025-06-21T10:00", periods=3, freq="1h", tz="Europe/Berlin")

AGREED = Negotiation(
    committed="0.2", reason="", attempts=2, rounds=2, seconds=40.0, members=("a", "b"),
    confirmed=("a",), silent=("c",), in_doubt=("b",), settled=(),
    held={"a": "0.2", "b": "", "c": ""}, sent=20, delivered=17, lost=2, in_outage=2, duplicated=1,
    reordered=3, bytes_sent=5000, refused={"message from 'x'": 2}, ignored={"repeated vote": 4},
    failures=(), mixtures=16.0, mixtures_checked=5, worst_mixture_pu=0.01,
)  # fmt: skip
REFUSED = replace(
    AGREED, committed="", reason="mixture unsafe: bus 17 at step 2", attempts=1, rounds=3,
    seconds=NAN, members=("a", "b", "c"), confirmed=(), silent=(), in_doubt=(), settled=("b",),
    held={"a": "0.2", "b": "0.2", "c": ""}, refused={}, failures=("c: ValueError: no",),
    worst_mixture_pu=0.05,
)  # fmt: skip


def a_round(number, **own):
    return Round(
        number=number, fixed=number > 1, answers=2, open_share=0.5 / number, volume_mwh=1.5,
        cut_eur=0.1, price_apart=0.2, price_moved=0.3, exchange_apart_mw=0.0, penalty=(4.0, 9.0),
        price_eur_per_mwh=np.array([80.0, 90.0]), limits=False, **own,
    )  # fmt: skip


def outcome(negotiation, rounds):
    return Outcome(
        scheme="ldd_admm", pricing="tariff", follower="mv", plans={}, leader_cost_eur={},
        payment_eur={}, follower_cost_eur=0.0, objective=0.0, bound=0.0, gap=0.0, follower_gap=0.0,
        solve_s=0.0, history=tuple(a_round(k + 1) for k in range(rounds)), negotiation=negotiation,
    )  # fmt: skip


DECISIONS = (
    Decision({}, outcomes=(outcome(AGREED, 2),)),
    Decision({}, outcomes=(outcome(REFUSED, 3),)),
    Decision({}),
)


def written(folder, *decisions):
    """The tables of a run with these decisions, before their parts are merged."""
    run = RunTables(TableWriter(folder), TIMES)
    for k, decision in enumerate(decisions):
        write_decision(run, k, decision, {})
    return run


def section(folder, *outcomes):
    """The section `negotiation` of a run with one outcome an interval."""
    run = written(folder, *(Decision({}, outcomes=(one,)) for one in outcomes))
    return negotiation_section(run.kept)


@pytest.fixture
def run(tmp_path):
    return written(tmp_path, *DECISIONS)


@pytest.fixture
def tables(run, tmp_path):
    run.writer.merge()
    return {
        name: read_table(tmp_path, name).to_pandas()
        for name in ("round", "negotiation", "commitment")
    }


def test_every_round_is_a_row(tables):
    rounds = tables["round"]
    assert rounds["interval"].tolist() == [0, 0, 1, 1, 1]
    assert rounds["round"].tolist() == [1, 2, 1, 2, 3]
    assert rounds["fixed"].tolist() == [False, True, False, True, True]
    assert rounds["open_share"].tolist() == pytest.approx([0.5, 0.25, 0.5, 0.25, 0.5 / 3])
    assert (rounds["penalty_min"] == 4.0).all()
    assert (rounds["penalty_max"] == 9.0).all()
    assert set(rounds["grid"]) == {"mv"}
    assert rounds["time"].iloc[-1] == pd.Timestamp("2025-06-21T09:00", tz="UTC")


def test_every_negotiation_is_a_row(tables):
    first, second = (row for _, row in tables["negotiation"].iterrows())
    assert (first["committed"], first["reason"], first["agreement_after_sec"]) == ("0.2", "", 40.0)
    assert second["committed"] == ""
    assert second["reason"] == "mixture unsafe: bus 17 at step 2"
    assert np.isnan(second["agreement_after_sec"])
    counts = ["members", "confirmed", "silent", "in_doubt", "settled", "refused", "ignored"]
    assert [first[c] for c in counts] == [2, 1, 1, 1, 0, 2, 4]
    assert [second[c] for c in counts] == [3, 0, 0, 0, 1, 0, 4]
    names = ["silent_agents", "in_doubt_agents", "settled_agents"]
    assert [first[c] for c in names] == ["c", "b", ""]
    traffic = ["sent", "delivered", "lost", "in_outage", "duplicated", "reordered", "bytes_sent"]
    assert [first[c] for c in traffic] == [20, 17, 2, 2, 1, 3, 5000]
    assert second["failures"] == "c: ValueError: no"
    assert [first[c] for c in ("mixtures", "mixtures_checked", "worst_mixture_pu")] == [16, 5, 0.01]


def test_who_holds_what(tables):
    """A version of an earlier interval is an old schedule, whoever holds it."""
    held = tables["commitment"]
    assert held["grid"].tolist() == ["a", "b", "c"] * 2
    assert held["on_new"].tolist() == [True, False, False, False, False, False]
    assert held["in_doubt"].tolist() == [False, True, False, False, False, False]
    assert held["silent"].tolist() == [False, False, True, False, False, False]
    assert held["version"].tolist() == ["0.2", "", "", "0.2", "0.2", ""]


def test_totals(run):
    section = negotiation_section(run.kept)
    assert rounds_of_negotiations(run.kept) == [2, 3]
    assert json.loads(json.dumps(section, allow_nan=False)) == section
    assert section == {
        "rounds_max": 3,
        "rounds_mean": 2.5,
        "negotiations": 2,
        "agreements": 1,
        "attempts": 3,
        "messages": 40,
        "delivered": 34,
        "lost": 4,
        "in_outage": 4,
        "duplicated": 2,
        "reordered": 6,
        "bytes": 10000,
        "agreement_mean_sec": 40.0,
        "agreement_max_sec": 40.0,
        "fallbacks": 5,
        "intervals_fallback_by_reason": {
            "heard of no commit": 1,
            "left out": 1,
            "mixture unsafe": 1,
        },
        "in_doubt": 1,
        "settled": 1,
        "refused": 2,
        "ignored": 8,
        "failures": 1,
        "unsafe_mixtures": 1,
        "max_mixture_pu": 0.05,
    }


def test_a_resumed_run_has_the_totals_of_one_without_interruption(run, tmp_path):
    """They are computed from the tables on disk; rows of a lost interval are removed."""
    again = RunTables(TableWriter(tmp_path), TIMES)
    again.resume(1, {})
    assert negotiation_section(again.kept)["rounds_max"] == 2
    write_decision(again, 1, DECISIONS[1], {})
    assert negotiation_section(again.kept) == negotiation_section(run.kept)


def test_an_agent_that_heard_of_no_commit_is_no_left_out_one(tmp_path):
    everybody = replace(
        AGREED, members=("a", "b", "c"), silent=(), held={"a": "0.2", "b": "", "c": ""}
    )
    found = section(tmp_path, outcome(everybody, 1))
    assert found["fallbacks"] == 2
    assert found["intervals_fallback_by_reason"] == {"heard of no commit": 1}


def test_failures_are_counted_whatever_their_text(tmp_path):
    failures = ("a: ValueError: no; never", "b: KeyError: 'x'")
    found = section(tmp_path, outcome(replace(AGREED, failures=failures), 1), outcome(AGREED, 1))
    assert found["failures"] == 2


def test_a_collapse_among_the_mixtures_is_null(tmp_path):
    found = section(tmp_path, outcome(replace(REFUSED, worst_mixture_pu=float("inf")), 1))
    assert found["max_mixture_pu"] is None
    assert found["unsafe_mixtures"] == 1


def test_negotiations_in_one_process_have_rounds_only(tmp_path):
    assert section(tmp_path / "none") is None
    assert section(tmp_path / "alone", outcome(None, 0)) is None
    found = section(tmp_path / "rounds", outcome(None, 0), outcome(None, 20), outcome(None, 7))
    assert (found.pop("rounds_max"), found.pop("rounds_mean")) == (20, 13.5)
    assert len(found) > 20
    assert set(found.values()) == {None}


def test_what_the_log_says():
    first, second = (
        list(negotiation_events(k, outcome(told, 1))) for k, told in enumerate((AGREED, REFUSED))
    )
    where = {"interval": 0, "grid": "mv"}
    assert first == [("refused", {**where, "reason": "message from 'x'", "messages": 2})]
    assert [kind for kind, _ in second] == ["no_agreement", "agent_failed"]
    assert second[0][1]["reason"] == "mixture unsafe: bus 17 at step 2"
    assert second[1][1] == {"interval": 1, "grid": "mv", "text": "c: ValueError: no"}
    assert list(negotiation_events(0, outcome(None, 1))) == []


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("no vote from lv1, lv2", "no vote"),
        ("lv1 voted no", "voted no"),
        ("not cleared: not converged", "not cleared"),
        ("mixture unsafe: mv1 cannot serve", "mixture unsafe"),
        ("not converged in time", "not converged in time"),
    ],
)
def test_reasons_are_counted_without_names(reason, kind):
    assert reason_kind(reason) == kind
