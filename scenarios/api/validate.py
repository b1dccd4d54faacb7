"""The verb `validate`: build a scenario without running it."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from stackelgrid.controllers.words import counted_label
from stackelgrid.scenarios.api.call import Settings
from stackelgrid.scenarios.api.inputs import check_source, placed
from stackelgrid.scenarios.build.explanation import explanation
from stackelgrid.scenarios.build.forecast_texts import forecast_lines
from stackelgrid.scenarios.build.net_notices import net_lines
from stackelgrid.scenarios.build.system import BuiltScenario, build_scenario
from stackelgrid.scenarios.remote.externals import external_simulators
from stackelgrid.scenarios.run.hosting import hosted

if TYPE_CHECKING:
    from stackelgrid.scenarios.api.inputs import Source


def validate(
    scenario: "Source",
    *,
    set: Settings | None = None,
    seed: int | None = None,
    explain: bool = False,
) -> tuple[str, ...]:
    """Build grids, devices, profiles and models of a scenario; return what was built, in lines.

    scenario: shipped name, path, `Scenario` or mapping.
    set: keys to override, for example {"time.intervals": 4}.
    seed: replaces the scenario's seed.
    explain: whether to list what was taken from each net, replaced, added, ignored and dropped.

    Users' simulators that are all Python classes are started and create their entities, too; no
    program is started. Raises a StackelgridError for a scenario that cannot be built.
    """
    check_source(scenario, set, seed)
    with TemporaryDirectory() as folder, placed(scenario, set, seed, Path(folder)) as loaded:
        built = build_scenario(loaded)
        if all(simulator.python is not None for simulator in loaded.scenario.simulators):
            with external_simulators(loaded) as started:
                hosted(built, started)
        return (*_lines(built, explain), f"{loaded.source}: valid")


def _lines(built: BuiltScenario, explain: bool) -> Iterator[str]:
    for name, grid in built.grids.items():
        own, copies = grid.section, grid.section.multiplicity
        counts = "".join(f", {counted_label(len(d.index), d.label)}" for d in built.devices[name])
        where = f"bus {own.bus} of {own.parent}" if own.parent else "root"
        many = f", {copies} copies" if copies > 1 else ""
        yield f"{name}: {len(grid.net.bus)} buses{counts}; {where}{many}"
        if explain:
            yield from explanation(grid)
    yield from net_lines(built)
    yield from forecast_lines(built.scenario)
