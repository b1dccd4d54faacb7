"""Start the remote simulators of a scenario, or connect to them, under supervision.

A run starts only the project's own simulators and the commands that the scenario lists under
`remote.commands`, never through a shell. The project's own may start early: they load libraries
while the run loads its own. Keep the imports of this module light.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, fields, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from stackelgrid.scenarios.remote.starting import (
    Command,
    connect,
    start_command,
    start_module,
    user_folders,
)
from stackelgrid.scenarios.schema.load import LoadedScenario
from stackelgrid.scenarios.schema.remote import RemoteSection, RemoteSimulator
from stackelgrid.simulators.remote.connection import Connection
from stackelgrid.simulators.remote.supervision import Supervisor

if TYPE_CHECKING:
    from stackelgrid.scenarios.build.system import BuiltScenario
    from stackelgrid.simulators.remote.agents import RemoteController
    from stackelgrid.simulators.remote.grids import RemoteGrids

AGENT_KIND = {"transmission": "Tso", "mv": "Dso", "lv": "Lmo"}


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
    where, deadline_s = f"remote.simulators.{simulator.name}", section.start_deadline_s
    if simulator.connect is not None:
        return connect(simulator.name, simulator.connect, where, deadline_s, supervisor)
    if simulator.command is not None:
        command = Command(
            f"remote.commands.{simulator.command}", section.commands[simulator.command],
            "remote.bind", section.bind,
        )  # fmt: skip
        return start_command(simulator.name, command, deadline_s, supervisor)
    return _start_own(simulator, supervisor)


def _start_own(simulator: RemoteSimulator, supervisor: Supervisor) -> Connection:
    kind = "agents" if simulator.agents else "grids"
    module = "stackelgrid.scenarios.remote.process"
    return start_module(simulator.name, module, [kind, *user_folders()], supervisor)
