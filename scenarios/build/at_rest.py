"""The world of a scenario without control, for the baseline of its run."""

from dataclasses import replace

from stackelgrid.controllers.system import System
from stackelgrid.profiles.forecast import PerfectForecast
from stackelgrid.scenarios.build.physical import simulated_grid
from stackelgrid.scenarios.build.series import horizon_of
from stackelgrid.scenarios.build.system import BuiltScenario, build_controller, fleet_of
from stackelgrid.scenarios.schema.horizon import HorizonSection, HorizonStep
from stackelgrid.scenarios.schema.load import LoadedScenario
from stackelgrid.scenarios.schema.scenario import Scenario

CONTROLLER = "stackelgrid.controllers.at_rest:AtRest"


def why_left_out(scenario: Scenario) -> str:
    """Return why a run of a scenario has no baseline; empty if it has one."""
    if not scenario.baseline:
        return "baseline = false"
    for simulator in scenario.remote.simulators if scenario.remote is not None else ():
        if simulator.grids and simulator.parameters is not None:
            return (
                f"{', '.join(simulator.grids)} is simulated by {simulator.name}, which is not "
                "part of stackelgrid"
            )
    for user in scenario.simulators:
        if user.connect is not None:
            return f"simulator {user.name} runs at {user.connect}, where no second one is started"
    return ""


def without_control(loaded: LoadedScenario) -> LoadedScenario:
    """Return the scenario of the baseline: the same world, devices at rest, without deciding.

    It can be run on its own, with equal results.
    """
    scenario = loaded.scenario
    step = HorizonStep(count=1, minutes=scenario.time.interval_min)
    update = {
        "controller": CONTROLLER,
        "coordination": "central",
        "baseline": False,
        "horizon": HorizonSection(steps=(step,)),
        "certificate": scenario.certificate.model_copy(
            update={"three_phase": False, "recovery": False}
        ),
        "forecast": None,
        "exactness": None,
        "ensemble": None,
        "communication": None,
        "remote": None,
    }
    return replace(loaded, scenario=scenario.model_copy(update=update))


def at_rest(built: BuiltScenario, loaded: LoadedScenario) -> BuiltScenario:
    """Return the world of `without_control`, with nets, devices and series that are built already.

    built: the scenario under control; it is not changed.
    loaded: its scenario `without_control`.
    """
    scenario, grids, series = loaded.scenario, built.grids, built.series
    horizon = horizon_of(scenario)
    forecasts = {name: PerfectForecast(own, horizon) for name, own in series.items()}
    above = built.system.transmission
    system = System(
        None if above is None else replace(above, forecast=forecasts[above.name]),
        tuple(
            replace(f, forecast=forecasts[f.name], three_phase_view=False)
            for f in built.system.feeders
        ),
        horizon,
    )
    return replace(
        built,
        scenario=scenario,
        horizon=horizon,
        system=system,
        controller=build_controller(scenario, system, loaded.folder, built.solvers, built.axis),
        simulated={n: simulated_grid(grid, grids, scenario) for n, grid in grids.items()},
        fleets={n: fleet_of(grid, built.devices[n], series[n]) for n, grid in grids.items()},
        host=None,
    )
