"""Programs run in processes that nothing has used before."""

import json
import subprocess
import sys

import pytest

# imports what programs need, makes no solver, and forks once for every program that it is given
FORKS = """
import json, os, signal, sys, traceback
import highspy, mosek, pyomo.environ
import stackelgrid.controllers.bilevel, stackelgrid.controllers.solvers.mosek
print("ready", flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    child = os.fork()
    if child == 0:
        status = 0
        signal.alarm(60)
        try:
            for number, path in ((0, os.devnull), (1, asked["out"]), (2, asked["err"])):
                os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), number)
            os.environ.update(asked["env"])
            exec(asked["program"], {"__name__": "__main__"})
            sys.stdout.flush()
        except BaseException:
            traceback.print_exc()
            status = 1
        sys.stderr.flush()
        os._exit(status)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture(scope="session")
def _forks():
    command = [sys.executable, "-c", FORKS]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "ready\n"  # importing prints nothing
        yield process
        process.stdin.close()


@pytest.fixture
def run_fresh(_forks, tmp_path):
    """`run_fresh(program, **environment)`: its standard output, standard error and exit status."""

    def run(program, **environment):
        out, err = tmp_path / "stdout", tmp_path / "stderr"
        asked = {"program": program, "env": environment, "out": str(out), "err": str(err)}
        _forks.stdin.write(json.dumps(asked) + "\n")
        _forks.stdin.flush()
        status = int(_forks.stdout.readline())
        return out.read_text(), err.read_text(), status

    return run
