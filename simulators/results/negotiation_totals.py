"""Totals of the negotiations of a run, and their log events."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import isinf, isnan
from typing import Any

from stackelgrid.controllers.decision import Negotiation, Outcome
from stackelgrid.simulators.messages.link import TrafficCounts
from stackelgrid.simulators.results.certificate_totals import larger
from stackelgrid.simulators.results.negotiation_tables import on_new

UNSAFE_MIXTURE = "mixture unsafe"


@dataclass(frozen=True)
class NegotiationEvent:
    """Event of log.jsonl: its kind and its fields."""

    kind: str
    fields: dict[str, Any]


@dataclass
class NegotiationTotals:
    """Totals of negotiations in summary.json; fallbacks and doubts count agents and intervals."""

    rounds: list[int] = field(default_factory=list)
    negotiations: int = 0
    agreements: int = 0
    attempts: int = 0
    traffic: TrafficCounts = field(default_factory=TrafficCounts)
    fallbacks: int = 0
    intervals_by_reason: dict[str, set[int]] = field(default_factory=dict)
    in_doubt: int = 0
    settled: int = 0
    refused: int = 0
    ignored: int = 0
    failures: int = 0
    unsafe_mixtures: int = 0
    max_mixture_pu: float = 0.0
    agreement_sec: list[float] = field(default_factory=list)

    def add(self, interval: int, outcome: Outcome) -> None:
        """Add one stage of an interval; a stage without negotiation adds nothing."""
        told = outcome.negotiation
        if told is None:
            if outcome.history:
                self.rounds.append(len(outcome.history))
            return
        self.rounds.append(told.rounds)
        self.negotiations += 1
        self.agreements += bool(told.committed)
        self.attempts += told.attempts
        self.traffic += TrafficCounts(
            told.sent, told.delivered, told.lost, told.in_outage, told.duplicated, told.reordered,
            told.bytes_sent,
        )  # fmt: skip
        for agent in told.held:
            if not on_new(told, agent):
                self.fallbacks += 1
                kind = fallback_kind(told, agent)
                self.intervals_by_reason.setdefault(kind, set()).add(interval)
        self.in_doubt += len(told.in_doubt)
        self.settled += len(told.settled)
        self.refused += sum(told.refused.values())
        self.ignored += sum(told.ignored.values())
        self.failures += len(told.failures)
        self.unsafe_mixtures += reason_kind(told.reason) == UNSAFE_MIXTURE
        self.max_mixture_pu = larger(self.max_mixture_pu, told.worst_mixture_pu)
        if not isnan(told.seconds):
            self.agreement_sec.append(told.seconds)

    def summary(self) -> dict[str, Any] | None:
        """Return the section `negotiation` of summary.json; None for a run without negotiations.

        Entries on messages are null for negotiations in one process.
        """
        if not self.rounds:
            return None
        seconds, by_messages = self.agreement_sec, self.negotiations > 0
        section: dict[str, Any] = {
            "rounds_max": max(self.rounds),
            "rounds_mean": sum(self.rounds) / len(self.rounds),
        }
        told = {
            "negotiations": self.negotiations,
            "agreements": self.agreements,
            "attempts": self.attempts,
            "messages": self.traffic.sent,
            "delivered": self.traffic.delivered,
            "lost": self.traffic.lost,
            "in_outage": self.traffic.in_outage,
            "duplicated": self.traffic.duplicated,
            "reordered": self.traffic.reordered,
            "bytes": self.traffic.bytes_sent,
            "agreement_mean_sec": sum(seconds) / len(seconds) if seconds else None,
            "agreement_max_sec": max(seconds) if seconds else None,
            "fallbacks": self.fallbacks,
            "intervals_fallback_by_reason": {
                kind: len(found) for kind, found in sorted(self.intervals_by_reason.items())
            },
            "in_doubt": self.in_doubt,
            "settled": self.settled,
            "refused": self.refused,
            "ignored": self.ignored,
            "failures": self.failures,
            "unsafe_mixtures": self.unsafe_mixtures,
            # JSON has no infinity
            "max_mixture_pu": None if isinf(self.max_mixture_pu) else self.max_mixture_pu,
        }
        return section | {key: value if by_messages else None for key, value in told.items()}


def reason_kind(reason: str) -> str:
    """Return a reason without agents and places, so that equal ones can be counted."""
    if reason.startswith("no vote from "):
        return "no vote"
    if reason.endswith(" voted no"):
        return "voted no"
    return reason.partition(":")[0]


def fallback_kind(told: Negotiation, agent: str) -> str:
    """Return the kind of reason why an agent is not on a new schedule."""
    if not told.committed:
        return reason_kind(told.reason)
    return "heard of no commit" if agent in told.members else "left out"


def negotiation_events(interval: int, outcome: Outcome) -> Iterator[NegotiationEvent]:
    """Yield log events of one stage: no agreement, bad messages by reason, failures of agents."""
    told = outcome.negotiation
    if told is None:
        return
    where = {"interval": interval, "grid": outcome.follower}
    if not told.committed:
        why = {"reason": told.reason, "rounds": told.rounds, "attempts": told.attempts}
        yield NegotiationEvent("no_agreement", {**where, **why, "silent": list(told.silent)})
    for reason, count in sorted(told.refused.items()):
        yield NegotiationEvent("refused", {**where, "reason": reason, "messages": count})
    for text in told.failures:
        yield NegotiationEvent("agent_failed", {**where, "text": text})
