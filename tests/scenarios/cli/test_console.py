"""Output of a run: a panel on a terminal, plain lines elsewhere, JSON on request."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import datetime

import pytest
import typer
from rich.console import Console

from stackelgrid.scenarios.api.call import new_directory
from stackelgrid.scenarios.api.output import Output
from stackelgrid.scenarios.api.pace import Pace, duration_text
from stackelgrid.scenarios.api.plain_lines import RunLines, StudyLines
from stackelgrid.scenarios.api.run_panel import RunPanel, shown
from stackelgrid.scenarios.cli.terminal import Terminal
from stackelgrid.scenarios.run.progress import (
    DecisionProgress,
    GridTrouble,
    GridValue,
    NegotiationProgress,
    RunProgress,
    StudyProgress,
    VerdictCounts,
    extreme,
    negotiation_progress,
    worst_grid,
)
from stackelgrid.scenarios.run.run import run_scenario
from stackelgrid.scenarios.schema.load import load_scenario

NOON = RunProgress(
    scenario="day",
    intervals_done=48,
    intervals_planned=96,
    time=datetime(2025, 6, 21, 11, 45),
    decision=DecisionProgress("misocp", 3.2e-8, 1.26),
    verdicts=VerdictCounts(exact=44, feasible=3, infeasible=1, recovered=2, fallback=1),
    worst=GridTrouble("lv2", "in reality bus 17: 0.012 p.u. beyond the limit"),
    min_vm=GridValue("mv3", 0.9512),
    max_vm=GridValue("lv2", 1.1123),
    max_loading=GridValue("tn", 83.4),
    negotiations=NegotiationProgress(14, 48, 47, 1200, 3, 1),
    warning="interval 12: mv1: [grids] its dispatch could not be audited",
)


class Clock:
    """A clock that is set by hand."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def drawn(panel, width=100):
    """Lines of the panel as a terminal of that width shows them."""
    console = Console(record=True, width=width, force_terminal=True, file=io.StringIO())
    console.print(panel)
    return console.export_text().splitlines()


def halfway(clock):
    """A panel at half of its run: 24 intervals in 240 s, one has gone before."""
    panel = RunPanel("day", 96, clock)
    panel.interval_ended(replace(NOON, intervals_done=24))
    clock.now += 240.0
    panel.interval_ended(NOON)
    return panel


def test_panel_says_everything_about_a_run():
    text = "\n".join(drawn(halfway(Clock())))
    for said in (
        "day: running", "interval 48 of 96", "0:04:00, 0:08:00 left", "2025-06-21 11:45",
        "Clarabel with HiGHS, gap 3.2e-08, 1.26 s",
        "44 exact  3 feasible  1 infeasible  2 recovered", "1 by fallback",
        "lv2: in reality bus 17: 0.012 p.u. beyond the limit",
        "0.951 p.u. (mv3) to 1.112 p.u. (lv2); loading at most 83 % (tn)",
        "47 of 48 agreed, 1 in doubt, 14 rounds in the last; 1200 messages, 3 lost",
        "interval 12: mv1: [grids] its dispatch could not be audited",
    ):  # fmt: skip
        assert said in text


def test_panel_fits_its_terminal():
    for width, expected in ((60, 60), (100, 100), (180, 100)):
        lines = drawn(halfway(Clock()), width)
        assert {len(line) for line in lines} == {expected}
        assert lines[0].startswith("╭")
        assert lines[-1].startswith("╰")
    assert "could not be audited" in " ".join(" ".join(drawn(halfway(Clock()), 60)).split())


def test_panel_before_the_first_interval():
    panel = RunPanel("day", 96, Clock())
    text = "\n".join(drawn(panel))
    assert panel.empty
    assert "day: building" in text
    assert "interval 0 of 96" in text
    assert "-:--:-- left" in text


def test_panel_of_a_good_interval_without_negotiations():
    panel = RunPanel("day", 96, Clock())
    panel.interval_ended(replace(NOON, worst=None, negotiations=None, warning=""))
    text = "\n".join(drawn(panel))
    assert "none: within limits, plans of feeders exact" in text
    assert "negotiations" not in text
    assert re.search(r"last warning +none", text)


def test_pace_does_not_count_what_was_there_before_a_resume():
    clock = Clock()
    pace = Pace(clock)
    assert pace.left_s is None
    clock.now += 50.0  # building
    pace.take(90, 96)
    assert pace.left_s is None
    clock.now += 8.0
    pace.take(92, 96)
    assert pace.left_s == pytest.approx(16.0)  # 4 s each
    pace.take(96, 96)
    assert pace.left_s == 0.0
    assert pace.passed_s == pytest.approx(58.0)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        # a tenth of 96 intervals is 10; half a minute comes later
        (1.0, list(range(10, 96, 10))),
        # a fast run: not more often than every five seconds, 40 intervals of 1/8 s
        (0.125, [40, 80]),
        # a slow run: an interval of 40 s is longer than half a minute
        (40.0, list(range(1, 96))),
    ],
)
def test_plain_lines_come_by_tenths_and_half_minutes(seconds, expected):
    clock, said = Clock(), []
    lines = RunLines("day", said.append, clock)
    for done in range(1, 97):
        clock.now += seconds
        lines.interval_ended(replace(NOON, intervals_done=done))
    assert [int(re.match(r"day: (\d+) of 96", line)[1]) for line in said] == expected


def test_building_is_told_in_the_title_and_every_five_seconds_in_lines():
    clock, said = Clock(), []
    panel, lines = RunPanel("day", 96, clock), RunLines("day", said.append, clock)
    for n in range(1, 13):
        clock.now += 2.0
        for listener in (panel, lines):
            listener.building(f"programs: lv{n}, {n} of 12")
    assert "day: building programs: lv12, 12 of 12" in drawn(panel)[0]
    assert said == [f"building programs: lv{n}, {n} of 12" for n in (3, 6, 9, 12)]


def test_plain_line_is_one_line_without_a_style():
    clock, said = Clock(), []
    lines = RunLines("day", said.append, clock)
    clock.now += 60.0
    lines.interval_ended(NOON)
    assert said == [
        "day: 48 of 96 intervals; 3 feasible, 1 infeasible, 2 recovered, 1 by fallback; "
        "11:45 lv2: in reality bus 17: 0.012 p.u. beyond the limit"
    ]


def test_plain_line_of_a_good_run_says_the_essential():
    clock, said = Clock(), []
    lines = RunLines("day", said.append, clock)
    good = replace(NOON, verdicts=VerdictCounts(exact=48), worst=None, verdict="exact")
    lines.interval_ended(replace(good, intervals_done=24))
    clock.now += 240.0
    lines.interval_ended(good)
    clock.now += 40.0
    tomorrow = replace(good, intervals_done=49, time=datetime(2025, 6, 22, 0, 15))
    lines.interval_ended(tomorrow)  # with its day from the second one on
    assert said == [
        "day: 48 of 96 intervals, 8:00 min left; 11:45 exact, gap 3.2e-08",
        "day: 49 of 96 intervals, 8:46 min left; 22 Jun 00:15 exact, gap 3.2e-08",
    ]


def test_a_pipe_hears_of_a_long_interval_every_minute():
    clock, said = Clock(), []
    lines = RunLines("day", said.append, clock)
    lines.building("programs: lv1, 1 of 12")
    spoken = []
    for _ in range(300):  # a beat a second
        clock.now += 1.0
        before = len(said)
        lines.beat()
        if clock.now == 250.0:
            lines.interval_ended(replace(NOON, intervals_done=1))
        spoken += [clock.now - 100.0] * (len(said) - before)
    assert spoken == [60.0, 120.0, 150.0, 210.0, 270.0]
    assert said[0] == "day: building programs: lv1, 1 of 12; 1:00 min so far"
    assert said[2].startswith("day: 1 of 96 intervals; ")
    assert said[3] == "day: 1 of 96 intervals; the next one takes 1:00 min so far"


def test_a_pipe_hears_of_a_study_every_minute():
    clock, said = Clock(), []
    lines = StudyLines("forecast_error", 48, "runs", said.append, clock)
    lines.take(StudyProgress(4, 0, "2 running"))  # those of before
    for _ in range(230):
        clock.now += 1.0
        lines.beat()
    lines.take(StudyProgress(6, 1, "2 running"))
    assert said == [
        "forecast_error: 4 of 48 runs, 2 running; 1:00 min so far",
        "forecast_error: 4 of 48 runs, 2 running; 2:00 min so far",
        "forecast_error: 4 of 48 runs, 2 running; 3:00 min so far",
        "forecast_error: 6 of 48 runs, 2 running, 1 failed; 3:50 min so far, 1:20:30 h left",
    ]


def test_a_pipe_hears_that_results_are_written():
    clock, said = Clock(), []
    run = RunLines("day", said.append, clock)
    run.interval_ended(replace(NOON, intervals_done=96))
    study = StudyLines("market", 7, "plans", said.append, clock)
    study.take(StudyProgress(7))
    clock.now += 60.0
    run.beat()
    study.beat()
    assert said == [
        "day: 96 of 96 intervals; writing the results takes 1:00 min so far",
        "market: 7 of 7 plans; writing the results, 1:00 min so far",
    ]


def test_a_study_of_a_pipe_is_told_without_a_terminal_and_not_if_quiet():
    for quiet in (False, True):
        file = io.StringIO()
        output = Output(quiet=quiet, console=Console(file=file, width=80))
        with output.bar("market", 0, "runs") as advance:
            advance(StudyProgress(0))
        assert file.getvalue() == ""  # nothing is due at once, and the thread has ended
    assert "stackelgrid-progress" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.4, "59 s"), (102.0, "1:42 min"), (3723.0, "1:02:03 h")],
)
def test_durations_have_a_unit(seconds, text):
    assert duration_text(seconds) == text


def test_a_terminal_gets_the_panel_and_a_pipe_does_not():
    for terminal in (True, False):
        file = io.StringIO()
        output = Output(console=Console(file=file, force_terminal=terminal, width=100))
        with shown(output, "day", 96) as listener:
            listener.interval_ended(NOON)
        assert ("day: done" in file.getvalue()) == terminal
        assert ("\x1b[?25h" in file.getvalue()) == terminal  # the cursor is back


def test_nothing_is_shown_of_a_quiet_run():
    file = io.StringIO()
    output = Output(quiet=True, console=Console(file=file, force_terminal=True, width=100))
    with shown(output, "day", 96) as listener:
        listener.interval_ended(NOON)
    output.say("a notice")
    assert file.getvalue() == ""


def test_a_bracket_in_a_notice_is_no_style(capsys):
    Output().say("[grids.loads]: mix is missing")
    assert capsys.readouterr().err == "[grids.loads]: mix is missing\n"


def test_a_terminal_gets_lines_between_words_and_a_pipe_one_line():
    path = f"/{'x' * 60}/report.html"
    text = f"no power flow of mv1 converges at 11:00 and nothing is left: {path}"
    for terminal in (True, False):
        file = io.StringIO()
        Output(console=Console(file=file, force_terminal=terminal, width=40)).say(text)
        lines = file.getvalue().splitlines()
        assert " ".join(lines) == text
        assert lines[-1] == (path if terminal else text)
        assert max(map(len, lines[:-1]), default=0) <= 40


def test_progress_of_a_run_agrees_with_its_tables(write_scenario, tmp_path):
    seen = []
    path = write_scenario(change=lambda data: data["time"].update(intervals=3))
    result = run_scenario(load_scenario(str(path)), tmp_path / "out", seen.append)
    assert [p.intervals_done for p in seen] == [1, 2, 3]
    assert [f"{p.time:%H:%M %z}" for p in seen] == ["11:00 +0200", "11:15 +0200", "11:30 +0200"]
    last, c = seen[-1], result.summary["certificate"]
    assert last.verdicts == VerdictCounts(c["exact"], c["feasible"], c["infeasible"], 0, 0)
    assert last.decision.solver == "misocp"
    assert max(p.decision.gap for p in seen) == result.summary["bilevel"]["max_relative_gap"]
    assert last.worst is None
    assert last.negotiations is None
    assert last.min_vm.grid == last.max_loading.grid == "mv1"
    assert 0.9 < last.min_vm.value < last.max_vm.value < 1.1


def row(grid, violation=0.0, verdict="exact", phases="", level="lv"):
    """A row of an interval."""
    return {
        "grid": grid, "level": level, "fallback": False, "realised_violation_pu": violation,
        "realised_worst": "bus 3" if violation else "", "realised_voltage_change_pu": 0.004,
        "verdict": verdict, "violation_pu": 0.02 if verdict == "infeasible" else 0.0,
        "worst": "line 3", "fictitious_loss_share": 0.25 if verdict == "feasible" else 0.0,
        "verdict_three_phase": phases, "worst_three_phase": "bus 7 phase a",
        "violation_three_phase_pu": 0.03 if phases == "infeasible" else 0.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        # a DC dispatch is at best feasible
        ([row("tn", verdict="feasible", level="transmission"), row("mv1")], None),
        ([row("mv1"), row("lv1", verdict="feasible")], "lv1"),
        ([row("lv1", verdict="feasible"), row("lv2", phases="infeasible")], "lv2"),
        # what happened counts for more than a plan, from 1e-4 p.u. on
        ([row("lv1", verdict="infeasible"), row("lv2", 0.002), row("mv1", 0.001)], "lv2"),
        ([row("lv1", 5e-5), row("mv1")], None),
        # a power flow without a solution is worst of all
        ([row("lv1", 0.2), row("mv1", float("nan"))], "mv1"),
    ],
)
def test_the_worst_grid_of_an_interval(rows, expected):
    worst = worst_grid(rows)
    assert (worst.grid if worst else None) == expected


def test_a_worst_grid_by_its_phases_is_infeasible():
    worst = worst_grid([row("lv2", phases="infeasible")])
    text = "planned, by phase bus 7 phase a: 0.03 p.u. beyond the limit"
    assert worst == GridTrouble("lv2", f"{text}; balanced within limits, phase by phase not")


def test_a_grid_that_diverged_is_said_to_have_diverged():
    worst = worst_grid([row("mv1", float("nan")), row("lv1", 0.2)])
    assert worst.text.startswith("in reality AC power flow diverged; ")


def test_a_grid_within_its_limits_is_not_said_to_be_beyond_them():
    """A violation below what an AC power flow may be off by counts as none."""
    worst = worst_grid([row("lv1", 5e-5, verdict="feasible"), row("mv1")])
    clock, said = Clock(), []
    lines = RunLines("day", said.append, clock)
    clock.now += 60.0
    lines.interval_ended(replace(NOON, worst=worst))
    text = "11:45 lv1: relaxation not tight: fictitious losses of 0.25 of the load"
    assert said[0].endswith(text)


@pytest.mark.parametrize("begun", [True, False])
def test_how_to_go_on_is_said_where_something_has_begun(begun, tmp_path, capsys):
    """A prepared directory in which nothing has been written cannot be resumed."""
    if begun:
        (tmp_path / "scenario.toml").touch()
    with pytest.raises(typer.Exit) as ended, Terminal().ending(tmp_path, "--resume goes on"):
        raise KeyboardInterrupt
    assert ended.value.exit_code == 130
    hint = "; --resume goes on" if begun else ""
    assert capsys.readouterr().err == f"stackelgrid: interrupted{hint}\n"


def test_runs_begun_in_the_same_second_have_directories_of_their_own():
    names = set()
    for _ in range(3):
        names.add(new_directory("quick", "compare").name)
        time.sleep(0.002)
    assert len(names) == 3
    assert all(re.fullmatch(r"quick-compare-\d{8}-\d{6}-\d{3}", name) for name in names)


def test_extremes_leave_out_what_is_no_number():
    values = [("a", float("nan")), ("b", 0.98), ("c", 1.02)]
    assert extreme(values, largest=False) == GridValue("b", 0.98)
    assert extreme(values, largest=True) == GridValue("c", 1.02)
    assert extreme([("a", float("nan"))], largest=True).grid == ""


def test_progress_of_negotiations():
    assert negotiation_progress(None, 0) is None
    counts = {"negotiations": 3, "agreements": 2, "messages": 120, "lost": 8, "in_outage": 2,
              "in_doubt": 1}  # fmt: skip
    alone = negotiation_progress(dict.fromkeys(counts), 9)
    assert (alone.last_rounds, alone.negotiations, alone.messages) == (9, 0, 0)
    told = negotiation_progress(counts, 4)
    assert told == NegotiationProgress(4, 3, 2, 120, 10, 1)


def test_a_line_on_negotiations_in_one_process_counts_rounds_only():
    panel = RunPanel("day", 96, Clock())
    panel.interval_ended(replace(NOON, negotiations=NegotiationProgress(9, 0, 0, 0, 0, 0)))
    assert re.search(r"negotiations +9 rounds in the last +│", "\n".join(drawn(panel)))


def test_json_is_all_there_is_on_stdout(command, write_scenario, tmp_path):
    out = tmp_path / "out"
    outcome = command("run", write_scenario(), "--out", out, "--json", "--quiet")
    assert outcome.status == 0
    assert outcome.stderr == ""
    told = json.loads(outcome.stdout)
    assert told.pop("directory") == str(out)
    assert told == json.loads((out / "summary.json").read_text(encoding="utf-8"))
    again = command("run", "--resume", out, "--json")
    assert json.loads(again.stdout)["status"] == "done"
    assert "is finished" in again.stderr


def test_quiet_prints_the_directory_only(command, write_scenario, tmp_path):
    out = tmp_path / "out"
    outcome = command("run", write_scenario(), "--out", out, "--quiet")
    assert (outcome.status, outcome.stderr) == (0, "")
    assert outcome.stdout == f"{out}\n"


@pytest.mark.parametrize("option", ["--json", pytest.param("--quiet", marks=pytest.mark.slow)])
def test_standard_output_of_the_command_holds_no_line_of_a_library(
    option, write_scenario, tmp_path
):
    """In its own process: a C library's banner reaches the file descriptor, not `sys.stdout`."""
    out = tmp_path / "out"
    program = [sys.executable, "-m", "stackelgrid", "run", option, "--no-report"]
    done = subprocess.run(
        [*program, str(write_scenario("village")), "--out", str(out)],
        capture_output=True, text=True, check=True, timeout=120, cwd=tmp_path,
    )  # fmt: skip
    if option == "--json":
        assert json.loads(done.stdout)["directory"] == str(out)
    else:
        assert (done.stdout, done.stderr) == (f"{out}\n", "")


def test_errors_stay_one_line_with_json(command, tmp_path):
    outcome = command("run", tmp_path / "none.toml", "--json", "--quiet")
    assert (outcome.status, outcome.stdout) == (2, "")
    assert outcome.stderr.startswith("stackelgrid: ")
    assert outcome.stderr.count("\n") == 1


@pytest.mark.parametrize("verb", ["run", "compare", "exactness", "ensemble"])
def test_every_verb_that_computes_knows_quiet_and_json(verb, command):
    outcome = command(verb, "--help")
    assert "--quiet" in outcome.stdout
    assert "--json" in outcome.stdout


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo-terminal")
def test_panel_on_a_terminal_ends_cleanly_at_ctrl_c(write_scenario, tmp_path):
    pty = pytest.importorskip("pty")
    path = write_scenario("village", lambda data: data["time"].update(intervals=300))
    out = tmp_path / "out"
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "stackelgrid", "run", str(path), "--out", str(out)],
        stdin=follower, stdout=follower, stderr=follower, cwd=tmp_path, start_new_session=True,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "90", "LINES": "30"},
    )  # fmt: skip
    os.close(follower)
    text, told, deadline = "", False, time.monotonic() + 60.0
    try:
        while chunk := _read(leader):
            text += chunk
            assert time.monotonic() < deadline
            if not told and re.search(r"interval [1-9]\d* of 300", text):
                process.send_signal(signal.SIGINT)
                told = True
        assert process.wait(timeout=20) == 130
    finally:
        process.kill()
        process.wait()
        os.close(leader)
    assert "village: building" in text
    assert "village: running" in text
    before, _, after = text.rpartition("village: interrupted")
    assert before
    assert "\x1b[?25h" in after  # the cursor is back
    lines = [line for line in after.splitlines() if line]
    assert lines[-1].endswith(f"stackelgrid: interrupted; stackelgrid run --resume {out} goes on")
    assert "Traceback" not in text


def _read(leader):
    """What the terminal shows next; nothing once the other end is closed."""
    try:
        return os.read(leader, 65536).decode(errors="replace")
    except OSError:  # how Linux tells the end of a pseudo-terminal
        return ""
