"""Users' simulators of a built scenario."""

from dataclasses import replace

from stackelgrid.scenarios.build.system import BuiltScenario
from stackelgrid.scenarios.remote.externals import StartedSimulators, external_host


def hosted(built: BuiltScenario, started: StartedSimulators) -> BuiltScenario:
    """Return a scenario whose users' simulators have created their entities.

    built: the scenario.
    started: its users' simulators.

    Raises ScenarioError for a simulator that does not fit the scenario, and RemoteError for one
    that is late.
    """
    if not built.users:
        return built
    time = built.scenario.time
    host = external_host(
        started,
        built.users,
        interval_s=60 * time.interval_min,
        intervals=time.intervals,
        horizon_steps=built.horizon.intervals_covered,
        start=built.axis.index[0].to_pydatetime(),
    )
    return replace(built, host=host)
