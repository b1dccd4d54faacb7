"""Solves of a stage's groups on threads: finished ones, and those in progress."""

from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial

from stackelgrid.controllers.decision import SchemeDecision
from stackelgrid.controllers.leaders.feeder_records import FeederInstance
from stackelgrid.controllers.leaders.leader_group import LeaderGroup
from stackelgrid.controllers.leaders.leader_program import Instances
from stackelgrid.controllers.leaders.warm_start import WarmStart
from stackelgrid.controllers.stage.threads import Threads, Urgency, done, settle

_Asked = tuple[FeederInstance, ...]
Answer = tuple[SchemeDecision, WarmStart | None]


class GroupSolves:
    """Solutions of groups of leaders, each found once.

    Within an interval recovery repeats some instances unchanged, and a group may begin with an
    instance before it is requested. A solution of another instance is never used.
    """

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._answers: dict[int, list[tuple[_Asked, Answer]]] = {}
        self._begun: dict[int, tuple[_Asked, Future[Answer]]] = {}

    def solve(self, groups: Sequence[LeaderGroup], instances: Instances) -> list[Future[Answer]]:
        """Answers on their way, in the order of the groups; the largest programs begin first."""
        return self._solve(groups, instances, Urgency.DECIDE)

    def begin(self, groups: Sequence[LeaderGroup], instances: Instances) -> None:
        """Begin with instances that are expected next."""
        futures = self._solve(groups, instances, Urgency.AHEAD)
        for group, future in zip(groups, futures, strict=True):
            self._begun[id(group)] = _asked(group, instances), future

    def cancel_begun(self) -> None:
        """Cancel the solves that wait for a thread: their results are not needed."""
        for _, future in self._begun.values():
            future.cancel()

    def keep(self, group: LeaderGroup, instances: Instances, answer: Answer) -> None:
        """Keep a solution that is used for its interval, and the start of later intervals."""
        known, asked = self._answers.get(id(group), []), _asked(group, instances)
        if any(answer is other for _, other in known):
            return
        kept = [a for a in known if a[0][0].interval == asked[0].interval]
        self._answers[id(group)] = [*kept, (asked, answer)]
        group.keep(answer[1])

    def _solve(
        self, groups: Sequence[LeaderGroup], instances: Instances, urgency: Urgency
    ) -> list[Future[Answer]]:
        sizes = [group.compiled.program.variables for group in groups]
        order = sorted(range(len(groups)), key=lambda k: -sizes[k])
        found = {k: self._solved(groups[k], instances, urgency) for k in order}
        return [found[k] for k in range(len(groups))]

    def _solved(self, group: LeaderGroup, instances: Instances, urgency: Urgency) -> Future[Answer]:
        asked = _asked(group, instances)
        for known, answer in self._answers.get(id(group), []):
            if _same(asked, known):
                return done(answer)
        begun = self._begun.pop(id(group), None)
        if begun is not None:
            if _same(asked, begun[0]):
                return begun[1]
            settle(begun[1])  # a group's program serves one solve at a time
        return self._threads.begin(partial(group.solve, instances), urgency)


def _asked(group: LeaderGroup, instances: Instances) -> _Asked:
    return tuple(instances[name] for name in group.names)


def _same(asked: _Asked, known: _Asked) -> bool:
    return all(a is b for a, b in zip(asked, known, strict=True))
