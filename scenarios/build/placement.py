"""Place devices in a pandapower net by the rules of a scenario."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandapower as pp
import pandas as pd
from pandapower.auxiliary import pandapowerNet

from stackelgrid.controllers.devices.elements import controllable
from stackelgrid.controllers.devices.placement import Placed, Placement
from stackelgrid.controllers.devices.registry import kinds
from stackelgrid.controllers.networks.net_record import NetRecord
from stackelgrid.profiles.arrays import Bools
from stackelgrid.profiles.simbench_source import NetProfiles
from stackelgrid.scenarios.build.random import generator
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.schema.grid import GridSection
from stackelgrid.scenarios.schema.scenario import Scenario
from stackelgrid.scenarios.schema.simulators import ENTITIES, entities_at, full_key


def place_devices(
    net: pandapowerNet,
    section: GridSection,
    scenario: Scenario,
    record: NetRecord,
    profiles: NetProfiles | None = None,
) -> dict[str, tuple[Placed, ...]]:
    """Add the devices of a grid's section to its net; return them by kind and section.

    net: net that is changed.
    section, scenario: section of the grid, and all of the scenario.
    record: receives the additions.
    profiles: those that came with the net.

    Raises ScenarioError for buses that are not accepted.
    """
    # placed storages are controllable; the net's own keep their value
    net.storage["controllable"] = controllable(net.storage, "storage")
    placing = _Placing(net, section, scenario, record, profiles)
    return {kind.kind: kind.place(placing) for kind in kinds()}


class _Placing:
    """A net to which kinds of devices add elements; see `Placing`."""

    def __init__(
        self,
        net: pandapowerNet,
        section: GridSection,
        scenario: Scenario,
        record: NetRecord,
        profiles: NetProfiles | None,
    ) -> None:
        self.net, self.grid = net, section.name
        self._section, self._scenario, self._record = section, scenario, record
        self._profiles = profiles

    def sections(self, key: str) -> Any:
        """Return the grid's section or sections under a key of the scenario."""
        return getattr(self._section, key)

    def groups(self, key: str, first: int = 0) -> Iterator[tuple[Placed, list[int]]]:
        """Yield the devices of each section under a key, and their buses."""
        if key == ENTITIES:
            sections = entities_at(self._scenario.simulators, self.grid)
        else:
            sections = ((f"{key}.{k}", own) for k, own in enumerate(self.sections(key)))
        for full, own in sections:
            buses = self.buses(own, full)
            yield Placed(full, own, first, len(buses)), buses
            first += len(buses)

    def add(
        self, table: str, name: str, buses: Sequence[int], key: str, what: str, **values: Any
    ) -> int:
        """Add one element at each bus; copies are faster than pandapower's own creation."""
        net, count = self.net, len(buses)
        phase = values.pop("phase", None)
        blank = {} if phase is None else {"phase": ""}
        create = getattr(pp, f"create_{table}")
        first = int(create(net, buses[0], name="", **values, **blank))
        last, index = len(net[table]) - 1, [first + i for i in range(count)]
        grown = net[table].iloc[[*range(last), *count * [last]]]
        grown = grown.set_axis([*grown.index[:last], *index])
        columns: dict[str, Sequence[Any]] = {"bus": buses, "name": [f"{name} {b}" for b in buses]}
        if phase is not None:
            columns["phase"] = phase
        for column, new in columns.items():
            cells = grown[column].to_numpy(copy=True)
            cells[last:] = new
            grown[column] = cells
        net[table] = grown
        for placed_at in index:
            self._record.note("added", table, [placed_at], what, key=key)
        return first

    def cost(self, table: str, index: int, c1_eur_per_mwh: float, c2_eur_per_mw2h: float) -> None:
        """Add a convex cost of an element."""
        pp.create_poly_cost(
            self.net, index, table, cp1_eur_per_mw=c1_eur_per_mwh, cp2_eur_per_mw2=c2_eur_per_mw2h
        )

    def profiled(self, table: str) -> Bools:
        """Return which elements of a table have a profile that came with the net."""
        return has_profile(self.net, table, self._profiles)

    def refuse(self, key: str, text: str) -> None:
        """Raise ScenarioError about a key of the grid's section."""
        raise ScenarioError(f"{full_key(self.grid, key)}: {text}")

    def phases(self, stated: str | None, key: str, buses: Sequence[int]) -> list[str]:
        """Return the phases of devices at some buses: the stated one, or the customers'.

        A phase is empty at a bus without customers or with customers of unknown phase.
        """
        if stated:
            return [stated] * len(buses)
        if "phase" not in self.net.load:
            return [""] * len(buses)
        customers: dict[int, set[str]] = {}
        for bus, phase in zip(self.net.load.bus, self.net.load.phase, strict=True):
            if not pd.isna(phase) and str(phase):
                customers.setdefault(int(bus), set()).add(str(phase))
        found = [sorted(customers.get(bus, ())) for bus in buses]
        for bus, phases in zip(buses, found, strict=True):
            if len(phases) > 1:
                raise ScenarioError(
                    f"{full_key(self.grid, key)}: bus {bus} has customers on phases "
                    f"{' and '.join(phases)}; state the `phase` of the devices there: a, b, c or "
                    "abc"
                )
        return [phases[0] if phases else "" for phases in found]

    def buses(self, rule: Placement, key: str) -> list[int]:
        """Return the buses of a placement; a random choice depends on seed, grid and key only."""
        if rule.buses is not None:
            return [self.bus(bus, key) for bus in rule.buses]
        among = next(kind for kind in kinds() if rule.among in kind.sections)
        candidates = sorted(set(among.buses(self.net)))
        count = (
            rule.count if rule.count is not None else round((rule.share or 0.0) * len(candidates))
        )
        if not candidates:
            raise ScenarioError(
                f"{full_key(self.grid, key)}: among = {rule.among!r} and no bus has any; "
                "buses are accepted"
            )
        if count > len(candidates) or count == 0:
            raise ScenarioError(
                f"{full_key(self.grid, key)}: {count} devices asked for among {len(candidates)} "
                f"buses with {rule.among}; 1 to {len(candidates)} are accepted"
            )
        rng = generator(self._scenario.seed, self.grid, "placement", key)
        return sorted(int(b) for b in rng.choice(candidates, size=count, replace=False))

    def bus(self, number: int, key: str) -> int:
        """Return the bus of the net for a bus number of the scenario."""
        found = self._record.bus(number)
        if found not in self.net.bus.index:
            raise ScenarioError(
                f"{full_key(self.grid, key)}: bus {number} {absence(self._record, 'bus', found)} "
                f"in {self._section.case}; accepted: {accepted_range(self.net.bus.index)}"
            )
        return found


def profile_names(net: pandapowerNet, table: str) -> "pd.Series[str]":
    """Return the profile of each element of a table by its column `profile`; empty for none."""
    frame = net[table]
    if "profile" not in frame:
        return pd.Series("", index=frame.index, dtype=object)
    names = [name if isinstance(name, str) else "" for name in frame["profile"]]
    return pd.Series(names, index=frame.index, dtype=object)


def has_profile(net: pandapowerNet, table: str, profiles: NetProfiles | None) -> Bools:
    """Return which elements of a table have a profile that came with the net."""
    names = profile_names(net, table)
    return np.asarray(names != "", dtype=np.bool_) & (profiles is not None)


def absence(record: NetRecord, table: str, index: int) -> str:
    """Return the reason why a grid has no element with an index."""
    lost = record.loss_of(table, index)
    return f"is not in the grid ({lost})" if lost else "does not exist"


def accepted_range(index: "np.typing.ArrayLike") -> str:
    """Return the accepted indices as text for messages."""
    values = sorted(int(i) for i in np.asarray(index))
    if values == list(range(values[0], values[-1] + 1)):
        return f"{values[0]} to {values[-1]}"
    shown = ", ".join(str(v) for v in values[:8])
    return shown + (f", ... {values[-1]}" if len(values) > 8 else "")
