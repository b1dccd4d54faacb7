"""HiGHS against the interior point method on programs without cones."""

import numpy as np
import pyomo.environ as pyo
import pytest

from stackelgrid.controllers.devices.devices import read_devices
from stackelgrid.controllers.errors import SolverError
from stackelgrid.controllers.models.dc_opf import dc_opf_model
from stackelgrid.controllers.networks.meshed import meshed_network
from stackelgrid.controllers.solvers import ClarabelSolver, compile_model
from stackelgrid.controllers.solvers.backends import highs_qp
from stackelgrid.controllers.solvers.backends.highs_qp import QuadraticSolver
from stackelgrid.controllers.solvers.backends.polyhedron import Splitting
from stackelgrid.controllers.solvers.conic import parameter_vector

NO_DATA = np.zeros(0)


@pytest.fixture
def day(load_case):
    """case30 with two tight ratings over 24 periods, and its data at random loads."""
    net = load_case("case30")
    net.line.loc[9, "max_i_ka"] *= 0.7
    net.line.loc[28, "max_i_ka"] *= 0.65
    network, units = meshed_network(net, "tn"), read_devices(net, "tn", slack_is_unit=True).units
    model = dc_opf_model(network, units, np.ones(24))
    compiled = compile_model(model, [model.load_p])

    def data(seed):
        rng = np.random.default_rng(seed)
        load = np.zeros((network.buses, 24))
        np.add.at(load, net.load.bus, np.outer(net.load.p_mw, rng.uniform(0.4, 0.9, 24)))
        load *= 1.0 + 0.05 * rng.standard_normal(load.shape)
        values = {"load_p": load / network.base_mva}
        return compiled.program.data(parameter_vector(compiled.parameters, values))

    return compiled.program, data


def test_both_methods_find_the_same_optimum(day):
    program, data = day
    solver = ClarabelSolver(program)
    for seed in range(8):
        instance = data(seed)
        assert len(Splitting(program).blocks(instance)[0]) >= 24
        known, found = solver.solve(instance), QuadraticSolver(program).solve(instance)
        assert (known.status, found.status) == ("optimal", "optimal"), found.message
        assert found.objective == pytest.approx(known.objective, rel=1e-7)
        assert found.violation < 1e-7
    # the active-set method fails on some of these; tangents alone find the same
    instance, cost = data(0), 0.0
    for block in Splitting(program).blocks(instance)[0]:
        status, message, x = highs_qp.minimise_by_tangents(block)
        assert (status, message) == ("optimal", "tangents")
        cost += block.cost(x)
    expected = solver.solve(instance).objective
    assert cost + instance.offset == pytest.approx(expected, rel=1e-7)


def test_it_has_no_memory(day):
    """A solver that has solved others gives the bits of a fresh one."""
    program, data = day
    used = QuadraticSolver(program)
    for seed in (0, 3, 0):
        known, fresh = used.solve(data(seed)), QuadraticSolver(program).solve(data(seed))
        assert known.status == "optimal"
        np.testing.assert_array_equal(known.x, fresh.x)
        assert known.objective == fresh.objective


def test_products_of_variables_and_offsets_count():
    m = pyo.ConcreteModel()
    m.x, m.y = pyo.Var(), pyo.Var(bounds=(0.0, None))
    m.row = pyo.Constraint(expr=m.x + m.y >= 1.0)
    m.cost = pyo.Objective(expr=m.x**2 + m.y**2 + m.x * m.y + 4.0)
    program = compile_model(m).program
    found = QuadraticSolver(program).solve(program.data(NO_DATA))
    assert found.status == "optimal"
    assert found.objective == pytest.approx(4.75)
    np.testing.assert_allclose(found.x, 0.5, atol=1e-8)


def test_infeasible_and_refused_programs():
    m = pyo.ConcreteModel()
    m.x, m.y = pyo.Var(bounds=(0, 1)), pyo.Var(bounds=(0, 1))
    m.row = pyo.Constraint(expr=m.x + m.y >= 3.0)
    m.cost = pyo.Objective(expr=m.x**2)
    program = compile_model(m).program
    assert QuadraticSolver(program).solve(program.data(NO_DATA)).status == "infeasible"
    m.kind = pyo.Var(domain=pyo.Binary)
    m.link = pyo.Constraint(expr=m.kind <= m.x)
    program = compile_model(m).program
    with pytest.raises(SolverError, match="1 integer variables; continuous ones are accepted"):
        QuadraticSolver(program).solve(program.data(NO_DATA))


def test_a_row_without_variables_is_checked():
    m = pyo.ConcreteModel()
    m.x, m.given = pyo.Var(bounds=(0, 1)), pyo.Var()
    m.row = pyo.Constraint(expr=0.0 * m.x + m.given <= 1.0)
    m.cost = pyo.Objective(expr=m.x**2)
    compiled = compile_model(m, [m.given])
    good, bad = (compiled.program.data(np.array([v])) for v in (0.5, 1.5))
    assert QuadraticSolver(compiled.program).solve(good).status == "optimal"
    assert QuadraticSolver(compiled.program).solve(bad).status == "infeasible"
