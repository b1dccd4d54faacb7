"""One BLAS thread while our own threads and processes work.

OpenBLAS splits a scalar product of 10,000 numbers over all processors, and its threads then spin:
a fifth of a run's processor time for nothing, and last digits that depend on the number of
processors.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

# by which users and clusters set a number themselves
VARIABLES = (
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "GOTO_NUM_THREADS",
)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit BLAS to one thread in this process, also where NumPy is loaded already.

    A number that the environment sets stays; afterwards the former number holds again.
    """
    if _said():
        yield
        return
    from threadpoolctl import threadpool_limits  # only where nobody has set a number

    with threadpool_limits(limits=1, user_api="blas"):
        yield


def begin_with_one_blas_thread() -> None:
    """Limit BLAS in a process of our own that has not loaded NumPy yet."""
    if not _said():
        os.environ.update(dict.fromkeys(VARIABLES, "1"))


def _said() -> bool:
    return any(name in os.environ for name in VARIABLES)
