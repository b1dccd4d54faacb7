"""The verb `serve`: simulators on this machine for runs on other machines."""

import socket
import sys
from typing import Annotated

import typer

from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.simulators.remote.processes import ChildProcess

# s between two checks for simulators that have ended
_LOOK_S = 1.0


def serve(
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port; 0 takes a free one.")
    ] = 5555,
    bind: Annotated[
        str, typer.Option("--bind", help="Address of this machine at which runs connect.")
    ] = "127.0.0.1",
) -> None:
    """Simulate grids or agents for runs that connect, each in a separate process.

    A scenario names this machine under remote.simulators with connect = "host:port". Every host
    that reaches the port is served, and its scenario may name a controller installed here: bind to
    an address that only trusted machines can reach.
    """
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    try:
        listener = socket.create_server((bind, port), family=family)
    except OSError as error:
        raise ScenarioError(
            f"--bind {bind} --port {port}: cannot be bound ({error.strerror})"
        ) from error
    listener.settimeout(_LOOK_S)
    simulators: list[ChildProcess] = []
    with listener:
        print(f"waiting at {bind}:{listener.getsockname()[1]}", flush=True)
        try:
            while True:
                simulators = _still_running(simulators)
                try:
                    connection, (host, *_) = listener.accept()
                except TimeoutError:
                    continue
                with connection:
                    simulators.append(_simulator(connection))
                print(f"simulator {simulators[-1].pid} for {host}", flush=True)
        finally:
            for simulator in simulators:
                simulator.stop(grace_s=0.0)


def _simulator(connection: socket.socket) -> ChildProcess:
    fd = connection.fileno()
    module = "stackelgrid.scenarios.remote.process"
    return ChildProcess([sys.executable, "-m", module, "--fd", str(fd)], [fd])


def _still_running(simulators: list[ChildProcess]) -> list[ChildProcess]:
    for simulator in simulators:
        if not simulator.running():
            simulator.stop()
            print(f"simulator {simulator.pid} has ended", flush=True)
    return [s for s in simulators if s.running()]
