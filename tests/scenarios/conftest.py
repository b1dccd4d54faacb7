"""Scenarios and finished runs that several test files read."""

import fcntl
import io
import json
import os
import resource
import shutil
import subprocess
import sys
import tomllib
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pandapower as pp
import pandas as pd
import pytest
import tomli_w
from scenario_texts import TEXTS, village_net

from stackelgrid.scenarios.build.system import BuiltScenario, build_scenario
from stackelgrid.scenarios.cli import main as cli
from stackelgrid.scenarios.run.run import run_scenario
from stackelgrid.scenarios.schema.load import LoadedScenario, load_scenario
from stackelgrid.simulators.results.tables import SCHEMAS, read_table


@dataclass(frozen=True)
class Run:
    """A finished run: its tables as data frames, and the scenario as built where a test asks."""

    directory: Path
    loaded: LoadedScenario = field(repr=False)
    summary: dict = field(repr=False)
    tables: dict[str, pd.DataFrame] = field(repr=False)

    @cached_property
    def built(self) -> BuiltScenario:
        return build_scenario(self.loaded)


@dataclass(frozen=True)
class Outcome:
    status: int
    stdout: str
    stderr: str
    cpu_s: float = 0.0


@pytest.fixture(scope="session")
def village_json(tmp_path_factory):
    path = tmp_path_factory.mktemp("village") / "village.json"
    pp.to_json(village_net(), str(path))
    return path


@pytest.fixture(scope="session")
def texts():
    """TOML texts of the small scenarios by name."""
    return TEXTS


@pytest.fixture
def write_scenario(tmp_path, village_json):
    """Write a small scenario to tmp_path, after a change to its parsed content."""

    def write(name="feeder", change=lambda data: None):
        data = tomllib.loads(TEXTS[name])
        change(data)
        (tmp_path / "village.json").write_bytes(village_json.read_bytes())
        path = tmp_path / "scenario.toml"
        path.write_text(tomli_w.dumps(data), encoding="utf-8")
        return path

    return write


@pytest.fixture
def remote_path(write_scenario, tmp_path, monkeypatch):
    """Write the villages with a section `remote`, the slow controller beside it."""
    monkeypatch.delitem(sys.modules, "users_controller", raising=False)  # of another test's folder
    shutil.copy(Path(__file__).with_name("slow_controller.py"), tmp_path / "users_controller.py")

    def write(*simulators, controller=None, **keys):
        def change(data):
            data["remote"] = {"simulators": list(simulators), **keys}
            if controller is not None:
                data["controller"] = f"users_controller:{controller}"

        return write_scenario("villages", change)

    return write


@pytest.fixture(scope="session")
def called():
    """Call the entry point of the command in this process, in fixtures of any scope."""

    def call(*arguments):
        printed, said = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed), redirect_stderr(said):
            patch.setattr(sys, "argv", ["stackelgrid", *map(str, arguments)])
            with pytest.raises(SystemExit) as ended:
                cli.main()
        return Outcome(int(ended.value.code or 0), printed.getvalue(), said.getvalue())

    return call


@pytest.fixture
def command(monkeypatch, capsys):
    """Call the entry point of the command in this process."""

    def call(*arguments):
        if arguments[0] == "run" and "--report" not in arguments:
            arguments = (*arguments, "--no-report")  # a second each: tests of reports ask for it
        monkeypatch.setattr(sys, "argv", ["stackelgrid", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = capsys.readouterr()
        return Outcome(int(ended.value.code or 0), captured.out, captured.err)

    return call


def read_tables(directory):
    return {name: read_table(directory, name).to_pandas() for name in SCHEMAS}


@pytest.fixture(scope="session")
def tables_of():
    return read_tables


def finished_run(directory, loaded):
    summary = json.loads((directory / "summary.json").read_text(encoding="utf-8"))
    return Run(directory, loaded, summary, read_tables(directory))


@pytest.fixture(scope="session")
def run_of(tmp_path_factory):
    """Run a scenario by path, with the given overrides, into a new directory."""

    def run(source, *overrides, seed=None):
        loaded = load_scenario(str(source), overrides, seed)
        directory = tmp_path_factory.mktemp("run") / "out"
        run_scenario(loaded, directory)
        return finished_run(directory, loaded)

    return run


@pytest.fixture(scope="session")
def filled_once(tmp_path_factory):
    """Folder of a name; the first of all test processes that asks for it calls `fill` with it."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent

    def folder(name, fill):
        path, filled = base / name, base / f"{name}.filled"
        with (base / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not filled.exists():
                shutil.rmtree(path, ignore_errors=True)
                path.mkdir()
                fill(path)
                filled.touch()
        return path

    return folder


@pytest.fixture(scope="session")
def shared_run(filled_once, village_json):
    """Run a small scenario by name, once for all tests."""

    def run(name):
        def fill(folder):
            shutil.copy(village_json, folder)
            path = folder / f"{name}.toml"
            path.write_text(TEXTS[name], encoding="utf-8")
            run_scenario(load_scenario(str(path)), folder / "out")

        folder = filled_once(name, fill)
        return finished_run(folder / "out", load_scenario(str(folder / f"{name}.toml")))

    return run


@pytest.fixture(scope="session")
def villages(shared_run):
    return shared_run("villages")


@pytest.fixture(scope="session")
def villages_path(villages):
    return villages.directory.with_name("villages.toml")


@pytest.fixture(scope="session")
def three_levels(shared_run):
    return shared_run("three_levels")


def _run_quick(folder):
    """Run the real command in its own process; what it printed is left beside its results."""
    command = [sys.executable, "-m", "stackelgrid", "run", "quick"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [*command, "--out", str(folder / "out")],
        capture_output=True, text=True, timeout=120, check=False, cwd=folder,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    outcome = (done.returncode, done.stdout, done.stderr, cpu_s)
    (folder / "outcome.json").write_text(json.dumps(outcome), encoding="utf-8")


@pytest.fixture(scope="session")
def quick_process(filled_once):
    """The real command, in its own process: what it printed, and its directory."""
    folder = filled_once("quick", _run_quick)
    outcome = json.loads((folder / "outcome.json").read_text(encoding="utf-8"))
    return Outcome(*outcome), folder / "out"


@pytest.fixture(scope="session")
def quick(quick_process):
    _, directory = quick_process
    return finished_run(directory, load_scenario("quick"))


@pytest.fixture(params=["quick", "three_levels"])
def run(request):
    """Each of the runs whose physics is checked."""
    return request.getfixturevalue(request.param)
