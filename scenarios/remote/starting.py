"""Start a simulator in another process, or connect to one, under supervision.

A run starts only the project's own modules and the commands that its scenario lists, never through
a shell. Keep the imports of this module light.
"""

import select
import shutil
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.schema.remote import host_and_port
from stackelgrid.simulators.remote.connection import Connection, LateError, RemoteError
from stackelgrid.simulators.remote.processes import ChildProcess
from stackelgrid.simulators.remote.supervision import Supervisor

_ANY = ("0.0.0.0", "::")
_POLL_S = 0.1


@dataclass(frozen=True)
class Command:
    """A command of a scenario that connects to the run.

    key: its key in the scenario.
    arguments: program and arguments; %(addr)s is the address to connect to, %(python)s the
        interpreter of the run.
    bind_key, bind: key and address of this machine at which the run waits.
    folder: current folder of the program, by default that of the run.
    """

    key: str
    arguments: Sequence[str]
    bind_key: str
    bind: str
    folder: Path | None = None


def user_folders() -> list[str]:
    """Return the folders of this process whose modules are neither Python's nor installed."""
    own = (sys.prefix, sys.base_prefix)
    return [path for path in sys.path if path and not path.startswith(own)]


def start_module(
    name: str,
    module: str,
    arguments: Sequence[str],
    supervisor: Supervisor,
    folder: Path | None = None,
) -> Connection:
    """Start a module of the project, connected by a pair of sockets without a port.

    name: name of the simulator.
    module, arguments: module that receives `--fd N` and these arguments.
    supervisor: supervises the process.
    folder: its current folder; without one it is that of the run, whose modules it can import.
    """
    here, there = socket.socketpair()
    options = ["-m"] if folder is None else ["-P", "-m"]
    command = [sys.executable, *options, module, "--fd", str(there.fileno()), *arguments]
    process = ChildProcess(command, [there.fileno()], folder)
    there.close()
    connection = Connection(name, here, process.why_ended)
    supervisor.add(connection, process)
    return connection


def connect(
    name: str, address: str, where: str, deadline_s: float, supervisor: Supervisor
) -> Connection:
    """Connect to the simulator that waits at an address; raises ScenarioError.

    name: name of the simulator.
    address: host:port.
    where: its place in the scenario, for messages.
    deadline_s: s to wait.
    supervisor: supervises the connection.
    """
    try:
        sock = socket.create_connection(host_and_port(address), deadline_s)
    except OSError as error:
        raise ScenarioError(f"{where}: {address} cannot be reached ({error})") from error
    connection = Connection(name, sock)
    supervisor.add(connection)
    return connection


def start_command(
    name: str, command: Command, deadline_s: float, supervisor: Supervisor
) -> Connection:
    """Start a command and wait for its connection; raises ScenarioError and RemoteError.

    name: name of the simulator.
    command: the command.
    deadline_s: s to wait.
    supervisor: supervises process and connection.
    """
    family = socket.AF_INET6 if ":" in command.bind else socket.AF_INET
    try:
        listener = socket.create_server((command.bind, 0), family=family)
    except OSError as error:
        raise ScenarioError(
            f"{command.bind_key}: {command.bind} is not an address of this machine ({error})"
        ) from error
    with listener:
        host = socket.getfqdn() if command.bind in _ANY else command.bind
        values = {
            "%(addr)s": f"{host}:{listener.getsockname()[1]}",
            "%(python)s": sys.executable,
        }
        arguments = [_filled(argument, values) for argument in command.arguments]
        if command.folder is not None and "/" in arguments[0]:
            arguments[0] = str(command.folder / arguments[0])
        if shutil.which(arguments[0]) is None:
            raise ScenarioError(f"{command.key}: {arguments[0]} is not a program of this machine")
        process = ChildProcess(arguments, folder=command.folder)
        supervisor.own(name, process)
        until = time.monotonic() + deadline_s
        while not select.select([listener], [], [], _POLL_S)[0]:
            if not process.running():
                raise RemoteError(f"simulator {name}: {process.why_ended()}")
            if time.monotonic() > until:
                raise LateError(
                    f"simulator {name}: {command.key} has not connected within its deadline of "
                    f"{deadline_s:g} s"
                )
        sock, _ = listener.accept()
    connection = Connection(name, sock, process.why_ended)
    supervisor.add(connection)
    return connection


def _filled(argument: str, values: Mapping[str, str]) -> str:
    for key, text in values.items():
        argument = argument.replace(key, text)
    return argument
