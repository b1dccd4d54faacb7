"""Users' simulators of a built scenario."""

from collections.abc import Mapping
from dataclasses import replace

from stackelgrid.scenarios.build.system import BuiltScenario
from stackelgrid.scenarios.remote.externals import external_host
from stackelgrid.simulators.external.running import Link


def hosted(built: BuiltScenario, links: Mapping[str, Link]) -> BuiltScenario:
    """Return a scenario whose users' simulators have created their entities.

    built: the scenario.
    links: connections to its users' simulators.

    Raises ScenarioError for a simulator that does not fit the scenario, and RemoteError for one
    that is late.
    """
    if not built.users:
        return built
    time = built.scenario.time
    host = external_host(
        links,
        built.users,
        interval_s=60 * time.interval_min,
        intervals=time.intervals,
        horizon_steps=built.horizon.intervals_covered,
        start=built.axis.index[0].to_pydatetime(),
    )
    return replace(built, host=host)
