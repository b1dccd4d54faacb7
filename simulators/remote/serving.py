"""Serve a simulator to a run, in a process that ends with the run."""

import asyncio
import os
import socket
import threading
import time

import mosaik_api_v3
from mosaik_api_v3.connection import Channel

# s between two checks whether the process of the run still exists
_LOOK_S = 0.5


def serve(
    sock: socket.socket, simulator: mosaik_api_v3.Simulator, *, api_compliant: bool = True
) -> None:
    """Serve a simulator on a connection until it is closed or the run's process has ended.

    Not `api_compliant` is one of an older API, without time resolution and `max_advance`.
    """
    threading.Thread(target=_end_with_run, args=(sock,), daemon=True).start()

    async def answer() -> None:
        reader, writer = await asyncio.open_connection(sock=sock)
        channel = Channel(reader, writer)
        await mosaik_api_v3.run_simulator(channel, simulator, api_compliant=api_compliant)

    asyncio.run(answer())


def _end_with_run(sock: socket.socket) -> None:
    """End this process when the run's process has ended, also during a step."""
    watched = socket.socket(fileno=os.dup(sock.fileno()))
    while True:
        time.sleep(_LOOK_S)
        try:
            if not watched.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):
                break
        except BlockingIOError:
            continue
        except OSError:
            break
    time.sleep(_LOOK_S)  # a process that waits for a request ends by itself in this time
    os._exit(1)
