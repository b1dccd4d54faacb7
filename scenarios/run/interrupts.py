"""Handling of Ctrl-C during imports and in the processes that a command starts."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 130


@contextmanager
def loading() -> Iterator[None]:
    """End the process with one line at Ctrl-C while modules load.

    Extension modules convert a KeyboardInterrupt during their import to other errors, or print and
    drop it. Nothing has been written at that time, so the process can end at once.
    """
    own = threading.current_thread() is threading.main_thread()
    if not own or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(number: int, frame: FrameType | None) -> None:
    if os.isatty(2):
        os.write(2, b"\x1b[?25h")  # show the cursor that a live panel has hidden
    os.write(2, b"stackelgrid: interrupted\n")
    os._exit(INTERRUPTED)


@contextmanager
def without_interrupts() -> Iterator[None]:
    """Block SIGINT while threads and processes start that inherit this; deliver it later."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
