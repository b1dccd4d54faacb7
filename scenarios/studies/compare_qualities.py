"""Comparison of runs over communication links of several qualities."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from stackelgrid.analysis.comparison import (
    DONE,
    Comparison,
    extra_costs,
    with_extra_costs,
    write_quality_tables,
)
from stackelgrid.analysis.pictures.studies import write_qualities
from stackelgrid.controllers.decision import Pricing
from stackelgrid.scenarios.build.system import build_scenario
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.run.directory import check_out, finite
from stackelgrid.scenarios.schema.communication import CommunicationSection
from stackelgrid.scenarios.schema.load import LoadedScenario
from stackelgrid.scenarios.studies.compare import Column, ComparisonStudy
from stackelgrid.scenarios.studies.study import Advance, Say, StudyResult, study_directory, unseen


class _Qualities(ComparisonStudy):
    """Runs of one scenario over links of several qualities."""

    kind = "quality"
    tables = ("qualities.parquet",)

    def __init__(self, runs: dict[str, LoadedScenario], *study: Any) -> None:
        super().__init__(*study)
        self.runs = runs

    def named(self) -> dict[str, tuple[str, ...]]:
        return {"qualities": tuple(self.runs)}

    def columns(self) -> Iterator[Column]:
        for name, loaded in self.runs.items():
            yield self.run_column(loaded, name)

    def write(self) -> None:
        title = f"Qualities of communication compared on {self.loaded.scenario.name}"
        write_quality_tables(with_extra_costs(self.comparison), self.out, title)

    def draw(self) -> None:
        write_qualities(with_extra_costs(self.comparison), self.out)

    def section(self, status: str) -> dict[str, Any]:
        comparison = self.comparison
        qualities: dict[str, dict[str, Any]] = {name: {} for name in self.runs}
        extra = extra_costs(comparison) if comparison.status else None
        for (basis, name), state in comparison.status.items():
            costs = {
                f"{indicator}_eur": self.total_eur(basis, name, indicator)
                for indicator in ("total_cost", "total_cost_corrected")
            }
            if extra is not None:
                costs["extra_cost_eur"] = float(extra["extra_cost"][name])
            # a cost is null where it is not defined
            qualities[name] = {"status": state, **(finite(costs) if state == DONE else {})}
        return super().section(status) | {"qualities": qualities}


def compare_qualities(
    loaded: LoadedScenario,
    out: Path,
    names: tuple[str, ...],
    progress: Advance = unseen,
    say: Say = unseen,
    pricing: Pricing | None = None,
) -> StudyResult[Comparison]:
    """Run the scenario once for each quality and write one directory (docs/results.md).

    `pricing` is the scenario's by default; `progress` receives the finished intervals. A
    run that fails is recorded with its reason, the others go on. Raises a StackelgridError for a
    bad scenario, quality or directory before anything is written.
    """
    started = time.perf_counter()
    if pricing is not None:
        scenario = loaded.scenario.model_copy(update={"pricing": pricing})
        loaded = replace(loaded, scenario=scenario)
    runs = {name: with_quality(loaded, name) for name in names}
    check_out(out)
    built = build_scenario(loaded)
    with study_directory(loaded, out, resume=False):
        study = _Qualities(
            runs, loaded, built, loaded.scenario.pricing, out, started, progress, say
        )
        summary = study.compare()
    return StudyResult(out, with_extra_costs(study.comparison), summary)


def with_quality(loaded: LoadedScenario, name: str) -> LoadedScenario:
    """Return the same scenario over links of another quality; raises ScenarioError."""
    section = loaded.scenario.communication
    if section is None:
        raise ScenarioError(
            f"{loaded.source}: communication: is missing; --qualities compares runs with "
            'coordination = "ldd_admm" and a section communication'
        )
    if name not in section.known_qualities:
        known = ", ".join(section.known_qualities)
        raise ScenarioError(f"--qualities {name}: no such quality; accepted: {known}")
    content = section.model_dump(by_alias=True, exclude_none=True) | {"quality": name}
    try:
        other = CommunicationSection.model_validate(content)
    except ValidationError as error:  # a link that does not suit this quality
        text = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ScenarioError(f"--qualities {name}: {text}") from error
    return replace(loaded, scenario=loaded.scenario.model_copy(update={"communication": other}))
