"""Users' simulators that fail or do not fit: one line names what is wrong, where and when."""

import os
import time

import pytest
from support.children import children_of, running, wait_for
from support.hosted import devices, hosting
from support.machine import in_time

from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.simulators.external.wiring import FromEntity, Reading
from stackelgrid.simulators.remote.connection import RemoteError

SECOND = "2026-06-20 12:15:00"


def failing(fault, *groups, **parameters):
    return ("oven", "Failing", {"fault": fault, **parameters}, *(groups or (devices(),)))


def one_step_too_many(described, deadline_s=5.0):
    """Host a simulator whose second step fails; return the error and the seconds it took."""
    with hosting(described, deadline_s=deadline_s) as hosted:
        hosted.powers(0)
        began = time.monotonic()
        hosted.powers(1)
    raise AssertionError(f"nothing failed in {time.monotonic() - began} s")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("exception", f"ValueError: the oven is on fire (step at {SECOND})"),
        ("kill", f"its process was ended by SIGKILL (step at {SECOND})"),
        ("leave", f"its process ended with exit status 7: no more gas (step at {SECOND})"),
        ("nan", f"P of d0 is nan at {SECOND}; a finite number is accepted"),
        ("infinite", f"P of d0 is inf at {SECOND}; a finite number is accepted"),
        ("text", f"P of d0 is 'much' at {SECOND}; a finite number is accepted"),
        ("no", f"P of d0 is None at {SECOND}; a finite number is accepted"),
        ("much", f"P of d0 is 1e+300 at {SECOND}; a number below 1e+300 in size is accepted"),
        ("missing", f"P of d0 is missing at {SECOND}; a value is accepted"),
        (
            "back",
            "step returned 0 as the time of the next step, not later than 900, the present one, "
            f"at {SECOND}; a time from 901 on is accepted",
        ),
        (
            "stay",
            "step returned 900 as the time of the next step, not later than 900, the present one, "
            f"at {SECOND}; a time from 901 on is accepted",
        ),
        (
            "float",
            f"step returned 1800.0 as the time of the next step at {SECOND}; an integer in s is "
            "accepted",
        ),
        (
            "none",
            f"step returned None as the time of the next step at {SECOND}; an integer in s is "
            "accepted",
        ),
    ],
)
def test_a_step_that_fails_is_named_with_its_time(fault, words):
    with pytest.raises(RemoteError) as error:
        one_step_too_many(failing(fault))
    assert str(error.value) == f"simulator oven: {words}"
    assert not any(running(pid) for pid in children_of(os.getpid(), "user_simulators"))


def test_a_slow_step_ends_at_its_deadline():
    began = time.monotonic()
    with pytest.raises(RemoteError) as error:
        one_step_too_many(failing("slow"), deadline_s=0.5)
    assert in_time(time.monotonic() - began, 5.0)
    assert str(error.value) == (
        f"simulator oven: no answer to 'step' within its deadline of 0.5 s (step at {SECOND})"
    )
    wait_for(lambda: not children_of(os.getpid(), "user_simulators"), 3.0)


@pytest.mark.parametrize(
    ("described", "words"),
    [
        (failing("init"), r"exit status 1: ValueError: no licence for this building"),
        (("oven", "Oven", {}, devices()), r"user_simulators:Oven cannot be loaded \(Attribute"),
        (
            ("oven", "nowhere:Oven", {}, devices()),
            r"exit status 2: nowhere:Oven cannot be loaded "
            r"\(ModuleNotFoundError: No module named 'nowhere'\)",
        ),
        (
            ("oven", "stackelgrid.scenarios.household:Household", {"wrong": 1}, devices()),
            r"exit status 1: TypeError: .*unexpected keyword argument 'wrong'",
        ),
        (failing("few"), r"create returned 0 entities of Device; 1 are accepted"),
        (failing("", devices(model="Hous")), r"model 'Hous' is unknown; accepted: Device"),
        (
            failing("", devices(parameters={"size": 1})),
            r"parameter 'size' of model Device is unknown; accepted: values",
        ),
        (
            failing("", devices(p=Reading("P[MW]"))),
            r"attribute 'P\[MW\]' of model Device is unknown; accepted: P, Q, in, plan",
        ),
        (
            failing("", devices(inputs={"T": ((FromEntity("oven", "devices", 0, "P"),),)})),
            r"attribute 'T' of model Device is unknown; accepted: P, Q, in, plan",
        ),
        (
            ("oven", "Block", {}, devices(model="Block", child="Flat", count=3)),
            r"Block has 2 children of the model Flat; 3 are accepted",
        ),
        (failing("", type="sometimes"), r"type 'sometimes'; time-based, event-based, hybrid are"),
        (
            failing("", type="time-based", trigger=["in"]),
            r"META of model Device: time-based simulators may not specify trigger",
        ),
    ],
)
def test_a_simulator_that_does_not_fit_is_bad_input(described, words):
    with pytest.raises(ScenarioError, match=rf"^simulator oven: .*{words}"), hosting(described):
        pass


def test_a_power_without_a_value_at_the_start_is_named():
    late = ("oven", "Later", {"type": "event-based", "step_s": 900}, devices())
    with (
        hosting(late) as hosted,
        pytest.raises(
            RemoteError,
            match=r"^simulator oven: P of d0 has no value at 2026-06-20 12:00:00; a value from",
        ),
    ):
        hosted.powers(0)
