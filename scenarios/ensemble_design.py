"""From the section `ensemble` of a scenario to the runs of its ensemble, each run once."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
from pydantic import ValidationError

from stackelgrid.analysis.ensemble_variants import OWN, PERFECT
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.load import LoadedScenario
from stackelgrid.scenarios.random import stream
from stackelgrid.scenarios.run import resolved
from stackelgrid.scenarios.schema import Scenario
from stackelgrid.scenarios.schema_ensemble import EnsembleSection
from stackelgrid.scenarios.scheme_names import SCHEMES

DEFAULT_SIZE = "small"


@dataclass(frozen=True)
class Ensemble:
    """What is asked for: members x error levels x schemes x horizons."""

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
        return Path(
            f"error_level={self.error_level:g}", f"scheme={self.scheme}",
            f"variant={self.variant}", f"member={self.member}",
        )  # fmt: skip

    @property
    def label(self) -> str:
        """How a person is told of the run."""
        return (
            f"error level {self.error_level:g}, {self.scheme}, {self.variant}, member {self.member}"
        )


@dataclass(frozen=True)
class MemberRun:
    """One run: its scenario (TOML), and all cells that it fills because they are the same."""

    number: int
    scenario: str
    source: str
    folder: str
    cells: tuple[Cell, ...]


def ensemble_of(
    loaded: LoadedScenario, size: str | None = None, members: int | None = None
) -> Ensemble:
    """Find the ensemble of a scenario; raises ScenarioError for one it does not have."""
    scenario = loaded.scenario
    section = scenario.ensemble or EnsembleSection()
    _check_varies(loaded, section)
    chosen = _size(loaded, section, size)
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
    return Ensemble(
        size=chosen,
        members=members or own["members"] or section.members,
        error_levels=own["error_levels"] or section.error_levels,
        schemes=schemes,
        variants=tuple(section.variants) if own["variants"] is None else own["variants"],
        intervals=own["intervals"] or scenario.time.intervals,
        vary_world=section.vary_world,
        memory_per_worker_mb=section.memory_per_worker_mb,
    )


def _check_varies(loaded: LoadedScenario, section: EnsembleSection) -> None:
    given = loaded.scenario.model_fields_set
    if given.isdisjoint({"forecast", "deviations"}) and not section.vary_world:
        raise ScenarioError(
            f"{loaded.source}: ensemble: all members would be the same; a section [forecast] or "
            "[deviations], or ensemble.vary_world = true, is accepted"
        )


def _size(loaded: LoadedScenario, section: EnsembleSection, size: str | None) -> str:
    where = f"{loaded.source}: ensemble.sizes"
    if not section.sizes:
        if size is not None:
            raise ScenarioError(f"{where}: has no sizes; --size {size} is not accepted")
        return ""
    chosen = size or DEFAULT_SIZE
    if chosen not in section.sizes:
        raise ScenarioError(
            f"{where}: no size {chosen!r}; --size accepts {', '.join(section.sizes)}"
        )
    return chosen


def member_seed(seed: int, member: int) -> int:
    """Seed of one member: the same whatever the number of members, levels and schemes."""
    (word,) = stream(seed, "ensemble", str(member)).generate_state(1, np.uint64)
    return int(word >> np.uint64(1))  # TOML's integers have a sign


def runs_of(loaded: LoadedScenario, ensemble: Ensemble) -> tuple[MemberRun, ...]:
    """All runs, members first; cells whose scenarios are equal share one.

    Raises ScenarioError for a cell whose scenario is not valid.
    """
    content = resolved(loaded)
    content.pop("ensemble", None)
    content.pop("remote", None)  # a worker is a process of its own already
    content["time"]["intervals"] = ensemble.intervals
    content["solver"]["threads"] = 1  # a worker is one thread
    cells: dict[str, list[Cell]] = {}
    for cell in _cells(ensemble):
        own = _content(loaded.scenario, content, ensemble, cell)
        cells.setdefault(tomli_w.dumps(own), []).append(cell)
    folder = str(loaded.folder.resolve())
    runs = [
        MemberRun(number, text, loaded.source, folder, tuple(same))
        for number, (text, same) in enumerate(cells.items())
    ]
    return tuple(runs)


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
    content["controller"] = cell.scheme
    seed = member_seed(scenario.seed, cell.member)
    if ensemble.vary_world:
        content["seed"] = seed
    for name in ("deviations", "forecast"):
        if name not in content:
            continue
        section = content[name]
        section["level"] = section["level"] * cell.error_level
        # without errors there is nothing to draw: all members are the same
        section["seed"] = seed if section["level"] > 0.0 or ensemble.vary_world else 0
        if "member" in section:  # of a file with a set of forecasts
            section["member"] += cell.member
    if cell.variant == PERFECT:
        content.pop("forecast", None)
    elif cell.variant != OWN:
        section = scenario.ensemble or EnsembleSection()
        given = section.variants[cell.variant].model_dump(mode="json", exclude_none=True)
        content["horizon"] |= given
    try:
        Scenario.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "scenario"
        text = first["msg"].removeprefix("Value error, ")
        raise ScenarioError(f"ensemble: {cell.label}: {key}: {text}") from error
    return content
