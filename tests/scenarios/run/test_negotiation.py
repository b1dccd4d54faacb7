"""A run whose agents decide by messages: its tables, its summary and what the console says."""

import json

import numpy as np
import pandas as pd
import pytest
from support.scenario_texts import MARKET_COPIES, MARKET_MARGIN, write_extending
from support.trade_checks import assert_balanced

from stackelgrid.scenarios.cli.texts import negotiation_lines


@pytest.fixture(scope="session")
def messages_path(tmp_path_factory):
    """The market of two feeders, its link to mv2 down before the first interval."""
    return write_extending(tmp_path_factory.mktemp("messages"), "messages")


@pytest.fixture(scope="session")
def outage(run_of, messages_path):
    return run_of(messages_path)


@pytest.fixture(scope="session")
def connected_path(messages_path):
    """The same without the outage."""
    return messages_path.with_name("connected.toml")


@pytest.fixture(scope="session")
def perfect(run_of, connected_path):
    return run_of(connected_path)


@pytest.fixture(scope="session")
def lossy(run_of, connected_path):
    return run_of(connected_path, "communication.quality=lossy")


@pytest.fixture(params=["outage", "perfect", "lossy"])
def negotiated(request):
    return request.getfixturevalue(request.param)


def test_tables_agree_with_each_other_and_the_summary(negotiated):
    told, held = negotiated.tables["negotiation"], negotiated.tables["commitment"]
    rounds, section = negotiated.tables["round"], negotiated.summary["negotiation"]
    assert told["interval"].tolist() == [0, 1, 2]
    assert set(told["grid"]) == {"tn"}
    assert held["grid"].tolist() == ["mv1", "mv2"] * 3
    counts = rounds.groupby("interval").size().reindex([0, 1, 2], fill_value=0)
    assert counts.tolist() == told["rounds"].tolist()
    numbers = [list(range(1, count + 1)) for count in counts[counts > 0]]
    assert rounds.groupby("interval")["round"].apply(list).tolist() == numbers
    # every copy of a message is delivered, lost or still under way at the end
    arrived = told[["delivered", "lost", "in_outage"]].sum().sum()
    assert 0 <= told["sent"].sum() + told["duplicated"].sum() - arrived <= 5
    for key, column in (("messages", "sent"), ("bytes", "bytes_sent"), ("lost", "lost"),
                        ("in_doubt", "in_doubt"), ("attempts", "attempts")):  # fmt: skip
        assert section[key] == told[column].sum(), key
    assert section["negotiations"] == 3
    assert section["agreements"] == (told["committed"] != "").sum()
    assert section["rounds_max"] == told["rounds"].max()
    assert section["fallbacks"] == (~held["on_new"]).sum()
    # who is on a new schedule holds the version that was committed for the interval
    committed = held["interval"].map(told.set_index("interval")["committed"])
    new = (held["version"] == committed) & (committed != "")
    assert (held["on_new"] == new).all()
    # an agent on an old schedule falls back, and only such a one
    interval = negotiated.tables["interval"]
    fallback = interval[interval["level"] == "mv"].set_index(["interval", "grid"])["fallback"]
    on_new = held.set_index(["interval", "grid"])["on_new"]
    assert (~on_new).equals(fallback.reindex(on_new.index).rename("on_new"))


def test_a_perfect_network_loses_nothing(perfect):
    section = perfect.summary["negotiation"]
    told = perfect.tables["negotiation"]
    assert section["messages"] == section["delivered"] > 50
    assert section["lost"] == section["in_outage"] == section["duplicated"] == 0
    assert section["in_doubt"] == section["refused"] == section["failures"] == 0
    agreed = told[told["committed"] != ""]
    assert len(agreed) >= 1
    assert (agreed["agreement_after_sec"] > agreed["rounds"]).all()  # a second of computing each
    assert (agreed["agreement_after_sec"] <= 600.0).all()
    assert (agreed["confirmed"] == 2).all()
    assert (agreed["mixtures_checked"] > 0).all()
    assert section["agreement_max_sec"] == agreed["agreement_after_sec"].max()


def test_an_agent_without_a_link_is_silent(outage):
    told, held = outage.tables["negotiation"], outage.tables["commitment"]
    first = told[told["interval"] == 0].iloc[0]
    assert first["in_outage"] > 0
    assert first["silent_agents"] == "mv2"
    own = held[(held["interval"] == 0) & (held["grid"] == "mv2")].iloc[0]
    assert (bool(own["on_new"]), bool(own["silent"]), own["version"]) == (False, True, "")
    # from 10:30 on it is heard again
    assert not held[(held["interval"] > 0) & (held["grid"] == "mv2")]["silent"].any()
    assert (told[told["interval"] > 0]["in_outage"] == 0).all()


def test_contracts_balance_whoever_holds_what(negotiated):
    """Also where an agent holds an old schedule: its prosumers then trade with the grid alone."""
    assert_balanced(negotiated.tables, MARKET_COPIES)


def test_a_held_schedule_pays_the_retail_margin(outage):
    trade, interval = outage.tables["trade"], outage.tables["interval"]
    own = trade[(trade["interval"] == 0) & (trade["grid"] == "mv2")]
    assert set(own["market"]) == {"grid"}
    told = interval[(interval["interval"] == 0) & (interval["grid"] == "mv2")].iloc[0]
    assert told["retail_eur"] == pytest.approx(MARKET_MARGIN * own["p_mw"].sum(), abs=1e-6)
    assert told["retail_eur"] > 1.0
    assert told["fee_eur"] == 0.0


def test_losses_are_counted(lossy):
    section = lossy.summary["negotiation"]
    copies = section["messages"] + section["duplicated"]
    assert copies > 30
    assert section["duplicated"] > 0
    # 0.2 of them, within four standard deviations
    assert abs(section["lost"] - 0.2 * copies) < 4.0 * np.sqrt(0.16 * copies)


def test_the_log_tells_of_every_negotiation_without_a_commit(negotiated):
    lines = (negotiated.directory / "log.jsonl").read_text(encoding="utf-8").splitlines()
    events = [e for e in map(json.loads, lines) if e["event"] == "no_agreement"]
    told = negotiated.tables["negotiation"]
    without = told[told["committed"] == ""]
    assert [e["interval"] for e in events] == without["interval"].tolist()
    assert [e["reason"] for e in events] == without["reason"].tolist()
    assert all(e["reason"] for e in events)


def test_a_run_leaves_its_pictures(perfect):
    found = {p.name for p in perfect.directory.iterdir() if p.suffix == ".png"}
    assert found == {"negotiation_rounds_tn.png", "negotiation_timeline.png"}


def test_a_run_without_negotiations_has_empty_tables(villages):
    assert villages.summary["negotiation"] is None
    assert [len(villages.tables[t]) for t in ("round", "negotiation", "commitment")] == [0, 0, 0]


def test_negotiating_in_one_process_leaves_rounds(run_of, messages_path, tmp_path):
    path = write_extending(tmp_path, "market", 'controller = "ldd_admm"')
    run = run_of(path, "time.intervals=1")
    assert len(run.tables["round"]) == run.summary["negotiation"]["rounds_max"] > 1
    assert run.summary["negotiation"]["messages"] is None
    assert len(run.tables["commitment"]) == 0
    assert list(negotiation_lines(run.summary["negotiation"])) == []


def test_the_same_seed_gives_the_same_negotiation(lossy, run_of, connected_path):
    again = run_of(connected_path, "communication.quality=lossy")
    for table in ("round", "negotiation", "commitment"):
        pd.testing.assert_frame_equal(lossy.tables[table], again.tables[table], check_exact=True)
    assert again.summary["negotiation"] == lossy.summary["negotiation"]


def test_the_console_says_who_kept_an_old_schedule(command, messages_path, tmp_path):
    ended = command("run", messages_path, "--set", "time.intervals=1", "--out", tmp_path / "out")
    assert ended.status == 0, ended.stderr
    said = " ".join(ended.stderr.split())
    assert "agents decide by messages over perfect links (no delay, no fault); 1 outage;" in said
    assert "1 negotiation agreed" in said
    summary = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    assert f"agents held old schedules {summary['negotiation']['fallbacks']} times" in said


def test_the_console_is_silent_where_nobody_negotiates():
    assert list(negotiation_lines(None)) == []
