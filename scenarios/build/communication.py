"""Convert the section `communication` to the settings of a network, with times in seconds."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from stackelgrid.profiles.time_axis import TimeAxis
from stackelgrid.scenarios.build.random import stream
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.schema.communication import (
    CommunicationSection,
    Direction,
    OutageSection,
    local_time,
)
from stackelgrid.scenarios.schema.scenario import Scenario
from stackelgrid.simulators.messages.communication_settings import (
    CommunicationSettings,
    LinkQuality,
    Outage,
)


def communication_settings(scenario: Scenario, axis: TimeAxis) -> CommunicationSettings:
    """Return gate, links and outages of a scenario; interval 0, the axis' start, is second 0.

    Every agent is linked to the agent of the grid above. Where several entries set the links of an
    agent, the last value of each key holds. Raises ScenarioError for an outage outside the run or
    at a local time that does not exist.
    """
    section = scenario.links
    parents = {grid.name: grid.parent for grid in scenario.grids if grid.parent is not None}
    end_s = 60.0 * scenario.time.interval_min * scenario.time.intervals
    outages: list[Outage] = []
    for i, outage in enumerate(section.outages):
        key = f"communication.outages.{i}"
        from_s = _seconds(f"{key}.from", outage.from_, scenario, axis)
        to_s = _seconds(f"{key}.to", outage.to, scenario, axis)
        _check_within(key, outage, (from_s, to_s), (-section.gate_s, end_s))
        outages += [
            Outage(*ends, from_s, to_s)
            for agent in outage.agents
            for ends in _ends(agent, parents[agent], outage.direction)
        ]
    return CommunicationSettings(
        gate_s=section.gate_s,
        compute_s=section.compute_s,
        quality=section.base.link_quality(),
        links=_links(section, parents),
        outages=tuple(outages),
    )


def communication_seed(scenario: Scenario) -> np.random.SeedSequence:
    """Return the seed of a scenario's network, from which each link derives its own."""
    return stream(scenario.seed, "communication")


def _links(
    section: CommunicationSection, parents: dict[str, str]
) -> dict[tuple[str, str], LinkQuality]:
    """Return the qualities of the directed links that differ from the network's quality."""
    own: dict[tuple[str, str], dict[str, float]] = {}
    for link in section.links:
        for agent in link.agents:
            for ends in _ends(agent, parents[agent], link.direction):
                own[ends] = own.get(ends, {}) | link.given
    qualities: dict[tuple[str, str], LinkQuality] = {}
    for ends, given in own.items():
        try:
            qualities[ends] = section.base.link_quality(given)
        except ValueError as error:  # from a combination of entries; each entry alone was accepted
            raise ScenarioError(
                f"communication.links from {ends[0]} to {ends[1]}: {error}"
            ) from error
    return qualities


def _ends(agent: str, above: str, direction: Direction) -> Iterator[tuple[str, str]]:
    """Yield sender and recipient of an agent's links in a direction, seen from the agent."""
    if direction != "to":
        yield agent, above
    if direction != "from":
        yield above, agent


def _seconds(key: str, moment: str, scenario: Scenario, axis: TimeAxis) -> float:
    """Return elapsed seconds from the axis' start to a local time, clock changes included."""
    local = pd.Timestamp(local_time(moment, scenario.time.start))
    try:
        stamp = local.tz_localize(axis.start.tzinfo, ambiguous="raise", nonexistent="raise")
    except Exception as error:  # the classes differ between the time zone libraries of pandas
        raise ScenarioError(
            f"{key} = {moment}: cannot be placed in timezone {scenario.time.timezone!r} "
            f"({error}); a local time that exists once is accepted"
        ) from error
    return float((stamp - axis.start).total_seconds())


def _check_within(
    key: str, outage: OutageSection, span_s: tuple[float, float], run_s: tuple[float, float]
) -> None:
    if span_s[1] <= run_s[0] or span_s[0] >= run_s[1]:
        raise ScenarioError(
            f"{key}: from {outage.from_} to {outage.to} lies outside of the run, which takes from "
            f"{run_s[0]:g} s to {run_s[1]:g} s after its start; a clock time is one of the first "
            "day, a later day is given with its date"
        )
