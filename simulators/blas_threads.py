"""Limit BLAS to one thread while threads and processes of a run compute.

OpenBLAS splits a scalar product of 10,000 numbers over all processors, and its idle threads spin.
That takes a fifth of a run's processor time, and the last digits depend on the number of
processors.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

# environment variables with which users and clusters set the number of threads
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

    A number set in the environment is kept. The former number is restored at the end.
    """
    if _is_set():
        yield
        return
    from threadpoolctl import threadpool_limits  # only if the environment sets no number

    with threadpool_limits(limits=1, user_api="blas"):
        yield


def begin_with_one_blas_thread() -> None:
    """Limit BLAS in a process of the project that has not loaded NumPy yet."""
    if not _is_set():
        os.environ.update(dict.fromkeys(VARIABLES, "1"))


def _is_set() -> bool:
    return any(name in os.environ for name in VARIABLES)
