"""The project's simulators in a process of their own, built from the scenario they are sent.

Run as `python -m stackelgrid.scenarios.remote_process --fd N` on an inherited connection, or with
HOST:PORT to connect to; `grids` or `agents` after it loads what they need at once. It speaks
mosaik's API 3; only numbers and texts cross the connection.
"""

import asyncio
import importlib
import os
import socket
import sys
import threading
import time
from importlib.metadata import version
from typing import Any

import mosaik_api_v3
from mosaik_api_v3.connection import Channel
from mosaik_api_v3.types import CreateResult, InputData, Meta, OutputData, OutputRequest

from stackelgrid.scenarios.blas_threads import begin_with_one_blas_thread
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.schema_remote import host_and_port

# s between two looks at whether the run is still there
_LOOK_S = 0.5
_SERVERS = {
    "grids": "stackelgrid.scenarios.grid_server",
    "agents": "stackelgrid.scenarios.agent_server",
}


class OwnSimulator(mosaik_api_v3.Simulator):
    """Becomes the simulator of grids or of agents that the first request asks for."""

    def __init__(self) -> None:
        meta: Meta = {"api_version": "3.0", "type": "hybrid", "models": {}}
        super().__init__(meta)  # type: ignore[no-untyped-call]
        self._simulator: mosaik_api_v3.Simulator = self
        self._asked_version = ""

    def init(self, sid: str, time_resolution: float = 1.0, **parameters: Any) -> Meta:
        """Take what to host."""
        # what is raised here would end the connection without a word: `create` says it
        self._asked_version = parameters.pop("version")
        # imported when it is known which, as agents need all solvers
        if parameters.pop("agents"):
            from stackelgrid.scenarios.agent_server import AgentServer

            self._simulator = AgentServer()
        else:
            from stackelgrid.scenarios.grid_server import GridServer

            self._simulator = GridServer()
        self.meta = self._simulator.init(sid, time_resolution, **parameters)
        for name in self.meta["extra_methods"]:
            setattr(self, name, getattr(self._simulator, name))
        return self.meta

    def create(self, num: int, model: str, **model_params: Any) -> list[CreateResult]:
        """Create an entity of the simulator; raises ScenarioError for another version."""
        here = version("stackelgrid")
        if self._asked_version != here:
            raise ScenarioError(
                f"version {here} here, {self._asked_version} where the run is; one version is "
                "accepted"
            )
        return self._simulator.create(num, model, **model_params)

    def step(self, time: int, inputs: InputData, max_advance: int) -> int | None:
        """Step the simulator."""
        return self._simulator.step(time, inputs, max_advance)

    def get_data(self, outputs: OutputRequest) -> OutputData:
        """Data of the simulator."""
        return self._simulator.get_data(outputs)


def serve(sock: socket.socket, simulator: mosaik_api_v3.Simulator) -> None:
    """Be a simulator on a connection until it is closed or the run is gone."""
    threading.Thread(target=_end_with_run, args=(sock,), daemon=True).start()

    async def answer() -> None:
        reader, writer = await asyncio.open_connection(sock=sock)
        await mosaik_api_v3.run_simulator(Channel(reader, writer), simulator, api_compliant=True)

    asyncio.run(answer())


def _end_with_run(sock: socket.socket) -> None:
    """End this process when the run is gone, in the middle of a step as well."""
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
    time.sleep(_LOOK_S)  # whoever waits for a request ends by itself
    os._exit(1)


def main() -> None:
    """Serve on the connection that the arguments name."""
    begin_with_one_blas_thread()
    arguments = sys.argv[1:]
    if arguments[:1] == ["--fd"] and len(arguments) > 1 and arguments[1].isdecimal():
        sock = socket.socket(fileno=int(arguments[1]))
        coming = arguments[2:]
    else:
        try:
            sock = socket.create_connection(host_and_port(arguments[0] if arguments else ""))
        except (ValueError, OSError) as error:
            print(f"stackelgrid.scenarios.remote_process: {error}", file=sys.stderr)
            sys.exit(2)
        coming = arguments[1:]
    for kind in coming:
        importlib.import_module(_SERVERS[kind])
    serve(sock, OwnSimulator())


if __name__ == "__main__":
    main()
