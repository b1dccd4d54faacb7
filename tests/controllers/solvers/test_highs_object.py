"""HiGHS 1.16 prints a banner in its first constructor; none of it may reach standard output."""

PROGRAM = """
import sys
from concurrent.futures import ThreadPoolExecutor
from stackelgrid.controllers.solvers.backends.highs import new_highs
sys.stdout.write("before ")
sys.stdout.flush()
with ThreadPoolExecutor(4) as threads:
    made = list(threads.map(lambda _: new_highs(), range(8)))
for highs in made:
    highs.setOptionValue("output_flag", False)
    assert highs.run().name == "kOk"
print("after", len(set(map(id, made))))
"""


def test_objects_made_on_threads_print_nothing(run_fresh):
    assert run_fresh(PROGRAM) == ("before after 8\n", "", 0)


def test_closed_standard_output_is_no_error(run_fresh):
    program = (
        "import os; os.close(1)\n"
        "from stackelgrid.controllers.solvers.backends.highs import new_highs\n"
        "new_highs()"
    )
    assert run_fresh(program) == ("", "", 0)


def test_a_scheduler_of_another_size_is_replaced(run_fresh):
    """Another library of the process may have run HiGHS on two threads before."""
    program = (
        "import highspy, pyomo.environ as pyo\n"
        "from stackelgrid.controllers.bilevel import solve_bilevel\n"
        "from stackelgrid.controllers.solvers.backends.highs import new_highs\n"
        "other = new_highs()\n"
        "other.setOptionValue('output_flag', False)\n"
        "other.setOptionValue('threads', 2)\n"
        "other.addVar(0.0, 1.0)\n"
        "assert other.run().name == 'kOk'\n"
        "m = pyo.ConcreteModel()\n"
        "m.x = pyo.Var(bounds=(0, 2))\n"
        "f = m.follower = pyo.Block()\n"
        "f.y = pyo.Var(bounds=(0, 5))\n"
        "f.row = pyo.Constraint(expr=f.y >= m.x)\n"
        "f.cost = pyo.Objective(expr=f.y)\n"
        "m.cost = pyo.Objective(expr=f.y - 2 * m.x)\n"
        "for method in ('auto', 'kkt_disjunctive', 'kkt_big_m'):\n"
        "    found = solve_bilevel(m, f, method=method)\n"
        "    print(found.status, round(found.objective, 6))\n"
    )
    assert run_fresh(program) == (3 * "optimal -2.0\n", "", 0)
