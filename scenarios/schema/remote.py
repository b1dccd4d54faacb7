"""Section `remote` of a scenario: simulators in separate processes or on other hosts."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from stackelgrid.profiles.section import Name, Positive, Section

_ADDRESS = "%(addr)s"
_MOST_PORT = 65535

Command = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)]


class RemoteSimulator(Section):
    """A simulator that hosts some grids, or the agents.

    Without `command` or `connect` it is a process of the project on this machine. `command` names
    an entry of `remote.commands`; `connect` is the host:port of a simulator that listens there. A
    simulator that is not the project's receives `parameters` in place of the scenario.
    """

    name: Name
    grids: tuple[str, ...] = ()
    agents: bool = False
    command: str | None = None
    connect: str | None = None
    parameters: dict[str, Any] | None = None
    step_deadline_s: Positive | None = None

    @field_validator("connect")
    @classmethod
    def _address(cls, connect: str | None) -> str | None:
        if connect is not None:
            host_and_port(connect)
        return connect

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if bool(self.grids) == self.agents:
            raise ValueError("hosts either grids or agents: grids = [...] or agents = true")
        twice = sorted({g for g in self.grids if self.grids.count(g) > 1})
        if twice:
            raise ValueError(f"grid {twice[0]!r} given twice")
        if self.command is not None and self.connect is not None:
            raise ValueError("command and connect: one of them is accepted, not both")
        if self.parameters is not None and self.command is None and self.connect is None:
            raise ValueError("parameters are for a simulator with command or connect")
        return self


class RemoteSection(Section):
    """Simulators outside of the run's process, and their deadlines.

    `commands` lists the programs that a run may start besides the project's own simulators: lists
    of arguments (no shell) in which %(addr)s stands for the address to connect to. At the address
    `bind` the run waits for their connections.
    """

    simulators: Annotated[tuple[RemoteSimulator, ...], Field(min_length=1)]
    commands: dict[Name, Command] = Field(default_factory=dict)
    step_deadline_s: Positive = 30.0
    start_deadline_s: Positive = 60.0
    bind: Annotated[str, Field(min_length=1)] = "127.0.0.1"

    @field_validator("commands")
    @classmethod
    def _have_address(cls, commands: dict[str, Command]) -> dict[str, Command]:
        for name, command in commands.items():
            require_address(name, command)
        return commands

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        names = [s.name for s in self.simulators]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise ValueError(f"simulator {twice[0]!r} given twice")
        grids = [g for s in self.simulators for g in s.grids]
        twice = sorted({g for g in grids if grids.count(g) > 1})
        if twice:
            hosts = " and ".join(s.name for s in self.simulators if twice[0] in s.grids)
            raise ValueError(f"grid {twice[0]!r} is hosted by {hosts}; one simulator is accepted")
        if sum(s.agents for s in self.simulators) > 1:
            hosts = " and ".join(s.name for s in self.simulators if s.agents)
            raise ValueError(f"agents are hosted by {hosts}; one simulator is accepted")
        used = {s.command for s in self.simulators if s.command is not None}
        unknown = sorted(used - self.commands.keys())
        if unknown:
            known = ", ".join(self.commands) or "none"
            raise ValueError(f"command {unknown[0]!r} unknown; commands has: {known}")
        idle = sorted(self.commands.keys() - used)
        if idle:
            raise ValueError(f"command {idle[0]!r} is used by no simulator")
        return self

    def deadline_s(self, simulator: RemoteSimulator) -> float:
        """Return the deadline of a simulator's answer in seconds."""
        return simulator.step_deadline_s or self.step_deadline_s


def check_remote(section: RemoteSection, levels: Mapping[str, str]) -> None:
    """Refuse unknown grids, and grids of different levels in one simulator; raises ValueError.

    `levels` holds the level of each grid of the scenario. A simulator steps its grids together, but
    different levels step one after another.
    """
    for simulator in section.simulators:
        for grid in simulator.grids:
            if grid not in levels:
                raise ValueError(
                    f"simulator {simulator.name!r}: grid {grid!r} unknown; known: "
                    f"{', '.join(levels)}"
                )
        found = sorted({levels[grid] for grid in simulator.grids})
        if len(found) > 1:
            raise ValueError(
                f"simulator {simulator.name!r} hosts grids of the levels {' and '.join(found)}; "
                "one level is accepted"
            )


def require_address(name: str, command: Sequence[str]) -> None:
    """Refuse a command without the address to connect to; raises ValueError."""
    if not any(_ADDRESS in argument for argument in command):
        raise ValueError(
            f"{name!r} has no address to connect to; an argument with {_ADDRESS} is accepted"
        )


def host_and_port(text: str) -> tuple[str, int]:
    """Split host:port, or [host]:port for IPv6; raises ValueError."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (colon and host and port.isdecimal() and 0 < int(port) <= _MOST_PORT):
        raise ValueError(f"{text!r}: host:port is accepted, for example 10.0.0.7:5555")
    return host, int(port)
