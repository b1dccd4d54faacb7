"""Estimates of answer times on a network that loses messages, and the waits derived from them."""

from dataclasses import dataclass
from math import ceil, log

from stackelgrid.profiles.stateful import Carrying

__all__ = ["Estimate", "Patience"]


@dataclass
class Estimate:
    """Mean and mean deviation in s of observed times (Jacobson and Karels 1988)."""

    mean_s: float = 0.0
    deviation_s: float = 0.0
    known: bool = False

    def seen(self, seconds: float) -> None:
        """Add an observation."""
        if not self.known:
            self.mean_s, self.deviation_s, self.known = seconds, seconds / 2.0, True
            return
        self.deviation_s += 0.25 * (abs(seconds - self.mean_s) - self.deviation_s)
        self.mean_s += 0.125 * (seconds - self.mean_s)


# waits as shares of the gate: before the first observation, at least, and at most
_FIRST_WAIT, _SHORTEST_WAIT, _LONGEST_WAIT = 0.02, 1e-4, 0.25
# an offer is repeated after the usual time of an answer, times this factor, plus its mean
# deviation: repeating too early costs a message, too late costs a round
_MORE = 1.1
# an offer is sent so many times within that time that an answer to one has this probability, given
# the offers and answers of earlier rounds, each round weighted less by the last factor
_LIKELY, _MOST_COPIES, _REMEMBERED = 0.95, 6, 0.8
# multiple of that time after which an agent without an answer is not waited for
_PATIENCE = 6.0
# round trips reserved for a second attempt: its vote, its commit, and half of one
_ANOTHER_ATTEMPT = 2.5


class Patience(Carrying):
    """Times to repeat an offer and to stop waiting, from observations, in s; gate `gate_s` long."""

    carried = ("trip", "round", "_backoff", "_counted")

    def __init__(self, gate_s: float) -> None:
        self._gate_s = gate_s
        self.trip = Estimate()  # from an offer to its answer, computing included
        self.round = Estimate()  # until all have answered, repetitions included
        self._backoff = 1.0
        self._counted = (0.0, 0.0)  # offers and answers

    @property
    def trip_s(self) -> float:
        """Seconds in which an offer that was not lost is usually answered."""
        trip = _FIRST_WAIT * self._gate_s
        if self.trip.known:
            trip = _MORE * self.trip.mean_s + self.trip.deviation_s
        return min(max(self._backoff * trip, _SHORTEST_WAIT * self._gate_s), self.longest_s)

    @property
    def wait_s(self) -> float:
        """Seconds after which an offer is repeated."""
        questions, answers = self._counted
        lost = 1.0 - answers / questions if questions else 0.0
        copies = 1.0
        if 0.0 < lost < 1.0:
            copies = min(max(ceil(log(1.0 - _LIKELY) / log(lost)), 1.0), _MOST_COPIES)
        return max(self.trip_s / copies, _SHORTEST_WAIT * self._gate_s)

    @property
    def longest_s(self) -> float:
        """Largest time between repetitions, s."""
        return _LONGEST_WAIT * self._gate_s

    @property
    def patience_s(self) -> float:
        """Seconds after which an agent without an answer is not waited for."""
        return _PATIENCE * self.trip_s if self.trip.known else float("inf")

    @property
    def commit_s(self) -> float:
        """Seconds for votes and then acknowledgements; 0 before the first observation."""
        return 2.0 * self.round_s

    @property
    def round_s(self) -> float:
        """Expected length of a round, s."""
        return self.round.mean_s + self.round.deviation_s

    @property
    def another_attempt_s(self) -> float:
        """Seconds before the gate that suffice for another round of votes."""
        return _ANOTHER_ATTEMPT * self.trip.mean_s

    def counted(self, questions: int, answers: int) -> None:
        """Add the numbers of offers in a round, repeated ones included, and of answers."""
        before = [_REMEMBERED * number for number in self._counted]
        self._counted = (before[0] + questions, min(before[1] + answers, before[0] + questions))

    def relax(self) -> None:
        """Shorten the estimate of a round, so that one long round does not rule out later ones."""
        self.round.mean_s = 0.5 * (self.round.mean_s + self.trip.mean_s)
        self.round.deviation_s *= 0.5

    def unanswered(self) -> None:
        """Double the waits while no agent answers (Karn and Partridge 1987)."""
        self._backoff *= 2.0

    def answered(self, asked_s: tuple[float, ...], now: float) -> None:
        """Add the time of an answer to an offer that was sent at `asked_s`."""
        self._backoff = 1.0
        if len(asked_s) == 1 or not self.trip.known:
            self.trip.seen(now - asked_s[0])
        elif now - asked_s[-1] > self.trip.mean_s:  # a lower bound, whichever copy was answered
            self.trip.seen(now - asked_s[-1])
