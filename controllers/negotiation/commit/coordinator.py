"""Two-phase commit between a coordinator and its agents over a network that loses messages.

Agreement cannot be guaranteed (the two generals' problem), so safety does not rest on it: a version
is committed only if all members voted yes and every mixture of the schedules that any agent may
hold is safe (safety.py). Both sides are state machines without clock, threads, randomness, IO. Gray
1978 (Notes on data base operating systems, doi 10.1007/3-540-08755-9_9); presumed abort: Mohan,
Lindsay and Obermarck 1986 (doi 10.1145/7239.7266).
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from stackelgrid.controllers.negotiation.commit.messages import (
    Abort,
    Ack,
    Commit,
    Message,
    Offer,
    Prepare,
    Profile,
    Terms,
    Version,
    Vote,
)
from stackelgrid.controllers.negotiation.commit.retransmission import (
    Outbox,
    ProtocolError,
    RetryPolicy,
)
from stackelgrid.controllers.negotiation.commit.safety import Holding, Possible, PossibleHoldings
from stackelgrid.profiles.stateful import Carrying


@dataclass(frozen=True, slots=True)
class CommitRecord:
    """Result of an interval's commit, as known to its coordinator at the gate.

    `committed`: the version decided, or None with the `reason` of the last attempt; `members`: its
    agents; `trades`: their cleared trades (steps,) in MW; `confirmed`: members that acknowledged;
    `in_doubt`: agents whose commit, of this or an earlier interval, was not acknowledged;
    `settled`: doubts of earlier gates settled since the last one: agent, version, and whether it
    was adopted.
    """

    committed: Version | None
    reason: str
    attempts: int
    members: tuple[str, ...]
    trades: Mapping[str, Profile]
    confirmed: tuple[str, ...]
    in_doubt: tuple[str, ...]
    settled: tuple[tuple[str, Version, bool], ...]


@dataclass(slots=True)
class _Attempt:
    version: Version
    members: tuple[str, ...]
    votes: dict[str, Vote] = field(default_factory=dict)
    late: set[str] = field(default_factory=set)  # whose votes came after the gate
    decided: bool = False

    def missing(self) -> tuple[str, ...]:
        return tuple(agent for agent in self.members if agent not in self.votes)


class CommitCoordinator(Carrying):
    """State machine of the coordinator; time in s is an argument, nothing is sent but `outgoing`.

    name: sender of its messages.
    enrolled: holding of each agent before any commit, from `interval` on.
    clear: of votes by agent, the cleared trade of every member, or the reason why there is none.
    check: of possible holdings, the reason why a mixture is unsafe; "" if all are safe.
    shift: a profile as seen some intervals later.
    retry: waits until messages are repeated.

    Ignored messages are counted in `dropped` by reason. `reason` says why the last attempt was not
    committed; it is empty if it was or may be.
    """

    carried = (
        "interval", "decision", "dropped", "reason", "holdings", "_committed", "_doubts",
        "_settled", "_attempt", "_attempts", "_trades", "_begun", "_gate_s", "_outbox", "_commits",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        enrolled: Mapping[str, Holding],
        clear: Callable[[Mapping[str, Vote]], Mapping[str, Profile] | str],
        check: Callable[[Possible], str],
        shift: Callable[[Profile, int], Profile],
        retry: RetryPolicy,
        interval: int = 0,
    ) -> None:
        self.name = name
        self.interval = interval
        self.decision: Version | None = None
        self.dropped: Counter[str] = Counter()
        self.reason = ""
        self.clear, self.check = clear, check
        self._agents = frozenset(enrolled)
        self.holdings = PossibleHoldings(enrolled, shift, interval)
        self._committed: dict[str, Version] = {}  # last one of each agent
        self._doubts: set[str] = set()  # agents unacknowledged at an earlier gate
        self._settled: list[tuple[str, Version, bool]] = []
        self._attempt: _Attempt | None = None
        self._attempts = 0
        self._trades: Mapping[str, Profile] = {}
        self._begun = interval - 1
        self._gate_s: float | None = None  # None: closed
        self._outbox = Outbox(retry)  # Prepare and Abort of the present attempt
        self._commits = Outbox(retry)  # unacknowledged ones

    @property
    def possible(self) -> Possible:
        """Holdings that each agent may have, from the present interval on."""
        return self.holdings.present

    @property
    def in_doubt(self) -> tuple[str, ...]:
        """Agents that have not acknowledged their last commit."""
        return tuple(sorted(self._commits.recipients))

    @property
    def missing(self) -> tuple[str, ...]:
        """Members whose vote the present attempt waits for; empty once it is decided."""
        attempt = self._attempt
        return () if attempt is None or attempt.decided else attempt.missing()

    def begin(self, interval: int, gate_s: float, now: float) -> None:
        """Open the negotiation of an interval up to its gate; unacknowledged commits go out again.

        Raises `ProtocolError` for an interval before the present one or a gate that has passed.
        """
        if interval <= self._begun:
            raise ProtocolError(f"interval {interval} begins: accepted is above {self._begun}")
        if not now < gate_s:
            raise ProtocolError(f"gate at {gate_s} s: accepted is after the present, {now} s")
        if self._gate_s is not None:
            raise ProtocolError(f"interval {interval} begins: accepted after {self.interval} ends")
        self.interval, self._begun, self._gate_s = interval, interval, gate_s
        self.decision, self._attempt, self._attempts = None, None, 0
        self.reason, self._trades = "", {}
        self.holdings.advance(interval)
        self._commits.restart(now)

    def pace(self, retry: RetryPolicy) -> None:
        """Use another policy for the messages sent from now on."""
        self._outbox.retry = self._commits.retry = retry

    def offer(self, agent: str, terms: Terms) -> Offer:
        """Return the terms of a round for one agent, as a message."""
        return Offer(
            **self._header(agent, Version(self.interval, self._attempts)),
            committed=self._committed.get(agent),
            **msgspec.structs.asdict(terms),
        )

    def prepare(self, members: Sequence[str], terms: Mapping[str, Terms], now: float) -> bool:
        """Start the next attempt, abort one that is undecided; return whether it was started.

        It cannot once the gate has passed or a version of the interval is committed. Raises
        `ProtocolError` if there are no members or one is not enrolled.
        """
        if not members or not self._agents.issuperset(members):
            raise ProtocolError(
                f"members are {', '.join(members) or 'none'}: accepted are "
                f"{', '.join(sorted(self._agents))}"
            )
        if self._gate_s is None or now >= self._gate_s or self.decision is not None:
            if self.decision is None:
                self.reason = "too late"
            return False
        self._give_up(now)
        version = Version(self.interval, self._attempts)
        self._attempts += 1
        self._attempt = _Attempt(version, tuple(dict.fromkeys(members)))
        self.reason = ""
        for agent in self._attempt.members:
            self._outbox.put(
                Prepare(
                    **self._header(agent, version),
                    committed=self._committed.get(agent),
                    **msgspec.structs.asdict(terms[agent]),
                ),
                now,
            )
        return True

    def receive(self, message: Message, now: float) -> None:
        """Take a `Vote` or an `Ack`; messages that follow are in `outgoing`."""
        if message.sender not in self._agents:
            self.dropped["not enrolled"] += 1
        elif isinstance(message, Vote):
            self._on_vote(message, now)
        elif isinstance(message, Ack):
            self._on_ack(message)
        else:
            self.dropped[f"unexpected {type(message).__name__}"] += 1

    def outgoing(self, now: float) -> list[Message]:
        """Return what is due by now, new and repeated; nothing at or after the gate."""
        if self._gate_s is None or now >= self._gate_s:
            return []
        return [*self._commits.take(now), *self._outbox.take(now)]

    def next_due(self) -> float | None:
        """Return when `outgoing` has something next, None if not before the gate."""
        due = min(self._commits.next_due(), self._outbox.next_due())
        return due if self._gate_s is not None and due < self._gate_s else None

    def close(self, now: float) -> CommitRecord:
        """Close the gate and return the result of the interval; undecided attempts are aborted."""
        if self._gate_s is None:
            raise ProtocolError(f"interval {self.interval} ends: accepted once after it began")
        self._give_up(now)
        if self.decision is None and not self._attempts:
            self.reason = "too late"
        self._gate_s = None
        self._outbox.clear()
        self._doubts = set(self._commits.recipients)
        settled, self._settled = tuple(self._settled), []
        members = () if self._attempt is None else self._attempt.members
        confirmed = tuple(
            agent
            for agent in members
            if self.decision is not None and self.holdings.versions(agent) == (self.decision,)
        )
        return CommitRecord(
            committed=self.decision,
            reason=self.reason,
            attempts=self._attempts,
            members=members,
            trades=self._trades,
            confirmed=confirmed,
            in_doubt=self.in_doubt,
            settled=settled,
        )

    def _on_vote(self, vote: Vote, now: float) -> None:
        attempt, agent = self._attempt, vote.sender
        if attempt is None or vote.version != attempt.version or agent not in attempt.members:
            self.dropped["vote of another attempt"] += 1
        elif agent in attempt.votes:
            self.dropped["repeated vote"] += 1
        elif self._gate_s is None or now >= self._gate_s:
            attempt.late.add(agent)
            self.dropped["vote after the gate"] += 1
        elif vote.held not in self.holdings.versions(agent):
            self.dropped["vote from an impossible schedule"] += 1
        else:
            # the vote is irrevocable: an older commit will not be adopted any more
            self.holdings.know(agent, Holding(vote.held, vote.held_mw, vote.held_mvar))
            self._settle(agent, vote.held)
            attempt.votes[agent] = vote
            if attempt.decided:  # aborted before this vote came: repeat the Abort, nothing else
                return
            self._outbox.drop(agent)
            if not vote.yes:
                self._abort(attempt, f"{agent} voted no", now)
            elif self._complete(attempt):
                self._decide(attempt, now)

    def _on_ack(self, ack: Ack) -> None:
        agent, version = ack.sender, ack.version
        commit, asked = self._commits.pending(agent), self._outbox.pending(agent)
        if commit is not None and commit.version == version:
            if ack.held not in self.holdings.versions(agent):
                self.dropped["acknowledged an impossible schedule"] += 1
                return
            self.holdings.know_version(agent, ack.held)
            self._settle(agent, ack.held)
        elif isinstance(asked, Abort) and asked.version == version:
            self._outbox.drop(agent)
        else:
            self.dropped["repeated acknowledgement"] += 1

    def _complete(self, attempt: _Attempt) -> bool:
        return not attempt.missing()

    def _decide(self, attempt: _Attempt, now: float) -> None:
        """All members voted yes: commit if trades clear and every mixture is safe, else abort."""
        cleared = self.clear(attempt.votes)
        if isinstance(cleared, str):
            self._abort(attempt, f"not cleared: {cleared}", now)
            return
        version = attempt.version
        new = {
            agent: Holding(version, vote.exchange_mw, vote.exchange_mvar)
            for agent, vote in attempt.votes.items()
        }
        possible = dict(self.possible)
        for agent, holding in new.items():
            possible[agent] += (holding,)
        unsafe = self.check(possible)
        if unsafe:
            self._abort(attempt, f"mixture unsafe: {unsafe}", now)
            return
        attempt.decided = True
        self.decision = version
        self._trades = dict(cleared)
        for agent, holding in new.items():
            self.holdings.add(agent, holding)
        for agent in attempt.members:
            self._outbox.drop(agent)
            self._committed[agent] = version
            header = self._header(agent, version)
            commit = Commit(**header, committed=version, trade_mw=cleared[agent])
            self._commits.put(commit, now)

    def _give_up(self, now: float) -> None:
        """Abort the present attempt if it is undecided: votes are missing."""
        attempt = self._attempt
        if attempt is not None and not attempt.decided:
            silent = [agent for agent in attempt.missing() if agent not in attempt.late]
            reason = f"no vote from {', '.join(silent)}" if silent else "too late"
            self._abort(attempt, reason, now)

    def _abort(self, attempt: _Attempt, reason: str, now: float) -> None:
        attempt.decided = True
        self.reason = reason
        for agent in attempt.members:
            header = self._header(agent, attempt.version)
            self._outbox.put(Abort(**header, committed=self._committed.get(agent)), now)

    def _header(self, agent: str, version: Version) -> dict[str, Any]:
        return {
            "sender": self.name,
            "recipient": agent,
            "interval": version.interval,
            "attempt": version.attempt,
        }

    def _settle(self, agent: str, held: Version | None) -> None:
        """Record that the result of the agent's last commit is known."""
        commit = self._commits.drop(agent)
        if commit is not None and agent in self._doubts:
            self._doubts.discard(agent)
            self._settled.append((agent, commit.version, held == commit.version))
