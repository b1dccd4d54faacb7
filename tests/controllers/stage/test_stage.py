"""A stage of the cascade: its agents work on threads."""

import threading
from types import SimpleNamespace

import pytest

from stackelgrid.controllers.protocol import ControllerSettings
from stackelgrid.controllers.stage.stage import Stage, StageInstance
from stackelgrid.controllers.stage.threads import Threads

NAMES = ("a", "b", "c", "d")


def street_of(pool):
    """A stage without a follower; no scheme is asked."""
    return Stage("", {}, None, (), ControllerSettings(gap=1e-6), pool, lambda stage: None)


def group(name, decide, variables=1):
    """A group of one leader."""
    program = SimpleNamespace(variables=variables)
    return SimpleNamespace(names=(name,), solve=decide, compiled=SimpleNamespace(program=program))


@pytest.fixture
def street():
    """A stage of four agents on one thread, and who has begun: the first one is interrupted."""
    begun, go_on = [], threading.Event()

    def work(name):
        begun.append(name)
        if name == "a":
            raise KeyboardInterrupt
        go_on.wait(20.0)
        return name

    with Threads(1) as pool:
        stage = street_of(pool)
        yield stage, work, begun, go_on
    assert len(begun) <= 2  # whoever had begun has ended, nobody else ever begins


def test_interrupted_work_of_agents_is_not_begun(street):
    stage, work, begun, go_on = street
    with pytest.raises(KeyboardInterrupt):
        stage.map(work, NAMES)
    go_on.set()
    assert begun[0] == "a"


def test_interrupted_decisions_of_groups_are_not_begun(street):
    stage, work, begun, go_on = street
    groups = tuple(group(n, lambda leaders, n=n: work(n)) for n in NAMES)
    stage.groups_of = lambda variant: groups
    leaders = {name: SimpleNamespace(interval=0) for name in NAMES}
    with pytest.raises(KeyboardInterrupt):
        stage.decide_groups(StageInstance(0, {}, leaders, None))
    go_on.set()
    assert begun[0] == "a"


def test_results_are_in_the_order_of_the_names():
    with Threads(2) as pool:
        stage = street_of(pool)
        found = stage.map(str.upper, NAMES)
    assert list(found.items()) == [(n, n.upper()) for n in NAMES]
