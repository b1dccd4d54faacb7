"""Sections of a scenario that place devices, and protocols by which kinds place and profile."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, Self, TypeVar

import numpy as np
from pydantic import Field, model_validator

from stackelgrid.profiles.arrays import Bools, Floats
from stackelgrid.profiles.section import Index, Section

if TYPE_CHECKING:
    from stackelgrid.profiles.clouds import CloudModel
    from stackelgrid.profiles.site import Site
    from stackelgrid.profiles.time_axis import TimeAxis

Phase = Literal["a", "b", "c", "abc"]
T = TypeVar("T")


class Placement(Section):
    """Buses of devices: explicit `buses`, or a random choice of `count` or `share` of buses.

    The seeded choice is among the buses with loads, or with PV (`among = "pv"`).
    """

    buses: tuple[Index, ...] | None = None
    """One device at each of these buses (pandapower indices)."""
    count: Annotated[int, Field(ge=1)] | None = None
    """Number of devices at buses drawn at random."""
    share: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    """Share of the buses that get a device, drawn at random."""
    among: Literal["loads", "pv"] = "loads"
    """Buses that are drawn from: those with loads, or with PV."""

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        if sum(v is not None for v in (self.buses, self.count, self.share)) != 1:
            raise ValueError("exactly one of buses, count and share is accepted")
        if self.buses is not None and not self.buses:
            raise ValueError("buses is empty")
        return self


@dataclass(frozen=True)
class Placed:
    """Devices of one section: positions among the grid's devices of the kind.

    `key` identifies the section in messages and random streams.
    """

    key: str
    section: Any
    first: int
    count: int


class Placing(Protocol):
    """A net to which kinds of devices add elements (scenarios/build/placement.py)."""

    net: Any
    grid: str

    def sections(self, key: str) -> Any:
        """Return the grid's section or sections under a key of the scenario."""

    def groups(self, key: str, first: int = 0) -> "Iterator[tuple[Placed, list[int]]]":
        """Yield the devices of each section under a key, and their buses.

        key: key of the grid's section; `entities` for those of users' simulators at the grid.
        first: number of devices of the kind in the net, which come before.
        """

    def buses(self, rule: Placement, key: str) -> list[int]:
        """Return the buses of a placement rule; a random choice depends on seed, grid and key."""

    def bus(self, number: int, key: str) -> int:
        """Return the bus of the net for a bus number of the scenario."""

    def phases(self, stated: str | None, key: str, buses: Sequence[int]) -> list[str]:
        """Return the phase of a device at each bus: as stated, or the customer's there."""

    def add(
        self, table: str, name: str, buses: Sequence[int], key: str, what: str, **values: Any
    ) -> int:
        """Add one element at each bus by pandapower's `create_TABLE`; returns the first index.

        table: table of pandapower.
        name: beginning of the elements' names; the bus follows.
        buses: buses of the net.
        key: key of the scenario, for the record of changes.
        what: name of such a device in that record.
        values: columns of the elements; a sequence `phase` has one value for each.
        """

    def cost(self, table: str, index: int, c1_eur_per_mwh: float, c2_eur_per_mw2h: float) -> None:
        """Add a convex cost of an element (poly_cost)."""

    def profiled(self, table: str) -> Bools:
        """Return which elements of a table have a profile that came with the net."""

    def refuse(self, key: str, text: str) -> None:
        """Raise ScenarioError about a key of the grid's section."""


class SeriesMaker(Protocol):
    """Data from which kinds make the series of one grid (scenarios/build/series.py)."""

    axis: "TimeAxis"
    site: "Site"
    clouds: "CloudModel"
    regional: Floats  # clear-sky index of the region (n,)
    temperature: Floats  # outdoors (n,), degrees Celsius

    def sections(self, key: str) -> Any:
        """Return the grid's section or sections under a key of the scenario."""

    def generator(self, *consumer: str) -> np.random.Generator:
        """Return the grid's random generator of a named consumer."""

    def variation(self, *consumer: str) -> np.random.Generator | None:
        """Return the generator of day-to-day variation before the run; None in the run."""

    def deviation(self, *consumer: str) -> np.random.Generator:
        """Return the grid's random generator of deviations, by the seed of that section."""

    def factors(self, key: str, file: str, names: Sequence[str], nominal_mw: Floats) -> Floats:
        """Return factors (n, devices) of the nominal power from a file; raises ProfileError."""

    def of_net(self, table: str, index: Sequence[int]) -> tuple[Floats, Floats]:
        """Return factors (n, elements) of active and reactive power that came with the net.

        NaN for elements without such a profile; raises ProfileError.
        """

    def from_file(self, key: str, file: str, read: Callable[[Path, str], T]) -> T:
        """Return `read(path, timezone)` of a file; raises ProfileError with the key."""

    def where(self, key: str) -> str:
        """Return the full key of a section, for messages."""
