"""HiGHS objects beside others of the same process: no banner, no quarrel over threads."""

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import highspy

_STDOUT = 1
_LOCK = threading.Lock()
_first_made = False


def new_highs() -> Any:
    """Return a new `highspy.Highs` object; nothing reaches standard output.

    From 1.16 on HiGHS prints its banner in the first constructor of a process, before options
    can be set, through the C library: only the file descriptor itself can be redirected.
    """
    global _first_made
    with _LOCK:
        if _first_made:
            return highspy.Highs()  # type: ignore[no-untyped-call]  # noqa: TID251
        with _discarded_output():
            highs = highspy.Highs()  # type: ignore[no-untyped-call]  # noqa: TID251
        _first_made = True
        return highs


def run_highs(highs: Any) -> None:
    """Run HiGHS, also where another use of HiGHS in this thread has set other options.

    HiGHS keeps a scheduler for each thread of the process, with the number of threads of the first
    run (in 1.16 two on two cores), and refuses to run with another number until it is reset.
    """
    status = highs.run()
    not_run = highs.getModelStatus() == highspy.HighsModelStatus.kNotset
    if status == highspy.HighsStatus.kError and not_run:
        kind = type(highs)
        reset = getattr(kind, "resetThreadScheduler", kind.resetGlobalScheduler)
        reset(True)
        highs.run()


@contextmanager
def _discarded_output() -> Iterator[None]:
    """Point file descriptor 1 to the null device, flushing the C library's buffers around it."""
    try:
        saved = os.dup(_STDOUT)
    except OSError:  # standard output is closed
        yield
        return
    c_library = ctypes.CDLL(None)
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        c_library.fflush(None)
        os.dup2(null, _STDOUT)
        try:
            yield
        finally:
            c_library.fflush(None)
            os.dup2(saved, _STDOUT)
    finally:
        os.close(null)
        os.close(saved)
