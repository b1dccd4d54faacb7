"""Supervision of remote simulators: a lost one ends the run, and all end with the run."""

import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any, NoReturn, Self

from stackelgrid.simulators.remote.connection import Connection, RemoteError
from stackelgrid.simulators.remote.processes import ChildProcess

# s between two checks of all simulators
_LOOK_S = 0.25
# unlike SIGINT, never ignored by a shell's background jobs
_SIGNAL = signal.SIGUSR1


class _Lost(KeyboardInterrupt):
    """Interrupts the main thread at once; event loops do not catch it."""


class Supervisor:
    """Holds the connections (by name) and processes of a run; a context manager around it.

    A simulator that is lost while no request is open interrupts the main thread, so that the run
    ends at once and not at the next request; runs in other threads notice it at the next request.
    At the end all simulators are requested to stop, and have `finalize_s` before their connections
    are closed; `failures` then has a line for each that did not end well in this time. Processes
    that still do not end by themselves are killed.
    """

    def __init__(self, finalize_s: float = 0.0) -> None:
        self.connections: dict[str, Connection] = {}
        self.failures: list[str] = []
        self._finalize_s = finalize_s
        self._processes: list[tuple[str, ChildProcess]] = []
        self._lost: RemoteError | None = None
        self._ending = threading.Event()
        self._deciding = threading.Lock()
        self._watcher: threading.Thread | None = None
        self._handler_before: Any = signal.SIG_DFL

    def add(self, connection: Connection, process: ChildProcess | None = None) -> None:
        """Supervise one simulator; `process` is its child process if the run has started it."""
        self.connections[connection.name] = connection
        if process is not None:
            self.own(connection.name, process)

    def own(self, name: str, process: ChildProcess) -> None:
        """End the process of a simulator with the run."""
        self._processes.append((name, process))

    def watch(self) -> None:
        """Start the thread that checks the simulators."""
        if threading.current_thread() is threading.main_thread() and self.connections:
            self._handler_before = signal.signal(_SIGNAL, _interrupt)
            self._watcher = threading.Thread(target=self._look, daemon=True)
            self._watcher.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        interrupted = isinstance(error, KeyboardInterrupt)
        try:
            with self._deciding:  # from here on the watcher does not interrupt
                self._ending.set()
            if self._lost is not None and not interrupted:
                time.sleep(_LOOK_S)  # its interrupt is on the way
            self._close(polite=kind is None)
        except KeyboardInterrupt:
            self._close(polite=False)
            interrupted = True
            if self._lost is None:
                raise
        if self._lost is not None and interrupted:
            raise self._lost from None

    def _close(self, polite: bool) -> None:
        self._ending.set()
        if self._watcher is not None:
            self._watcher.join()
            signal.signal(_SIGNAL, self._handler_before)
            self._watcher = None
        if polite:
            for connection in self.connections.values():
                connection.request_stop()
            if self._finalize_s:
                for name, process in self._processes:
                    if failure := process.failure(self._finalize_s):
                        self.failures.append(f"simulator {name}: {failure}")
        for connection in self.connections.values():
            connection.close()
        for _, process in self._processes:
            if polite:
                process.stop()
            else:
                process.stop(grace_s=0.0)

    def _look(self) -> None:
        seen: Connection | None = None
        while not self._ending.wait(_LOOK_S):
            gone = next((c for c in self.connections.values() if c.at_end()), None)
            # two checks, so that a request in progress has the time to raise the error itself
            if gone is None or gone is not seen:
                seen = gone
                continue
            lost = gone.ended()
            with self._deciding:
                if not self._ending.is_set():
                    self._lost = lost
                    signal.pthread_kill(threading.main_thread().ident or 0, _SIGNAL)
            return


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise _Lost
