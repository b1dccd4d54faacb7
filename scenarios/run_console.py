"""What `stackelgrid run` says, and how it ends when it is interrupted."""

import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import typer

from stackelgrid.scenarios.load import LoadedScenario
from stackelgrid.scenarios.negotiation_console import negotiation_lines
from stackelgrid.scenarios.remote_start import started_early

Say = Callable[[str], None]
Bar = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]


class Terminated(KeyboardInterrupt):
    """The process was asked to end by SIGTERM."""


@contextmanager
def interruptible(target: Path) -> Iterator[None]:
    """End with one line and status 130 at Ctrl-C, 143 at SIGTERM."""

    def terminate(number: int, frame: FrameType | None) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    except KeyboardInterrupt as error:  # typer would say nothing
        again = f"; stackelgrid run --resume {target} goes on" if target.exists() else ""
        print(f"stackelgrid: interrupted{again}", file=sys.stderr)
        raise typer.Exit(143 if isinstance(error, Terminated) else 130) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def run_new(loaded: LoadedScenario, target: Path, say: Say, bar: Bar) -> None:
    """Run a scenario into a new directory."""
    name, intervals = loaded.scenario.name, loaded.scenario.time.intervals
    with interruptible(target), started_early(loaded.scenario.remote) as early:
        # heavy imports come after the scenario has been found good
        from stackelgrid.scenarios.run import run_scenario

        with bar(name, intervals) as advance:
            result = run_scenario(loaded, target, advance, say, early)
    _tell(result.summary, target, say)


def run_again(directory: Path, loaded: LoadedScenario | None, say: Say, bar: Bar) -> None:
    """Go on with an interrupted run; one that is finished is told again."""
    from stackelgrid.scenarios.resume import resumable, resume_run

    found = resumable(directory, loaded)
    if found.finished is not None:
        say(f"{directory} is finished: nothing is left to do")
        _tell(found.finished, directory, say)
        return
    scenario = found.loaded.scenario
    with interruptible(directory), bar(scenario.name, scenario.time.intervals) as advance:
        result = resume_run(found, advance, say)
    _tell(result.summary, directory, say)


def _tell(s: Mapping[str, Any], directory: Path, say: Say) -> None:
    """Say what came out, and print where."""
    c, t = s["certificate"], s["timings"]
    say(
        f"{s['scenario']}: {s['intervals_done']} intervals in {s['wall_s']:.1f} s "
        f"(build {t['build_s']:.1f}, solve {t['solve_s']:.1f}, power flow {t['power_flow_s']:.1f}, "
        f"co-simulation {t['cosimulation_s']:.1f}, state {t['state_s']:.1f}, "
        f"other {t['other_s']:.1f})"
    )
    say(
        f"cost {s['cost_eur']['total']:.2f} EUR; certificate: {c['exact']} exact, "
        f"{c['feasible']} feasible, {c['infeasible']} infeasible; {c['recovered']} recovered; "
        f"{s['intervals_fallback']} intervals by fallback"
    )
    phases = c["three_phase"]
    if phases is not None:
        say(
            f"phase by phase: {phases['feasible']} feasible, {phases['infeasible']} infeasible; "
            f"at most {phases['max_unbalance_pu']:.3f} p.u. from the balanced voltage"
        )
    for line in negotiation_lines(s["negotiation"]):
        say(line)
    print("results:", end=" ", file=sys.stderr, flush=True)
    print(directory)
