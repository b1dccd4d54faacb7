"""Start the remote simulators of a scenario, or connect to them, under supervision.

A run starts only the project's own simulators and the commands that the scenario lists under
`remote.commands`, never through a shell. The project's own may start early: they load libraries
while the run loads its own. Keep the imports of this module light.
"""

import select
import shutil
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, fields, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.schema.load import LoadedScenario
from stackelgrid.scenarios.schema.remote import RemoteSection, RemoteSimulator, host_and_port
from stackelgrid.simulators.remote.connection import Connection, RemoteError
from stackelgrid.simulators.remote.processes import ChildProcess
from stackelgrid.simulators.remote.supervision import Supervisor

if TYPE_CHECKING:
    from stackelgrid.scenarios.build.system import BuiltScenario
    from stackelgrid.simulators.remote.agents import RemoteController
    from stackelgrid.simulators.remote.grids import RemoteGrids

AGENT_KIND = {"transmission": "Tso", "mv": "Dso", "lv": "Lmo"}
_ANY = ("0.0.0.0", "::")
_POLL_S = 0.1


@dataclass(frozen=True)
class Remotes:
    """Remote simulators of a run; `controller` calls remote agents, None if none are remote."""

    grids: "tuple[RemoteGrids, ...]" = ()
    controller: "RemoteController | None" = None

    def placed(self, built: "BuiltScenario") -> "BuiltScenario":
        """Return the scenario with remote grids and agents in place; raises RemoteError."""
        from stackelgrid.simulators.remote.grids import GridElsewhere

        simulated = dict(built.simulated)
        for host in self.grids:
            host.started(simulated, 60 * built.scenario.time.interval_min)
            for name in host.names:
                known = simulated[name]
                values = {f.name: getattr(known, f.name) for f in fields(known)}
                simulated[name] = GridElsewhere(**values, host=host)
        if self.controller is None:
            return replace(built, simulated=simulated)
        self.controller.started()
        return replace(built, simulated=simulated, controller=self.controller)


@contextmanager
def started_early(section: RemoteSection | None) -> Iterator[Supervisor | None]:
    """Start a scenario's simulators that are processes of the project; yield their supervisor."""
    if section is None:
        yield None
        return
    with Supervisor() as supervisor:
        for simulator in section.simulators:
            if simulator.command is None and simulator.connect is None:
                _start_own(simulator, supervisor)
        yield supervisor


@contextmanager
def remote_simulators(
    loaded: LoadedScenario, content: Mapping[str, Any], early: Supervisor | None = None
) -> Iterator[Remotes]:
    """Start or connect the remote simulators, which then build their grids or agents in parallel.

    `content` is the resolved scenario; `early` may hold the project's processes started before.
    All processes have ended after the block. Raises ScenarioError for a simulator that cannot be
    started or reached, and RemoteError as soon as one is lost, also between two requests.
    """
    section = loaded.scenario.remote
    if section is None:
        yield Remotes()
        return
    from stackelgrid.scenarios.build.series import axis_of, horizon_of
    from stackelgrid.simulators.remote.agents import RemoteController
    from stackelgrid.simulators.remote.grids import RemoteGrids

    scenario = loaded.scenario
    axis = axis_of(scenario, horizon_of(scenario))
    common = {
        "version": version("stackelgrid"),
        "scenario": content,
        "folder": str(loaded.folder),
        "clock": [f"{t:%Y-%m-%d %H:%M}" for t in axis.index[: scenario.time.intervals]],
    }
    grids: list[RemoteGrids] = []
    controller: RemoteController | None = None
    with Supervisor() if early is None else nullcontext(early) as supervisor:
        for simulator in section.simulators:
            link = _connection(simulator, section, supervisor)
            init = simulator.parameters
            if init is None:
                init = {**common, "agents": simulator.agents}
            deadlines = (section.start_deadline_s, section.deadline_s(simulator))
            if simulator.agents:
                agents = [(AGENT_KIND[g.level], g.name) for g in scenario.grids]
                interval_s = 60 * scenario.time.interval_min
                controller = RemoteController(link, init, agents, interval_s, *deadlines)
            else:
                grids.append(RemoteGrids(link, init, simulator.grids, *deadlines))
        supervisor.watch()
        yield Remotes(tuple(grids), controller)


def _connection(
    simulator: RemoteSimulator, section: RemoteSection, supervisor: Supervisor
) -> Connection:
    started = supervisor.connections.get(simulator.name)
    if started is not None:
        return started
    if simulator.connect is not None:
        connection = _connect(simulator, section.start_deadline_s)
        supervisor.add(connection)
    elif simulator.command is not None:
        connection = _start_command(simulator, section, supervisor)
    else:
        connection = _start_own(simulator, supervisor)
    return connection


def _start_own(simulator: RemoteSimulator, supervisor: Supervisor) -> Connection:
    """Start a process of the project, connected by a pair of sockets without a port."""
    here, there = socket.socketpair()
    kind = "agents" if simulator.agents else "grids"
    module = "stackelgrid.scenarios.remote.process"
    command = [sys.executable, "-m", module, "--fd", str(there.fileno()), kind]
    process = ChildProcess(command, [there.fileno()])
    there.close()
    connection = Connection(simulator.name, here, process.why_ended)
    supervisor.add(connection, process)
    return connection


def _connect(simulator: RemoteSimulator, deadline_s: float) -> Connection:
    assert simulator.connect is not None
    try:
        sock = socket.create_connection(host_and_port(simulator.connect), deadline_s)
    except OSError as error:
        raise ScenarioError(
            f"remote.simulators.{simulator.name}: {simulator.connect} cannot be reached ({error})"
        ) from error
    return Connection(simulator.name, sock)


def _start_command(
    simulator: RemoteSimulator, section: RemoteSection, supervisor: Supervisor
) -> Connection:
    """Start a command of the scenario and wait for its connection."""
    assert simulator.command is not None
    key = f"remote.commands.{simulator.command}"
    family = socket.AF_INET6 if ":" in section.bind else socket.AF_INET
    try:
        listener = socket.create_server((section.bind, 0), family=family)
    except OSError as error:
        raise ScenarioError(
            f"remote.bind: {section.bind} is not an address of this machine ({error})"
        ) from error
    with listener:
        host = socket.getfqdn() if section.bind in _ANY else section.bind
        values = {
            "%(addr)s": f"{host}:{listener.getsockname()[1]}",
            "%(python)s": sys.executable,
        }
        command = [_filled(argument, values) for argument in section.commands[simulator.command]]
        if shutil.which(command[0]) is None:
            raise ScenarioError(f"{key}: {command[0]} is not a program of this machine")
        process = ChildProcess(command)
        supervisor.own(process)
        until = time.monotonic() + section.start_deadline_s
        while not select.select([listener], [], [], _POLL_S)[0]:
            if not process.running():
                raise RemoteError(f"simulator {simulator.name}: {process.why_ended()}")
            if time.monotonic() > until:
                raise RemoteError(
                    f"simulator {simulator.name}: {key} has not connected within its deadline of "
                    f"{section.start_deadline_s:g} s"
                )
        sock, _ = listener.accept()
    connection = Connection(simulator.name, sock, process.why_ended)
    supervisor.add(connection)
    return connection


def _filled(argument: str, values: Mapping[str, str]) -> str:
    for key, text in values.items():
        argument = argument.replace(key, text)
    return argument
