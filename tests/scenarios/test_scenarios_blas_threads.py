"""BLAS on one thread while a run works, unless the environment says otherwise."""

import re

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from stackelgrid.profiles.errors import StackelgridError
from stackelgrid.scenarios import blas_threads, run
from stackelgrid.scenarios.blas_threads import one_blas_thread
from stackelgrid.scenarios.load import load_scenario


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
    for name in blas_threads._VARIABLES:
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
