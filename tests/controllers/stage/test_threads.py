"""Tasks on threads: the most urgent one begins next."""

import threading
from concurrent.futures import CancelledError

import pytest

from stackelgrid.controllers.stage.threads import Threads, Urgency, done, settle


@pytest.fixture
def one():
    """One thread that is busy until the event is set."""
    threads, go_on = Threads(1), threading.Event()
    busy = threading.Event()
    threads.submit(lambda: (busy.set(), go_on.wait(20.0)))
    assert busy.wait(20.0)
    yield threads, go_on
    go_on.set()
    threads.shutdown()


def test_the_most_urgent_task_begins_next_and_equal_ones_in_their_order(one):
    threads, go_on = one
    begun, wanted = [], [2, 0, 2, 0, 1, 1]
    futures = [
        threads.begin(lambda n=n, urgency=urgency: begun.append((urgency, n)), Urgency(urgency))
        for n, urgency in enumerate(wanted)
    ]
    go_on.set()
    for future in futures:
        future.result(20.0)
    assert begun == sorted(begun) == [(0, 1), (0, 3), (1, 4), (1, 5), (2, 0), (2, 2)]


def test_arguments_and_errors_come_through():
    with Threads(2) as threads:
        assert threads.submit(divmod, 7, 2).result(20.0) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            threads.submit(divmod, 7, 0).result(20.0)
        assert list(threads.map(str.upper, "ab")) == ["A", "B"]
    with pytest.raises(RuntimeError):
        threads.begin(lambda: None)


def test_a_cancelled_task_never_begins_and_the_others_do(one):
    threads, go_on = one
    begun = []
    first, second = (threads.begin(lambda n=n: begun.append(n)) for n in (1, 2))
    settle(first)
    go_on.set()
    second.result(20.0)
    assert begun == [2]


def test_a_shutdown_may_leave_out_what_waits(one):
    threads, go_on = one
    begun = []
    waiting = [threads.begin(lambda: begun.append(1), urgency) for urgency in Urgency]
    threads.shutdown(wait=False, cancel_futures=True)
    go_on.set()
    for future in waiting:
        with pytest.raises(CancelledError):
            future.result(20.0)
    threads.shutdown()
    assert begun == []


def test_settling_waits_for_what_has_begun_and_hides_its_error():
    with Threads(1) as threads:
        busy, go_on = threading.Event(), threading.Event()

        def work():
            busy.set()
            go_on.wait(20.0)
            raise ValueError

        future = threads.submit(work)
        assert busy.wait(20.0)
        threading.Timer(0.05, go_on.set).start()
        settle(future)
        assert future.done()
    assert done(3).result() == 3
