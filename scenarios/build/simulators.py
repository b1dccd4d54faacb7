"""Connect the entities of users' simulators: their powers to devices, their inputs to sources."""

from collections.abc import Mapping
from itertools import chain

from stackelgrid.controllers.devices.devices import Devices
from stackelgrid.controllers.devices.placement import Placed
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.forecast import GridSeries
from stackelgrid.scenarios.build.grids import BuiltGrid
from stackelgrid.scenarios.build.placement import absence, accepted_range
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.schema.scenario import Scenario
from stackelgrid.scenarios.schema.simulators import EntitiesSection, InputSection, entities_key
from stackelgrid.simulators.external.wiring import (
    EntityGroup,
    FromEntity,
    FromSeries,
    FromWorld,
    Reading,
    Source,
    UserSimulator,
)

# results of a grid's power flow, by what a scenario calls them
MEASURED = {"voltage": "bus_vm_pu", "loading": "branch_loading_percent"}
SET_POINT, NODE_PRICE = "external_p_set_mw", "node_price_eur_per_mwh"


def user_simulators(
    scenario: Scenario,
    grids: Mapping[str, BuiltGrid],
    devices: Mapping[str, Devices],
    series: Mapping[str, GridSeries],
    outdoor_c: Floats,
) -> tuple[UserSimulator, ...]:
    """Return the users' simulators of a scenario with their entities.

    scenario: the scenario.
    grids: its built grids, in which the entities have been placed.
    devices: their devices.
    series: realised series by grid, with the prices.
    outdoor_c: realised outdoor temperature (n,).

    Raises ScenarioError for elements that a grid does not have, and for groups whose numbers do not
    fit.
    """
    return _Wiring(scenario, grids, devices, series, outdoor_c).simulators()


class _Wiring:
    """Data from which the entities of a scenario are connected."""

    def __init__(
        self,
        scenario: Scenario,
        grids: Mapping[str, BuiltGrid],
        devices: Mapping[str, Devices],
        series: Mapping[str, GridSeries],
        outdoor_c: Floats,
    ) -> None:
        self._scenario, self._grids = scenario, grids
        self._devices, self._series, self._outdoor_c = devices, series, outdoor_c
        self._placed = {
            p.key: p for grid in grids.values() for p in chain.from_iterable(grid.placed.values())
        }
        self._counts = {
            (s.name, e.label): self._count(entities_key(s.name, e), e)
            for s in scenario.simulators
            for e in s.entities
        }

    def simulators(self) -> tuple[UserSimulator, ...]:
        """Return all simulators."""
        return tuple(
            UserSimulator(s.name, tuple(self._group(s.name, e) for e in s.entities),
                          s.step_deadline_s)
            for s in self._scenario.simulators
        )  # fmt: skip

    def _count(self, key: str, entities: EntitiesSection) -> int:
        return entities.count or 1 if entities.grid is None else self._placed[key].count

    def _group(self, simulator: str, entities: EntitiesSection) -> EntityGroup:
        key, count = entities_key(simulator, entities), self._counts[simulator, entities.label]
        placed = self._placed.get(key) if entities.grid is not None else None
        first = placed.first if placed is not None else 0
        p, q, announced = entities.p, entities.q, entities.forecast.attribute
        inputs = {
            attribute: tuple(
                self._sources(f"{key}.inputs.{attribute}", entities, placed, source, i, count)
                for i in range(count)
            )
            for attribute, source in entities.inputs.items()
        }
        return EntityGroup(
            name=entities.label,
            model=entities.model,
            count=count,
            parameters=entities.parameters,
            inputs=inputs,
            grid=entities.grid,
            positions=tuple(range(first, first + count)) if placed is not None else (),
            p=None if p is None else Reading(p.attribute, p.factor),
            q=None if q is None else Reading(q.attribute, q.factor),
            plan=None if p is None or announced is None else Reading(announced, p.factor),
            child=entities.child or "",
        )

    def _sources(
        self,
        key: str,
        entities: EntitiesSection,
        placed: Placed | None,
        source: InputSection,
        i: int,
        count: int,
    ) -> tuple[Source, ...]:
        """Return the sources of an attribute of one entity.

        key: key of the input, for messages.
        entities, placed: section of the entity and its devices.
        source: section of the input.
        i, count: its position in the group, and the size of the group.
        """
        if source.reference is not None:
            return self._entities(key, source, i, count)
        grid = source.grid or entities.grid
        if source.from_ == "temperature":
            return (FromSeries(grid or "", self._outdoor_c),)
        assert grid is not None
        if source.from_ == "price":
            return (self._price(grid),)
        if source.from_ == "set_point":
            assert placed is not None
            assert entities.p is not None
            return (FromWorld(grid, SET_POINT, placed.first + i, 1.0 / entities.p.factor),)
        at = self._element(key, grid, placed, source, i)
        return (FromWorld(grid, MEASURED[source.from_], at),)

    def _entities(
        self, key: str, source: InputSection, i: int, count: int
    ) -> tuple[FromEntity, ...]:
        assert source.reference is not None
        simulator, group, attribute = source.reference
        given = self._counts[simulator, group]
        if given != count and 1 not in (given, count):
            raise ScenarioError(
                f"{key}: {given} entities of {simulator}.{group} for {count}; equal numbers, or one"
                " on either side, are accepted"
            )
        at = range(given) if count == 1 else [0 if given == 1 else i]
        shifted, initial = source.time_shifted, source.initial
        return tuple(FromEntity(simulator, group, k, attribute, shifted, initial) for k in at)

    def _price(self, grid: str) -> Source:
        """Return the import price of a grid, or the nodal price at its bus of the grid above."""
        section = self._grids[grid].section
        if self._scenario.pricing == "lmp" and section.parent is not None:
            above = self._grids[section.parent].net.bus.index
            return FromWorld(grid, NODE_PRICE, int(above.get_loc(section.bus)))
        return FromSeries(grid, self._series[grid].import_eur_per_mwh)

    def _element(
        self, key: str, grid: str, placed: Placed | None, source: InputSection, i: int
    ) -> int:
        """Return the position of a bus, or of a branch (lines before transformers)."""
        built = self._grids[grid]
        net, record = built.net, built.record
        if source.line is not None or source.trafo is not None:
            table = "line" if source.line is not None else "trafo"
            index = source.line if source.line is not None else source.trafo
            before = 0 if table == "line" else len(net.line)
        else:
            table, before = "bus", 0
            if source.bus is None:
                assert placed is not None
                index = int(self._devices[grid].externals.bus[placed.first + i])
            else:
                index = record.bus(source.bus)
        assert index is not None
        if index not in net[table].index:
            found = net[table].index
            accepted = f"accepted: {accepted_range(found)}" if len(found) else "it has none"
            raise ScenarioError(
                f"{key}: {table} {index} of {grid} {absence(record, table, index)}; {accepted}"
            )
        return before + int(net[table].index.get_loc(index))
