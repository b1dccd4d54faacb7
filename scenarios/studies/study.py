"""One runner under `compare`, `exactness` and `ensemble`: it evaluates tasks and keeps results.

A kind of study states its tasks, what it keeps of a result and what it writes at the end. The
runner begins or resumes the directory, reports progress, and keeps summary.json and log.jsonl true,
also at Ctrl-C and on a full disk.
"""

import os
import threading
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import version
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any, Generic, TypeVar

from stackelgrid.profiles.errors import StackelgridError
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.run.directory import (
    RunLog,
    beginning,
    claimed,
    locked,
    write_scenario,
    write_summary,
    writing,
)
from stackelgrid.scenarios.run.interrupts import without_interrupts
from stackelgrid.scenarios.run.progress import StudyProgress
from stackelgrid.scenarios.schema.load import LoadedScenario
from stackelgrid.simulators.blas_threads import one_blas_thread
from stackelgrid.simulators.results.manifest import FILE

Task = TypeVar("Task")
Result = TypeVar("Result")
Tables = TypeVar("Tables")
Advance = Callable[[StudyProgress], None]
Say = Callable[[str], None]
DEFAULT_SIZE = "small"


def unseen(value: object) -> None:
    """Show no progress and print no lines."""


@dataclass(frozen=True)
class StudyResult(Generic[Tables]):
    """Directory of a study, its tables and its summary."""

    directory: Path
    tables: Tables
    summary: dict[str, Any]


class Study(ABC, Generic[Task, Result]):
    """A study in its directory; `progress` receives what is `done`.

    `started` is the time (time.perf_counter) of the beginning, earlier for a resumed study.
    """

    def __init__(
        self, loaded: LoadedScenario, out: Path, started: float, progress: Advance, say: Say
    ) -> None:
        self.loaded, self.out, self.started = loaded, out, started
        self.progress, self.say = progress, say
        self.log, self.done, self.failures = RunLog(out), 0, 0

    @abstractmethod
    def begin(self) -> Sequence[Task]:
        """Log the start; return the tasks that are left."""

    @abstractmethod
    def keep(self, task: Task, result: Result) -> None:
        """Write the result of a task and count it."""

    @abstractmethod
    def finish(self) -> str:
        """Write tables and pictures of all tasks; return the status of the study."""

    @abstractmethod
    def counts(self) -> dict[str, Any]:
        """Return the fields of the event that ends the log."""

    @abstractmethod
    def section(self, status: str) -> dict[str, Any]:
        """Return the study's own keys of summary.json."""

    def recount(self) -> None:
        """Count what is on disk: an interruption may come between saving and counting."""

    def report(self, running: str = "", steps: int = 0) -> None:
        """Report the progress, with `steps` done of the task that is `running`."""
        self.progress(StudyProgress(self.done + steps, self.failures, running or self.running()))

    def running(self) -> str:
        """Return what is being computed, as text; empty if that is not known."""
        return ""

    def conduct(
        self, work: Callable[[Sequence[Task], Callable[[Task, Result], None]], None]
    ) -> dict[str, Any]:
        """Evaluate the tasks that are left; return the summary.

        `work` evaluates tasks and calls its second argument with each and its result, in this
        thread. Whatever ends the study, the summary says how far it came. Raises StackelgridError
        if the directory cannot be written any more.
        """
        with writing(self.out):
            try:
                tasks = self.begin()
                self.report()
                self._summarise("running")
                work(tasks, self._kept)
                return self._end(self.finish())
            except BaseException:
                with suppress(OSError):  # a full disk may be the reason
                    self.recount()
                    self._end("interrupted")
                raise

    def _kept(self, task: Task, result: Result) -> None:
        self.keep(task, result)
        self._summarise("running")
        self.report()

    def _end(self, status: str) -> dict[str, Any]:
        self.log.event(status, **self.counts())
        return self._summarise(status)

    def _summarise(self, status: str) -> dict[str, Any]:
        scenario = self.loaded.scenario
        summary = {
            "scenario": scenario.name,
            "seed": scenario.seed,
            "version": version("stackelgrid"),
            "manifest": FILE,
            "status": status,
            **self.section(status),
            "wall_s": time.perf_counter() - self.started,
        }
        write_summary(self.out, summary)
        return summary

    def notice(self, lines: Iterable[str]) -> None:
        """Log and print notices."""
        for line in lines:
            self.log.event("notice", text=line)
            self.say(line)


@contextmanager
def study_directory(loaded: LoadedScenario, out: Path, *, resume: bool) -> Iterator[None]:
    """Hold the directory of a study, a new one with its scenario; raises ScenarioError."""
    with locked(out) if resume else claimed(out):
        if not resume:
            with beginning(out):
                write_scenario(out, loaded.resolved())
        yield


def size_of(where: str, sizes: Mapping[str, object], size: str | None) -> str:
    """Return the name of the chosen size, small by default; empty if a section has none.

    Raises ScenarioError for a size that the section does not have.
    """
    if not sizes:
        if size is not None:
            raise ScenarioError(f"{where}: has no sizes; --size {size} is not accepted")
        return ""
    chosen = size or DEFAULT_SIZE
    if chosen not in sizes:
        raise ScenarioError(f"{where}: no size {chosen!r}; --size accepts {', '.join(sizes)}")
    return chosen


@dataclass(frozen=True)
class Attempt(Generic[Result]):
    """Result of a task that may fail: None with the reason if it did."""

    wall_s: float
    result: Result | None = field(default=None, repr=False)
    reason: str = ""
    traceback: str = ""

    @property
    def failure(self) -> dict[str, str]:
        """Fields of the event that reports the failure."""
        return {"reason": self.reason} | ({"traceback": self.traceback} if self.traceback else {})


def attempt(evaluate: Callable[[Task], Result], task: Task) -> Attempt[Result]:
    """Evaluate a task; no failure must hide the results of the others."""
    started = time.perf_counter()
    try:
        result = evaluate(task)
    except StackelgridError as error:
        return Attempt(time.perf_counter() - started, reason=str(error))
    except Exception as error:  # a defect, with its traceback
        reason = f"{type(error).__name__}: {error}"
        return Attempt(time.perf_counter() - started, None, reason, traceback.format_exc())
    return Attempt(time.perf_counter() - started, result)


def in_processes(
    count: int,
    prepared: Callable[[], Callable[[Task], Result]],
    tasks: Sequence[Task],
    keep: Callable[[Task, Result], None],
) -> None:
    """Evaluate tasks in up to `count` processes of this machine; in this one if one suffices.

    prepared: called in each process; returns the function that evaluates a task.
    keep: receives each task with its result.

    At Ctrl-C every process ends its task, whose result is kept. Raises StackelgridError if a
    process dies.
    """
    count = min(count, len(tasks))
    if count <= 1:
        evaluate = prepared()
        for task in tasks:
            keep(task, evaluate(task))
        return
    pool = ProcessPoolExecutor(
        count, get_context("spawn"), initializer=_start, initargs=(prepared,)
    )
    left: dict[Future[Result], Task] = {}

    def take(future: Future[Result]) -> None:
        task = left.pop(future)  # first: a task whose saving is interrupted is left to resume
        keep(task, future.result())

    try:
        with without_interrupts():  # Ctrl-C is for this process
            left |= {pool.submit(_evaluated, task): task for task in tasks}
        for future in as_completed(list(left)):
            take(future)
    except BrokenProcessPool as error:
        raise StackelgridError("a worker process died; --resume continues the sweep") from error
    except KeyboardInterrupt:
        pool.shutdown(wait=True, cancel_futures=True)
        for future in list(left):
            if future.done() and not future.cancelled():
                take(future)
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_evaluate: Callable[[Any], Any]


def _start(prepared: Callable[[], Callable[[Any], Any]]) -> None:
    """Prepare a worker process; it ends when the process that started it is gone."""
    global _evaluate
    _evaluate = prepared()
    parent = parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@one_blas_thread()
def _evaluated(task: Any) -> Any:
    return _evaluate(task)
