"""BLAS on one thread while a run works, unless the environment says otherwise."""

import os
import re
import subprocess
import sys

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from stackelgrid.profiles.errors import StackelgridError
from stackelgrid.scenarios.remote import process as remote_process
from stackelgrid.scenarios.run import run
from stackelgrid.scenarios.schema.load import load_scenario
from stackelgrid.simulators.blas_threads import VARIABLES, one_blas_thread


def threads():
    """Threads of the BLAS of NumPy and SciPy; other solvers may bring one that has but one."""
    return {
        library["num_threads"]
        for library in threadpool_info()
        if library["user_api"] == "blas" and re.search("numpy|scipy", library["filepath"])
    }


@pytest.fixture(autouse=True)
def three_threads(monkeypatch):
    """What a user has who loads NumPy first, whatever this machine and its environment say."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    with threadpool_limits(limits=3, user_api="blas"):
        assert threads() == {3}
        yield


def test_one_thread_inside_and_the_former_number_after():
    with one_blas_thread():
        assert threads() == {1}
        with one_blas_thread():
            assert threads() == {1}
        assert threads() == {1}
    assert threads() == {3}


@pytest.mark.parametrize("name", ["OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"])
def test_a_number_of_the_environment_stays(name, monkeypatch):
    monkeypatch.setenv(name, "3")
    with one_blas_thread():
        assert threads() == {3}
    assert threads() == {3}


def test_a_run_builds_and_works_on_one_thread(tmp_path, monkeypatch):
    seen = []

    def build(*arguments):
        seen.append(threads())
        raise StackelgridError("seen")

    monkeypatch.setattr(run, "build_scenario", build)
    with pytest.raises(StackelgridError, match="seen"):
        run.run_scenario(load_scenario("quick"), tmp_path / "out")
    assert seen == [{1}]
    assert threads() == {3}


@pytest.mark.parametrize("said", [{}, {"OMP_NUM_THREADS": "3"}])
def test_a_remote_simulator_begins_with_one_thread(said, monkeypatch):
    environment = dict(said)
    monkeypatch.setattr(os, "environ", environment)
    monkeypatch.setattr(sys, "argv", ["remote_process", "--fd", "0"])
    monkeypatch.setattr(remote_process.socket, "socket", lambda fileno: None)
    monkeypatch.setattr(remote_process, "serve", lambda connection, simulator: None)
    remote_process.main()
    assert environment == (said or dict.fromkeys(VARIABLES, "1"))


def test_a_remote_simulator_has_not_loaded_numpy_when_it_begins():
    """OpenBLAS reads the environment once, when it is loaded."""
    code = "import sys, stackelgrid.scenarios.remote.process; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
