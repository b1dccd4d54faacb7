"""HiGHS 1.16 prints a banner in its first constructor; none of it may reach standard output."""

import subprocess
import sys

PROGRAM = """
import sys
from concurrent.futures import ThreadPoolExecutor
from stackelgrid.controllers.solvers.highs_object import new_highs
sys.stdout.write("before ")
sys.stdout.flush()
with ThreadPoolExecutor(4) as threads:
    made = list(threads.map(lambda _: new_highs(), range(8)))
for highs in made:
    highs.setOptionValue("output_flag", False)
    assert highs.run().name == "kOk"
print("after", len(set(map(id, made))))
"""


def _run(program, **how):
    return subprocess.run(
        [sys.executable, "-c", program], text=True, check=False, timeout=60, **how
    )


def test_objects_made_on_threads_print_nothing():
    done = _run(PROGRAM, capture_output=True)
    assert (done.stdout, done.stderr, done.returncode) == ("before after 8\n", "", 0)


def test_closed_standard_output_is_no_error():
    program = (
        "import os; os.close(1)\n"
        "from stackelgrid.controllers.solvers.highs_object import new_highs\n"
        "new_highs()"
    )
    done = _run(program, stderr=subprocess.PIPE)
    assert (done.stderr, done.returncode) == ("", 0)
