"""Design of an ensemble: distinct runs from the section `ensemble` of a scenario."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
from pydantic import ValidationError

from stackelgrid.analysis.ensemble.variants import OWN, PERFECT
from stackelgrid.scenarios.build.random import stream
from stackelgrid.scenarios.build.series import horizon_of
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.schema.ensemble import EnsembleSection, check_ensemble_runs
from stackelgrid.scenarios.schema.forecast import ForecastSection
from stackelgrid.scenarios.schema.load import LoadedScenario
from stackelgrid.scenarios.schema.scenario import Scenario
from stackelgrid.scenarios.schema.scheme_names import SCHEMES
from stackelgrid.scenarios.studies.begun import Begun
from stackelgrid.scenarios.studies.study import size_of


@dataclass(frozen=True)
class Ensemble:
    """The requested ensemble: members x error levels x schemes x horizons."""

    size: str
    members: int
    error_levels: tuple[float, ...]
    schemes: tuple[str, ...]
    variants: tuple[str, ...]
    intervals: int
    vary_world: bool
    memory_per_worker_mb: int | None


@dataclass(frozen=True)
class Cell:
    """Place of one run: `variant` is a horizon, the scenario's own, or perfect foresight."""

    error_level: float
    scheme: str
    variant: str
    member: int

    @property
    def directory(self) -> Path:
        """Directory of the run inside the ensemble's, partitioned as Hive does."""
        level = repr(float(self.error_level)).removesuffix(".0")  # all its digits
        return Path(
            f"error_level={level}", f"scheme={self.scheme}",
            f"variant={self.variant}", f"member={self.member}",
        )  # fmt: skip

    @property
    def label(self) -> str:
        """Name of the run in messages."""
        return (
            f"error level {self.error_level:g}, {self.scheme}, {self.variant}, member {self.member}"
        )


@dataclass(frozen=True)
class MemberRun:
    """A run: its scenario (TOML), and all cells with this scenario."""

    number: int
    scenario: str
    source: str
    folder: str
    cells: tuple[Cell, ...]

    @property
    def loaded(self) -> LoadedScenario:
        """The scenario of the run."""
        scenario = Scenario.model_validate(tomllib.loads(self.scenario))
        return LoadedScenario(scenario, self.source, Path(self.folder))


def ensemble_of(
    loaded: LoadedScenario, size: str | None = None, members: int | None = None
) -> Ensemble:
    """Find the ensemble of a scenario; raises ScenarioError for one it does not have."""
    scenario = loaded.scenario
    section = scenario.ensemble or EnsembleSection()
    chosen = size_of(f"{loaded.source}: ensemble.sizes", section.sizes, size)
    given = section.sizes[chosen] if chosen else None
    own = {
        key: (getattr(given, key) if given else None)
        for key in ("error_levels", "schemes", "members", "intervals", "variants")
    }
    schemes = own["schemes"] or section.schemes or (scenario.controller,)
    for scheme in schemes:
        if scheme not in SCHEMES and ":" not in scheme:
            raise ScenarioError(
                f"{loaded.source}: ensemble.schemes: {scheme!r} unknown; accepted: "
                f"{', '.join(SCHEMES)} or 'package.module:Class'"
            )
    asked = Ensemble(
        size=chosen,
        members=members or own["members"] or section.members,
        error_levels=own["error_levels"] or section.error_levels,
        schemes=schemes,
        variants=tuple(section.variants) if own["variants"] is None else own["variants"],
        intervals=own["intervals"] or scenario.time.intervals,
        vary_world=section.vary_world,
        memory_per_worker_mb=section.memory_per_worker_mb,
    )
    try:
        check_ensemble_runs(
            asked.members, len(asked.error_levels), len(schemes), 2 + len(asked.variants)
        )
    except ValueError as error:
        raise ScenarioError(f"{loaded.source}: ensemble: {error}") from error
    return asked


def ensemble_begun(found: Begun, size: str | None = None, members: int | None = None) -> Ensemble:
    """Return the ensemble to go on with; its own size and number of members if not given.

    Raises ScenarioError for a size whose runs are of another length than those it holds.
    """
    s = found.summary
    wanted = ensemble_of(found.loaded, size or s["size"] or None, members or s["members"])
    if wanted.intervals != s["intervals"]:
        raise ScenarioError(
            f"--resume {found.directory}: holds runs of {s['intervals']} intervals, those of "
            f"size {wanted.size} have {wanted.intervals}; as many are accepted"
        )
    return wanted


def member_seed(seed: int, member: int) -> int:
    """Seed of one member: the same whatever the number of members, levels and schemes."""
    (word,) = stream(seed, "ensemble", str(member)).generate_state(1, np.uint64)
    return int(word >> np.uint64(1))  # TOML's integers have a sign


def runs_of(loaded: LoadedScenario, ensemble: Ensemble) -> tuple[MemberRun, ...]:
    """Return all runs, members first; cells with equal scenarios share a run.

    Raises ScenarioError for a cell whose scenario is not valid, and where members or error levels
    are the same.
    """
    for user in loaded.scenario.simulators:
        if user.connect is not None:
            raise ScenarioError(
                f"{loaded.source}: simulators.{user.name}.connect: every run of an ensemble starts "
                "simulators of its own; python or command is accepted"
            )
    content = loaded.resolved()
    content.pop("ensemble", None)
    content.pop("remote", None)  # a worker is a process of its own already
    content["time"]["intervals"] = ensemble.intervals
    content["solver"]["threads"] = 1  # a worker is one thread
    cells: dict[str, list[Cell]] = {}
    for cell in _cells(ensemble):
        own = _content(loaded.scenario, content, ensemble, cell)
        cells.setdefault(tomli_w.dumps(own), []).append(cell)
    _check_differ(loaded.source, ensemble, cells)
    folder = str(loaded.folder.resolve())
    runs = [
        MemberRun(number, text, loaded.source, folder, tuple(same))
        for number, (text, same) in enumerate(cells.items())
    ]
    return tuple(runs)


def representatives(ensemble: Ensemble, runs: Sequence[MemberRun]) -> tuple[MemberRun, ...]:
    """Runs that cannot be built if all runs of a kind cannot: to be tried before any is run.

    Of the last member with the largest errors one for each scheme, and that with the longest
    horizon, which needs the most of the user's files.
    """
    of = {cell: run for run in runs for cell in run.cells}
    level, last = max(ensemble.error_levels), ensemble.members - 1
    first, *others = (of[Cell(level, scheme, OWN, last)] for scheme in ensemble.schemes)
    variants = (of[Cell(level, ensemble.schemes[0], v, last)] for v in ensemble.variants)
    longest = max((first, *variants), key=_horizon_min)
    return tuple(dict.fromkeys((first, *others, longest)))


def _horizon_min(run: MemberRun) -> int:
    steps = tomllib.loads(run.scenario)["horizon"]["steps"]
    return sum(int(step["count"]) * int(step["minutes"]) for step in steps)


def _check_differ(source: str, ensemble: Ensemble, cells: Mapping[str, Sequence[Cell]]) -> None:
    """Refuse members, and error levels, that differ by their numbers only."""
    run_of = {cell: text for text, same in cells.items() for cell in same}

    def alike(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
        own = (cell for cell in run_of if one.items() <= vars(cell).items())
        return all(run_of[cell] == run_of[replace(cell, **other)] for cell in own)

    if ensemble.members > 1 and alike({"member": 0}, {"member": 1}):
        raise ScenarioError(
            f"{source}: ensemble: all members would be the same; std above 0 in [forecast] or "
            "[deviations] (at a level above 0), forecast.member of a file with a set of "
            "forecasts, ensemble.vary_world = true, or one member is accepted"
        )
    for one, other in pairwise(ensemble.error_levels):
        if alike({"error_level": one}, {"error_level": other}):
            raise ScenarioError(
                f"{source}: ensemble.error_levels: {one:g} and {other:g} would be the same, no "
                "std or bias of [forecast] or [deviations] is scaled by them; one is accepted"
            )


def _cells(ensemble: Ensemble) -> Iterator[Cell]:
    for member in range(ensemble.members):
        for level in ensemble.error_levels:
            for scheme in ensemble.schemes:
                for variant in (OWN, PERFECT, *ensemble.variants):
                    yield Cell(level, scheme, variant, member)


def _content(
    scenario: Scenario, base: Mapping[str, Any], ensemble: Ensemble, cell: Cell
) -> dict[str, Any]:
    """Content of the scenario of one cell."""
    content = deepcopy(dict(base))
    content |= {"controller": cell.scheme, "baseline": False}
    seed = member_seed(scenario.seed, cell.member)
    if ensemble.vary_world:
        content["seed"] = seed
    for name, own in (("deviations", scenario.deviations), ("forecast", scenario.forecast)):
        if own is None:
            continue
        section = content[name]
        models = [model for model in own.error_models.values() if model is not None]
        if any(model.errs for model in models):
            section["level"] *= cell.error_level
        # where nothing is drawn, all members are the same
        draws = any(model.std > 0.0 for model in models) and section["level"] > 0.0
        section["seed"] = seed if draws or ensemble.vary_world else 0
        of_a_set = isinstance(own, ForecastSection) and "file" in own.models.values()
        if of_a_set and "member" in section:
            section["member"] += cell.member
    if cell.variant == PERFECT:
        content.pop("forecast", None)
    elif cell.variant != OWN:
        section = scenario.ensemble or EnsembleSection()
        given = section.variants[cell.variant].model_dump(mode="json", exclude_none=True)
        content["horizon"] |= given
    try:
        horizon_of(Scenario.model_validate(content))
    except ScenarioError as error:
        raise ScenarioError(f"ensemble: {cell.label}: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "scenario"
        text = first["msg"].removeprefix("Value error, ")
        raise ScenarioError(f"ensemble: {cell.label}: {key}: {text}") from error
    return content
