"""Design of a sweep: its points and shared data, from the section `exactness` of a scenario."""

from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import qmc

from stackelgrid.analysis.exactness.evaluation import Evaluator, Study
from stackelgrid.analysis.exactness.points import Point
from stackelgrid.controllers.solvers.mixed_integer.incumbent import MixedOptions
from stackelgrid.profiles.arrays import Floats
from stackelgrid.scenarios.build.measured import first_measured
from stackelgrid.scenarios.build.random import generator
from stackelgrid.scenarios.build.system import BuiltScenario
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.schema.exactness import (
    Dimension,
    Dimensions,
    ExactnessSection,
    planned_points,
)
from stackelgrid.scenarios.schema.load import LoadedScenario
from stackelgrid.scenarios.studies.begun import Begun
from stackelgrid.scenarios.studies.study import size_of


@dataclass(frozen=True)
class Sweep:
    """The requested sweep: a feeder by name, a size, and the values of its dimensions."""

    grid: str
    size: str
    dimensions: Dimensions
    export_hours: tuple[str, str] | None
    seed: int

    @property
    def points_planned(self) -> int:
        """Number of points."""
        return planned_points(self.dimensions)

    @property
    def design(self) -> str:
        """`grid` or `latin_hypercube`."""
        return str(self.dimensions.design)


def sweep_of(loaded: LoadedScenario, size: str | None = None) -> Sweep:
    """Find the sweep of a scenario; raises ScenarioError for one it does not have."""
    section = loaded.scenario.exactness
    if section is None:
        raise ScenarioError(
            f"{loaded.source}: exactness: is missing; a sweep needs a section [exactness] "
            "(docs/exactness.md)"
        )
    chosen = size_of(f"{loaded.source}: exactness.sizes", section.sizes, size)
    return Sweep(
        grid=_grid(loaded, section),
        size=chosen,
        dimensions=section.sweep(chosen or None),
        export_hours=section.export_hours,
        seed=loaded.scenario.seed,
    )


def sweep_begun(found: Begun, size: str | None = None) -> Sweep:
    """Return the sweep to go on with; raises ScenarioError for another size than its own."""
    own = found.summary["size"]
    wanted = sweep_of(found.loaded, size or own or None)
    if wanted.size != own:
        raise ScenarioError(
            f"--resume {found.directory}: has size {own!r}, this would be {wanted.size!r}"
        )
    return wanted


def _grid(loaded: LoadedScenario, section: ExactnessSection) -> str:
    where = f"{loaded.source}: exactness.grid"
    levels = {g.name: g.level for g in loaded.scenario.grids}
    feeders = [name for name, level in levels.items() if level != "transmission"]
    accepted = ", ".join(feeders) or "none"
    if section.grid is None:
        if len(feeders) != 1:
            raise ScenarioError(f"{where}: is missing; feeders of this scenario: {accepted}")
        return feeders[0]
    if section.grid not in levels:
        raise ScenarioError(f"{where}: {section.grid!r} unknown; accepted: {accepted}")
    if section.grid not in feeders:
        raise ScenarioError(
            f"{where}: {section.grid!r} is a transmission grid; an mv or lv feeder is accepted: "
            f"{accepted}"
        )
    return section.grid


def points_of(sweep: Sweep) -> tuple[Point, ...]:
    """Return all points in the order of their numbers; the same for the same seed."""
    given = sweep.dimensions.given
    if sweep.dimensions.design == "grid":
        levels = [_levels(d) for d in given.values()]
        table = [list(values) for values in product(*levels)]
    else:
        rng = generator(sweep.seed, "exactness")
        sample = qmc.LatinHypercube(d=len(given), rng=rng).random(sweep.points_planned)
        columns = [_sampled(d, sample[:, k]) for k, d in enumerate(given.values())]
        table = [[float(c[i]) for c in columns] for i in range(sweep.points_planned)]
    return tuple(
        Point(number, dict(zip(given, values, strict=True))) for number, values in enumerate(table)
    )


def _levels(dimension: Dimension) -> list[float]:
    if dimension.levels is not None:
        return list(dimension.levels)
    ends = np.linspace(dimension.lowest, dimension.highest, dimension.levels_count)
    return [round(float(v), 12) for v in ends]


def _sampled(dimension: Dimension, uniform: Floats) -> Floats:
    """Values of a Latin hypercube's column in [0, 1): levels in equal shares, or the range."""
    if dimension.levels is not None:
        levels = np.array(dimension.levels)
        return np.asarray(levels[(uniform * len(levels)).astype(np.int64)])
    low, high = dimension.lowest, dimension.highest
    return np.asarray(low + uniform * (high - low))


def study_of(built: BuiltScenario, sweep: Sweep, points: tuple[Point, ...]) -> Study:
    """Build the data shared by all points; raises ScenarioError if a value does not fit.

    Raises NetworkError for a feeder that the a priori conditions do not cover.
    """
    feeder = next(f for f in built.system.feeders if f.name == sweep.grid)
    for member in feeder.devices:
        if reason := member.needs_world():
            raise ScenarioError(f"exactness.grid: {sweep.grid}: {reason}")
    solver = built.scenario.solver
    forecast = feeder.forecast.at(0)
    priced = _priced(built, sweep)
    dimensions = sweep.dimensions
    ceiling = dimensions.vm_max_pu
    floor = float(feeder.network.vm_min[1:].max(initial=0.0))
    if ceiling is not None and ceiling.lowest <= floor:
        raise ScenarioError(
            f"exactness.vm_max_pu = {ceiling.lowest:g} is not above vm_min_pu = {floor:g} of grid "
            f"{sweep.grid}"
        )
    price = dimensions.export_price_eur_per_mwh
    if price is not None:
        most = float(forecast.import_eur_per_mwh[priced].min())
        if price.highest > most:
            raise ScenarioError(
                f"exactness.export_price_eur_per_mwh = {price.highest:g} exceeds the import price; "
                f"at most {most:g} is accepted in its hours"
            )
    study = Study(
        feeder=feeder,
        horizon=built.horizon,
        measured=first_measured(built)[sweep.grid],
        forecast=forecast,
        priced=priced,
        ceiling_pu=None if ceiling is None else ceiling.highest,
        options=MixedOptions(
            gap=solver.gap, node_limit=solver.node_limit, round_limit=solver.round_limit
        ),
        choice=built.solvers.mixed_integer,
    )
    Evaluator(study, points).conditions_before(points[0])
    return study


def _priced(built: BuiltScenario, sweep: Sweep) -> NDArray[np.bool_]:
    """Steps (steps,) whose export price is replaced: those that begin in the hours given."""
    horizon = built.horizon
    if sweep.export_hours is None:
        return np.ones(horizon.length, dtype=bool)
    first, last = (int(t[:2]) * 60 + int(t[3:]) for t in sweep.export_hours)
    offset = pd.to_timedelta(np.cumsum(horizon.steps_min) - horizon.steps_min, unit="min")
    start = (built.axis.start.tz_convert("UTC") + offset).tz_convert(built.axis.start.tzinfo)
    minute = np.asarray(start.hour * 60 + start.minute)
    inside = (minute >= first) & (minute < last)
    if first > last:
        inside = (minute >= first) | (minute < last)
    if not inside.any():
        raise ScenarioError(
            f"exactness.export_hours = {list(sweep.export_hours)}: no step of the horizon begins "
            "in these hours"
        )
    return np.asarray(inside)
