"""Joined programs taken apart at their links: bounds, points, and what the driver saves."""

from itertools import product
from typing import ClassVar

import numpy as np
import pyomo.environ as pyo
import pytest

from stackelgrid.controllers.solvers import ClarabelSolver, compile_model
from stackelgrid.controllers.solvers.compile.join import Link, LinkTerm, join_models
from stackelgrid.controllers.solvers.conic import ProgramData, parameter_vector
from stackelgrid.controllers.solvers.mixed_integer.decomposition import Decomposition, Part
from stackelgrid.controllers.solvers.mixed_integer.incumbent import MixedOptions
from stackelgrid.controllers.solvers.mixed_integer.misocp import AT_PRICES, MixedIntegerConicSolver
from stackelgrid.controllers.solvers.reduce.restricted import RestrictedProgram
from stackelgrid.controllers.solvers.snapping import SnapRule, snap_by_direction

STEPS = range(2)
SETTLING = ("trade", "bought", "sold")


def store(buying, selling, need, wear=0.0, room=0.05, limit=1.0):
    """A battery beside a load: traded is what it neither buys nor sells, a disc limits it.

    Paid for consuming (negative prices) the relaxation charges and discharges at once.
    """
    m = pyo.ConcreteModel()
    m.charge = pyo.Var(STEPS, bounds=(0.0, 1.0))
    m.discharge = pyo.Var(STEPS, bounds=(0.0, 1.0))
    m.mode = pyo.Var(STEPS, domain=pyo.Binary)
    m.reactive = pyo.Var(STEPS)
    m.trade = pyo.Var(STEPS)
    m.bought = pyo.Var(STEPS, bounds=(0.0, None))
    m.sold = pyo.Var(STEPS, bounds=(0.0, None))
    m.rows = pyo.ConstraintList()
    energy = 0.0
    for t in STEPS:
        net = need[t] + m.charge[t] - m.discharge[t]
        m.rows.add(m.bought[t] - m.sold[t] + m.trade[t] == net)
        m.rows.add(pyo.inequality(-limit, m.trade[t], limit))
        m.rows.add(m.charge[t] <= m.mode[t])
        m.rows.add(m.discharge[t] <= 1.0 - m.mode[t])
        m.rows.add(m.charge[t] ** 2 + m.reactive[t] ** 2 <= 0.81)
        m.rows.add(m.reactive[t] >= 0.2 * need[t])
        energy += 0.8 * m.charge[t] - m.discharge[t] / 0.8
        m.rows.add(pyo.inequality(-room, energy, room))
    m.cost = pyo.Objective(
        expr=sum(
            buying[t] * m.bought[t] - selling[t] * m.sold[t]
            + wear * (m.charge[t] ** 2 + m.discharge[t])
            for t in STEPS
        )
    )  # fmt: skip
    return compile_model(m)


def rule(columns):
    return SnapRule(columns["mode"], (columns["charge"],), (columns["discharge"],))


class Joined:
    """Stores with copies whose trade clears in every step."""

    def __init__(self, models, copies):
        self.models, self.copies = models, copies
        terms = tuple(
            LinkTerm(name, model.columns["trade"], copies[name]) for name, model in models.items()
        )
        compiled = join_models(models, [Link("clearing", terms)], copies)
        self.program = compiled.program
        self.data = self.program.data(parameter_vector(compiled.parameters, {"link.clearing": 0.0}))
        settling = [compiled.columns[f"{n}.{c}"] for n in models for c in SETTLING]
        first = np.cumsum([0, *(m.program.variables for m in models.values())])
        rules = [
            rule(m.columns).shifted(int(at)) for at, m in zip(first, models.values(), strict=False)
        ]
        self.snap = snap_by_direction(self.program.integer, rules)
        self.asked = []
        self.decomposition = Decomposition(
            self.program,
            len(STEPS),
            [Part(m.program, copies[n], self._part(n, m)) for n, m in models.items()],
            np.sort(np.concatenate(settling)),
        )

    def _part(self, name, model):
        solver = MixedIntegerConicSolver(model.program)

        def solve(data: ProgramData, gap: float):
            self.asked.append(name)
            return solver.solve(data, MixedOptions(gap=gap))

        return solve

    def relaxed(self):
        """Relaxation and its snapped point."""
        relaxation = ClarabelSolver(self.program).solve(self.data)
        snapped = relaxation.x.copy()
        snapped[self.program.integer] = np.round(self.snap(relaxation.x))
        return relaxation, snapped

    def improvements(self, gap=1e-8):
        relaxation, snapped = self.relaxed()
        return list(self.decomposition.improvements(self.data, relaxation, snapped, gap))

    def optimum(self):
        """Least cost over every assignment of the binaries."""
        restricted = RestrictedProgram(self.program)
        solver = ClarabelSolver(restricted.program)
        best = np.inf
        for values in product((0.0, 1.0), repeat=len(self.program.integer)):
            found = solver.solve(restricted.data(self.data, np.array(values)))
            if found.status == "optimal":
                best = min(best, found.objective)
        return best

    def solve(self, apart, gap=1e-3):
        decomposition = self.decomposition if apart else None
        solver = MixedIntegerConicSolver(self.program, self.snap, decomposition=decomposition)
        return solver.solve(self.data, MixedOptions(gap=gap))


def drawn(seed):
    """Two or three stores with prices that may be negative; one may have a curved cost."""
    rng = np.random.default_rng(seed)
    models, copies = {}, {}
    for k in range(int(rng.integers(2, 4))):
        selling = rng.uniform(-40.0, 20.0, 2)
        models[f"s{k}"] = store(
            selling + rng.uniform(1.0, 15.0, 2),
            selling,
            rng.uniform(-0.8, 0.8, 2),
            wear=float(rng.choice([0.0, 4.0])),
            limit=float(rng.uniform(0.1, 1.0)),
        )
        copies[f"s{k}"] = float(rng.integers(1, 4))
    return Joined(models, copies)


@pytest.mark.parametrize("seed", range(12))
def test_bounds_are_below_the_optimum_and_points_keep_every_row(seed):
    joined = drawn(seed)
    optimum = joined.optimum()
    assert np.isfinite(optimum)
    relaxation, _ = joined.relaxed()
    found = joined.improvements()
    allowed = 1e-6 * max(1.0, abs(optimum))
    for improvement in found:
        assert relaxation.bound - allowed <= improvement.bound <= optimum + allowed
    assert len(found) == (2 if joined.asked else 1)
    last = found[-1].x
    assert last is not None
    assert joined.program.violation(last, joined.data.b)[0] <= 1e-6
    assert joined.program.objective(last, joined.data) >= optimum - allowed
    whole = joined.solve(apart=True)
    assert whole.status == "optimal"
    assert whole.objective == pytest.approx(optimum, rel=2e-3, abs=2e-3)
    assert whole.bound <= optimum + allowed


def burning():
    """One store is paid for consuming, the others have nothing to decide."""
    calm = {"buying": (50.0, 60.0), "selling": (40.0, 45.0), "wear": 1.0}
    return Joined(
        {
            "paid": store((-30.0, -20.0), (-31.0, -21.0), (0.3, 0.3), wear=0.5, limit=0.2),
            "b": store(need=(0.5, 0.1), limit=0.2, **calm),
            "c": store(need=(-0.2, 0.4), limit=0.2, **calm),
        },
        {"paid": 2.0, "b": 1.0, "c": 3.0},
    )


def test_open_parts_alone_close_the_gap():
    joined = burning()
    optimum = joined.optimum()
    relaxation, snapped = joined.relaxed()
    assert joined.program.violation(snapped, joined.data.b)[0] > 1e-3
    assert optimum - relaxation.bound > 1e-2 * abs(optimum)
    plain = joined.solve(apart=False, gap=1e-6)
    assert joined.asked == []
    apart = joined.solve(apart=True, gap=1e-6)
    assert joined.asked == ["paid"]  # the others' rows hold as they are
    for solution in (plain, apart):
        assert solution.status == "optimal"
        assert solution.objective == pytest.approx(optimum, rel=2e-6)
    assert apart.message == "closed part by part at the prices of the links"
    # of the whole program only the relaxation was solved
    assert apart.conic_solves == 1 < plain.conic_solves


def test_a_point_that_needs_no_part_is_settled_only():
    joined = burning()
    joined = Joined({n: joined.models[n] for n in "bc"}, {"b": 1.0, "c": 3.0})
    found = joined.improvements()
    assert joined.asked == []
    assert len(found) == 1
    assert joined.program.objective(found[0].x, joined.data) == pytest.approx(
        joined.optimum(), abs=1e-5
    )


def test_settling_that_is_impossible_gives_no_point_and_keeps_the_bound():
    joined = burning()
    relaxation, snapped = joined.relaxed()
    joined.data.b[: len(STEPS)] = 1e3  # more trade than all limits together
    parts = joined.decomposition.improvements(joined.data, relaxation, snapped, 1e-6)
    found = next(iter(parts))
    assert found.x is None
    assert found.bound == relaxation.bound


def at_prices(joined, prices, gap=1e-8):
    return joined.decomposition.at_prices(joined.data, np.array(prices), gap)


@pytest.mark.parametrize("seed", range(8))
def test_bounds_at_any_prices_are_below_the_optimum(seed):
    joined = drawn(seed)
    optimum = joined.optimum()
    allowed = 1e-6 * max(1.0, abs(optimum))
    for prices in np.random.default_rng(seed).uniform(-40.0, 40.0, (3, 2)):
        found = at_prices(joined, prices)
        assert found.bound <= optimum + allowed
        assert found.x is not None
        assert joined.program.violation(found.x, joined.data.b)[0] <= 1e-6
        assert joined.program.objective(found.x, joined.data) >= optimum - allowed


@pytest.mark.parametrize("seed", range(8))
def test_the_relaxations_prices_prove_at_least_its_bound(seed):
    joined = drawn(seed)
    relaxation, _ = joined.relaxed()
    first = at_prices(joined, relaxation.dual[: len(STEPS)])
    assert first.bound >= relaxation.bound - 1e-6 * max(1.0, abs(relaxation.bound))


def calm(seed):
    """Stores whose relaxation is exact: positive prices, and storing costs something."""
    rng = np.random.default_rng(seed)
    models, copies = {}, {}
    for k in range(int(rng.integers(2, 5))):
        selling = rng.uniform(30.0, 50.0, 2)
        models[f"s{k}"] = store(
            selling + rng.uniform(2.0, 30.0, 2),
            selling,
            rng.uniform(-0.8, 0.8, 2),
            wear=float(rng.uniform(0.5, 4.0)),
            limit=float(rng.uniform(0.1, 1.0)),
        )
        copies[f"s{k}"] = float(rng.integers(1, 9))
    return Joined(models, copies)


@pytest.mark.parametrize("seed", range(4))
def test_the_relaxations_prices_prove_and_reach_the_joint_optimum(seed):
    joined = calm(seed)
    relaxation, _ = joined.relaxed()
    size = max(1.0, abs(relaxation.objective))
    found = at_prices(joined, relaxation.dual[: len(STEPS)])
    assert abs(found.bound - relaxation.objective) <= 1e-5 * size
    worse = at_prices(joined, (0.0, 0.0))
    assert worse.bound < found.bound - 1e-3 * size


class Counted(ClarabelSolver):
    """Clarabel that tells which programs it was asked for."""

    asked: ClassVar[list[int]] = []

    def solve(self, data, tolerance=None):
        self.asked.append(self.program.variables)
        return super().solve(data, tolerance)


def solved_at(joined, prices, gap=1e-3):
    """Solution with prices of the links, and how often the whole was solved."""
    Counted.asked.clear()
    solver = MixedIntegerConicSolver(
        joined.program, joined.snap, conic_solver=Counted, decomposition=joined.decomposition
    )
    solution = solver.solve(joined.data, MixedOptions(gap=gap), np.array(prices))
    return solution, len(Counted.asked)


def test_good_prices_spare_the_whole_program():
    joined = burning()
    optimum = joined.optimum()
    relaxation, _ = joined.relaxed()
    prices = relaxation.dual[: len(STEPS)]
    solution, whole = solved_at(joined, prices)
    assert (solution.status, solution.message) == ("optimal", AT_PRICES)
    assert whole == 0
    assert solution.conic_solves == 1  # one round
    assert joined.asked == ["paid", "b", "c"]
    assert solution.objective == pytest.approx(optimum, rel=2e-5)
    assert optimum - 1e-5 * abs(optimum) <= solution.bound <= optimum + 1e-6 * abs(optimum)
    np.testing.assert_allclose(solution.prices, prices, atol=0.5)


def test_bad_prices_end_in_the_whole_program():
    joined = burning()
    optimum = joined.optimum()
    relaxation, _ = joined.relaxed()
    for prices, gap in (((500.0, -500.0), 1e-3), (relaxation.dual[: len(STEPS)], 1e-7)):
        # far off; or fewer digits are wanted than prices from elsewhere can promise
        solution, whole = solved_at(joined, prices, gap)
        assert solution.status == "optimal"
        assert whole >= 1
        assert solution.message != AT_PRICES
        assert solution.objective == pytest.approx(optimum, rel=2 * gap)
        assert solution.bound <= optimum + 1e-6 * abs(optimum)
        np.testing.assert_array_equal(solution.prices, solution.relaxation.dual[: len(STEPS)])


def test_the_number_of_threads_changes_no_bit():
    found = []
    for threads in (1, 2, 4):
        joined = calm(3)
        joined.decomposition.threads = threads
        found.append(at_prices(joined, (10.0, 20.0)))
    for other in found[1:]:
        assert other.bound == found[0].bound
        np.testing.assert_array_equal(other.x, found[0].x)


def test_a_part_without_solution_leaves_no_point():
    joined = burning()
    joined.data.b[len(STEPS) : joined.program.zero] = 1e6  # needs beyond every limit
    first = at_prices(joined, np.zeros(2), 1e-6)
    assert first.x is None
    assert first.bound == -np.inf
