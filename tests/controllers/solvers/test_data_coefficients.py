"""Data as coefficients: the same points and bounds as a program compiled with constants."""

from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest

from stackelgrid.controllers.errors import ModelError
from stackelgrid.controllers.solvers import compile_model
from stackelgrid.controllers.solvers.backends.clarabel import ClarabelSolver
from stackelgrid.controllers.solvers.backends.scip import ScipSolver
from stackelgrid.controllers.solvers.compile.join import Link, LinkTerm, join_models
from stackelgrid.controllers.solvers.conic import parameter_vector
from stackelgrid.controllers.solvers.mixed_integer.misocp import MixedIntegerConicSolver
from stackelgrid.controllers.solvers.reduce.reduction import Reduction
from stackelgrid.controllers.solvers.step_constraint import every_step

STEPS, DEVICES = 8, 40
RNG = np.random.default_rng(3)
PRICE = RNG.uniform(50.0, 150.0, STEPS)
NEED = RNG.uniform(1.0, 3.0, DEVICES)


def heating(ratio: np.ndarray | None, *, shifted: bool = False, initial: float = 2.0) -> Any:
    """Stores of heat filled by machines of a given ratio of heat to power, one of them at a time.

    `ratio` (devices, steps); None: data, with `initial` at hand when the model is compiled.
    """
    m = pyo.ConcreteModel()
    m.devices, m.steps = pyo.RangeSet(0, DEVICES - 1), pyo.RangeSet(0, STEPS - 1)
    m.power = pyo.Var(m.devices, m.steps, bounds=(0.0, 1.0))
    m.heat = pyo.Var(m.devices, m.steps, bounds=(0.0, 10.0))
    m.stored = pyo.Var(m.devices, m.steps, bounds=(0.0, 5.0))
    m.on = pyo.Var(m.devices, m.steps, domain=pyo.Binary)
    m.total = pyo.Var(m.steps, bounds=(0.0, 1000.0))
    m.price = pyo.Var(m.steps)  # data
    if ratio is None:
        m.ratio = pyo.Var(m.devices, m.steps, initialize=initial)  # data

    def output(m: Any, i: int, t: int) -> Any:
        factor = m.ratio[i, t] if ratio is None else ratio[i, t]
        return m.heat[i, t] - factor * m.power[i, t] == 0.0

    if shifted:
        every_step(m, m.devices)(output)
    else:
        m.output = pyo.Constraint(m.devices, m.steps, rule=output)

    @m.Constraint(m.devices, m.steps)
    def balance(m: Any, i: int, t: int) -> Any:
        before = m.stored[i, t - 1] if t else 1.0
        return m.stored[i, t] - 0.9 * before - m.heat[i, t] + NEED[i] / 4.0 == 0.0

    @m.Constraint(m.devices, m.steps)
    def least(m: Any, i: int, t: int) -> Any:
        return m.power[i, t] >= 0.3 * m.on[i, t]

    @m.Constraint(m.devices, m.steps)
    def most(m: Any, i: int, t: int) -> Any:
        return m.power[i, t] <= m.on[i, t]

    @m.Constraint(m.steps)
    def sum_of_power(m: Any, t: int) -> Any:
        return m.total[t] - sum(m.power[i, t] for i in m.devices) == 0.0

    m.cost = pyo.Objective(
        expr=sum(m.price[t] * m.total[t] + 0.5 * m.total[t] ** 2 for t in m.steps)
    )
    return m


def ratios(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(1.5, 5.0, (DEVICES, STEPS))


@pytest.fixture(scope="module", params=[False, True], ids=["by member", "by step"])
def compiled(request: pytest.FixtureRequest) -> Any:
    m = heating(None, shifted=request.param)
    return compile_model(m, [m.price, m.ratio], data_coefficients=True)


def constant(seed: int) -> Any:
    m = heating(ratios(seed))
    return compile_model(m, [m.price])


def data_of(model: Any, **values: np.ndarray) -> Any:
    return model.program.data(parameter_vector(model.parameters, values))


@pytest.mark.parametrize("seed", [1, 2])
def test_the_program_of_an_instance_is_that_with_constants(compiled: Any, seed: int) -> None:
    data = data_of(compiled, price=PRICE, ratio=ratios(seed))
    expected = constant(seed)
    found = compiled.program.at(data)
    assert found.varying is None
    assert abs(found.matrix - expected.program.matrix).max() == 0.0
    np.testing.assert_array_equal(data.b, data_of(expected, price=PRICE).b)


def test_relaxations_of_successive_instances_agree_with_constants(compiled: Any) -> None:
    solver = ClarabelSolver(compiled.program)
    assert compiled.program.rows > 1000  # so that the program is reduced
    for seed in (1, 2, 1):
        found = solver.solve(data_of(compiled, price=PRICE, ratio=ratios(seed)))
        model = constant(seed)
        expected = ClarabelSolver(model.program).solve(data_of(model, price=PRICE))
        assert found.status == expected.status == "optimal"
        assert found.objective == pytest.approx(expected.objective, rel=1e-8)
        assert found.bound == pytest.approx(expected.bound, rel=1e-7)
    fast = solver.solve(data_of(compiled, price=PRICE, ratio=ratios(1)), 1e-5)
    assert fast.bound <= expected.objective * (1.0 + 1e-9)
    assert fast.bound == pytest.approx(expected.objective, rel=1e-4)


def test_reduction_keeps_rows_with_data_as_coefficients(compiled: Any) -> None:
    program = compiled.program
    reduction = Reduction(program)
    data = data_of(compiled, price=PRICE, ratio=ratios(5))
    reduced, own = reduction.program, reduction.data(data)
    assert reduced.varying is not None
    assert len(reduced.varying.rows) == DEVICES * STEPS
    rng = np.random.default_rng(0)
    for _ in range(3):
        x = rng.uniform(0.0, 1.0, reduced.variables)
        whole = reduction.point(x, data.b)
        assert program.objective(whole, data) == pytest.approx(reduced.objective(x, own), rel=1e-12)
    found = ClarabelSolver(reduced).solve(own)  # its optimum is one of the whole program
    whole = reduction.point(found.x, data.b)
    violation, _ = program.at(data).violation(whole, data.b)
    assert violation < 1e-8
    expected = ClarabelSolver(program).solve(data)
    assert program.objective(whole, data) == pytest.approx(expected.objective, rel=1e-7)


def test_integers_close_as_with_constants(compiled: Any) -> None:
    solver = MixedIntegerConicSolver(compiled.program)
    for seed in (1, 2):
        found = solver.solve(data_of(compiled, price=PRICE, ratio=ratios(seed)))
        model = constant(seed)
        expected = MixedIntegerConicSolver(model.program).solve(data_of(model, price=PRICE))
        assert found.status == expected.status == "optimal"
        assert found.gap <= 1e-3
        assert found.bound <= expected.objective * (1.0 + 1e-9)
        assert expected.bound <= found.objective * (1.0 + 1e-9)


def test_joined_models_keep_their_own_coefficients(compiled: Any) -> None:
    columns = compiled.columns["total"]
    link = Link("tie", (LinkTerm("a", columns, 1.0), LinkTerm("b", columns, -1.0)))
    whole = join_models({"a": compiled, "b": compiled}, [link], {"a": 2.0})
    zero = np.zeros(STEPS)
    values = {"a.price": PRICE, "b.price": PRICE, "link.tie": zero}
    data = data_of(whole, **values, **{"a.ratio": ratios(1), "b.ratio": ratios(2)})
    found = ClarabelSolver(whole.program).solve(data)
    one, two = constant(1), constant(2)
    plain = join_models({"a": one, "b": two}, [link], {"a": 2.0})
    expected = ClarabelSolver(plain.program).solve(data_of(plain, **values))
    assert found.objective == pytest.approx(expected.objective, rel=1e-8)


def test_other_backends_get_the_coefficients_of_the_instance() -> None:
    pytest.importorskip("pyscipopt")
    m = pyo.ConcreteModel()
    m.x = pyo.Var(bounds=(0.0, 10.0))
    m.n = pyo.Var(domain=pyo.Integers, bounds=(0, 10))
    m.a = pyo.Var()  # data
    m.row = pyo.Constraint(expr=m.a * m.x + m.n >= 7.5)
    m.cost = pyo.Objective(expr=m.x + 2.0 * m.n)
    model = compile_model(m, [m.a], data_coefficients=True)
    # x gives a at a cost of 1, n gives 1 at a cost of 2; both are needed where a x reaches 6 only
    for a, best in ((1.0, 7.5), (0.25, 16.0), (0.6, 4.0 + 5.5 / 0.6)):
        data = data_of(model, a=np.array([a]))
        assert ScipSolver(model.program).solve(data, 1e-6).objective == pytest.approx(best)
        found = MixedIntegerConicSolver(model.program).solve(data)
        assert found.objective == pytest.approx(best, rel=1e-3)


def test_products_of_data_are_refused_where_they_are_not_asked_for() -> None:
    m = heating(None)
    with pytest.raises(ModelError, match=r"output\[0,0\]: data may not multiply a variable"):
        compile_model(m, [m.price, m.ratio])
    m = pyo.ConcreteModel()
    m.n = pyo.Var(domain=pyo.Integers, bounds=(0, 10))
    m.a = pyo.Var()
    m.row = pyo.Constraint(expr=m.a * m.n >= 7.5)
    m.cost = pyo.Objective(expr=m.n)
    with pytest.raises(ModelError, match="row: data may not multiply an integer variable"):
        compile_model(m, [m.a], data_coefficients=True)
    model = compile_model(*_scalar(), data_coefficients=True)
    solver = MixedIntegerConicSolver(model.program, row_names=model.row_names)
    with pytest.raises(ModelError, match="row: a coefficient is nan"):
        solver.solve(model.program.data(np.array([np.nan])))


def _scalar() -> tuple[Any, list[Any]]:
    m = pyo.ConcreteModel()
    m.x = pyo.Var(bounds=(0.0, 10.0))
    m.a = pyo.Var()
    m.row = pyo.Constraint(expr=m.a * m.x >= 1.0)
    m.cost = pyo.Objective(expr=m.x)
    return m, [m.a]
