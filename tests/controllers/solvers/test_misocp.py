"""The driver's contract on programs small enough to solve by hand."""

from dataclasses import replace

import numpy as np
import pytest
from support.misocp_instances import Rows, program, random_instance

from stackelgrid.controllers.errors import ModelError
from stackelgrid.controllers.solvers.backends import highs
from stackelgrid.controllers.solvers.backends.clarabel import ClarabelSolver
from stackelgrid.controllers.solvers.conic import Solution
from stackelgrid.controllers.solvers.infeasibility import conflicting_rows
from stackelgrid.controllers.solvers.mixed_integer.incumbent import MixedOptions
from stackelgrid.controllers.solvers.mixed_integer.misocp import MixedIntegerConicSolver

E = np.eye


class Counting(ClarabelSolver):
    solves = 0

    def solve(self, data, tolerance=None):
        type(self).solves += 1
        return super().solve(data)


def battery(price=(30.0, 50.0), power=1.0):
    """Charge at the first price, discharge at the second: columns ch, dis, u for both periods."""
    rows, unit = Rows(6), E(6)
    for k in range(2):
        ch, dis, u = unit[k], unit[2 + k], unit[4 + k]
        rows.at_most(-ch, 0)
        rows.at_most(-dis, 0)
        rows.at_most(ch - power * u, 0)
        rows.at_most(dis + power * u, power)
        rows.bounds(4 + k, 0, 1)
    energy = 0.9 * unit[0] - unit[2] / 0.9
    rows.at_most(-energy, 0.5)
    rows.at_most(energy, 0.5)
    rows.at_most(-energy - 0.9 * unit[1] + unit[3] / 0.9, 0)
    q = np.array([price[0], price[1], -price[0], -price[1], 0, 0])
    return program(rows, q, (4, 5))


def knapsack():
    """max 5 a + 4 b + 3 c with 2 a + 3 b + c <= 4 and a cone (2 a, b) within 2.1: a and c."""
    rows, unit = Rows(3), E(3)
    for j in range(3):
        rows.bounds(j, 0, 1)
    rows.at_most([2, 3, 1], 4)
    rows.cone([(0 * unit[0], 2.1), (2 * unit[0], 0), (unit[1], 0)])
    return program(rows, [-5.0, -4.0, -3.0], (0, 1, 2))


def test_snapped_relaxation_is_accepted_after_one_conic_solve():
    conic, data = battery()
    Counting.solves = 0
    found = MixedIntegerConicSolver(conic, conic_solver=Counting).solve(data, MixedOptions(1e-6))
    assert found.status == "optimal"
    assert found.x[4:].tolist() == [1.0, 0.0]
    assert Counting.solves == found.conic_solves == 1
    assert found.conic_solves == 1
    assert found.rounds == found.nodes == 0


def test_negative_price_needs_the_outer_approximation_or_a_second_solve():
    conic, data = battery(price=(-30.0, -20.0))
    relaxed = ClarabelSolver(conic).solve(data)
    assert (np.minimum(relaxed.x[:2], relaxed.x[2:4]) > 1e-3).any()
    found = MixedIntegerConicSolver(conic).solve(data, MixedOptions(1e-6))
    assert found.status == "optimal"
    assert found.conic_solves > 1
    assert (np.minimum(found.x[:2], found.x[2:4]) <= 1e-6).all()
    assert found.gap <= 1e-6
    assert relaxed.objective < found.objective - 1.0


def test_a_given_snap_is_used_and_a_bad_one_only_costs_time():
    conic, data = battery()
    good = MixedIntegerConicSolver(conic, lambda x: np.array([1.0, 0.0])).solve(data)
    bad = MixedIntegerConicSolver(conic, lambda x: np.array([0.0, 1.0])).solve(data)
    assert good.conic_solves == 1
    assert bad.conic_solves > 1
    assert bad.objective == pytest.approx(good.objective, rel=1e-3)


def test_pure_integer_program():
    conic, data = knapsack()
    found = MixedIntegerConicSolver(conic).solve(data, MixedOptions(1e-9))
    assert found.status == "optimal"
    assert found.x.tolist() == [1.0, 0.0, 1.0]
    assert found.objective == pytest.approx(-8.0)


def test_program_without_integers_is_its_relaxation():
    conic, data = random_instance(0)
    conic = replace(conic, integer=np.zeros(0, dtype=np.int64))
    found = MixedIntegerConicSolver(conic).solve(data)
    assert found.status == "optimal"
    assert found.conic_solves == 1


def test_limits_return_the_gap_they_leave():
    conic, data = next(
        (c, d)
        for c, d in map(random_instance, range(100))
        if MixedIntegerConicSolver(c).solve(d, MixedOptions(1e-6)).rounds > 1
    )
    best = MixedIntegerConicSolver(conic).solve(data, MixedOptions(1e-6))
    for options in (
        MixedOptions(1e-6, round_limit=0),
        MixedOptions(1e-6, node_limit=0),
        MixedOptions(1e-6, time_limit_s=0.0),
    ):
        stopped = MixedIntegerConicSolver(conic).solve(data, options)
        assert stopped.status == "limit"
        assert stopped.bound <= best.objective + 1e-6
        if len(stopped.x):
            assert stopped.gap > 1e-6
            assert stopped.objective >= best.bound


def integral_only_infeasible():
    """2 u + 2 w == 1 holds for relaxed binaries only; x is free of it."""
    rows = Rows(3)
    rows.bounds(0, 0, 1)
    rows.bounds(1, 0, 1)
    rows.bounds(2, 0, 5)
    rows.equal([2.0, 2.0, 0.0], 1.0)
    return program(rows, [0.0, 0.0, 1.0], (0, 1))


@pytest.mark.parametrize("ray", [0.0, -1.0])
def test_integer_infeasible_whether_or_not_the_relaxation_is_bounded(ray):
    conic, data = integral_only_infeasible()
    keep = np.ones(conic.rows, bool)
    if ray:
        keep[6] = False  # x <= 5
    data = replace(data, q=np.array([0.0, 0.0, ray or 1.0]), b=data.b[keep])
    conic = replace(
        conic,
        matrix=conic.matrix[np.flatnonzero(keep), :],
        b0=data.b,
        nonneg=conic.nonneg - int((~keep).sum()),
        b_parameters=conic.b_parameters[np.flatnonzero(keep), :],
    )
    found = MixedIntegerConicSolver(conic).solve(data)
    assert found.relaxation.status == ("unbounded" if ray else "optimal")
    assert found.status == "infeasible"


@pytest.mark.parametrize("seed", [1, 2, 5])
def test_two_solves_are_bitwise_equal_reused_or_fresh(seed):
    conic, data = random_instance(seed)
    reused = MixedIntegerConicSolver(conic)
    first = reused.solve(data, MixedOptions(1e-6))
    other = replace(data, q=data.q + 0.1, b=data.b + 0.01)
    reused.solve(other, MixedOptions(1e-6))
    again = reused.solve(data, MixedOptions(1e-6))
    fresh = MixedIntegerConicSolver(conic).solve(data, MixedOptions(1e-6))
    for found in (again, fresh):
        assert found.x.tobytes() == first.x.tobytes()
        assert np.array([found.objective, found.bound]).tobytes() == (
            np.array([first.objective, first.bound]).tobytes()
        )
        assert (found.nodes, found.rounds) == (first.nodes, first.rounds)


# ------------------------------------------------------------------ wrong answers


def lying(change):
    class Lying(ClarabelSolver):
        name = "stub"

        def solve(self, data, tolerance=None):
            return change(super().solve(data))

    return Lying


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda s: replace(s, x=s.x + 0.5), "is violated by"),
        (lambda s: replace(s, x=np.full_like(s.x, np.nan)), "no finite point"),
        (lambda s: replace(s, x=np.zeros(0)), "no finite point"),
        (lambda s: replace(s, objective=s.objective - 1.0), "objective is"),
        (lambda s: replace(s, bound=s.bound + 1.0), "bound"),
        (lambda s: replace(s, dual=0.0 * s.dual), "stationary"),
        (lambda s: replace(s, status="infeasible", message="Solved"), "does not prove"),
        (lambda s: replace(s, status="unbounded", message="Solved"), "does not prove"),
    ],
)
def test_a_lying_conic_solver_is_caught(change, told):
    conic, data = battery()
    found = MixedIntegerConicSolver(conic, conic_solver=lying(change)).solve(data)
    assert found.status == "failed"
    assert told in found.message
    assert len(found.x) == 0


def test_a_crashing_conic_solver_is_caught():
    class Crashing(ClarabelSolver):
        def solve(self, data, tolerance=None):
            raise RuntimeError("out of memory")

    conic, data = battery()
    found = MixedIntegerConicSolver(conic, conic_solver=Crashing).solve(data)
    assert found.status == "failed"
    assert "out of memory" in found.message


def test_a_crashing_master_leaves_the_checked_incumbent(monkeypatch):
    def crash(*_):
        raise RuntimeError("broken licence")

    conic, data = battery(price=(-30.0, -20.0))

    class OnlyRelaxations(ClarabelSolver):
        def solve(self, data, tolerance=None):
            if self.program is conic:
                return super().solve(data, tolerance)
            return Solution.without_values("failed", "not asked for")

    monkeypatch.setattr(highs, "run_highs", crash)
    found = MixedIntegerConicSolver(conic).solve(data, MixedOptions(1e-9))
    assert found.status in ("limit", "failed", "optimal")
    solver = MixedIntegerConicSolver(conic, conic_solver=OnlyRelaxations)
    found = solver.solve(data, MixedOptions(1e-9))
    assert found.status == "failed"
    assert "broken licence" in found.message


# ------------------------------------------------------------------ refused before any solve


def test_bad_programs_and_data_are_refused_by_name():
    conic, data = battery()
    names = tuple(f"limit[{k}]" for k in range(conic.rows))
    solver = MixedIntegerConicSolver(conic, row_names=names)
    b = data.b.copy()
    b[3] = np.nan
    with pytest.raises(ModelError, match=r"limit\[3\]: right-hand side is nan"):
        solver.solve(replace(data, b=b))
    with pytest.raises(ModelError, match="column 0 is inf"):
        solver.solve(replace(data, q=np.where(np.arange(6) == 0, np.inf, data.q)))
    matrix = conic.matrix.copy()
    matrix.data[0] = np.nan
    with pytest.raises(ModelError, match=r"limit\[0\]: has a coefficient"):
        MixedIntegerConicSolver(replace(conic, matrix=matrix), row_names=names)
    with pytest.raises(ModelError, match="integer column 0"):
        MixedIntegerConicSolver(replace(conic, integer=np.array([0])), row_names=names)
    with pytest.raises(ModelError, match="a cone of size 0"):
        MixedIntegerConicSolver(replace(conic, cones=(0,)))
    indefinite = conic.quadratic.tolil()
    indefinite[0, 0] = -1.0
    with pytest.raises(ModelError, match="convex"):
        MixedIntegerConicSolver(replace(conic, quadratic=indefinite.tocsc()))


# ------------------------------------------------------------------ elastic re-solve


def test_elastic_names_the_limits_of_an_infeasible_relaxation():
    rows = Rows(3)
    names = []
    for j, limit in enumerate((1.0, 1.0, 2.0)):
        rows.bounds(j, 0, limit)
        names += [f"generator[{j}].min", f"generator[{j}].max"]
    rows.equal([1.0, 1.0, 0.0], 5.0)
    rows.cone([([0, 0, 0], 3.0), ([0, 0, 1], 0.0)])
    conic, data = program(rows, [1.0, 1.0, 1.0])
    found = conflicting_rows(conic, data, ("balance", *names, "rating", "rating"))
    assert {name for name, _ in found} <= {"balance", "generator[0].max", "generator[1].max"}
    assert sum(amount for _, amount in found) == pytest.approx(3.0, abs=1e-5)


def test_elastic_names_a_cone():
    rows = Rows(1)
    rows.equal([1.0], 4.0)
    rows.cone([([0.0], 1.0), ([1.0], 0.0)])
    conic, data = program(rows, [0.0])
    found = dict(conflicting_rows(conic, data, ("fixed", "rating", "rating")))
    assert sum(found.values()) == pytest.approx(3.0, abs=1e-5)
    assert set(found) <= {"fixed", "rating"}


def test_elastic_names_a_row_that_only_integrality_breaks():
    conic, data = integral_only_infeasible()
    names = ("half", "u.min", "u.max", "w.min", "w.max", "x.min", "x.max")
    found = conflicting_rows(conic, data, names)
    assert [name for name, _ in found] == ["half"]
    assert found[0][1] == pytest.approx(1.0, abs=1e-5)


def test_elastic_names_crossed_bounds_of_an_integer_and_nothing_when_feasible():
    conic, data = integral_only_infeasible()
    b = data.b.copy()
    b[1:3] = (-0.4, 0.6)  # 0.4 <= u <= 0.6
    names = ("half", "u.min", "u.max", "w.min", "w.max", "x.min", "x.max")
    assert {n for n, _ in conflicting_rows(conic, replace(data, b=b), names)} == {"u.min", "u.max"}
    assert conflicting_rows(*battery()) == []
