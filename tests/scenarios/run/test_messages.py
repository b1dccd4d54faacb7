"""Runs that negotiate by messages: equal to the in-process scheme, and safe on bad networks."""

import numpy as np
import pytest
from support.scenario_texts import write_extending
from support.trade_checks import sums

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.cascade.cascade import Cascade

COPIES = {"lv1": 7, "lv2": 5, "lv3": 4}
AGENTS = tuple(COPIES)
# what only messages have
OWN_TABLES = ("negotiation", "commitment")

GATE_S = 600.0
# lv2 is silent for two hours: at the gates of the intervals at 12:00 and 13:00
NETWORK = """
quality = "bad"
[communication.qualities.bad]
latency_s = {latency_s}
jitter_s = {jitter_s}
loss = {loss}
duplication = 0.05
reordering = 0.2
[[communication.outages]]
agents = ["lv2"]
from = "11:50"
to = "13:50"
"""
OUTAGE = (2, 3)


@pytest.fixture(scope="module")
def day(tmp_path_factory, village_json, run_of):
    """`day(tree, network, overrides...)`: a run and what its negotiations report, by interval."""

    def run(tree="streets", network="", *overrides, messages=True, gate_s=GATE_S):
        text = ""
        if messages:
            section = f"[communication]\ngate_s = {gate_s}\ncompute_s = 1.0\n"
            text = f'coordination = "ldd_admm"\n{section}{network}'
        folder = tmp_path_factory.mktemp("streets")
        (folder / "village.json").write_bytes(village_json.read_bytes())
        path = write_extending(folder, tree, text)
        decisions = []
        decide = Cascade.decide

        def recorded(cascade, interval, measured):
            decisions.append(decide(cascade, interval, measured))
            return decisions[-1]

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Cascade, "decide", recorded)
            found = run_of(path, *overrides)
        return found, decisions

    return run


# carries over twice: enough where every interval repeats what the one before it did
THREE_HOURS = "time.intervals=3"


@pytest.fixture(scope="module")
def central(day):
    return day("streets", "", THREE_HOURS, messages=False)


@pytest.fixture(scope="module")
def perfect(day):
    return day("streets", "", THREE_HOURS)


@pytest.fixture(scope="module")
def mild(day):
    """A fifth of all messages is lost, a message takes a hundredth of the gate."""
    return day("streets", NETWORK.format(latency_s=6.0, jitter_s=3.0, loss=0.2))


@pytest.fixture(scope="module")
def slow(day):
    """Half of all messages is lost: not every commit is heard of before the gate."""
    network = NETWORK.format(latency_s=20.0, jitter_s=10.0, loss=0.5)
    return day("streets", network, "seed=1", gate_s=1800.0)  # a commit is late at the first gate


@pytest.fixture(scope="module")
def hard(day):
    """Three in ten messages are lost, the others take a fifth of the gate."""
    return day("streets", NETWORK.format(latency_s=120.0, jitter_s=60.0, loss=0.3))


def negotiations(run, follower="mv1"):
    """Negotiations of a stage, by interval."""
    return [
        next(o.negotiation for o in decision.outcomes if o.follower == follower)
        for decision in run[1]
    ]


def assert_same_tables(first, second, left_out=()):
    """Bit for bit, all columns but wall times (they end in _s); NaN payloads count, too."""
    assert first.keys() == second.keys()
    for table in sorted(set(first) - set(left_out)):
        a, b = first[table], second[table]
        assert list(a.columns) == list(b.columns)
        assert len(a) == len(b) > 0 or table == "phase", table
        for name in a.columns:
            x, y = a[name].to_numpy(), b[name].to_numpy()
            if x.dtype == np.float64:
                x, y = x.view(np.int64), y.view(np.int64)
            assert name.endswith("_s") or (x == y).all(), f"{table}.{name}"


def assert_safe(tables):
    """No limit is violated, in no plan that was applied and in no state that came of it."""
    interval = tables["interval"]
    assert (interval.verdict != "infeasible").all()
    assert interval.violation_pu.max() <= tolerances.AC_LIMIT_PU
    assert interval.realised_violation_pu.max() <= tolerances.AC_LIMIT_PU
    assert np.isfinite(interval.realised_violation_pu).all()


def assert_across_clears(run):
    """What one side buys the other sells, and only who is confirmed on the new schedule does."""
    trade = run[0].tables["trade"]
    across = trade[trade.market == "across"].copy()
    across["p_mw"] *= across.grid.map(COPIES)
    assert across.p_mw.sum() > 0.01
    assert sums(across, "interval").abs().max() <= 1e-9
    for interval, one in enumerate(negotiations(run)):
        assert set(across[across.interval == interval].grid) <= set(one.confirmed), interval


def assert_reasons(run):
    """Who is not on a new schedule of its own interval is recorded with a reason."""
    interval = run[0].tables["interval"]
    streets = interval[interval.level == "lv"]
    for number, one in enumerate(negotiations(run)):
        rows = streets[streets.interval == number].set_index("grid")
        assert bool(one.committed) != bool(one.reason)
        for name in AGENTS:
            new = bool(one.committed) and one.held[name] == one.committed
            assert rows.loc[name].fallback == (not new), (number, name)
            assert bool(rows.loc[name].fallback_reason) == (not new)
            if one.reason:
                assert one.reason in rows.loc[name].fallback_reason
    told = {number for number, one in enumerate(negotiations(run)) if one.reason}
    for number, decision in enumerate(run[1]):
        assert any("no new schedules" in text for text in decision.messages) == (number in told)
    fallbacks = streets.groupby("interval").fallback.any().sum()
    assert run[0].summary["intervals_fallback"] == fallbacks


def test_a_perfect_network_leads_to_the_day_of_the_scheme_in_one_process(central, perfect):
    assert_same_tables(central[0].tables, perfect[0].tables, OWN_TABLES)
    for key in ("cost_eur", "certificate", "bilevel", "intervals_fallback"):
        assert central[0].summary[key] == perfect[0].summary[key], key
    assert perfect[0].summary["intervals_fallback"] == 0
    for number, one in enumerate(negotiations(perfect)):
        assert one.committed == f"{number}.0"
        assert one.members == one.confirmed == AGENTS
        assert set(one.held.values()) == {one.committed}
        for nothing in (one.reason, one.silent, one.in_doubt, one.settled, one.failures,
                        one.refused, one.ignored, one.lost, one.in_outage):  # fmt: skip
            assert not nothing
        # rounds and the bound answer take a second of computing each, messages nothing
        assert one.seconds == pytest.approx(one.rounds + 1.0, abs=1e-6)
        # offer and response of a round; prepare, vote, commit and acknowledgement
        assert one.sent == one.delivered == len(AGENTS) * (2 * one.rounds + 4)
        assert one.mixtures == 8.0
        assert one.worst_mixture_pu <= tolerances.AC_LIMIT_PU
    assert_across_clears(perfect)
    assert_safe(perfect[0].tables)


@pytest.mark.slow
def test_threads_change_no_bit_of_a_negotiation(perfect, day):
    other = day("streets", "", THREE_HOURS, "solver.threads=1")
    assert_same_tables(perfect[0].tables, other[0].tables)


@pytest.mark.slow
def test_two_stages_negotiate_one_after_the_other(day):
    """Half of the gate is each stage's; the grid in the middle coordinates, then negotiates."""
    first = day("levels", "", "time.intervals=2")
    second = day("levels", "", "time.intervals=2", messages=False)
    assert_same_tables(second[0].tables, first[0].tables, OWN_TABLES)
    for follower, members in (("mv1", AGENTS), ("tn", ("mv1", "mv2"))):
        for number, one in enumerate(negotiations(first, follower)):
            assert one.committed == f"{number}.0"
            assert one.confirmed == members
            assert one.seconds < GATE_S / 2.0
            for nothing in (one.in_doubt, one.refused, one.ignored, one.failures):
                assert not nothing
    assert first[0].summary["intervals_fallback"] == 0


def test_most_intervals_commit_at_a_mild_loss(mild):
    found = negotiations(mild)
    assert sum(bool(one.committed) for one in found) >= 5
    assert sum(one.lost for one in found) > 100
    for number in OUTAGE:
        one = found[number]
        assert one.committed
        assert one.silent == ("lv2",)
        assert one.members == ("lv1", "lv3")
        assert one.in_outage > 0
        assert one.held["lv1"] == one.held["lv3"] == one.committed
        assert one.held["lv2"] == found[1].held["lv2"]
    after = next(one for one in found[max(OUTAGE) + 1 :] if "lv2" in one.members)
    assert after.held["lv2"] == after.committed
    assert_safe(mild[0].tables)
    assert_across_clears(mild)
    assert_reasons(mild)


@pytest.mark.slow
def test_a_lossy_day_comes_out_twice_the_same(mild, day):
    again = day("streets", NETWORK.format(latency_s=6.0, jitter_s=3.0, loss=0.2))
    assert_same_tables(mild[0].tables, again[0].tables)


def test_doubts_at_the_gate_are_settled_later(slow):
    """A commit that comes after the gate leaves the old schedule for this interval alone."""
    found = negotiations(slow)
    doubtful = [number for number, one in enumerate(found) if one.in_doubt]
    assert doubtful
    for number in doubtful:
        for agent in found[number].in_doubt:
            assert agent not in found[number].confirmed
            later = found[number + 1 :]
            assert any(agent in one.settled for one in later) or agent in found[-1].in_doubt
    assert any(one.settled for one in found)
    assert_safe(slow[0].tables)
    assert_across_clears(slow)
    assert_reasons(slow)


def test_a_day_on_the_hardest_network_finishes_safely(hard):
    found = negotiations(hard)
    assert len(found) == 6
    assert hard[0].summary["status"] == "done"
    assert sum(one.lost for one in found) > 0
    assert_safe(hard[0].tables)
    assert_reasons(hard)
    # a message takes a fifth of the gate, a round trip more than that: rounds do not fit
    assert not any(one.committed for one in found)
    trade = hard[0].tables["trade"]
    assert not (trade.market == "across").any()


@pytest.mark.slow
def test_the_shipped_scenario_on_its_worst_network(run_of):
    """Three hours of six communities of 206 buses, at a loss of a fifth."""
    run = run_of("messages", "communication.quality=lossy", "time.intervals=3")
    assert run.summary["status"] == "done"
    assert_safe(run.tables)
    interval = run.tables["interval"]
    streets = interval[interval.level == "lv"]
    assert len(streets) == 18
    assert (streets.fallback == (streets.fallback_reason != "")).all()
    assert streets.groupby("interval").fallback.sum().min() < 6
