"""SCIP as native mixed-integer conic solver."""

import itertools

import numpy as np
import pytest
from support.backend_programs import fixed_integers, program_of, random_program

from stackelgrid.controllers.solvers import ClarabelSolver
from stackelgrid.controllers.solvers.backends.scip import ScipSolver

pytest.importorskip("pyscipopt")


def enumerated(program, data, values=range(-5, 6)):
    """Least objective over all integer assignments, each solved by Clarabel."""
    solver = ClarabelSolver(fixed_integers(program, data, np.zeros(len(program.integer)))[0])
    best = np.inf
    for assignment in itertools.product(values, repeat=len(program.integer)):
        solution = solver.solve(fixed_integers(program, data, np.array(assignment, float))[1])
        if solution.status == "optimal":
            best = min(best, solution.objective)
    return best


@pytest.mark.parametrize("seed", range(6))
def test_optimum_is_that_of_enumeration(seed):
    program, data = random_program(seed, quadratic=seed % 2 == 1, integers=2)
    result = ScipSolver(program).solve(data, gap=1e-6, time_limit_s=20.0)
    assert result.status == ("optimal" if result.gap <= 1.1e-5 else "limit")
    assert result.gap <= 1e-4  # seed 4 ends near a cone's tip: SCIP's bound is short there
    assert result.bound <= result.objective + 1e-5
    assert result.objective == pytest.approx(enumerated(program, data), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_continuous_optimum_is_clarabel_s(seed):
    program, data = random_program(seed, quadratic=True)
    expected = ClarabelSolver(program).solve(data)
    result = ScipSolver(program).solve(data, gap=1e-6, time_limit_s=20.0)
    assert result.status == "optimal"
    assert result.objective == pytest.approx(expected.objective, rel=1e-5, abs=1e-5)


def tip(lower, cost=(0.5, 1.0)):
    """Minimise over x0 integer in [lower, 3] and x1 >= norm(x0, 1)."""
    matrix = [[1.0, 0.0], [-1.0, 0.0], [0.0, -1.0], [-1.0, 0.0], [0.0, 0.0]]
    b = [3.0, -lower, 0.0, 0.0, 1.0]
    return program_of(matrix, b, 0, 2, (3,), cost, integer=[0])


def test_constants_in_a_cone():
    program, data = tip(-3.0)
    result = ScipSolver(program).solve(data, gap=1e-6)
    assert result.status == "optimal"
    assert result.x == pytest.approx([-1.0, np.sqrt(2.0)], abs=1e-5)  # ties with nothing
    assert result.objective == pytest.approx(np.sqrt(2.0) - 0.5, abs=1e-5)


def test_infeasible_between_two_integers():
    matrix = [[1.0], [-1.0]]
    program, data = program_of(matrix, [0.75, -0.25], 0, 2, (), [1.0], integer=[0])
    result = ScipSolver(program).solve(data, gap=1e-6)
    assert result.status == "infeasible"
    assert len(result.x) == 0


def test_a_row_without_variables_can_make_it_infeasible():
    matrix = [[0.0], [1.0], [-1.0]]
    program, data = program_of(matrix, [-1.0, 3.0, 3.0], 0, 3, (), [1.0], integer=[0])
    assert ScipSolver(program).solve(data, gap=1e-6).status == "infeasible"


def test_unbounded_and_infeasible_are_told_apart():
    program, data = tip(-3.0, cost=(0.0, -1.0))
    assert ScipSolver(program).solve(data, gap=1e-6).status == "unbounded"
    matrix = [[1.0, 0.0], [-1.0, 0.0], [0.0, -1.0], [-1.0, 0.0]]
    program, data = program_of(
        matrix, [0.75, -0.25, 0.0, 0.0], 0, 2, (2,), [0.0, -1.0], integer=[0]
    )
    assert ScipSolver(program).solve(data, gap=1e-6).status == "infeasible"


def test_an_unbounded_linear_relaxation_is_not_an_unbounded_cone():
    """Minimise 2 t + x0 + x1 over t >= norm(x0, x1, 1) without any bounds: sqrt(2)."""
    matrix = -np.array([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0], [0, 0, 0]])
    program, data = program_of(matrix, [0.0, 0.0, 0.0, 1.0], 0, 0, (4,), [2.0, 1.0, 1.0])
    result = ScipSolver(program).solve(data, gap=1e-6, time_limit_s=10.0)
    assert result.status in {"optimal", "failed"}
    if result.status == "optimal":
        assert result.objective == pytest.approx(np.sqrt(2.0), abs=1e-5)


def test_a_time_limit_is_reported():
    program, data = random_program(11, quadratic=True, integers=20, n=30, cones=(8, 8, 8))
    result = ScipSolver(program).solve(data, gap=0.0, time_limit_s=0.02)
    assert result.status == "limit"
    assert result.solve_s < 5.0
