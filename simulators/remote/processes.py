"""Child processes of a run, each in a session of its own; all end with the run."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

# s in which a process whose connection has closed may end before it is killed
_GRACE_S = 2.0
_POLL_S = 0.02
# characters of a process's last output that are repeated
_MOST_WORDS = 300


class ChildProcess:
    """One command, without a shell; its output is kept for the message of its end.

    `pass_fds` are file descriptors that it inherits, `folder` is its current folder, by default
    that of this process.
    """

    def __init__(
        self, command: Sequence[str], pass_fds: Sequence[int] = (), folder: Path | None = None
    ) -> None:
        self._output = tempfile.TemporaryFile()  # noqa: SIM115  closed by stop
        launcher = [
            sys.executable,
            "-P",  # modules of the folder do not replace those of the launcher
            "-m",
            "stackelgrid.simulators.remote.launcher",
            str(os.getpid()),
        ]
        self._process = subprocess.Popen(
            [*launcher, *command],
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
            pass_fds=pass_fds,
            cwd=folder,
            start_new_session=True,  # Ctrl-C reaches the run alone, which then ends it
        )

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """Exit status, negative for a signal; None while the process runs."""
        return self._process.poll()

    def why_ended(self) -> str:
        """Return how the process ended, with its last output; "" while it runs."""
        try:
            status = self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            return ""
        if status < 0:
            return f"its process was ended by {signal.Signals(-status).name}"
        words = self.last_words()
        return f"its process ended with exit status {status}{': ' if words else ''}{words}"

    def running(self) -> bool:
        """Return whether the process still runs."""
        return self.status is None

    def failure(self, within_s: float) -> str:
        """Wait for the end; return how the process did not end well in that time, "" if it did."""
        self._wait(within_s)
        if self.running():
            return f"its process has not ended within {within_s:g} s"
        return self.why_ended() if self.status else ""

    def _wait(self, most_s: float) -> None:
        until = time.monotonic() + most_s
        while self.running() and time.monotonic() < until:
            time.sleep(_POLL_S)

    def stop(self, grace_s: float = _GRACE_S) -> None:
        """Give the process time to end by itself, then kill it and all its children."""
        self._wait(grace_s)
        with suppress(ProcessLookupError, PermissionError):  # its session is empty
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._output.close()

    def last_words(self) -> str:
        """Return the last line that the process has printed, "" without one."""
        self._output.seek(0)
        lines = self._output.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1][:_MOST_WORDS] if lines else ""
