"""The complementarity presolve proves pairs and never moves the optimum."""

import numpy as np
import pyomo.environ as pyo
import pytest
from support.bilevel_random import random_instance, random_model

from stackelgrid.controllers.bilevel import BilevelOptions, BilevelSolver
from stackelgrid.controllers.bilevel.presolve.proof import PresolveLimits, prove_inactive
from stackelgrid.controllers.bilevel.reading.compiled import compile_bilevel
from stackelgrid.controllers.errors import ModelError


@pytest.mark.parametrize("seed", range(60))
def test_the_optimum_stays(seed):
    model = random_model(random_instance(seed))
    compiled = compile_bilevel(model, model.follower)
    try:
        plain = BilevelSolver(compiled.program).solve(compiled.data)
    except ModelError:
        pytest.skip("the follower is unbounded for every decision")
    if plain.status != "optimal":
        pytest.skip(f"the problem is {plain.status}")
    rng = np.random.default_rng(seed)
    proven = prove_inactive(compiled.program, compiled.data, rng, limits=PresolveLimits(8))
    for method in ("branch", "kkt_disjunctive"):
        fixed = BilevelSolver(compiled.program).solve(
            compiled.data,
            BilevelOptions(
                method=method,
                slack_zero=proven.slack_zero,
                multiplier_zero=proven.multiplier_zero,
            ),
        )
        assert fixed.status == "optimal"
        assert fixed.objective == pytest.approx(plain.objective, rel=1e-6, abs=1e-6)


def dispatch(periods=3, import_upper=3.0):
    """Two units serve demand + x in every period; unit b is needed only above 5 MW."""
    model = pyo.ConcreteModel()
    model.t = pyo.RangeSet(periods)
    model.x = pyo.Var(model.t, bounds=(0, import_upper))
    model.cost = pyo.Objective(expr=-sum(model.x[t] for t in model.t))
    block = model.follower = pyo.Block()
    block.a = pyo.Var(model.t, bounds=(0, 5))
    block.b = pyo.Var(model.t, bounds=(0, 9))
    block.balance = pyo.Constraint(model.t, rule=lambda f, t: f.a[t] + f.b[t] - model.x[t] == 1.0)
    block.cost = pyo.Objective(expr=sum(10 * block.a[t] + 20 * block.b[t] for t in model.t))
    return model


def test_two_sided_bounds_are_proved_although_their_multipliers_could_grow_together():
    # demand 1 + x in [1, 4] never reaches unit a's 5 MW: b stays at 0, a inside its bounds
    compiled = compile_bilevel(model := dispatch(), model.follower)
    rng = np.random.default_rng(0)
    proven = prove_inactive(compiled.program, compiled.data, rng)
    rows = np.array(compiled.program.names.follower_rows[3:])
    a = np.char.startswith(rows, "follower.a")
    assert proven.multiplier_zero[a].all()
    assert proven.live == 0
    assert proven.slack_zero.sum() == 3


def test_pairs_that_switch_in_the_box_stay_live():
    # demand up to 7 MW: unit a saturates, b starts
    compiled = compile_bilevel(model := dispatch(2, 6.0), model.follower)
    rng = np.random.default_rng(0)
    proven = prove_inactive(compiled.program, compiled.data, rng)
    rows = np.array(compiled.program.names.follower_rows[2:])
    never = {f"follower.{v}[{t}]" for v in "ab" for t in (1, 2)}
    live = rows[~(proven.slack_zero | proven.multiplier_zero)].tolist()
    assert len(live) == 4
    assert set(live) == never
    small = np.zeros(2), np.full(2, 3.0)
    assert prove_inactive(compiled.program, compiled.data, rng, box=small).live == 0


def test_a_wrong_box_is_refused():
    compiled = compile_bilevel(model := dispatch(), model.follower)
    rng = np.random.default_rng(0)
    with pytest.raises(ModelError, match=r"box of shape \(1,\)"):
        prove_inactive(compiled.program, compiled.data, rng, box=(np.zeros(1), np.ones(1)))
    with pytest.raises(ModelError, match=r"x\[1\]: the box is empty, \[1, 0\]"):
        prove_inactive(compiled.program, compiled.data, rng, box=(np.ones(3), np.zeros(3)))
