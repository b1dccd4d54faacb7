"""Comparison of coordination schemes on one scenario, by plans and optionally by whole runs."""

import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from stackelgrid.analysis.comparison import (
    CLOSED_LOOP,
    COSTS,
    PLAN,
    Comparison,
    write_tables,
)
from stackelgrid.analysis.kpis.plans import plan_exchange, plan_indicators
from stackelgrid.analysis.kpis.runs import run_exchange, run_indicators
from stackelgrid.analysis.pictures.studies import write_comparison
from stackelgrid.analysis.run import Run
from stackelgrid.controllers.cascade.cascade import decide_plan
from stackelgrid.controllers.decision import Pricing
from stackelgrid.controllers.words import words
from stackelgrid.scenarios.build.measured import first_measured
from stackelgrid.scenarios.build.system import BuiltScenario, build_scenario, controller_settings
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.run.directory import check_out, finite
from stackelgrid.scenarios.run.run import run_scenario
from stackelgrid.scenarios.run.summary import solver_section, stored_energy_prices
from stackelgrid.scenarios.schema.load import LoadedScenario
from stackelgrid.scenarios.studies.study import (
    Advance,
    Attempt,
    Say,
    Study,
    StudyResult,
    attempt,
    in_processes,
    study_directory,
    unseen,
)
from stackelgrid.simulators.blas_threads import one_blas_thread
from stackelgrid.simulators.results.manifest import ManifestWriter

Steps = Callable[[int], None]
# indicators and exchange of a column
Evaluated = tuple[pd.DataFrame, pd.DataFrame]


@dataclass(frozen=True)
class CompareOptions:
    """Options: schemes, pricing at the boundary, and whole runs of each scheme."""

    schemes: tuple[str, ...]
    pricing: Pricing = "tariff"
    closed_loop: bool = False


@dataclass(frozen=True)
class Column:
    """A column to evaluate: its basis and name, and its number of steps of progress.

    `evaluate` calls its argument with the number of these steps that are done.
    """

    basis: str
    name: str
    steps: int
    evaluate: Callable[[Steps], Evaluated]

    @property
    def title(self) -> str:
        """Name and basis in words."""
        return f"{words(self.name)}, {words(self.basis)}"


class ComparisonStudy(Study[Column, Attempt[Evaluated]]):
    """Columns that are evaluated one after the other; one that fails is recorded with its reason.

    `kind` is what the columns are, in the log, and `tables` what the manifest lists.
    """

    kind: str
    tables: tuple[str, ...]

    def __init__(
        self,
        loaded: LoadedScenario,
        built: BuiltScenario,
        pricing: str,
        out: Path,
        started: float,
        progress: Advance,
        say: Say,
    ) -> None:
        super().__init__(loaded, out, started, progress, say)
        self.built, self.comparison = built, Comparison(pricing)

    @abstractmethod
    def columns(self) -> Iterator[Column]:
        """Yield the columns in their order."""

    @abstractmethod
    def write(self) -> None:
        """Write the tables of the columns evaluated so far."""

    @abstractmethod
    def draw(self) -> None:
        """Write the pictures."""

    @abstractmethod
    def named(self) -> dict[str, tuple[str, ...]]:
        """Return the names of the columns, by the key under which the log lists them."""

    def begin(self) -> Sequence[Column]:
        """Log the start; return all columns."""
        self.log.event("start", scenario=self.loaded.scenario.name, **self.named())
        return list(self.columns())

    def compare(self) -> dict[str, Any]:
        """Evaluate all columns in this process; return the summary."""

        def evaluated(column: Column) -> Evaluated:
            self.report(column.title)
            return column.evaluate(partial(self.report, column.title))

        return self.conduct(partial(in_processes, 1, lambda: partial(attempt, evaluated)))

    def keep(self, task: Column, result: Attempt[Evaluated]) -> None:
        """Add a column, or the reason why it failed."""
        basis, name, wall_s = task.basis, task.name, result.wall_s
        event: dict[str, Any] = {"basis": basis, self.kind: name}
        if result.result is None:
            self.comparison.fail(basis, name, result.reason)
            self.log.event(f"failed_{self.kind}", **event, **result.failure)
            self.failures += 1
            self.say(f"{task.title}: {self.comparison.status[basis, name]}")
        else:
            self.comparison.add(basis, name, *result.result)
            total = self.total_eur(basis, name)
            self.log.event(self.kind, **event, total_cost_eur=total, wall_s=wall_s)
            shown = self.total_eur(basis, name, next(iter(COSTS[basis])))
            self.say(f"{task.title}: cost of the system {shown:,.2f} EUR, in {wall_s:.1f} s")
        self.write()  # what an interruption leaves can be reported
        self.done += task.steps

    def finish(self) -> str:
        """Write the pictures; failed if a column is."""
        self.draw()
        ManifestWriter(self.out).begin(["scenario.toml", *self.tables])
        return "failed" if self.comparison.failed() else "done"

    def counts(self) -> dict[str, Any]:
        """Return the names of the columns that failed."""
        return {"failed": list(self.comparison.failed())}

    def section(self, status: str) -> dict[str, Any]:
        """Return the common part of all comparisons; an unfinished one has no manifest."""
        return {
            **({"manifest": None} if status in ("running", "interrupted") else {}),
            "pricing": self.comparison.pricing,
            "stored_energy_eur_per_mwh": stored_energy_prices(self.built),
            "solver": solver_section(self.built),
        }

    def total_eur(self, basis: str, name: str, indicator: str = "total_cost") -> float:
        """Return the total of an indicator in EUR; NaN where it is not defined."""
        return float(self.comparison.totals(basis, indicator).get(name, float("nan")))

    def run_column(self, loaded: LoadedScenario, name: str) -> Column:
        """Return the column of a whole run without baseline, in the directory of its name."""
        directory, pricing = self.out / name, self.comparison.pricing
        scenario = loaded.scenario.model_copy(update={"baseline": False})

        def run(advance: Steps) -> Evaluated:
            alone = replace(loaded, scenario=scenario)
            run_scenario(alone, directory, lambda progress: advance(progress.intervals_done))
            results = Run(directory)
            return run_indicators(results, name, pricing), run_exchange(results, name)

        return Column(CLOSED_LOOP, name, loaded.scenario.time.intervals, run)


class _Schemes(ComparisonStudy):
    """Schemes, by their plans and optionally their runs."""

    kind = "scheme"
    tables = ("compare.parquet", "compare_exchange.parquet")

    def __init__(self, options: CompareOptions, *study: Any) -> None:
        super().__init__(*study)
        self.options = options

    def named(self) -> dict[str, tuple[str, ...]]:
        return {"schemes": self.options.schemes}

    def columns(self) -> Iterator[Column]:
        for scheme in self.options.schemes:
            yield Column(PLAN, scheme, 1, partial(self._plan, scheme))
        for scheme in self.options.schemes if self.options.closed_loop else ():
            update = {
                "controller": scheme,
                "pricing": self.options.pricing,
                # schemes are compared without messages: not every one can be negotiated
                "coordination": "central",
                "communication": None,
            }
            scenario = self.loaded.scenario.model_copy(update=update)
            yield self.run_column(replace(self.loaded, scenario=scenario), scheme)

    def _plan(self, scheme: str, advance: Steps) -> Evaluated:
        built, pricing = self.built, self.options.pricing
        settings = controller_settings(built.scenario, built.solvers)
        outcomes = decide_plan(built.system, settings, scheme, pricing, first_measured(built))
        for outcome in outcomes:
            for text in outcome.messages:
                self.log.event("message", scheme=scheme, follower=outcome.follower, text=text)
        return plan_indicators(built.system, outcomes), plan_exchange(built.system, outcomes)

    def write(self) -> None:
        title = f"Schemes compared on {self.loaded.scenario.name}"
        write_tables(self.comparison, self.out, title)

    def draw(self) -> None:
        write_comparison(self.comparison, self.out)

    def section(self, status: str) -> dict[str, Any]:
        schemes: dict[str, dict[str, Any]] = {s: {} for s in self.options.schemes}
        for (basis, scheme), state in self.comparison.status.items():
            cost = finite(self.total_eur(basis, scheme))  # null where it is not defined
            schemes[scheme][basis] = {"status": state, "total_cost_eur": cost}
        own = {"closed_loop": self.options.closed_loop, "schemes": schemes}
        return super().section(status) | own


@one_blas_thread()
def compare_schemes(
    loaded: LoadedScenario,
    out: Path,
    options: CompareOptions,
    progress: Advance = unseen,
    say: Say = unseen,
) -> StudyResult[Comparison]:
    """Evaluate every scheme and write one directory (docs/results.md).

    `progress` receives the finished ones of `steps_of`. A scheme that fails is recorded with its
    reason, the others go on. Raises a StackelgridError for a bad scenario or directory before
    anything is written.
    """
    started = time.perf_counter()
    check_out(out)
    built = build_scenario(loaded)
    if not any(f.boundary.parent for f in built.system.feeders):
        raise ScenarioError(
            f"{loaded.source}: grids: no grid has a parent; schemes are compared where an active "
            "network lies below another grid"
        )
    with study_directory(loaded, out, resume=False):
        study = _Schemes(options, loaded, built, options.pricing, out, started, progress, say)
        summary = study.compare()
    return StudyResult(out, study.comparison, summary)


def steps_of(loaded: LoadedScenario, options: CompareOptions) -> int:
    """Return the number of steps of a comparison: one for each plan and interval of a run."""
    run = loaded.scenario.time.intervals if options.closed_loop else 0
    return len(options.schemes) * (1 + run)
