"""Start the project's own simulators early: they load libraries while the run loads its own.

Keep the imports of this module light.
"""

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from stackelgrid.scenarios.schema.remote import RemoteSection, RemoteSimulator
from stackelgrid.simulators.remote.connection import Connection
from stackelgrid.simulators.remote.processes import ChildProcess
from stackelgrid.simulators.remote.supervision import Supervisor


@contextmanager
def started_early(section: RemoteSection | None) -> Iterator[Supervisor | None]:
    """Start a scenario's simulators that are processes of the project; yield their supervisor."""
    if section is None:
        yield None
        return
    with Supervisor() as supervisor:
        for simulator in section.simulators:
            if simulator.command is None and simulator.connect is None:
                start_own(simulator, supervisor)
        yield supervisor


def start_own(simulator: RemoteSimulator, supervisor: Supervisor) -> Connection:
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
