"""Gurobi, Xpress and COPT behind Pyomo; the model itself is checked without any of them."""

from types import SimpleNamespace

import numpy as np
import pyomo.environ as pyo
import pytest
from support.backend_programs import program_of, random_program

from stackelgrid.controllers.errors import SolverError
from stackelgrid.controllers.solvers import ClarabelSolver, compile_model
from stackelgrid.controllers.solvers.backends.external import (
    EXTERNALS,
    ExternalSolver,
    external,
    licence_state,
    pyomo_model,
    read_results,
)

USABLE = [solver.name for solver in EXTERNALS if licence_state(solver.name).available]
usable = pytest.mark.parametrize(
    "name",
    [
        pytest.param(s.name, marks=pytest.mark.skipif(s.name not in USABLE, reason="not usable"))
        for s in EXTERNALS
    ],
)


@pytest.mark.parametrize("seed", range(3))
def test_the_rebuilt_model_compiles_to_the_same_optimum(seed):
    program, data = random_program(seed, quadratic=True)
    compiled = compile_model(pyomo_model(program, data)).program
    expected = ClarabelSolver(program).solve(data)
    found = ClarabelSolver(compiled).solve(compiled.data(np.zeros(0)))
    assert compiled.cones == program.cones
    assert found.objective == pytest.approx(expected.objective, rel=1e-6, abs=1e-6)


def test_integers_and_the_objective_are_carried_over():
    program, data = random_program(4, quadratic=True, integers=3)
    m = pyomo_model(program, data)
    assert [j for j in m.x if m.x[j].is_integer()] == program.integer.tolist()
    x = np.random.default_rng(0).normal(size=program.variables)
    for j in m.x:
        m.x[j].set_value(x[j], skip_validation=True)
    assert pyo.value(m.cost) == pytest.approx(program.objective(x, data), rel=1e-12)


def test_a_row_without_variables_is_kept():
    program, data = program_of([[0.0], [1.0]], [-1.0, 1.0], 0, 2, (), [1.0])
    m = pyomo_model(program, data)
    assert pyo.value(m.rows[1].upper) == -1.0


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        (pyo.TerminationCondition.infeasible, "infeasible"),
        (pyo.TerminationCondition.unbounded, "unbounded"),
        (pyo.TerminationCondition.maxTimeLimit, "limit"),
        (pyo.TerminationCondition.internalSolverError, "failed"),
        (pyo.TerminationCondition.infeasibleOrUnbounded, "failed"),
    ],
)
def test_terminations_without_a_point(condition, status):
    program, data = random_program(4, integers=1)
    results = SimpleNamespace(
        solver=SimpleNamespace(termination_condition=condition),
        solution=[],
        problem=SimpleNamespace(lower_bound=-2.5),
    )
    claim = read_results(program, pyomo_model(program, data), results)
    assert (claim.status, claim.x) == (status, None)
    assert claim.bound == -2.5 if status == "limit" else np.isnan(claim.bound)


def test_unknown_and_missing_solvers_are_named(monkeypatch):
    with pytest.raises(SolverError, match="cplex: accepted are gurobi, xpress, copt"):
        external("cplex")
    program, _ = random_program(0)
    monkeypatch.setattr(
        "stackelgrid.controllers.solvers.backends.external.version", lambda solver: None
    )
    with pytest.raises(SolverError, match="gurobi is not installed: no package gurobipy"):
        ExternalSolver(program, "gurobi")


@usable
@pytest.mark.parametrize("seed", range(4))
def test_optimum_is_scip_s(name, seed):
    pytest.importorskip("pyscipopt")
    from stackelgrid.controllers.solvers.backends.scip import ScipSolver

    program, data = random_program(seed, quadratic=seed % 2 == 1, integers=2)
    expected = ScipSolver(program).solve(data, 1e-6, 20.0)
    found = ExternalSolver(program, name).solve(data, 1e-6, 20.0)
    assert (found.status, found.message) == ("optimal", found.message)
    assert found.objective == pytest.approx(expected.objective, rel=1e-5, abs=1e-5)
    assert found.bound <= found.objective + 1e-5


@usable
def test_infeasible_and_unbounded(name):
    program, data = program_of([[1.0], [-1.0]], [0.75, -0.25], 0, 2, (), [1.0], integer=[0])
    assert ExternalSolver(program, name).solve(data, 1e-6).status == "infeasible"
    matrix = [[1.0, 0.0], [-1.0, 0.0], [0.0, -1.0], [-1.0, 0.0]]
    program, data = program_of(matrix, [3.0, 3.0, 0.0, 0.0], 0, 2, (2,), [0.0, -1.0], integer=[0])
    result = ExternalSolver(program, name).solve(data, 1e-6)
    assert result.status in {"unbounded", "failed"}
