"""Start users' simulators or connect to them, and create and connect their entities."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.remote.starting import (
    Command,
    connect,
    start_command,
    start_module,
    user_folders,
)
from stackelgrid.scenarios.schema.load import LoadedScenario
from stackelgrid.scenarios.schema.simulators import SimulatorSection
from stackelgrid.simulators.external.errors import WiringError
from stackelgrid.simulators.external.host import ExternalHost
from stackelgrid.simulators.external.running import Link
from stackelgrid.simulators.external.wiring import UserSimulator
from stackelgrid.simulators.remote.connection import Connection, LateError, RemoteError
from stackelgrid.simulators.remote.supervision import Supervisor

_MODULE = "stackelgrid.simulators.external.process"


@dataclass(frozen=True)
class StartedSimulators:
    """Users' simulators to which `init` has been sent, by name, and their supervisor."""

    links: Mapping[str, Link]
    supervisor: Supervisor


@contextmanager
def external_simulators(loaded: LoadedScenario) -> Iterator[StartedSimulators]:
    """Start or connect the users' simulators and send `init`; they load while the world is built.

    All processes have ended after the block; each has its `step_deadline_s` at least for that, and
    `supervisor.failures` has those that did not end well. Raises ScenarioError for a simulator that
    cannot be started or reached, and, once they have a host, RemoteError as soon as one is lost,
    also between two requests.
    """
    folder = loaded.folder.resolve()
    links: dict[str, Link] = {}
    sections = loaded.scenario.simulators
    with Supervisor(max((s.step_deadline_s for s in sections), default=0.0)) as supervisor:
        with _as_input():
            for section in sections:
                connection = _connection(section, folder, supervisor)
                links[section.name] = Link.begun(
                    connection, section.parameters, section.start_deadline_s
                )
        yield StartedSimulators(links, supervisor)


def external_host(
    started: StartedSimulators,
    simulators: Sequence[UserSimulator],
    *,
    interval_s: int,
    intervals: int,
    horizon_steps: int,
    start: datetime,
) -> ExternalHost:
    """Create and connect all entities; return the host that drives them.

    started: of `external_simulators`.
    simulators: what they create, and how it is connected.
    interval_s, intervals: length of an interval in s, number of intervals of the run.
    horizon_steps: number of intervals of a plan.
    start: beginning of the first interval.

    Raises ScenarioError for a simulator that does not fit the scenario, and RemoteError for one
    that is late.
    """
    host = ExternalHost(
        started.links, simulators, interval_s=interval_s, intervals=intervals,
        horizon_steps=horizon_steps, start=start,
    )  # fmt: skip
    with _as_input():
        host.started()
    started.supervisor.watch()
    return host


@contextmanager
def _as_input() -> Iterator[None]:
    """Turn errors of the start into bad input, except a missed deadline."""
    try:
        yield
    except LateError:
        raise
    except (WiringError, RemoteError) as error:
        raise ScenarioError(str(error)) from error


def _connection(section: SimulatorSection, folder: Path, supervisor: Supervisor) -> Connection:
    name, where, deadline_s = section.name, f"simulators.{section.name}", section.start_deadline_s
    if section.connect is not None:
        return connect(name, section.connect, where, deadline_s, supervisor)
    if section.command is not None:
        command = Command(
            f"{where}.command", section.command, f"{where}.bind", section.bind, folder
        )
        return start_command(name, command, deadline_s, supervisor)
    assert section.python is not None
    folders = [str(folder), str(Path.cwd()), *user_folders()]
    return start_module(name, _MODULE, [section.python, *folders], supervisor, folder)
