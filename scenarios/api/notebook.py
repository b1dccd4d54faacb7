"""Runs and studies in a notebook: a separate thread for the work, progress in the cell."""

import asyncio
import ctypes
import io
import sys
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from rich.console import Console, RenderableType

from stackelgrid.scenarios.api.output import Drawing, Output

T = TypeVar("T")

_POLL_S = 0.1
_REDRAW_S = 0.25
_WIDTH = 100
_PRE = '<pre style="line-height:1.2;font-family:DejaVu Sans Mono,Menlo,monospace">{code}</pre>'


def in_notebook() -> bool:
    """Return True if a Jupyter kernel executes this process."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and getattr(shell, "kernel", None) is not None


@dataclass(frozen=True)
class NotebookOutput(Output):
    """Output in the cell; `refresh` shows what other threads have printed and changed."""

    _lines: deque[str] = field(default_factory=deque)
    _drawings: list["_CellDrawing"] = field(default_factory=list)

    @property
    def live(self) -> bool:
        """True if progress is drawn."""
        return not self.quiet

    def say(self, text: str) -> None:
        """Print a line below the cell, at the next refresh."""
        if not self.quiet:
            self._lines.append(text)

    @contextmanager
    def drawing(self, what: RenderableType) -> Iterator[Drawing]:
        """Draw in the cell repeatedly until the block ends."""
        shown = _CellDrawing(what)
        self._drawings.append(shown)
        try:
            yield shown
        finally:
            self._drawings.remove(shown)
            shown.draw()
            self.refresh()

    def refresh(self) -> None:
        """Redraw what has changed; called by the thread that executes the cell."""
        for shown in (*self._drawings,):
            if time.monotonic() - shown.drawn_at >= _REDRAW_S:
                shown.draw()
        while self._lines:
            print(self._lines.popleft())


class _CellDrawing:
    """A display of a cell; each drawing replaces the previous one."""

    transient = False

    def __init__(self, what: RenderableType) -> None:
        self._what, self._id = what, uuid.uuid4().hex
        self._last: dict[str, str] = {}
        self.drawn_at = 0.0
        self.draw()

    def draw(self) -> None:
        """Replace the display if its content has changed."""
        from IPython.display import display

        self.drawn_at = time.monotonic()
        bundle = _bundle(self._what)
        if bundle != self._last:
            display(bundle, raw=True, display_id=self._id, update=bool(self._last))  # type: ignore[no-untyped-call]
            self._last = bundle


def _bundle(what: RenderableType) -> dict[str, str]:
    """Return text and HTML of an object that rich can draw."""
    console = Console(
        file=io.StringIO(), record=True, width=_WIDTH, force_terminal=True, force_jupyter=False,
        color_system="truecolor",
    )  # fmt: skip
    console.print(what)
    text = console.export_text(clear=False)
    return {
        "text/plain": text.rstrip("\n"),
        "text/html": console.export_html(inline_styles=True, code_format=_PRE),
    }


class Stop:
    """A request to stop, checked at every progress report."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def request(self) -> None:
        """Request a stop at the next progress report."""
        self._event.set()

    def at(self, report: Callable[[T], None]) -> Callable[[T], None]:
        """Return a progress report that raises KeyboardInterrupt after the request."""

        def reported(progress: T) -> None:
            report(progress)
            if self._event.is_set():
                raise KeyboardInterrupt

        return reported


def beside_the_loop(work: Callable[[Stop], object], refresh: Callable[[], None]) -> None:
    """Call `work`; in a separate thread if an event loop runs in this one.

    mosaik needs its own event loop, and a thread has at most one. `refresh` is called while the
    thread works. An interrupt of this thread is passed on: the work ends as at Ctrl-C, then
    KeyboardInterrupt is raised here.
    """
    stop = Stop()
    if not _has_loop():
        work(stop)
        return
    outcome: Future[object] = Future()
    thread = threading.Thread(
        target=_into, args=(outcome, work, stop), name="stackelgrid", daemon=True
    )
    thread.start()
    while True:
        try:
            if outcome.done() or not thread.is_alive():
                break
            refresh()
            # before Python 3.13 an interrupted join marks a running thread as ended
            wait((outcome,), _POLL_S)
        except KeyboardInterrupt:
            stop.request()
            _interrupt(thread)
    if not outcome.done():  # a second interrupt ended the thread before it set a result
        raise KeyboardInterrupt
    outcome.result()


def _has_loop() -> bool:
    """Return True if an event loop runs in this thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _into(outcome: "Future[object]", work: Callable[[Stop], object], stop: Stop) -> None:
    try:
        outcome.set_result(work(stop))
    except BaseException as error:  # raised in the thread that reads the result
        outcome.set_exception(error)


def _interrupt(thread: threading.Thread) -> None:
    """Raise KeyboardInterrupt in another thread, as a signal does in the main one."""
    if thread.ident is not None and thread.is_alive():
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread.ident), ctypes.py_object(KeyboardInterrupt)
        )
