"""Sections of remote simulators, and programs that stand for a user's own."""

import asyncio
import socket
import threading
from contextlib import contextmanager, suppress

import mosaik_api_v3
from mosaik_api_v3.connection import Channel, EndOfRequests
from support.paths import SUPPORT

FAULTY = ["%(python)s", str(SUPPORT / "faulty_simulator.py"), "%(addr)s"]


def own(name, *grids, **keys):
    """Section of a simulator that hosts grids."""
    return {"name": name, "grids": list(grids), **keys}


@contextmanager
def answering(make):
    """Serve every connection with a simulator that `make` gives, in threads; yields the address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        async def answer(connection):
            reader, writer = await asyncio.open_connection(sock=connection)
            channel = Channel(reader, writer)
            with suppress(EndOfRequests):  # the run has closed the connection
                await mosaik_api_v3.run_simulator(channel, make(), api_compliant=True)

        def accept():
            with suppress(OSError):  # the listener is closed
                while True:
                    connection, _ = listener.accept()
                    serving = threading.Thread(target=lambda c=connection: asyncio.run(answer(c)))
                    serving.daemon = True
                    serving.start()

        threading.Thread(target=accept, daemon=True).start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
