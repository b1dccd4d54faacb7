"""Process of one of the project's simulators, built from the scenario that it receives.

Run as `python -m stackelgrid.scenarios.remote.process --fd N` on an inherited connection, or with
HOST:PORT to connect to. A further argument `grids` or `agents` loads their modules at once. The
protocol is mosaik's API 3; only numbers and text are sent.
"""

import importlib
import socket
import sys
from importlib.metadata import version
from typing import Any

import mosaik_api_v3
from mosaik_api_v3.types import CreateResult, InputData, Meta, OutputData, OutputRequest

from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.schema.remote import host_and_port
from stackelgrid.simulators.blas_threads import begin_with_one_blas_thread
from stackelgrid.simulators.remote.serving import serve

_SERVERS = {
    "grids": "stackelgrid.scenarios.remote.grid_server",
    "agents": "stackelgrid.scenarios.remote.agent_server",
}


class OwnSimulator(mosaik_api_v3.Simulator):
    """Simulator of grids or of agents, depending on the first request."""

    def __init__(self) -> None:
        meta: Meta = {"api_version": "3.0", "type": "hybrid", "models": {}}
        super().__init__(meta)  # type: ignore[no-untyped-call]
        self._simulator: mosaik_api_v3.Simulator = self
        self._asked_version = ""

    def init(self, sid: str, time_resolution: float = 1.0, **parameters: Any) -> Meta:
        """Receive the scenario and the grids or agents to simulate."""
        # an error raised here would close the connection without a message: `create` reports it
        self._asked_version = parameters.pop("version")
        # import only one of the two: agents need all solvers
        if parameters.pop("agents"):
            from stackelgrid.scenarios.remote.agent_server import AgentServer

            self._simulator = AgentServer()
        else:
            from stackelgrid.scenarios.remote.grid_server import GridServer

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
        """Return data of the simulator."""
        return self._simulator.get_data(outputs)


def main() -> None:
    """Serve on the connection given by the arguments."""
    begin_with_one_blas_thread()
    arguments = sys.argv[1:]
    if arguments[:1] == ["--fd"] and len(arguments) > 1 and arguments[1].isdecimal():
        sock = socket.socket(fileno=int(arguments[1]))
        coming, folders = arguments[2:3], arguments[3:]
        sys.path.extend(folders)  # modules of the user that the run can import
    else:
        try:
            sock = socket.create_connection(host_and_port(arguments[0] if arguments else ""))
        except (ValueError, OSError) as error:
            print(f"stackelgrid.scenarios.remote.process: {error}", file=sys.stderr)
            sys.exit(2)
        coming = arguments[1:]
    for kind in coming:
        importlib.import_module(_SERVERS[kind])
    serve(sock, OwnSimulator())


if __name__ == "__main__":
    main()
