"""The array interface: one program, many instances; parameters, linear dual costs, snapping."""

from dataclasses import replace

import numpy as np
import pyomo.environ as pyo
import pytest
from scipy.sparse import csr_array

from stackelgrid.controllers.bilevel import (
    BilevelData,
    BilevelOptions,
    BilevelProgram,
    BilevelSolver,
    follower_duals,
    solve_bilevel,
)
from stackelgrid.controllers.errors import ModelError
from stackelgrid.controllers.solvers.compile.compiler import compile_model
from stackelgrid.controllers.solvers.conic import parameter_vector


def market(demand):
    """Leader shifts x MW between two periods; the price comes from a follower with two units."""
    model = pyo.ConcreteModel()
    model.x = pyo.Var([0, 1], bounds=(-3, 3))
    model.up = pyo.Var(within=pyo.Binary)
    model.shift = pyo.Constraint(expr=model.x[0] + model.x[1] == 0)
    model.direction = pyo.Constraint(expr=model.x[0] <= 3 * model.up)
    model.back = pyo.Constraint(expr=model.x[0] >= -3 * (1 - model.up))
    f = model.follower = pyo.Block()
    f.a = pyo.Var([0, 1], bounds=(0, 6))
    f.b = pyo.Var([0, 1], bounds=(0, 20))
    f.balance = pyo.Constraint([0, 1], rule=lambda f, t: f.a[t] + f.b[t] - model.x[t] == demand[t])
    f.cost = pyo.Objective(expr=sum(10 * f.a[t] + 20 * f.b[t] + 0.5 * f.b[t] ** 2 for t in (0, 1)))
    price = follower_duals(f)[f.balance]
    model.cost = pyo.Objective(
        expr=sum(price[t] * (model.x[t] + demand[t]) for t in (0, 1)) + 0.1 * model.up
    )
    return model


def as_arrays():
    """The same market with the demand as data: leader and follower compiled on their own."""
    upper = pyo.ConcreteModel()
    upper.x = pyo.Var([0, 1], bounds=(-3, 3))
    upper.up = pyo.Var(within=pyo.Binary)
    upper.y = pyo.Var(range(4))
    upper.shift = pyo.Constraint(expr=upper.x[0] + upper.x[1] == 0)
    upper.direction = pyo.Constraint(expr=upper.x[0] <= 3 * upper.up)
    upper.back = pyo.Constraint(expr=upper.x[0] >= -3 * (1 - upper.up))
    upper.cost = pyo.Objective(expr=0.1 * upper.up)
    lower = pyo.ConcreteModel()
    lower.a, lower.b = pyo.Var([0, 1], bounds=(0, 6)), pyo.Var([0, 1], bounds=(0, 20))
    lower.x, lower.demand = pyo.Var([0, 1]), pyo.Var([0, 1])
    lower.balance = pyo.Constraint(
        [0, 1], rule=lambda m, t: m.a[t] + m.b[t] - m.x[t] == m.demand[t]
    )
    lower.cost = pyo.Objective(
        expr=sum(10 * lower.a[t] + 20 * lower.b[t] + 0.5 * lower.b[t] ** 2 for t in (0, 1))
    )
    above, below = compile_model(upper), compile_model(lower, [lower.x, lower.demand])
    follower = below.program
    balance = below.rows["balance"]
    link = csr_array(([1.0, 1.0], (below.parameters["x"], [0, 1])), shape=(4, 3))
    n = 3 + 4 + 2
    wide = replace(
        above.program,
        matrix=_wide(above.program.matrix, (above.program.rows, n)),
        quadratic=_wide(above.program.quadratic, (n, n)),
        q0=np.concatenate([above.program.q0, np.zeros(2)]),
        q_parameters=csr_array((n, 0)),
    )
    # price = -nu of the balance; price times x is the product, price times demand a dual cost
    program = BilevelProgram(
        leader=wide,
        follower=follower,
        link=link,
        dual_map=csr_array(([-1.0, -1.0], ([0, 1], balance)), shape=(2, follower.rows)),
        products=csr_array(([1.0, 1.0], ([0, 1], [7, 8])), shape=(n, n)),
    )

    def data(demand):
        cost = np.zeros(follower.rows)
        cost[balance] = -np.asarray(demand, dtype=float)
        p = parameter_vector(below.parameters, {"x": 0.0, "demand": np.array(demand, float)})
        return BilevelData(wide.data(np.zeros(0)), p, cost)

    return program, data


def _wide(matrix, shape):
    copy = matrix.copy()
    copy.resize(shape)
    return copy


@pytest.mark.parametrize("method", ["auto", "branch", "kkt_disjunctive"])
def test_one_solver_for_several_instances(method):
    program, data = as_arrays()
    solver = BilevelSolver(program)
    for demand in ((4.0, 9.0), (7.0, 7.5), (12.0, 2.0)):
        model = market(demand)
        known = solve_bilevel(model, model.follower, "branch")
        found = solver.solve(data(demand), BilevelOptions(method=method))
        assert found.status == known.status == "optimal"
        assert found.objective == pytest.approx(known.objective, rel=1e-6)
        assert found.w @ (found.x[:2] + demand) + 0.1 * found.x[2] == pytest.approx(
            known.objective, rel=1e-6
        )
        assert found.w == pytest.approx(-found.nu[program.dual_map.indices], abs=1e-9)


def test_brute_force_over_the_shift():
    """Price 20 + b where b runs, [10, 20] where only a is full: a grid of shifts, by hand."""
    demand = (4.0, 9.0)

    def pays(x):
        total = 0.0
        for load in (demand[0] + x, demand[1] - x):
            price = 10.0 if load <= 6.0 else 20.0 + (load - 6.0)  # optimistic at 6
            total += price * load
        return total + 0.1 * (x > 0)

    best = min(pays(x) for x in np.linspace(-3, 3, 60001))
    model = market(demand)
    assert solve_bilevel(model, model.follower).objective == pytest.approx(best, rel=1e-4)


def test_a_snap_and_a_node_limit():
    program, data = as_arrays()
    seen = []

    def snap(x):
        seen.append(x)
        return np.array([float(x[0] > 0.0)])

    options = BilevelOptions(method="branch", snap=snap, node_limit=2)
    found = BilevelSolver(program).solve(data((4.0, 9.0)), options)
    assert seen
    assert seen[0].shape == (3,)
    assert found.status == "node_limit"
    assert len(found.x) == 3  # the root's heuristic gave a point
    assert found.bound <= found.objective
    assert found.follower_gap <= 1e-6


def test_data_that_are_not_finite_are_refused():
    program, data = as_arrays()
    wrong = replace(data((4.0, 9.0)), dual_cost=np.full(program.follower.rows, np.nan))
    with pytest.raises(ModelError, match="coefficient of column 9 is nan"):
        BilevelSolver(program).solve(wrong)


def test_the_same_instance_gives_the_same_point():
    program, data = as_arrays()
    first, again = (BilevelSolver(program).solve(data((7.0, 7.5))) for _ in range(2))
    assert first.nodes == again.nodes
    assert (first.x == again.x).all()
    assert (first.nu == again.nu).all()
