"""Against Pyomo's own transformations: core.kkt, mpec.simple_disjunction, gdp.bigm, then HiGHS.

They need bounds on every variable and multiplier and at least one parameter with influence; within
those limits they are an independent path from model to optimum.
"""

import pyomo.environ as pyo
import pytest
from pyomo.core.expr.visitor import identify_variables
from support.bilevel_cases import CASES, case_model
from support.bilevel_random import random_instance, random_model

from stackelgrid.controllers.bilevel import solve_bilevel

BOUND = 1e3  # wide enough for these instances: their known optimum is found


def pyomo_optimum(model):
    """Optimal leader objective by Pyomo, every unbounded variable boxed."""
    block = model.follower
    own = {id(v) for v in block.component_data_objects(pyo.Var)}
    data = {}
    for component in block.component_data_objects((pyo.Constraint, pyo.Objective), active=True):
        expression = component.body if component.ctype is pyo.Constraint else component.expr
        for variable in identify_variables(expression):
            if id(variable) not in own:
                data[id(variable)] = variable
    pyo.TransformationFactory("core.kkt").apply_to(block, parameterize_wrt=list(data.values()))
    for objective in block.component_data_objects(pyo.Objective, active=True):
        objective.deactivate()
    for variable in model.component_data_objects(pyo.Var, descend_into=True):
        lower, upper = variable.bounds
        variable.setlb(-BOUND if lower is None else lower)
        variable.setub(BOUND if upper is None else upper)
    pyo.TransformationFactory("mpec.simple_disjunction").apply_to(model)
    pyo.TransformationFactory("gdp.bigm").apply_to(model)
    pyo.SolverFactory("appsi_highs").solve(model)
    return pyo.value(model.cost)


@pytest.mark.parametrize(
    "name",
    ["bard_5_3_1a", "bard_8_1_2a", "floudas_9_2_2", "bialas_karwan_floudas_9_2_7",
     "pineda_morales_2018_bigM_trap", "floudas_9_3_4_QP", "jump_02_gecco2013"],
)  # fmt: skip
def test_literature(name):
    assert pyomo_optimum(case_model(CASES[name])) == pytest.approx(
        CASES[name]["optimum"], rel=1e-5, abs=1e-5
    )


def _within_limits(seed):
    instance = random_instance(seed)
    linear = not instance.squares and instance.bounded and instance.x_upper < 10.0
    return linear and not instance.free and (instance.b.any() or instance.cross.any())


@pytest.mark.parametrize("seed", [s for s in range(200, 300) if _within_limits(s)][:15])
def test_random_instances(seed):
    model = random_model(random_instance(seed))
    ours = solve_bilevel(model, model.follower)
    if ours.status != "optimal":
        pytest.skip(f"the problem is {ours.status}")
    known = pyomo_optimum(random_model(random_instance(seed)))
    assert ours.objective == pytest.approx(known, rel=1e-5, abs=1e-4)
