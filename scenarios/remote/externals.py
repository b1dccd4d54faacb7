"""Users' simulators of a run: create and connect their entities."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.simulators.external.errors import WiringError
from stackelgrid.simulators.external.host import ExternalHost
from stackelgrid.simulators.external.running import Link
from stackelgrid.simulators.external.wiring import UserSimulator
from stackelgrid.simulators.remote.connection import LateError, RemoteError


def external_host(
    links: Mapping[str, Link],
    simulators: Sequence[UserSimulator],
    *,
    interval_s: int,
    intervals: int,
    horizon_steps: int,
    start: datetime,
) -> ExternalHost:
    """Create and connect all entities; return the host that drives them.

    links: of `external_simulators`.
    simulators: what they create, and how it is connected.
    interval_s, intervals: length of an interval in s, number of intervals of the run.
    horizon_steps: number of intervals of a plan.
    start: beginning of the first interval.

    Raises ScenarioError for a simulator that does not fit the scenario, and RemoteError for one
    that is late.
    """
    host = ExternalHost(
        links, simulators, interval_s=interval_s, intervals=intervals,
        horizon_steps=horizon_steps, start=start,
    )  # fmt: skip
    with _as_input():
        host.started()
    return host


@contextmanager
def _as_input() -> Iterator[None]:
    """Turn errors of the start into bad input, except a missed deadline."""
    try:
        yield
    except LateError:
        raise
    except (WiringError, RemoteError) as error:
        raise ScenarioError(str(error)) from error
