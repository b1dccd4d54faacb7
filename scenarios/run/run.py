"""A run: build, simulate and write a directory whose summary states what it holds."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from stackelgrid.controllers.decision import Decision
from stackelgrid.controllers.explanation import explanation, kept_schedule, severity
from stackelgrid.controllers.networks.naming import counted
from stackelgrid.profiles.plain_state import StateError
from stackelgrid.scenarios.build.notices import notices, programs
from stackelgrid.scenarios.build.system import BuiltScenario, build_scenario
from stackelgrid.scenarios.remote.externals import external_simulators
from stackelgrid.scenarios.remote.start import remote_simulators
from stackelgrid.scenarios.run.baseline import baseline_section
from stackelgrid.scenarios.run.directory import (
    INPUTS,
    RunLog,
    beginning,
    check_out,
    claimed,
    write_scenario,
    write_summary,
    writing,
)
from stackelgrid.scenarios.run.hosting import hosted
from stackelgrid.scenarios.run.networks import write_networks
from stackelgrid.scenarios.run.progress import (
    DecisionProgress,
    RunProgress,
    decision_progress,
    run_progress,
)
from stackelgrid.scenarios.run.state import (
    RunState,
    file_digests,
    header_of,
    read_header,
    remove_state,
    save_state,
    state_of,
    why_unsaved,
)
from stackelgrid.scenarios.run.summary import summary
from stackelgrid.scenarios.run.world import run_world
from stackelgrid.scenarios.schema.load import LoadedScenario
from stackelgrid.simulators.blas_threads import one_blas_thread
from stackelgrid.simulators.remote.supervision import Supervisor
from stackelgrid.simulators.results.decision_tables import negotiation_events
from stackelgrid.simulators.results.manifest import ManifestWriter
from stackelgrid.simulators.results.recorder import write_decision
from stackelgrid.simulators.results.tables import RunTables, TableWriter
from stackelgrid.simulators.results.totals import rounds_of_negotiations
from stackelgrid.simulators.timings import Timings


@dataclass(frozen=True)
class RunResult:
    """Directory of a run, its summary and the built scenario."""

    directory: Path
    summary: dict[str, Any]
    built: BuiltScenario = field(repr=False)


def run_scenario(
    loaded: LoadedScenario,
    out: Path,
    progress: Callable[[RunProgress], None] = lambda progress: None,
    say: Callable[[str], None] = lambda line: None,
    early: Supervisor | None = None,
    building: Callable[[str], None] = lambda text: None,
) -> RunResult:
    """Run a scenario into a new directory.

    progress: called with the progress after every interval.
    say: called with notices for the user.
    early: simulators that were started before.
    building: called with the name of the part that is built next, before the first interval.

    Raises a StackelgridError for an error of the scenario (no directory is left behind) or of the
    run (summary.json has the status "interrupted", and the parts written so far remain).
    """
    check_out(out)
    return run_in(loaded, out, progress, say, claimed(out), early=early, building=building)


@one_blas_thread()
def run_in(
    loaded: LoadedScenario,
    out: Path,
    progress: Callable[[RunProgress], None],
    say: Callable[[str], None],
    claim: AbstractContextManager[None],
    state: RunState | None = None,
    early: Supervisor | None = None,
    building: Callable[[str], None] = lambda text: None,
) -> RunResult:
    """Run a scenario in a directory, or resume the run there from its state.

    `claim` reserves the directory for this run; it is entered after everything has been built.
    """
    started = time.perf_counter() - (0.0 if state is None else state.wall_s)
    # remote simulators build their grids while this process builds
    with (
        remote_simulators(loaded, loaded.resolved(), early) as remotes,
        external_simulators(loaded) as users,
    ):
        built = hosted(remotes.placed(build_scenario(loaded, building)), users)
        with writing(out), claim:
            if state is None:
                with beginning(out):
                    write_scenario(out, loaded.resolved())
                    names = ["scenario.toml", *write_networks(built.grids, out)]
                    names += [f"{INPUTS}/{p.name}" for p in sorted((out / INPUTS).glob("[!.-]*"))]
                    ManifestWriter(out).begin(names)
            run = _Run(loaded, built, out, progress, say, started, state)
            run.begin(state)
            result = run.finish(partial(baseline_section, loaded, built, out, building))
    for line in users.supervisor.failures:
        run.notice(f"{line}; its own results may be incomplete")
    return result


class _Run:
    """A built scenario while it runs, and the files it writes to its directory."""

    def __init__(
        self,
        loaded: LoadedScenario,
        built: BuiltScenario,
        out: Path,
        progress: Callable[[RunProgress], None],
        say: Callable[[str], None],
        started: float,
        state: RunState | None,
    ) -> None:
        self.loaded, self.built, self.out = loaded, built, out
        self.timings = Timings() if state is None else state.timings
        self.tables, self.log = RunTables(TableWriter(out), built.axis.index), RunLog(out)
        self._started, self._progress, self._say = started, progress, say
        self._decided, self._warning = DecisionProgress(), ""
        self._world_before_s = self.timings.world_s
        self.timings.build_s = time.perf_counter() - started - self._world_before_s
        self._unsaved = why_unsaved(built)
        self._baseline: dict[str, Any] | None = None
        content = loaded.resolved()
        self._header = header_of(content, loaded.folder.resolve(), file_digests(content))

    def begin(self, state: RunState | None) -> None:
        """Print the notices of a new run, or restore a state and remove all later results."""
        scenario, log = self.loaded.scenario, self.log
        if state is not None:
            log.cut(state.log_bytes)
            self.tables.resume(state.intervals_done, state.recorded)
            log.event("resume", interval=state.intervals_done, version=version("stackelgrid"))
            state.give(self.built)
            return
        log.event(
            "start", scenario=scenario.name, seed=scenario.seed, version=version("stackelgrid")
        )
        t = scenario.time
        self._say(
            f"{scenario.name}: {counted(t.intervals, 'interval')} of {t.interval_min} min from "
            f"{self.built.axis.index[0]:%Y-%m-%d %H:%M}, seed {scenario.seed}"
        )
        health = programs(self.built)
        lines = notices(self.built, health)
        if self._unsaved:
            lines = [*lines, f"{self._unsaved}: an interrupted run begins again"]
        for line in lines:
            self.notice(line)
        for label, program in health:
            log.event("program", grids=label, **asdict(program))

    def notice(self, line: str) -> None:
        """Print a line, and log it."""
        self.log.event("notice", text=line)
        self._say(line)

    def finish(self, baseline: Callable[[], dict[str, Any]]) -> RunResult:
        """Run the remaining intervals; the summary counts those done, also after an error.

        `baseline` computes the baseline and returns its section of the summary.
        """
        status, out = "interrupted", self.out
        try:
            # from here on readers find the directory of a running run
            write_summary(out, self._summary("running"))
            baseline_started = time.perf_counter()
            self._baseline = baseline()
            if self._baseline["status"] == "failed":
                self.notice(self._baseline["reason"])
            world_started = time.perf_counter()
            self.timings.build_s += world_started - baseline_started
            try:
                run_world(
                    self.built,
                    self.tables,
                    self.timings,
                    self._on_interval,
                    self._on_decision,
                )
            finally:
                spent = time.perf_counter() - world_started
                self.timings.world_s = self._world_before_s + spent
            self.tables.writer.merge()
            if rounds_of_negotiations(self.tables.kept):
                _draw_negotiations(out, self.loaded.scenario.name)
            status = "done"
        finally:
            final = self._summary(status)
            with nullcontext() if status == "done" else suppress(OSError):
                self.log.event(status, intervals_done=self.tables.intervals_done)
                write_summary(out, final, durable=True)
        remove_state(out)  # last: until the summary has the status "done", resuming needs it
        return RunResult(out, final, self.built)

    def _on_decision(self, interval: int, decision: Decision) -> None:
        log = self.log
        write_decision(self.tables, interval, decision, self.built.devices)
        for outcome in decision.outcomes:
            for kind, fields in negotiation_events(interval, outcome):
                log.event(kind, **fields)
            if outcome.follower_gap != outcome.follower_gap:
                self._warn(interval, f"{outcome.follower}: its dispatch could not be audited")
        for text in decision.messages:
            self._warn(interval, text)
        self._decided = decision_progress(decision) or self._decided
        for name, plan in decision.plans.items():
            if plan.step == 0:
                log.event("solve", interval=interval, grid=name, **asdict(plan.report))

    def _warn(self, interval: int, text: str) -> None:
        self.log.event("warning", interval=interval, text=text)
        self._warning = f"interval {interval}: {text}"

    def _on_interval(self, done: int, rows: Sequence[Mapping[str, Any]]) -> None:
        reasons = [f"{row['grid']}: {row['fallback_reason']}" for row in rows if row["fallback"]]
        if reasons:
            self.log.event("fallback", interval=done - 1, reasons=reasons)
            self._warning = f"interval {done - 1}: {kept_schedule(reasons[0])}"
        for row in rows:
            if severity(row)[0]:
                where = {"interval": done - 1, "grid": row["grid"]}
                self.log.event("not_good", **where, text=explanation(row))
        if self._unsaved:
            self.tables.writer.commit(done - 1, durable=False)
        else:
            self._save(done)
        so_far = self._summary("running")
        write_summary(self.out, so_far)
        rounds = (rounds_of_negotiations(self.tables.kept) or [0])[-1]
        self._progress(run_progress(self.built, so_far, rows, rounds, self._decided, self._warning))

    def _save(self, done: int) -> None:
        """Save the state once the tables and the log that it refers to are on disk."""
        started = time.perf_counter()
        self.tables.writer.commit(done - 1, durable=True)
        log_bytes = self.log.sync()
        wall_s = started - self._started
        timings = replace(self.timings, world_s=wall_s - self.timings.build_s)
        try:
            state = state_of(self.built, self.tables, timings, wall_s, log_bytes)
            save_state(self.out, replace(self._header, interval=done), state)
        except StateError as error:  # the state of a user's controller is not plain data
            before = read_header(self.out)
            then = "begins again" if before is None else f"goes on with interval {before.interval}"
            name = self.loaded.scenario.controller
            self._unsaved = f"controller {name}: its state cannot be saved ({error})"
            self.notice(f"{self._unsaved}: an interrupted run {then}")
        self.timings.state_s += time.perf_counter() - started

    def _summary(self, status: str) -> dict[str, Any]:
        wall_s = time.perf_counter() - self._started
        timings = self.timings
        if status == "running":
            timings = replace(timings, world_s=wall_s - timings.build_s)
        folder = self.loaded.folder.resolve()
        content = summary(self.built, folder, self.tables, timings, status, wall_s)
        return {**content, "baseline": self._baseline}


def _draw_negotiations(out: Path, name: str) -> None:
    """Write the pictures of a run's negotiations; import matplotlib only here."""
    from stackelgrid.analysis.pictures.studies import write_negotiations
    from stackelgrid.analysis.run import Run

    write_negotiations(Run(out), out, name)
