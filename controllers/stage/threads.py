"""Threads of a controller: of the tasks that wait, the most urgent one begins next."""

from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from enum import IntEnum
from functools import partial
from itertools import count
from queue import Empty, PriorityQueue
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Urgency(IntEnum):
    """Urgency of a task: for the present stage, the next one, or certificates and audits."""

    DECIDE = 0
    AHEAD = 1
    CERTIFY = 2


class Threads(Executor):
    """A number of threads. Equally urgent tasks begin in the order in which they came."""

    def __init__(self, number: int) -> None:
        self._pool = ThreadPoolExecutor(number)
        self._count = count()
        self._waiting: PriorityQueue[tuple[Urgency, int, Future[Any], Callable[[], Any]]]
        self._waiting = PriorityQueue()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Let a function run as part of the present decision."""
        return self.begin(partial(fn, *args, **kwargs))

    def begin(self, task: Callable[[], T], urgency: Urgency = Urgency.DECIDE) -> Future[T]:
        """Let a task run; raises RuntimeError after a shutdown."""
        future: Future[T] = Future()
        self._waiting.put((urgency, next(self._count), future, task))
        self._pool.submit(self._run_next)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the threads; on request without the tasks that have not begun."""
        while cancel_futures and (waiting := self._next()) is not None:
            waiting[0].cancel()
        self._pool.shutdown(wait, cancel_futures=cancel_futures)

    def _next(self) -> tuple[Future[Any], Callable[[], Any]] | None:
        try:
            return self._waiting.get_nowait()[2:]
        except Empty:
            return None

    def _run_next(self) -> None:
        waiting = self._next()
        if waiting is None or not waiting[0].set_running_or_notify_cancel():
            return
        future, task = waiting
        try:
            result = task()
        except BaseException as error:  # raised where the result is read
            future.set_exception(error)
        else:
            future.set_result(result)


def settle(future: Future[Any]) -> None:
    """Cancel a task whose result is no longer needed, or let it end."""
    if not future.cancel():
        future.exception()


def done(result: T) -> Future[T]:
    """Task that has ended."""
    future: Future[T] = Future()
    future.set_result(result)
    return future
