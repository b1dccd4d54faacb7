"""Connection to a mosaik simulator in another process, with a deadline for every answer.

Messages are JSON behind a length of four bytes (mosaik API 3). Numbers are written as the shortest
text that reads back as the same float, so results do not depend on where a simulator runs.
"""

import json
import select
import socket
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np

from stackelgrid.controllers.errors import StackelgridError

_REQUEST, _SUCCESS, _FAILURE = 0, 1, 2
# bytes; a larger length means that the other side does not use the protocol
_LARGEST = 1 << 28
_CHUNK = 1 << 20
# s between two checks for an interrupt while waiting
_POLL_S = 1.0


class RemoteError(StackelgridError):
    """Raised when a remote simulator fails, ends or misses its deadline; the message names it."""


class LateError(RemoteError):
    """Raised when a remote simulator misses its deadline."""


class Connection:
    """Requests to one remote simulator, answered in the order in which they were sent.

    `why_ended` returns the reason why the process behind it ended, "" if none is known.
    """

    def __init__(
        self, name: str, sock: socket.socket, why_ended: Callable[[], str] = lambda: ""
    ) -> None:
        self.name = name
        self._socket, self._why_ended = sock, why_ended
        self._pending: deque[tuple[int, str, float, float]] = deque()
        self._number = 0
        self._buffer = bytearray()
        sock.setblocking(False)
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def call(self, deadline_s: float, method: str, *args: Any, **kwargs: Any) -> Any:
        """Send a request and return its answer; raises RemoteError."""
        self.send(deadline_s, method, *args, **kwargs)
        return self.receive()

    def send(self, deadline_s: float, method: str, *args: Any, **kwargs: Any) -> None:
        """Send a request, to be answered within `deadline_s` from now; raises RemoteError."""
        content = json.dumps([_REQUEST, self._number, [method, args, kwargs]], default=plain)
        until = time.monotonic() + deadline_s
        self._pending.append((self._number, method, until, deadline_s))
        self._number += 1
        self._write(content, until, deadline_s, method)

    def receive(self) -> Any:
        """Return the answer to the oldest open request; raises RemoteError."""
        number, method, until, deadline_s = self._pending[0]
        while True:
            kind, answered, content = self._message(until, deadline_s, method)
            if kind != _REQUEST:
                break
            refusal = ["NotImplementedError", "requests to the world are not answered"]
            self._write(json.dumps([_FAILURE, answered, refusal]), until, deadline_s, method)
        if kind not in (_SUCCESS, _FAILURE) or answered != number:
            raise self._garbled()
        self._pending.popleft()
        if kind == _FAILURE:
            raise RemoteError(f"simulator {self.name}: {_failure(content)}")
        return content

    def at_end(self) -> bool:
        """Return whether the other side has closed the connection and all input is read."""
        try:
            return not self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def ended(self) -> RemoteError:
        """Return the error for a simulator whose connection has closed."""
        why = self._why_ended() or "closed its connection"
        return RemoteError(f"simulator {self.name}: {why}")

    def request_stop(self) -> None:
        """Request the other side to finalize and end."""
        stop = json.dumps([_REQUEST, self._number, ["stop", [], {}]]).encode()
        with suppress(OSError):  # it may be closed already
            self._socket.send(len(stop).to_bytes(4, "big") + stop)

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    # ------------------------------------------------------------------ bytes

    def _write(self, content: str, until: float, deadline_s: float, method: str) -> None:
        body = content.encode()
        left = memoryview(len(body).to_bytes(4, "big") + body)
        while left:
            try:
                left = left[self._socket.send(left) :]
            except BlockingIOError:
                self._wait(until, deadline_s, method, writing=True)
            except OSError:
                raise self.ended() from None

    def _message(self, until: float, deadline_s: float, method: str) -> tuple[int, int, Any]:
        length = int.from_bytes(self._read(4, until, deadline_s, method), "big")
        if length > _LARGEST:
            raise self._garbled()
        body = self._read(length, until, deadline_s, method)
        try:
            kind, number, content = json.loads(body)
        except (ValueError, TypeError):
            raise self._garbled() from None
        return kind, number, content

    def _read(self, count: int, until: float, deadline_s: float, method: str) -> bytes:
        while len(self._buffer) < count:
            try:
                received = self._socket.recv(_CHUNK)
            except BlockingIOError:
                self._wait(until, deadline_s, method, writing=False)
                continue
            except OSError:
                raise self.ended() from None
            if not received:
                raise self.ended()
            self._buffer += received
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def _wait(self, until: float, deadline_s: float, method: str, writing: bool) -> None:
        left = until - time.monotonic()
        if left <= 0.0:
            raise LateError(
                f"simulator {self.name}: no answer to {method!r} within its deadline of "
                f"{deadline_s:g} s"
            )
        waiting = [self._socket]
        select.select(
            [] if writing else waiting, waiting if writing else [], [], min(left, _POLL_S)
        )

    def _garbled(self) -> RemoteError:
        return RemoteError(f"simulator {self.name}: its answer does not follow mosaik's API 3")


def _failure(content: Any) -> str:
    """Return type and text of a remote exception, without its traceback."""
    if isinstance(content, list) and len(content) >= 2:
        return f"{content[0]}: {content[1]}"
    return str(content)


def plain(value: object) -> Any:
    """Convert numpy's lists and numbers to Python's, for JSON."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be sent to a remote simulator")
