"""Present speed of the machine, for limits of time that hold on a quiet one.

Shared machines lose processor time, caches and memory to their other users. A limit that is
multiplied by `slowness()` says the same on a quiet machine, and does not blame the project for its
neighbours.
"""

import subprocess
import sys
import time

# libraries that every run loads, and the s that takes on the quiet machine (2 x 2.7 GHz) on which
# the limits were set, rounded up
_LIBRARIES = "import pandapower, pyomo.environ, pyarrow, mosaik"
_QUIET_S = 2.0


def in_time(took: float, limit: float) -> bool:
    """Whether something stayed below a limit that holds on a quiet machine."""
    return took < limit or took < limit * slowness()


def slowness() -> float:
    """How many times longer loading libraries takes now than on a quiet machine, at least 1."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", _LIBRARIES], check=True)
    return max(1.0, (time.perf_counter() - began) / _QUIET_S)
