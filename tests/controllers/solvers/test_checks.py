"""Checks of the answers of every backend, with backends that lie."""

import threading

import numpy as np
import pytest
from support.backend_programs import program_of, random_program

from stackelgrid.controllers.errors import ModelError
from stackelgrid.controllers.solvers.backends.backend import CheckedBackend, Claim, answer_within

NAN = float("nan")


class Scripted(CheckedBackend):
    """Says what it is told to, or raises it."""

    name, version = "scripted", "0"

    def __init__(self, program, says, better=None, row_names=None):
        super().__init__(program, row_names)
        self.says, self.better, self.asked = says, better, 0

    def claim(self, data, gap, time_limit_s):
        self.asked += 1
        if isinstance(self.says, Exception):
            raise self.says
        return self.says

    def repaired(self, data, claim):
        return self.better


def small():
    """Minimise x0 + x1, x0 integer in [0, 3], x1 >= |x0 - 1/2|: optimum 1/2 at (0, 1/2)."""
    matrix = [[1.0, 0.0], [-1.0, 0.0], [0.0, -1.0], [-1.0, 0.0]]
    return program_of(matrix, [3.0, 0.0, 0.0, -0.5], 0, 2, (2,), [1.0, 1.0], integer=[0])


OPTIMUM = np.array([0.0, 0.5])


def judge(claim, gap=1e-4, **options):
    program, data = small()
    return Scripted(program, claim, **options).solve(data, gap)


def test_a_true_claim_passes():
    result = judge(Claim("optimal", OPTIMUM + 1e-7, 0.5, 3, "done"))
    assert result.status == "optimal"
    assert result.x[0] == 0.0
    assert result.objective == pytest.approx(0.5, abs=1e-6)
    assert result.gap == pytest.approx(1e-7, abs=1e-9)
    assert (result.nodes, result.message) == (3, "done")


@pytest.mark.parametrize(
    ("claim", "reason"),
    [
        (Claim("optimal", None, 0.5, 0, "done"), "no point was returned"),
        (Claim("optimal", np.array([0.0]), 0.5, 0, "done"), "the point is not 2 finite values"),
        (Claim("optimal", np.array([0.0, NAN]), 0.5, 0, "done"), "not 2 finite values"),
        (Claim("optimal", np.array([0.25, 0.5]), 0.5, 0, "done"), "integer column 0 is 0.25"),
        # the cone is short by 0.01, its head has terms of size 1 + 0.49
        (Claim("optimal", np.array([0.0, 0.49]), 0.5, 0, "done"), "row 2 is violated by 6.7e-03"),
        (Claim("limit", np.array([4.0, 3.5]), 0.5, 0, "late"), "row 0 is violated by"),
        (Claim("optimal", OPTIMUM, 0.6, 0, "done"), "its bound 0.6 is above the objective 0.5"),
        (Claim("optimal", OPTIMUM, NAN, 0, "done"), "its bound nan is above"),
    ],
)
def test_a_claim_that_does_not_hold_is_failed(claim, reason):
    result = judge(claim)
    assert result.status == "failed"
    assert reason in result.message
    assert result.message.startswith(f"{claim.message}, but ")
    assert len(result.x) == 0
    assert np.isnan(result.objective)
    assert np.isnan(result.bound)


def test_an_optimum_whose_gap_is_wider_than_asked_is_a_limit():
    result = judge(Claim("optimal", OPTIMUM, 0.4, 0, "done"))
    assert (result.status, result.objective, result.bound) == ("limit", 0.5, 0.4)
    assert result.message == "done, but the gap is 1.0e-01 where 1.0e-04 was asked for"


def test_an_exception_is_failed_with_one_line():
    result = judge(RuntimeError("core\n  dumped"))
    assert (result.status, result.message) == ("failed", "scripted: RuntimeError: core dumped")


def test_a_limit_keeps_point_and_bound():
    with_point = judge(Claim("limit", OPTIMUM, -1.0, 0, "late"))
    assert (with_point.status, with_point.gap) == ("limit", 1.5)
    without = judge(Claim("limit", None, -1.0, 0, "late"))
    assert (without.status, len(without.x), without.bound) == ("limit", 0, -1.0)
    assert np.isnan(without.gap)


def test_a_repair_is_checked_too():
    wrong = Claim("optimal", np.array([0.0, 0.49]), 0.5, 0, "raw")
    right = Claim("optimal", OPTIMUM, 0.5, 0, "polished")
    assert judge(wrong, better=right).message == "polished"
    assert judge(wrong, better=wrong).status == "failed"


def test_a_row_is_named():
    program, data = small()
    claim = Claim("optimal", np.array([0.0, 0.4]), 0.4, 0, "done")
    names = ("x upper", "x lower", "cone", "cone")
    result = Scripted(program, claim, row_names=names).solve(data, 1e-4)
    assert "cone is violated" in result.message


def test_bad_programs_and_data_never_reach_a_solver():
    program, data = random_program(0, integers=1)
    backend = Scripted(program, RuntimeError("was called"))
    wrong = type(data)(q=np.full(program.variables, np.inf), b=data.b, offset=0.0)
    with pytest.raises(ModelError, match="objective: coefficient of column 0 is inf"):
        backend.solve(wrong, 1e-4)
    assert backend.asked == 0
    unbounded, _ = program_of([[1.0]], [1.0], 0, 1, (), [1.0], integer=[0])
    with pytest.raises(ModelError, match="integer column 0"):
        Scripted(unbounded, RuntimeError("was called"))


def test_answers_are_waited_for_only_so_long():
    assert answer_within(1.0, lambda: 3) == 3
    never = threading.Event()
    try:  # whoever waits for the answer gets one, a minute later
        assert answer_within(0.05, lambda: never.wait(60.0)) is None
    finally:
        never.set()
