"""How long answers take on a network that loses messages."""

from dataclasses import dataclass
from math import ceil, log

from stackelgrid.profiles.stateful import Carrying

__all__ = ["Estimate", "Patience"]


@dataclass
class Estimate:
    """Mean and mean deviation in s of what was seen (Jacobson and Karels 1988)."""

    mean_s: float = 0.0
    deviation_s: float = 0.0
    known: bool = False

    def seen(self, seconds: float) -> None:
        """Take another observation."""
        if not self.known:
            self.mean_s, self.deviation_s, self.known = seconds, seconds / 2.0, True
            return
        self.deviation_s += 0.25 * (abs(seconds - self.mean_s) - self.deviation_s)
        self.mean_s += 0.125 * (seconds - self.mean_s)


# waits as shares of the gate: before anything is known of the network, at least, and at most
_FIRST_WAIT, _SHORTEST_WAIT, _LONGEST_WAIT = 0.02, 1e-4, 0.25
# a question is repeated after the usual time of an answer, a bit more and its mean deviation:
# repeating too early costs a message, too late costs a round
_MORE = 1.1
# so many copies of a question are sent in that time that an answer to one is this likely, as far
# as one knows from answers and questions of rounds before, weighted less by this factor each
_LIKELY, _MOST_COPIES, _REMEMBERED = 0.95, 6, 0.8
# who has not answered after so many times that long is not waited for
_PATIENCE = 6.0
# round trips that a first attempt leaves to another one: its vote, its commit, and half of one
_ANOTHER_ATTEMPT = 2.5


class Patience(Carrying):
    """When to ask again and when to give up, from what was seen; times in s, gate `gate_s` long."""

    carried = ("trip", "round", "_backoff", "_counted")

    def __init__(self, gate_s: float) -> None:
        self._gate_s = gate_s
        self.trip = Estimate()  # from a question to its answer, computing included
        self.round = Estimate()  # until everybody has answered, repetitions included
        self._backoff = 1.0
        self._counted = (0.0, 0.0)  # questions and answers

    @property
    def trip_s(self) -> float:
        """Seconds in which a question that was not lost is usually answered."""
        trip = _FIRST_WAIT * self._gate_s
        if self.trip.known:
            trip = _MORE * self.trip.mean_s + self.trip.deviation_s
        return min(max(self._backoff * trip, _SHORTEST_WAIT * self._gate_s), self.longest_s)

    @property
    def wait_s(self) -> float:
        """Seconds after which a question is repeated."""
        questions, answers = self._counted
        lost = 1.0 - answers / questions if questions else 0.0
        copies = 1.0
        if 0.0 < lost < 1.0:
            copies = min(max(ceil(log(1.0 - _LIKELY) / log(lost)), 1.0), _MOST_COPIES)
        return max(self.trip_s / copies, _SHORTEST_WAIT * self._gate_s)

    @property
    def longest_s(self) -> float:
        """Most seconds between repetitions."""
        return _LONGEST_WAIT * self._gate_s

    @property
    def patience_s(self) -> float:
        """Seconds after which somebody who does not answer is not waited for."""
        return _PATIENCE * self.trip_s if self.trip.known else float("inf")

    @property
    def commit_s(self) -> float:
        """Seconds that votes, and then acknowledgements, take; 0 before anything is known."""
        return 2.0 * self.round_s

    @property
    def round_s(self) -> float:
        """Seconds that a round may take."""
        return self.round.mean_s + self.round.deviation_s

    @property
    def another_attempt_s(self) -> float:
        """Seconds before the gate at which there is just time to ask for votes again."""
        return _ANOTHER_ATTEMPT * self.trip.mean_s

    def counted(self, questions: int, answers: int) -> None:
        """Take how many questions were asked in a round, repeated ones too, and answers came."""
        before = [_REMEMBERED * number for number in self._counted]
        self._counted = (before[0] + questions, min(before[1] + answers, before[0] + questions))

    def relax(self) -> None:
        """There was no time for a round: a single long one is not to rule out all later ones."""
        self.round.mean_s = 0.5 * (self.round.mean_s + self.trip.mean_s)
        self.round.deviation_s *= 0.5

    def unanswered(self) -> None:
        """Nobody answers: wait longer (Karn and Partridge 1987)."""
        self._backoff *= 2.0

    def answered(self, asked_s: tuple[float, ...], now: float) -> None:
        """Take an answer to a question that was asked at these times."""
        self._backoff = 1.0
        if len(asked_s) == 1 or not self.trip.known:
            self.trip.seen(now - asked_s[0])
        elif now - asked_s[-1] > self.trip.mean_s:  # whichever was answered, it took longer
            self.trip.seen(now - asked_s[-1])
