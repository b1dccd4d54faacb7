"""A small ensemble, its cells compared bit for bit, and workers that are threads of a test."""

import logging
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
from distributed import Client, LocalCluster
from support.children import children_of

from stackelgrid.scenarios.schema.load import load_scenario
from stackelgrid.scenarios.studies import ensemble
from stackelgrid.scenarios.studies.ensemble import run_member

FORECAST = (
    'forecast.model="autoregressive"',
    "deviations.load={ std = 0.2, lead_h = 1.0 }",
    "deviations.pv={ std = 0.3, lead_h = 1.0 }",
)
LEVEL_ONE = "--set=ensemble.error_levels=[1.0]"
VARIANTS = ("scenario", "perfect", "short")
_ONE_RUN = threading.Lock()


def load_small(path, error_levels="[0.0, 1.0]", *, short=True):
    """Three members, with perfect forecasts as well, and with a shorter horizon if asked for."""
    settings = (*FORECAST, f"ensemble.error_levels={error_levels}", "ensemble.members=3")
    variants = "short = { steps = [{ count = 2, minutes = 15 }] }" if short else ""
    return load_scenario(str(path), (*settings, f"ensemble.variants={{ {variants} }}"))


def cell(directory, level, member, variant="scenario", scheme="bottom_up"):
    parts = f"error_level={level:g}", f"scheme={scheme}", f"variant={variant}", f"member={member}"
    return Path(directory, "ensemble", *parts)


def files_of(directory):
    """Contents of the Parquet files; columns of wall times are the only ones that may differ."""
    found = {}
    for path in sorted(directory.glob("*.parquet")):
        frame = pd.read_parquet(path)
        if path.stem == "indicators":
            frame = frame[frame["indicator"] != "solve_s"]
        kept = frame[[c for c in frame.columns if not c.endswith("_s")]]
        found[path.name] = {c: kept[c].to_numpy() for c in kept.columns}
    assert len(found) > 10
    return found


def assert_same_tables(first, second, but=()):
    a, b = files_of(first), files_of(second)
    assert set(a) - set(but) == set(b) - set(but)
    for name in set(a) - set(but):
        assert a[name].keys() == b[name].keys()
        for column, values in a[name].items():
            other = b[name][column]
            if values.dtype == np.float64:
                values, other = values.view(np.int64), other.view(np.int64)
            assert (values == other).all(), f"{name}: {column}"


def one_by_one(run):
    """Run a member while no other thread does."""
    with _ONE_RUN:
        return run_member(run)


@contextmanager
def thread_cluster(count, **options):
    """Start a scheduler with workers that are threads of this process."""
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    cluster = LocalCluster(
        n_workers=count, threads_per_worker=1, processes=False, memory_limit=0,
        dashboard_address=None, silence_logs=logging.CRITICAL, **options,
    )  # fmt: skip
    with cluster:
        yield cluster


@contextmanager
def in_threads(patch):
    """Give ensembles workers that are threads in place of processes, which load for seconds."""

    @contextmanager
    def workers(count, memory_mb):
        with thread_cluster(count) as cluster, Client(cluster, set_as_default=False) as client:
            yield client

    with patch.context() as patched:
        patched.setattr(ensemble, "local_workers", workers)
        patched.setattr(ensemble, "run_member", one_by_one)
        yield


def start(*arguments, **environment):
    """Start the real command in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "stackelgrid", "ensemble", *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, **environment},
    )  # fmt: skip


def workers_of(pid):
    """Process ids of the worker processes below a process."""
    return children_of(pid, "spawn_main")
