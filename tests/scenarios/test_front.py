"""The root package and the first second of the command: light, and interruptible."""

import importlib.metadata
import json
import os
import signal
import subprocess
import sys

import pytest

import stackelgrid

# pydantic is not among them: typer converts arguments with it
HEAVY = (
    "clarabel", "dash", "distributed", "duckdb", "highspy", "matplotlib", "mosaik", "numpy",
    "pandapower", "pandas", "plotly", "pvlib", "pyarrow", "pyomo", "scipy",
)  # fmt: skip
VERBS = (
    "run", "compare", "exactness", "ensemble", "report", "export", "view", "serve", "validate",
    "profiles", "solvers",
)  # fmt: skip
HELP = """
import contextlib, io, json, sys
from stackelgrid.__main__ import main

def call(*arguments):
    sys.argv = ["stackelgrid", *arguments]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        main()
    return printed.getvalue()

verbs, heavy = json.loads(sys.argv[1])
told = {verb: call(verb, "--help") for verb in verbs}
told[""] = call("--help")
loaded = [name for name in heavy if name in sys.modules]
print(json.dumps({"told": told, "loaded": loaded}))
"""


def _python(*arguments, **how):
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=True, timeout=60, **how
    )


def test_help_of_every_verb_loads_nothing_that_computes():
    done = _python("-c", HELP, json.dumps([VERBS, HEAVY]))
    found = json.loads(done.stdout)
    assert found["loaded"] == []
    for verb in VERBS:
        assert f"Usage: stackelgrid {verb} " in found["told"][verb]
        assert verb in found["told"][""]


def test_root_package_loads_nothing_before_it_is_used():
    program = f"import sys, stackelgrid; print([m for m in {HEAVY} if m in sys.modules])"
    assert _python("-c", program).stdout == "[]\n"


def test_a_scenario_is_validated_before_networks_and_models_are_loaded():
    """Bad input ends at once, and processes of the project start while the run loads the rest."""
    program = (
        "import sys; from stackelgrid.scenarios.schema.load import load_scenario as load; "
        "load('day'); print([m for m in ('mosaik', 'pandapower', 'pyomo') if m in sys.modules])"
    )
    assert _python("-c", program).stdout == "[]\n"


def test_names_of_the_root_package():
    from stackelgrid.analysis import Run

    assert stackelgrid.Run is Run
    assert set(stackelgrid.__all__) <= set(dir(stackelgrid))
    for name in stackelgrid.__all__:
        assert getattr(stackelgrid, name)
    with pytest.raises(AttributeError, match="'stackelgrid' has no attribute 'nothing'"):
        stackelgrid.nothing  # noqa: B018


def test_version_is_told_alike_everywhere():
    version = importlib.metadata.version("stackelgrid")
    assert stackelgrid.__version__ == version
    assert _python("-m", "stackelgrid", "--version").stdout == f"stackelgrid {version}\n"


def test_shell_completion_of_verbs():
    line = {"COMP_WORDS": "stackelgrid ex", "COMP_CWORD": "1"}
    program = (
        'import sys; sys.argv[0] = "stackelgrid"; from stackelgrid.__main__ import main; main()'
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, **line, "_STACKELGRID_COMPLETE": "complete_bash"},
    )  # fmt: skip
    assert sorted(done.stdout.split()) == ["exactness", "export"]


@pytest.mark.parametrize(
    "module",
    [
        "typer",
        "numpy",
        "pandas._libs.lib",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in (
                "pyomo.environ",
                "stackelgrid.scenarios.run.run",
            )  # the last before it builds
        ),
    ],
)
def test_ctrl_c_while_modules_load_ends_with_one_line(module, tmp_path):
    """Sent as soon as the interpreter reports that it has imported the module."""
    process = subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", "stackelgrid", "run", "quick"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert process.stderr is not None
    lines = []
    try:
        for line in process.stderr:
            if line.startswith("import time:"):
                if line.split("|")[-1].strip() == module:
                    process.send_signal(signal.SIGINT)
            else:
                lines.append(line)
        assert process.wait(timeout=30) == 130
    finally:
        process.kill()
        process.wait()
    assert lines == ["stackelgrid: interrupted\n"]
    assert list(tmp_path.iterdir()) == []
