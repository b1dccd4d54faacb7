"""Negotiations of three streets by messages, of which one misbehaves: the others go on."""

from itertools import cycle, pairwise

import msgspec
import numpy as np
import pytest
from support.negotiating_streets import (
    AGENTS,
    COMPUTE_S,
    GATE_S,
    INTERVAL_S,
    build,
    decoded,
    is_commit,
)

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.negotiation.commit.messages import (
    Abort,
    Offer,
    Prepare,
    Response,
    Version,
    Vote,
    encode,
)
from stackelgrid.simulators.messages.link import TrafficCounts

BAD = "lv2"
OTHERS = ("lv1", "lv3")


@pytest.fixture
def streets(tmp_path):
    """Streets with their agents enrolled."""
    return build(tmp_path).start()


@pytest.fixture(scope="module")
def without(tmp_path_factory):
    """What the others agree on where one agent never says a word."""
    found = build(tmp_path_factory.mktemp("silent")).start()
    found.process(BAD).mailbox.send = lambda message: None
    return found.decide(0)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return build(tmp_path_factory.mktemp("all")).decide(0)


def assert_same_plans(first, second, names):
    for name in names:
        a, b = first.plans[name], second.plans[name]
        for quantity in ("p_import_mw", "q_import_mvar", "battery_p_mw", "pv_p_mw", "pv_q_mvar"):
            x, y = getattr(a.schedule, quantity), getattr(b.schedule, quantity)
            assert x.tobytes() == y.tobytes(), (name, quantity)


def assert_left_out(decision, negotiation, without, attempt=0):
    """The others are on a new schedule, the bad one holds what it had before."""
    assert negotiation.committed == f"0.{attempt}"
    assert negotiation.members == negotiation.confirmed == OTHERS
    assert negotiation.silent == (BAD,)
    assert negotiation.held == {"lv1": f"0.{attempt}", BAD: "", "lv3": f"0.{attempt}"}
    assert "left out of 0." in decision.plans[BAD].report.fallback
    for name in OTHERS:
        assert not decision.plans[name].report.fallback
    assert_same_plans(decision, without[0], AGENTS)


def changed(streets, kinds, change):
    """Let the bad agent send something else instead of messages of some kinds."""
    mailbox = streets.process(BAD).mailbox
    network, coordinator = streets.network, streets.scheme.coordinator.mailbox.name

    def send(message):
        payloads = change(message) if isinstance(message, kinds) else [encode(message)]
        for payload in payloads:
            network.send(BAD, coordinator, payload)

    mailbox.send = send


def with_fields(**fields):
    return lambda message: [encode(msgspec.structs.replace(message, **fields))]


NOT_FINITE = (float("nan"),) * 3
HUGE = (0.0, 1e6, 0.0)
REFUSALS = {
    "nan": (with_fields(exchange_mw=NOT_FINITE), "exchange_mw is nan at step 0"),
    "infinite": (with_fields(trade_mw=(0.0, 0.0, -float("inf"))), "trade_mw is -inf at step 2"),
    "huge_exchange": (with_fields(exchange_mw=HUGE), "exchange_mw is 1e+06 MW at step 1"),
    "huge_trade": (with_fields(trade_mw=HUGE), "trade_mw is 1e+06 MW at step 1"),
    "wrong_length": (with_fields(trade_mw=(0.0,) * 2), "trade_mw has 2 values: accepted are 3"),
    "another_protocol": (with_fields(protocol=2), "protocol 2: accepted is 1"),
    "another_name": (with_fields(sender="lv1"), "message of 'lv1' came from 'lv2'"),
    "unknown_name": (with_fields(sender="lv9"), "message from 'lv9'"),
    "garbage": (lambda message: [b"\x93\x01\xff garbage"], "cannot be decoded"),
    "empty": (lambda message: [b""], "message of 0 bytes cannot be decoded"),
}


def test_bad_answers_are_refused_and_change_nothing_for_the_others(streets, without):
    """Every answer is bad in another way."""
    kinds, sent = cycle(REFUSALS.values()), []

    def change(message):
        alter, reason = next(kinds)
        sent.append(reason)
        return alter(message)

    changed(streets, Response, change)
    decision, negotiation = streets.decide(0)
    assert_left_out(decision, negotiation, without)
    assert set(sent) == {reason for _, reason in REFUSALS.values()}
    for reason in sent:
        assert [text for text in negotiation.refused if reason in text], negotiation.refused
    assert not negotiation.failures


@pytest.mark.slow
@pytest.mark.parametrize("case", REFUSALS)
def test_an_agent_whose_answers_are_bad_in_one_way_is_left_out(streets, without, case):
    change, reason = REFUSALS[case]
    changed(streets, Response, change)
    decision, negotiation = streets.decide(0)
    assert_left_out(decision, negotiation, without)
    assert [text for text in negotiation.refused if reason in text], negotiation.refused
    assert not negotiation.failures


BAD_VOTES = {
    **{case: REFUSALS[case] for case in ("nan", "wrong_length", "another_name")},
    "huge_reactive": (with_fields(exchange_mvar=HUGE), "exchange_mvar is 1e+06 MVAr at step 1"),
}


@pytest.mark.parametrize("case", BAD_VOTES)
def test_bad_votes_are_refused_and_a_new_attempt_goes_without_them(streets, case):
    """The bad agent takes part in the rounds; nobody counts on it when it is to bind itself."""
    change, reason = BAD_VOTES[case]
    changed(streets, Vote, change)
    decision, negotiation = streets.decide(0)
    assert negotiation.committed == "0.1"
    assert negotiation.confirmed == OTHERS
    assert negotiation.silent == (BAD,)
    assert negotiation.held[BAD] == ""
    assert [text for text in negotiation.refused if reason in text], negotiation.refused
    assert not across(decision, BAD).any()
    assert_across_clears(streets, decision)


def across(decision, name):
    """What an agent buys less what it sells across (steps,) in MW, one copy."""
    trade = decision.plans[name].schedule.trade
    if trade is None:
        return np.zeros(3)
    return np.asarray(trade.across_buy_mw - trade.across_sell_mw).sum(axis=0)


def assert_across_clears(streets, decision):
    """What is bought across is sold across, in every step, all copies counted."""
    copies = {name: streets.scheme.agents[name].multiplicity for name in AGENTS}
    bought = np.array([copies[name] * across(decision, name) for name in AGENTS])
    assert np.abs(bought).sum() > 1e-3
    assert np.abs(bought.sum(axis=0)).max() <= 1e-9


def test_a_deaf_agent_is_left_out(streets, without):
    streets.hear(BAD, lambda origin, payload: None)
    decision, negotiation = streets.decide(0)
    assert_left_out(decision, negotiation, without)


def test_an_agent_that_raises_is_left_out(streets, without):
    def respond(terms):
        raise ZeroDivisionError("a mistake")

    streets.scheme.agents[BAD].respond = respond
    decision, negotiation = streets.decide(0)
    assert_left_out(decision, negotiation, without)
    assert set(negotiation.failures) == {"lv2: ZeroDivisionError: a mistake"}


def test_an_agent_that_raises_outside_of_its_program_is_left_out(streets, without):
    def receive(message, now):
        raise KeyError("a mistake")

    streets.process(BAD).participant.receive = receive
    decision, negotiation = streets.decide(0)
    assert_left_out(decision, negotiation, without)
    assert set(negotiation.failures) == {"lv2: KeyError: 'a mistake'"}


def test_a_crashed_agent_is_left_out_for_good(streets, without):
    mailbox = streets.process(BAD).mailbox
    mailbox.send = lambda message: None
    mailbox.get = lambda until=0.0: streets.environment.event()  # which never comes
    decision, negotiation = streets.decide(0)
    assert_left_out(decision, negotiation, without)
    rounds = []
    for interval in (1, 2):
        decision, negotiation = streets.decide(interval)
        assert negotiation.confirmed == OTHERS
        assert negotiation.held[BAD] == ""
        rounds.append(negotiation)
    # who was silent before is asked again, but nobody waits for it
    for one in rounds:
        assert one.seconds == pytest.approx((one.rounds + 1) * COMPUTE_S, abs=1e-6)


def test_an_agent_slower_than_the_gate_is_left_out(streets, without):
    process = streets.process(BAD)
    process.compute_s = 1.5 * GATE_S
    decision, negotiation = streets.decide(0)
    assert_left_out(decision, negotiation, without)
    process.compute_s = COMPUTE_S
    found = [streets.decide(interval)[1] for interval in (1, 2)]
    assert found[-1].held[BAD] == found[-1].committed == "2.0"


def test_a_slow_agent_is_waited_for_within_reason(streets, undisturbed):
    """Twice as long to compute as the others: it takes part, and all agree on the same."""
    streets.process(BAD).compute_s = 2.0 * COMPUTE_S
    decision, negotiation = streets.decide(0)
    assert negotiation.confirmed == AGENTS
    assert_same_plans(decision, undisturbed[0], AGENTS)


def test_an_agent_that_votes_no_is_left_out_of_the_next_attempt(streets):
    """Because it finds no schedule, or because looking for one fails."""

    def bind(terms):
        raise ZeroDivisionError("a mistake")

    for interval, found in enumerate((bind, lambda terms: None)):
        streets.scheme.agents[BAD].bind = found
        _, negotiation = streets.decide(interval)
        assert negotiation.committed == f"{interval}.1"
        assert negotiation.attempts == 2
        assert negotiation.confirmed == OTHERS
        assert not negotiation.silent
        failures = ("lv2: ZeroDivisionError: a mistake",) if found is bind else ()
        assert negotiation.failures == failures


def test_an_agent_that_returns_takes_part_again(streets):
    mailbox = streets.process(BAD).mailbox
    put = mailbox.put
    streets.hear(BAD, lambda origin, payload: None)
    _, first = streets.decide(0)
    streets.hear(BAD, put)
    _, second = streets.decide(1)
    assert first.silent == (BAD,)
    assert second.confirmed == AGENTS
    assert not second.silent


def test_one_that_misses_a_round_is_back_in_the_next(streets):
    """Its offer and all repetitions are lost once; who answers is waited for again."""
    mailbox = streets.process(BAD).mailbox
    put = mailbox.put

    def sometimes(origin, payload):
        message = decoded(payload)
        if not (isinstance(message, Offer) and message.round == 3):
            put(origin, payload)

    streets.hear(BAD, sometimes)
    _, negotiation = streets.decide(0)
    assert negotiation.confirmed == AGENTS
    history = streets.scheme.coordinator.coordinator.rounds
    assert [r.answers for r in history[:5]] == [3, 3, 3, 2, 3]


def test_time_passes_as_computing_takes(tmp_path):
    found = build(tmp_path, compute_s=2.0).start()
    _, negotiation = found.decide(0)
    assert negotiation.seconds == pytest.approx(2.0 * (negotiation.rounds + 1), abs=1e-6)
    assert found.environment.now == 0.0  # the gate closes when the interval begins
    found.decide(1)
    assert found.environment.now == INTERVAL_S


@pytest.mark.parametrize(("gate_s", "reason"), [(0.5, "nobody answers"), (4.0, "not converged")])
def test_a_gate_too_short_for_agreement_leaves_everybody_alone(tmp_path, gate_s, reason):
    found = build(tmp_path, gate_s=gate_s)
    for interval in range(3):
        decision, negotiation = found.decide(interval)
        assert not negotiation.committed
        assert reason in negotiation.reason
        for name in AGENTS:
            assert reason in decision.plans[name].report.fallback
    assert not negotiation.failures


def test_the_first_interval_may_be_any(tmp_path):
    _, negotiation = build(tmp_path).decide(3)
    assert negotiation.committed == "3.0"
    assert negotiation.confirmed == AGENTS


def test_an_unsafe_mixture_leaves_the_old_schedules(streets, without):
    coordinator = streets.scheme.coordinator
    coordinator.commit.check = lambda possible: "bus 7 at 1.2 p.u."
    coordinator.coordinator.follower_cost = lambda exchange: float("nan")
    decision, negotiation = streets.decide(0)
    assert not negotiation.committed
    assert negotiation.reason == "mixture unsafe: bus 7 at 1.2 p.u."
    # and what else the scheme has to say is kept
    outcome = next(o for o in decision.outcomes if o.follower == "mv1")
    not_served, summary = outcome.messages
    assert "cannot be served" in not_served
    assert summary == f"no new schedules: {negotiation.reason}"
    assert set(negotiation.held.values()) == {""}
    assert not negotiation.in_doubt
    for name in AGENTS:
        assert "mixture unsafe" in decision.plans[name].report.fallback
    assert_same_plans(decision, without[0], (BAD,))


def test_a_mistake_of_the_coordinator_is_not_kept_quiet(streets):
    def receive(answers):
        raise ArithmeticError("a mistake")

    streets.scheme.coordinator.coordinator.receive = receive
    with pytest.raises(ArithmeticError, match="a mistake"):
        streets.decide(0)


def late_commit(streets):
    """Deliver the first commit to the bad agent ten minutes after its gate."""
    mailbox, environment = streets.process(BAD).mailbox, streets.environment
    put = mailbox.put

    def later(origin, payload):
        yield environment.timeout(600.0 - environment.now)
        put(origin, payload)

    def held_back(origin, payload):
        if is_commit(payload, Version(0, 0)) and environment.now < 0.0:
            if not waiting:
                waiting.append(environment.process(later(origin, payload)))
        else:
            put(origin, payload)

    waiting = []
    streets.hear(BAD, held_back)


class Dispatches:
    """What the follower is asked to solve, and what the feeder above takes for its imports."""

    def __init__(self, streets, monkeypatch):
        follower, feeder = streets.scheme.follower, streets.cascade.agents["mv1"]
        commit = streets.scheme.coordinator.commit
        solve, prepare, check = follower.solve, feeder.prepare, commit.check
        self.solved, self.checked, self.imports = [], [], {}

        def recorded(p):
            self.solved.append(p.copy())
            return solve(p)

        def checking(possible):
            self.checked.append(len(self.solved))  # where the check solves its first dispatch
            return check(possible)

        def prepared(interval, measured, below, vm_head_pu=None):
            self.imports.update(below)
            return prepare(interval, measured, below, vm_head_pu)

        monkeypatch.setattr(follower, "solve", recorded)
        monkeypatch.setattr(feeder, "prepare", prepared)
        monkeypatch.setattr(commit, "check", checking)


def test_a_commit_after_the_gate_is_adopted_for_the_intervals_to_come(
    streets, without, monkeypatch
):
    late_commit(streets)
    dispatches = Dispatches(streets, monkeypatch)
    decision, negotiation = streets.decide(0)
    counted = [negotiation]
    assert negotiation.committed == "0.0"
    assert negotiation.members == AGENTS
    assert negotiation.confirmed == OTHERS
    assert negotiation.in_doubt == (BAD,)
    assert negotiation.held[BAD] == ""
    assert "heard of no commit of 0.0" in decision.plans[BAD].report.fallback
    # it carries out what it had; the others trade with each other alone
    assert_same_plans(decision, without[0], (BAD,))
    assert_across_clears(streets, decision)
    assert not across(decision, BAD).any()
    # the feeder was not told: its dispatch is the one that was checked, at all new schedules
    (first,) = dispatches.checked
    np.testing.assert_array_equal(dispatches.solved[-1], dispatches.solved[first])
    bounds = {name: streets.process(name).voted[Version(0, 0)] for name in AGENTS}
    for name, bound in bounds.items():
        copies, imports = streets.scheme.agents[name].multiplicity, dispatches.imports[name]
        np.testing.assert_array_equal(imports.p_mw, copies * bound.exchange.p_mw)
        np.testing.assert_array_equal(imports.q_mvar, copies * bound.exchange.q_mvar)
    bound = bounds[BAD]
    done = decision.plans[BAD].schedule.p_import_mw
    assert np.abs(done - bound.exchange.p_mw).max() > 1e-4
    streets.scheme.coordinator.commit.check = lambda possible: "none is"
    decision, negotiation = streets.decide(1)
    assert negotiation.settled == (BAD,)
    assert not negotiation.in_doubt
    assert set(negotiation.held.values()) == {"0.0"}
    schedule = decision.plans[BAD].schedule
    assert np.ptp(bound.plan.schedule.battery_p_mw) > 1e-4
    # from its second step on, within the limits of the devices
    np.testing.assert_allclose(
        schedule.battery_p_mw[:, 0], bound.plan.schedule.battery_p_mw[:, 1], atol=1e-9
    )
    # its acknowledgement between the two windows is counted with the second one
    counted.append(negotiation)
    total = streets.network.counts()
    assert sum(one.sent for one in counted) == total.sent
    assert sum(one.delivered for one in counted) == total.delivered
    assert sum(one.bytes_sent for one in counted) == total.bytes_sent
    # and nothing twice, if another process goes on
    host = streets.scheme.host
    host.restore(host.state())
    assert host.network.counts() == total
    assert streets.scheme.traffic() == TrafficCounts()


def test_what_a_vote_says_is_held_raises_no_allowance(streets, monkeypatch):
    """What may be violated is what is violated at what the coordinator knew before."""
    follower, calls = streets.scheme.follower, []
    check = follower.check_mixtures

    def recorded(interval, solution, choices, measured=None, before_pu=None):
        calls.append((choices, before_pu))
        return check(interval, solution, choices, measured, before_pu)

    monkeypatch.setattr(follower, "check_mixtures", recorded)
    (enrolled,) = streets.scheme.coordinator.commit.possible[BAD]
    claimed = tuple(1.25 * abs(p) + 0.001 for p in enrolled.p_mw)
    changed(streets, Vote, with_fields(held_mw=claimed))
    _, negotiation = streets.decide(0)
    assert not negotiation.refused
    (before, nothing), (mixtures, allowed) = calls
    copies = streets.scheme.agents[BAD].multiplicity
    np.testing.assert_array_equal(before[BAD][0].p_mw, copies * np.array(enrolled.p_mw))
    assert all(len(profiles) == 1 for profiles in before.values())
    assert nothing is None
    np.testing.assert_array_equal(mixtures[BAD][0].p_mw, copies * np.array(claimed))
    assert all(len(profiles) == 2 for profiles in mixtures.values())
    np.testing.assert_array_equal(allowed, np.zeros(3))


def test_an_agent_settles_with_the_trade_that_it_was_told(streets):
    mailbox, told = streets.process(BAD).mailbox, []
    put = mailbox.put

    def halved(origin, payload):
        if is_commit(payload):
            message = decoded(payload)
            told.append(tuple(0.5 * p for p in message.trade_mw))
            payload = encode(msgspec.structs.replace(message, trade_mw=told[-1]))
        put(origin, payload)

    streets.hear(BAD, halved)
    decision, negotiation = streets.decide(0)
    assert negotiation.confirmed == AGENTS
    assert np.abs(told[0]).max() > 1e-4
    np.testing.assert_allclose(across(decision, BAD), told[0], rtol=0, atol=1e-9)


def test_a_vote_says_what_its_agent_does_without_a_commit(streets):
    """And so does what the coordinator remembers of it, in the step that comes next."""
    streets.decide(0)
    coordinator = streets.scheme.coordinator
    coordinator.commit.check = lambda possible: "none is"
    votes = {}
    for agent in AGENTS:
        send = streets.process(agent).mailbox.send

        def heard(message, send=send):
            if isinstance(message, Vote):
                votes[message.sender] = message
            send(message)

        streets.process(agent).mailbox.send = heard
    decision, negotiation = streets.decide(1)
    assert not negotiation.committed
    assert set(votes) == set(AGENTS)
    does = {n: streets.scheme.agents[n].boundary(decision.plans[n]) for n in AGENTS}
    for name, vote in votes.items():
        assert vote.held == Version(0, 0)
        assert tuple(does[name].p_mw.tolist()) == vote.held_mw
        assert tuple(does[name].q_mvar.tolist()) == vote.held_mvar
    # now nobody answers any more
    for agent in AGENTS:
        streets.hear(agent, lambda origin, payload: None)
    decision, _ = streets.decide(2)
    for name in AGENTS:
        (remembered,) = coordinator.commit.possible[name]
        does = streets.scheme.agents[name].boundary(decision.plans[name])
        assert remembered.p_mw[0] == pytest.approx(does.p_mw[0], abs=1e-6)
        assert remembered.q_mvar[0] == pytest.approx(does.q_mvar[0], abs=1e-6)


def test_nothing_grows_from_interval_to_interval(streets):
    environment, sizes = streets.environment, []
    for interval in range(6):
        streets.decide(interval)
        coordinator = streets.scheme.coordinator
        sizes.append((
            len(environment._queue),
            sum(len(streets.process(n).voted) for n in AGENTS),
            sum(len(coordinator.commit.possible[n]) for n in AGENTS),
            sum(len(streets.process(n).mailbox.waiting()) for n in AGENTS),
            len(coordinator.mailbox.waiting()),
            len(streets.network.state()),
        ))  # fmt: skip
    # two versions an agent remembers at most: the one that it holds and the one it voted for
    assert np.max(sizes[2:], axis=0)[1] <= 6
    for before, after in pairwise(sizes[2:]):
        assert after[1:] == before[1:]
    # waits that ended early are still in the queue; a window later they are gone
    assert max(size[0] for size in sizes) < 600


def test_no_message_is_of_a_kind_that_agents_do_not_send(streets):
    streets.decide(0)
    kinds = {name: set() for name in (*AGENTS, "mv1")}
    for sender, payload in streets.payloads:
        kinds[sender].add(type(decoded(payload)).__name__)
    for name in AGENTS:
        assert kinds[name] == {"Response", "Vote", "Ack"}
    assert kinds["mv1"] <= {"Offer", "Prepare", "Commit", "Abort"}
    assert {Offer.__name__, Prepare.__name__} <= kinds["mv1"]
    assert Abort.__name__ not in kinds["mv1"]


def test_prices_of_the_messages_are_those_of_one_process(undisturbed):
    """The last round of a negotiation is near agreement; money tells how near."""
    outcome = next(o for o in undisturbed[0].outcomes if o.follower == "mv1")
    assert len(outcome.history) == undisturbed[1].rounds
    assert outcome.history[-1].price_apart <= tolerances.NEGOTIATION_ACCEPTED_PRICE
