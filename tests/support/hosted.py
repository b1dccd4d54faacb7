"""Users' simulators in processes of their own, and the host that drives them."""

from contextlib import contextmanager
from datetime import datetime

from support.paths import SUPPORT

from stackelgrid.scenarios.remote.externals import StartedSimulators, external_host
from stackelgrid.scenarios.remote.starting import start_module
from stackelgrid.simulators.external.running import Link
from stackelgrid.simulators.external.wiring import EntityGroup, Reading, UserSimulator
from stackelgrid.simulators.remote.supervision import Supervisor

PROCESS = "stackelgrid.simulators.external.process"
P = Reading("P")


class Hosted:
    """A host and the connections to its simulators."""

    def __init__(self, host, links):
        self.host, self._links = host, links

    def powers(self, interval, **world):
        return self.host.advance(interval, {"lv1": world})["lv1"]

    def seen(self, name):
        """Steps of a simulator: time, inputs, max_advance."""
        return self._links[name].connection.call(5.0, "seen")


@contextmanager
def hosting(*simulators, intervals=4, deadline_s=5.0, folder=SUPPORT):
    """Host simulators: name, class (of user_simulators by default), parameters of init, groups."""
    with Supervisor() as supervisor:
        links, described = {}, []
        for name, kind, parameters, *groups in simulators:
            arguments = [kind if ":" in kind else f"user_simulators:{kind}", str(SUPPORT)]
            link = start_module(name, PROCESS, arguments, supervisor, folder)
            links[name] = Link.begun(link, parameters, 30.0)
            described.append(UserSimulator(name, tuple(groups), deadline_s))
        host = external_host(
            StartedSimulators(links, supervisor), described, interval_s=900, intervals=intervals,
            horizon_steps=3, start=datetime(2026, 6, 20, 12),
        )  # fmt: skip
        yield Hosted(host, links)


def devices(name="devices", model="Device", **keys):
    """A group of entities, one by default, whose attribute P is their power in MW."""
    keys = {"grid": "lv1", "p": P, "positions": tuple(range(keys.get("count", 1))), **keys}
    return EntityGroup(name, model, **keys)
