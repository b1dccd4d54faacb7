"""Two-phase commit by hand: who holds what after each message that is lost, late or repeated."""

from collections.abc import Callable, Mapping

import pytest

from stackelgrid.controllers.negotiation.commit.coordinator import CommitCoordinator, CommitRecord
from stackelgrid.controllers.negotiation.commit.messages import (
    Abort,
    Ack,
    Commit,
    Message,
    Offer,
    Prepare,
    Profile,
    Response,
    Terms,
    Version,
    Vote,
)
from stackelgrid.controllers.negotiation.commit.participant import CommitParticipant
from stackelgrid.controllers.negotiation.commit.retransmission import ProtocolError, RetryPolicy
from stackelgrid.controllers.negotiation.commit.safety import Holding

INTERVAL_S, GATE_S = 100.0, 40.0  # windows are [100 k - 40, 100 k)
PRICES = (1.0, 2.0)
ZERO = (0.0, 0.0)
HELD, NEW, NEW_MVAR, TRADE = (1.0, 2.0), (5.0, 6.0), (0.5, 0.7), (0.4, -0.2)
TERMS = Terms(3, False, PRICES, ZERO, PRICES, PRICES, ZERO, PRICES)
RETRY = RetryPolicy(first_s=2.0, factor=2.0, longest_s=5.0)


def gate(interval: int) -> float:
    return interval * INTERVAL_S


def shift(profile: Profile, intervals: int) -> Profile:
    return (*profile[intervals:], *(profile[-1:] * min(intervals, len(profile))))


def none_lost(message: Message) -> bool:
    return False


def lost(kind: type[Message], *agents: str) -> Callable[[Message], bool]:
    """Whether a message is of a kind and from or to one of the agents (any if none are named)."""
    return lambda message: (
        isinstance(message, kind)
        and (not agents or message.sender in agents or message.recipient in agents)
    )


def deaf(*agents: str) -> Callable[[Message], bool]:
    return lambda message: message.sender in agents or message.recipient in agents


class Table:
    """A coordinator and its agents at one table: messages arrive at once or never."""

    def __init__(self, *agents: str, unsafe: str = "", uncleared: str = "") -> None:
        self.unsafe, self.uncleared = unsafe, uncleared
        self.says_no: set[str] = set()
        self.checked: list[Mapping[str, tuple[Holding, ...]]] = []
        self.adopted: list[tuple[str, Version]] = []
        self.coordinator = CommitCoordinator(
            "mv1",
            {agent: Holding(None, HELD, ZERO) for agent in agents},
            self.clear,
            self.check,
            shift,
            RETRY,
        )
        self.agents = {a: CommitParticipant(a, "mv1", gate) for a in agents}

    def clear(self, votes: Mapping[str, Vote]) -> Mapping[str, Profile] | str:
        half = {a: tuple(x / 2 for x in vote.trade_mw) for a, vote in votes.items()}
        return self.uncleared or half

    def check(self, possible: Mapping[str, tuple[Holding, ...]]) -> str:
        self.checked.append(possible)
        return self.unsafe

    def begin(self, interval: int) -> float:
        now = gate(interval) - GATE_S
        self.coordinator.begin(interval, gate(interval), now)
        return now

    def prepare(self, now: float, *members: str) -> bool:
        members = members or tuple(self.agents)
        return self.coordinator.prepare(members, dict.fromkeys(members, TERMS), now)

    def answer(self, agent: str, now: float) -> bool:
        participant = self.agents[agent]
        yes = agent not in self.says_no
        held = HELD if participant.held is None else NEW
        new = (NEW, NEW_MVAR, TRADE) if yes else (held, ZERO, ZERO)
        return participant.cast(self.vote(agent, yes, *new, participant.held, held), now)

    def vote(self, agent: str, yes: bool, p: Profile, q: Profile, trade: Profile,
             held: Version | None, held_mw: Profile) -> Vote:  # fmt: skip
        """Vote of an agent on the attempt that wants one."""
        prepare = self.agents[agent].wanted
        version = Version(0, 0) if prepare is None else prepare.version
        return Vote(
            sender=agent, recipient="mv1", interval=version.interval, attempt=version.attempt,
            round=0 if prepare is None else prepare.round, yes=yes, exchange_mw=p,
            exchange_mvar=q, trade_mw=trade, held=held, held_mw=held_mw, held_mvar=ZERO,
        )  # fmt: skip

    def reach(self, agent: str, message: Message, now: float) -> list[Message]:
        """A message reaches an agent, which answers at once; return what it sends."""
        event = self.agents[agent].receive(message, now)
        if isinstance(event, Prepare):
            self.answer(agent, now)
        elif isinstance(event, Commit):
            self.adopted.append((agent, event.version))
        return self.agents[agent].outgoing()

    def exchange(
        self, now: float, loses: Callable[[Message], bool] = none_lost
    ) -> list[tuple[str, str, str]]:
        """Pass messages until all are silent; return kind, sender and recipient of all sent."""
        log = []
        while messages := self.coordinator.outgoing(now):
            for message in messages:
                sent = [message]
                while sent:
                    message = sent.pop(0)
                    log.append((type(message).__name__, message.sender, message.recipient))
                    if loses(message):
                        continue
                    if message.recipient == "mv1":
                        self.coordinator.receive(message, now)
                    else:
                        sent += self.reach(message.recipient, message, now)
        return log

    def close(self, interval: int) -> CommitRecord:
        return self.coordinator.close(gate(interval))

    def held(self) -> list[Version | None]:
        return [p.held for p in self.agents.values()]

    def possible(self, agent: str) -> list[Version | None]:
        return [holding.version for holding in self.coordinator.possible[agent]]


def first_commit(table: Table, loses: Callable[[Message], bool] = none_lost) -> CommitRecord:
    """Interval 0 up to its gate, all asked once, some messages lost all the time."""
    now = table.begin(0)
    table.prepare(now)
    for wait in (0.0, 2.0, 6.0, 11.0, 16.0):
        table.exchange(now + wait, loses)
    return table.close(0)


def test_on_a_perfect_network_all_adopt_and_nobody_is_in_doubt():
    table = Table("lv1", "lv2")
    now = table.begin(0)
    assert table.prepare(now)
    kinds = [kind for kind, _, _ in table.exchange(now)]
    assert kinds == ["Prepare", "Vote"] * 2 + ["Commit", "Ack"] * 2
    assert table.held() == [Version(0, 0)] * 2
    record = table.close(0)
    assert record.committed == Version(0, 0)
    assert record.reason == ""
    assert record.members == record.confirmed == ("lv1", "lv2")
    assert record.trades == {"lv1": (0.2, -0.1), "lv2": (0.2, -0.1)}
    assert record.in_doubt == record.settled == ()
    mine = table.agents["lv1"].close(0)
    assert mine.held == Version(0, 0)
    assert not mine.in_doubt
    old, new = Holding(None, HELD, ZERO), Holding(Version(0, 0), NEW, NEW_MVAR)
    assert table.checked == [{"lv1": (old, new), "lv2": (old, new)}]
    assert table.coordinator.possible == {"lv1": (new,), "lv2": (new,)}
    assert table.coordinator.dropped == table.agents["lv1"].dropped == {}


def test_a_lost_prepare_is_repeated_after_growing_waits():
    table = Table("lv1", "lv2")
    now = table.begin(0)
    table.prepare(now)
    table.exchange(now, lost(Prepare, "lv2"))
    due = []
    for _ in range(5):
        due.append(table.coordinator.next_due())
        assert table.coordinator.outgoing(due[-1] - 0.1) == []
        log = table.exchange(due[-1], lost(Prepare))
        assert log == [("Prepare", "mv1", "lv2")]
    assert due == [now + wait for wait in (2.0, 6.0, 11.0, 16.0, 21.0)]
    assert table.coordinator.missing == ("lv2",)
    table.exchange(table.coordinator.next_due())
    assert table.held() == [Version(0, 0)] * 2
    assert table.coordinator.next_due() is None


def test_a_lost_vote_is_repeated_word_for_word():
    table = Table("lv1", "lv2")
    now = table.begin(0)
    table.prepare(now)
    votes = []

    def recorded(message):
        if isinstance(message, Vote) and message.sender == "lv2":
            votes.append(message)
        return len(votes) == 1 and message is votes[0]  # the first one is lost

    table.exchange(now, recorded)
    table.says_no.add("lv2")  # a new answer would be another one
    log = table.exchange(now + 2.0, recorded)
    assert log[:2] == [("Prepare", "mv1", "lv2"), ("Vote", "lv2", "mv1")]
    first, again = votes
    assert again == first
    assert table.held() == [Version(0, 0)] * 2
    assert table.agents["lv2"].dropped == {"repeated prepare": 1}


def test_a_lost_commit_leaves_doubt_that_the_next_window_settles_by_adoption():
    table = Table("lv1", "lv2")
    record = first_commit(table, lost(Commit, "lv2"))
    assert record.committed == Version(0, 0)
    assert record.confirmed == ("lv1",)
    assert record.in_doubt == ("lv2",)
    assert table.held() == [Version(0, 0), None]
    assert table.possible("lv2") == [None, Version(0, 0)]
    assert table.agents["lv2"].close(0).in_doubt
    assert table.coordinator.outgoing(gate(0) + 1.0) == []  # silent between two windows

    now = table.begin(1)
    # an offer says what was committed: the agent goes on waiting for the commit itself
    table.reach("lv2", table.coordinator.offer("lv2", TERMS), now)
    assert table.agents["lv2"].pending == Version(0, 0)
    assert table.exchange(now) == [("Commit", "mv1", "lv2"), ("Ack", "lv2", "mv1")]
    assert table.held() == [Version(0, 0)] * 2
    later = Holding(Version(0, 0), shift(NEW, 1), shift(NEW_MVAR, 1))
    assert table.coordinator.possible["lv2"] == (later,)
    record = table.close(1)
    assert record.settled == (("lv2", Version(0, 0), True),)
    assert record.in_doubt == ()
    assert record.reason == "too late"
    assert table.agents["lv2"].close(1).settled == ((Version(0, 0), True),)


def test_a_newer_vote_settles_a_lost_commit_by_what_it_says_is_held():
    table = Table("lv1", "lv2")
    first_commit(table, lost(Commit, "lv2"))
    now = table.begin(1)
    stale = [m for m in table.coordinator.outgoing(now) if isinstance(m, Commit)]
    table.prepare(now)
    table.exchange(now)
    assert table.held() == [Version(1, 0)] * 2
    # every mixture that was possible was checked: lv2 still on what it was enrolled with
    assert [h.version for h in table.checked[-1]["lv2"]] == [None, Version(1, 0)]
    assert [h.version for h in table.checked[-1]["lv1"]] == [Version(0, 0), Version(1, 0)]
    # the older commit comes last: ignored, acknowledged with what is held
    (ack,) = table.reach("lv2", stale[0], now + 1.0)
    assert isinstance(ack, Ack)
    assert (ack.version, ack.held) == (Version(0, 0), Version(1, 0))
    assert table.agents["lv2"].dropped["commit of an older version"] == 1
    assert table.held() == [Version(1, 0)] * 2
    table.coordinator.receive(ack, now + 1.0)
    assert table.coordinator.dropped == {"repeated acknowledgement": 1}
    assert table.close(1).settled == (("lv2", Version(0, 0), False),)


def test_a_commit_that_arrives_after_the_gate_is_adopted_for_the_next_intervals():
    table = Table("lv1", "lv2")
    now = table.begin(0)
    table.prepare(now)
    table.exchange(now, lost(Commit))
    (commit,) = [m for m in table.coordinator.outgoing(now + 2.0) if m.recipient == "lv1"]
    mine = table.agents["lv1"].close(0)
    assert (mine.held, mine.in_doubt, mine.pending) == (None, True, Version(0, 0))
    (ack,) = table.reach("lv1", commit, gate(0) + 3.0)
    assert table.adopted == [("lv1", Version(0, 0))]
    assert table.held() == [Version(0, 0), None]
    record = table.close(0)
    assert record.in_doubt == ("lv1", "lv2")
    table.coordinator.receive(ack, gate(0) + 4.0)  # also heard between two windows
    assert table.possible("lv1") == [Version(0, 0)]
    table.begin(1)
    assert table.close(1).settled == (("lv1", Version(0, 0), True),)


def test_a_lost_acknowledgement_leaves_the_coordinator_alone_in_doubt():
    table = Table("lv1", "lv2")
    record = first_commit(table, lost(Ack, "lv1"))
    assert table.held() == [Version(0, 0)] * 2
    assert record.in_doubt == ("lv1",)
    assert table.possible("lv1") == [None, Version(0, 0)]
    assert not table.agents["lv1"].close(0).in_doubt
    now = table.begin(1)
    assert table.exchange(now) == [("Commit", "mv1", "lv1"), ("Ack", "lv1", "mv1")]
    assert table.adopted == [("lv1", Version(0, 0)), ("lv2", Version(0, 0))]
    assert table.agents["lv1"].dropped["repeated commit"] == 5
    assert table.close(1).settled == (("lv1", Version(0, 0), True),)


def test_a_no_aborts_and_a_lost_abort_is_presumed_in_the_next_interval():
    table = Table("lv1", "lv2")
    table.says_no.add("lv2")
    record = first_commit(table, lost(Abort))
    assert record.committed is None
    assert record.reason == "lv2 voted no"
    assert table.checked == []
    mine = table.agents["lv1"].close(0)
    assert (mine.held, mine.pending) == (None, Version(0, 0))
    assert not table.agents["lv2"].close(0).in_doubt
    assert table.possible("lv1") == [None]

    now = table.begin(1)
    offer = table.coordinator.offer("lv1", TERMS)
    assert offer.committed is None
    table.reach("lv1", offer, now)
    assert table.agents["lv1"].pending is None
    assert table.agents["lv1"].close(1).settled == ((Version(0, 0), False),)


def test_an_abort_that_arrives_leaves_no_doubt_and_is_not_repeated():
    table = Table("lv1", "lv2")
    table.says_no.add("lv2")
    now = table.begin(0)
    table.prepare(now)
    log = table.exchange(now)
    assert ("Abort", "mv1", "lv1") in log
    assert ("Ack", "lv1", "mv1") in log
    assert table.agents["lv1"].pending is None
    assert table.coordinator.next_due() is None
    # a Prepare of the aborted attempt that was overtaken gets no vote any more
    stale = Prepare(
        sender="mv1", recipient="lv1", interval=0, attempt=0, committed=None,
        round=3, fixed=False, trade_price=ZERO, trade_target=ZERO, trade_penalty=ZERO,
        exchange_price=ZERO, exchange_target=ZERO, exchange_penalty=ZERO,
    )  # fmt: skip
    assert table.reach("lv1", stale, now + 1.0) == []
    assert table.agents["lv1"].dropped == {"prepare of an older attempt": 1}


def test_a_new_attempt_leaves_a_silent_agent_out_and_counts_what_it_may_hold():
    table = Table("lv1", "lv2", "lv3")
    now = table.begin(0)
    table.prepare(now)
    table.exchange(now, deaf("lv3"))
    assert table.coordinator.missing == ("lv3",)
    assert table.prepare(now + 10.0, "lv1", "lv2")
    assert table.coordinator.reason == ""
    table.exchange(now + 10.0, deaf("lv3"))
    record = table.close(0)
    assert record.committed == Version(0, 1)
    assert (record.attempts, record.members) == (2, ("lv1", "lv2"))
    assert record.in_doubt == ()
    assert table.held() == [Version(0, 1), Version(0, 1), None]
    assert [h.version for h in table.checked[-1]["lv3"]] == [None]
    assert [h.version for h in table.checked[-1]["lv1"]] == [None, Version(0, 1)]


def test_without_a_vote_the_reason_names_the_silent():
    table = Table("lv1", "lv2", "lv3")
    record = first_commit(table, deaf("lv2", "lv3"))
    assert record.committed is None
    assert record.reason == "no vote from lv2, lv3"
    assert table.held() == [None] * 3
    assert table.agents["lv1"].close(0).in_doubt


def test_a_prepare_delayed_past_the_gate_gets_no_vote():
    table = Table("lv1")
    now = table.begin(0)
    table.prepare(now)
    (prepare,) = table.coordinator.outgoing(now)
    assert table.reach("lv1", prepare, gate(0)) == []
    assert table.agents["lv1"].dropped == {"prepare after the gate": 1}
    assert table.agents["lv1"].pending is None
    assert table.close(0).reason == "no vote from lv1"


def test_an_answer_that_takes_past_the_gate_is_no_vote():
    table = Table("lv1")
    now = table.begin(0)
    table.prepare(now)
    (prepare,) = table.coordinator.outgoing(now)
    participant = table.agents["lv1"]
    assert participant.receive(prepare, gate(0) - 1.0) is prepare
    assert participant.receive(prepare, gate(0) - 0.5) is None  # already being computed
    assert not table.answer("lv1", gate(0))
    assert participant.wanted is None
    assert participant.outgoing() == []
    assert participant.dropped == {"repeated prepare": 1, "answer after the gate": 1}


def test_nothing_is_committed_at_the_gate():
    table = Table("lv1")
    now = table.begin(0)
    table.prepare(now)
    (prepare,) = table.coordinator.outgoing(now)
    (vote,) = table.reach("lv1", prepare, gate(0) - 1.0)
    table.coordinator.receive(vote, gate(0))
    assert table.coordinator.decision is None
    assert table.coordinator.dropped == {"vote after the gate": 1}
    assert table.coordinator.outgoing(gate(0)) == []
    assert table.close(0).reason == "too late"
    assert table.possible("lv1") == [None]


def test_an_attempt_after_the_gate_or_after_a_commit_is_not_started():
    table = Table("lv1")
    now = table.begin(0)
    table.prepare(now)
    table.exchange(now)
    assert not table.prepare(now + 1.0)
    assert table.close(0).committed == Version(0, 0)
    table.begin(1)
    assert not table.prepare(gate(1))
    record = table.close(1)
    assert (record.committed, record.reason, record.attempts) == (None, "too late", 0)


def test_repeated_and_reordered_messages_change_nothing():
    table = Table("lv1", "lv2")
    now = table.begin(0)
    table.prepare(now)
    prepares = table.coordinator.outgoing(now)
    table.prepare(now + 1.0)
    newer = [m for m in table.coordinator.outgoing(now + 1.0) if isinstance(m, Prepare)]
    assert [m.version for m in prepares + newer] == [Version(0, 0)] * 2 + [Version(0, 1)] * 2
    # the newer attempt overtakes the older one
    (vote,) = table.reach("lv1", newer[0], now + 2.0)
    assert table.reach("lv1", prepares[0], now + 2.0) == []
    (again,) = table.reach("lv1", newer[0], now + 2.0)
    assert again is vote
    (older,) = table.reach("lv2", prepares[1], now + 2.0)
    (other,) = table.reach("lv2", newer[1], now + 3.0)
    assert table.agents["lv2"].pending == Version(0, 1)
    for message in (older, vote, vote, other, other, older):
        table.coordinator.receive(message, now + 3.0)
    assert len(table.checked) == 1
    assert table.coordinator.decision == Version(0, 1)
    assert table.coordinator.dropped == {"vote of another attempt": 2, "repeated vote": 2}
    commits = table.coordinator.outgoing(now + 3.0)
    assert [type(m) for m in commits] == [Commit, Commit]
    acks = [a for m in (*commits, *commits) for a in table.reach(m.recipient, m, now + 4.0)]
    assert table.adopted == [("lv1", Version(0, 1)), ("lv2", Version(0, 1))]
    for ack in (*acks, *reversed(acks)):
        table.coordinator.receive(ack, now + 5.0)
    assert table.coordinator.possible == {
        a: (Holding(Version(0, 1), NEW, NEW_MVAR),) for a in ("lv1", "lv2")
    }
    assert table.coordinator.dropped["repeated acknowledgement"] == 6
    assert table.coordinator.next_due() is None


@pytest.mark.parametrize("trade", [(0.41, -0.2), (0.4, -0.21), (-0.1, 0.0), (0.2, 0.1)])
def test_a_commit_with_more_trade_than_offered_or_of_the_other_sign_is_dropped(trade):
    table = Table("lv1", "lv2")
    table.coordinator.clear = lambda votes: {"lv1": TRADE, "lv2": trade}
    now = table.begin(0)
    table.prepare(now)
    table.exchange(now)
    record = table.close(0)
    assert table.held() == [Version(0, 0), None]
    assert (record.confirmed, record.in_doubt) == (("lv1",), ("lv2",))
    assert [table.agents[a].trade_mw for a in ("lv1", "lv2")] == [TRADE, ()]
    assert table.agents["lv2"].dropped == {"commit with trade that was not offered": 1}


def test_an_unsafe_mixture_or_an_uncleared_trade_keeps_the_old_schedules():
    table = Table("lv1", "lv2", unsafe="bus 7 at 1.06 p.u. if lv2 keeps its schedule")
    record = first_commit(table)
    assert record.committed is None
    assert record.reason == "mixture unsafe: bus 7 at 1.06 p.u. if lv2 keeps its schedule"
    assert table.held() == [None] * 2
    assert table.possible("lv1") == [None]
    assert not table.agents["lv1"].close(0).in_doubt

    table = Table("lv1", "lv2", uncleared="0.2 MW of trade are left over")
    record = first_commit(table)
    assert record.reason == "not cleared: 0.2 MW of trade are left over"
    assert table.checked == []


def test_an_agent_silent_for_several_intervals_comes_back_and_settles_its_doubt():
    table = Table("lv1", "lv2")
    first_commit(table, lost(Commit, "lv2"))
    for interval in (1, 2, 3):
        now = table.begin(interval)
        table.prepare(now)
        table.exchange(now, deaf("lv2"))
        table.prepare(now + 10.0, "lv1")
        table.exchange(now + 10.0, deaf("lv2"))
        record = table.close(interval)
        assert record.committed == Version(interval, 1)
        assert record.members == record.confirmed == ("lv1",)
        assert record.in_doubt == ("lv2",)
        # whatever lv2 may hold was part of the check
        assert [h.version for h in table.checked[-1]["lv2"]] == [None, Version(0, 0)]
        assert table.checked[-1]["lv2"][1].p_mw == shift(NEW, interval)
    table.agents["lv2"].restart()
    now = table.begin(4)
    offer = table.coordinator.offer("lv2", TERMS)
    # the last version committed of those that asked lv2, not the last one of all
    assert offer.committed == Version(0, 0)
    assert table.coordinator.offer("lv1", TERMS).committed == Version(3, 1)
    table.reach("lv2", offer, now)
    table.exchange(now)
    assert table.held() == [Version(3, 1), Version(0, 0)]
    table.prepare(now + 5.0)
    table.exchange(now + 5.0)
    record = table.close(4)
    assert record.committed == Version(4, 0)
    assert record.settled == (("lv2", Version(0, 0), True),)
    assert table.held() == [Version(4, 0)] * 2


def test_an_answer_computed_before_a_late_commit_is_asked_for_again():
    table = Table("lv1", "lv2")
    first_commit(table, lost(Commit, "lv2"))
    now = table.begin(1)
    (commit,) = table.coordinator.outgoing(now)
    table.prepare(now)
    prepare = next(m for m in table.coordinator.outgoing(now) if m.recipient == "lv2")
    participant = table.agents["lv2"]
    assert participant.receive(prepare, now) is prepare
    stale = table.vote("lv2", True, NEW, NEW_MVAR, TRADE, None, HELD)
    assert participant.receive(commit, now + 1.0) is commit
    assert not participant.cast(stale, now + 2.0)
    assert participant.dropped == {"answer from another held schedule": 1}
    assert participant.wanted is prepare
    assert table.answer("lv2", now + 3.0)
    ack, vote = participant.outgoing()
    assert isinstance(ack, Ack)
    assert isinstance(vote, Vote)
    assert vote.held == ack.held == Version(0, 0)


def test_a_restart_forgets_work_and_keeps_the_vote():
    table = Table("lv1")
    now = table.begin(0)
    table.prepare(now)
    (prepare,) = table.coordinator.outgoing(now)
    participant = table.agents["lv1"]
    assert participant.receive(prepare, now) is prepare
    participant.restart()
    assert participant.wanted is None
    assert not table.answer("lv1", now)
    assert participant.receive(prepare, now + 2.0) is prepare
    assert table.answer("lv1", now + 2.0)
    participant.restart()
    assert participant.outgoing() == []
    assert participant.pending == Version(0, 0)
    assert participant.receive(prepare, now + 6.0) is None
    assert [type(m) for m in participant.outgoing()] == [Vote]


def test_strange_messages_are_counted_and_change_nothing():
    table = Table("lv1", "lv2")
    now = table.begin(0)
    head = {"interval": 0, "attempt": 0}
    to = {**head, "recipient": "mv1"}
    c, p = table.coordinator, table.agents["lv1"]
    c.receive(Response(**to, sender="lv1", round=1, exchange_mw=ZERO, trade_mw=ZERO), now)
    c.receive(Ack(**to, sender="lv9", held=None), now)
    c.receive(Ack(**to, sender="lv1", held=None), now)
    assert c.dropped == {
        "unexpected Response": 1, "not enrolled": 1, "repeated acknowledgement": 1
    }  # fmt: skip
    # an agent that claims to hold what it never could gets no say
    table.prepare(now)
    impossible = Vote(
        **to, sender="lv1", round=3, yes=True, exchange_mw=NEW, exchange_mvar=ZERO,
        trade_mw=ZERO, held=Version(0, 9), held_mw=NEW, held_mvar=ZERO,
    )  # fmt: skip
    c.receive(impossible, now)
    assert c.dropped["vote from an impossible schedule"] == 1
    assert c.missing == ("lv1", "lv2")
    table.exchange(now, lost(Ack, "lv1"))
    c.receive(Ack(**to, sender="lv1", held=Version(0, 9)), now)
    assert c.dropped["acknowledged an impossible schedule"] == 1
    assert table.possible("lv1") == [None, Version(0, 0)]

    to = {"sender": "mv1", "recipient": "lv1"}
    for message in (
        Commit(**to, interval=1, attempt=0, committed=Version(1, 0), trade_mw=ZERO),
        Commit(**to, interval=0, attempt=0, committed=Version(1, 0), trade_mw=ZERO),
        Abort(sender="lv2", recipient="lv1", **head, committed=None),
        Ack(**to, **head, held=None),
    ):
        assert p.receive(message, now) is None
        assert p.outgoing() == []
    assert p.dropped == {
        "commit without a vote": 1,
        "commit of two versions": 1,
        "not from the coordinator": 1,
        "unexpected Ack": 1,
    }
    assert p.held == Version(0, 0)


def test_offers_and_prepares_carry_the_terms_of_their_recipient():
    table = Table("lv1")
    now = table.begin(0)
    offer = table.coordinator.offer("lv1", TERMS)
    table.prepare(now)
    (prepare,) = table.coordinator.outgoing(now)
    for message, kind in ((offer, Offer), (prepare, Prepare)):
        assert type(message) is kind
        assert (message.sender, message.recipient, message.version) == ("mv1", "lv1", Version(0, 0))
        for name in Terms.__struct_fields__:
            assert getattr(message, name) == getattr(TERMS, name)


@pytest.mark.parametrize(
    ("first_s", "factor", "longest_s", "text"),
    [
        (0.0, 2.0, 1.0, "first_s is 0.0: accepted is above 0 s"),
        (float("nan"), 2.0, 1.0, "first_s is nan"),
        (1.0, 0.5, 1.0, "factor is 0.5: accepted is at least 1"),
        (1.0, 2.0, 0.5, "longest_s is 0.5: accepted is at least first_s, 1.0 s"),
    ],
)
def test_waits_that_cannot_be_waited_are_refused(
    first_s: float, factor: float, longest_s: float, text: str
):
    with pytest.raises(ProtocolError, match=text):
        RetryPolicy(first_s, factor, longest_s)


def test_a_coordinator_driven_out_of_order_says_so():
    table = Table("lv1")
    with pytest.raises(ProtocolError, match="interval 0 ends: accepted once after it began"):
        table.close(0)
    with pytest.raises(ProtocolError, match=r"gate at 0.0 s: accepted is after the present, 0.0 s"):
        table.coordinator.begin(0, 0.0, 0.0)
    now = table.begin(0)
    with pytest.raises(ProtocolError, match="interval 0 begins: accepted is above 0"):
        table.begin(0)
    with pytest.raises(ProtocolError, match="interval 1 begins: accepted after 0 ends"):
        table.begin(1)
    with pytest.raises(ProtocolError, match="members are lv9: accepted are lv1"):
        table.prepare(now, "lv9")
    with pytest.raises(ProtocolError, match="members are none: accepted are lv1"):
        table.coordinator.prepare((), {}, now)
