"""Workers of a Dask cluster, on this machine or of any scheduler by its address."""

import logging
import os
import queue
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import dask
from distributed import Client, Future, LocalCluster
from distributed.comm.addressing import get_address_host_port, normalize_address
from distributed.scheduler import KilledWorker

from stackelgrid.profiles.errors import StackelgridError
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.run.interrupts import without_interrupts
from stackelgrid.scenarios.studies.study import Attempt, Result, Task, attempt

CONNECT_S = 10
"""Seconds within which a scheduler answers and has a worker."""
_WORKERLESS_S = 60.0
_POLL_S = 5.0
# workers that may die with a member in their hands before the member is taken for the cause
_ALLOWED_FAILURES = 5
_LOCAL = {
    "distributed.scheduler.allowed-failures": _ALLOWED_FAILURES,
    # a member beyond the memory of a worker ends it; it must neither spill nor wait for ever
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": 0.95,
    "distributed.nanny.pre-spawn-environ": {
        "MALLOC_TRIM_THRESHOLD_": 65536,
        "OMP_NUM_THREADS": 1,
        "MKL_NUM_THREADS": 1,
        "OPENBLAS_NUM_THREADS": 1,
        "DASK_LOGGING__DISTRIBUTED": "critical",
    },
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}


def default_workers() -> int:
    """Number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def local_workers(count: int, memory_mb: int | None) -> Iterator[Client]:
    """Start workers on this machine, one process of one thread each, on loopback.

    A worker beyond 95 % of `memory_mb` is ended and started again; without it they share the
    memory of the machine.
    """
    _silence()
    limit = "auto" if memory_mb is None else memory_mb * 10**6
    with dask.config.set(_LOCAL):
        with without_interrupts():  # Ctrl-C is for this process
            try:
                cluster = LocalCluster(
                    n_workers=count,
                    threads_per_worker=1,
                    processes=True,
                    memory_limit=limit,
                    host="127.0.0.1",
                    dashboard_address=None,
                    scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
                    silence_logs=logging.CRITICAL,
                )
            except RuntimeError as error:
                raise StackelgridError(f"the workers could not be started ({error})") from error
            client = Client(cluster, set_as_default=False)
        try:
            yield client
        finally:
            client.close()
            cluster.close()


@contextmanager
def remote_workers(address: str) -> Iterator[Client]:
    """Connect to a scheduler; raises ScenarioError where none answers or none of its workers fits.

    Workers need the same version of the project, and the files that the scenario names.
    """
    _silence()
    try:
        get_address_host_port(normalize_address(address))
    except ValueError as error:
        raise ScenarioError(
            f"--cluster {address}: {error}; an address like tcp://127.0.0.1:8786 is accepted"
        ) from error
    try:
        client = Client(address, timeout=CONNECT_S, set_as_default=False)
    except OSError as error:
        raise ScenarioError(
            f"--cluster {address}: no scheduler answers within {CONNECT_S} s; the address of one "
            "that runs is accepted"
        ) from error
    try:
        try:
            client.wait_for_workers(1, timeout=CONNECT_S)
        except TimeoutError as error:
            raise ScenarioError(
                f"--cluster {address}: has no worker after {CONNECT_S} s; at least one is accepted"
            ) from error
        _check_versions(client, address)
        yield client
    finally:
        client.close()


def _check_versions(client: Client, address: str) -> None:
    own = version("stackelgrid")
    try:
        found = client.run(version, "stackelgrid")
    except Exception as error:  # whatever a worker fails with, it cannot run a member
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ScenarioError(
            f"--cluster {address}: a worker has no stackelgrid ({reason}); version {own} is "
            "accepted"
        ) from error
    for worker, other in found.items():
        if other != own:
            raise ScenarioError(
                f"--cluster {address}: worker {worker} has stackelgrid {other}; version {own} is "
                "accepted"
            )


def on_cluster(
    client: Client,
    evaluate: Callable[[Task], Result],
    tasks: Sequence[Task],
    keep: Callable[[Task, Attempt[Result]], None],
) -> None:
    """Evaluate tasks on the workers; `keep` receives each with its result, as they come.

    Tasks of a worker that dies are evaluated elsewhere; one that fails, or ends several workers,
    has a reason in place of a result. Raises StackelgridError when the cluster is gone.
    """
    finished: queue.SimpleQueue[Future] = queue.SimpleQueue()
    token = uuid.uuid4().hex  # keys are the scheduler's, who may serve others as well
    waiting: dict[str, Task] = {}
    futures: dict[str, Future] = {}
    try:
        for number, task in enumerate(tasks):
            key = f"{token}-{number}"
            future = client.submit(attempt, evaluate, task, key=key, pure=False)
            waiting[key], futures[key] = task, future
            future.add_done_callback(finished.put)
        while waiting:
            future = _next(client, finished)
            task = waiting.pop(future.key)
            del futures[future.key]  # the worker may forget the result once it is here
            keep(task, _result(future))
    finally:
        client.cancel(list(futures.values()))


def _next(client: Client, finished: "queue.SimpleQueue[Future]") -> Future:
    """Wait for the next future; raises StackelgridError if all workers are lost."""
    idle = 0.0
    while True:
        try:
            return finished.get(timeout=_POLL_S)
        except queue.Empty:
            there = client.status == "running" and bool(client.scheduler_info()["workers"])
            idle = 0.0 if there else idle + _POLL_S
            if idle >= _WORKERLESS_S:
                raise StackelgridError(
                    f"the cluster has had no worker for {_WORKERLESS_S:g} s; --resume goes on"
                ) from None


def _result(future: Future) -> Attempt[Any]:
    if future.status == "cancelled":
        raise StackelgridError("the cluster is gone; --resume goes on")
    try:
        result: Attempt[Any] = future.result()
    except KilledWorker as error:
        text = f"{error.allowed_failures + 1} workers ended during this run, out of memory?"
        return Attempt(0.0, reason=text)
    except Exception as error:  # the worker could not even begin: another library, no such file
        return Attempt(0.0, reason=f"{type(error).__name__}: {error}")
    return result


def _silence() -> None:
    """Keep Dask's messages about workers off the console."""
    for name in ("distributed", "distributed.client", "tornado", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
