"""Small systems on which every scheme decides, and their decisions."""

import numpy as np
import pytest

from stackelgrid.controllers.coordination.cascade import Cascade
from stackelgrid.controllers.coordination.protocol import ControllerSettings
from stackelgrid.controllers.models.active_network import ActiveNetworkOptions
from stackelgrid.controllers.models.p2p import TradeOptions
from stackelgrid.controllers.networks.boundary import TransformerData, attach_transformer
from stackelgrid.controllers.networks.cases import load_case as read_case
from stackelgrid.controllers.networks.devices import read_devices
from stackelgrid.controllers.networks.meshed import meshed_network
from stackelgrid.controllers.schedule import Measurement
from stackelgrid.controllers.system import System, Transmission
from stackelgrid.profiles.forecast import GridSeries, PerfectForecast
from stackelgrid.profiles.time_axis import Horizon

STEPS = 4
DAY = Horizon((60,) * STEPS, 60)
SUN = np.array([0.8, 1.0, 0.3, 0.0])
LOAD = np.array([0.7, 0.6, 1.5, 1.8])
UPSTREAM = np.array([0.85, 0.9, 1.05, 0.9])
PRICE = np.array([60.0, 50.0, 250.0, 300.0])


def settings_of(scheme="bottom_up", pricing="tariff", **changes):
    return ControllerSettings(gap=1e-6, scheme=scheme, pricing=pricing, **changes)


def measure(system, vm_pu=1.0):
    return {
        f.name: Measurement(vm_pu, 0, f.devices.batteries.e_initial_mwh) for f in system.feeders
    }


@pytest.fixture(scope="session")
def build_street(radial_net, with_devices, build_feeder):
    """`build_street(name, parent, bus, ...)`: four homes, PV, a battery, a transformer."""

    def make(name, parent, bus, across=True, pv_mw=0.02, copies=100, trades=True, **arguments):
        net = radial_net([0, 1, 1, 3], [0, 2, 2, 2, 3], [0, 0.5, 0.5, 0.5, 1], length_km=0.05)
        net.bus[["min_vm_pu", "max_vm_pu"]] = (0.85, 1.1)
        with_devices(net, pv=[(2, pv_mw, 1.1 * pv_mw)],
                     batteries=[(4, 0.004, 0.01, 50.0, 0.95, 5.0)])  # fmt: skip
        attach_transformer(net, TransformerData(0.25, 4.0, 1.0, -2, 2, 2.5), name)
        trade = TradeOptions(15.0, 8.0, 16.0, across) if trades else None
        return build_feeder(
            net, name, DAY, load=LOAD, pv=SUN, import_price=PRICE, export_price=PRICE - 40.0,
            kind="fixed_tap", parent=parent, bus=bus, multiplicity=copies, intervals=STEPS,
            options=ActiveNetworkOptions(1.0, trade=trade), **arguments,
        )  # fmt: skip

    return make


@pytest.fixture(scope="session")
def build_transmission():
    """`build_transmission(rating_mva, congested)`: case30; the line to bus 25 with that rating."""

    def make(rating_mva=None, congested=True):
        net = read_case("case30", "case30")
        if congested:
            net.line.loc[9, "max_i_ka"] *= 0.85
            net.line.loc[28, "max_i_ka"] *= 0.65
        if rating_mva is not None:
            at = net.line.index[(net.line.from_bus == 25) | (net.line.to_bus == 25)]
            assert len(at) == 1
            net.line.loc[at, "max_i_ka"] = rating_mva / (np.sqrt(3.0) * 135.0)
        devices = read_devices(net, "tn", slack_is_unit=True)
        factor = np.resize(UPSTREAM, 2 * STEPS)
        loads = (np.outer(factor, p) for p in (devices.loads.p_mw, devices.loads.q_mvar))
        none = np.zeros(2 * STEPS)
        series = GridSeries(*loads, np.zeros((2 * STEPS, 0)), none, none)
        forecast = PerfectForecast(series, DAY)
        return Transmission("tn", net, meshed_network(net, "tn"), devices, forecast)

    return make


@pytest.fixture(scope="session")
def build_system(build_transmission, build_street):
    """`build_system(rating_mva, congested, ...)`: three streets below case30."""

    def make(rating_mva=None, congested=True, **arguments):
        feeders = (
            build_street("lv1", "tn", 7, copies=300, **arguments),
            build_street("lv2", "tn", 20, copies=200, pv_mw=0.002, **arguments),
            build_street("lv3", "tn", 25, copies=250, pv_mw=0.006, **arguments),
        )
        return System(build_transmission(rating_mva, congested), feeders, DAY, day_ahead=True)

    return make


@pytest.fixture(scope="session")
def build_medium(build_street, build_feeder):
    """`build_medium(rating_ka)`: streets that trade below a 33-bus feeder, head line rated so."""

    def make(rating_ka=None):
        medium = read_case("case33bw", "case33bw")
        medium.bus[["min_vm_pu", "max_vm_pu"]] = (0.85, 1.1)
        if rating_ka is not None:
            medium.line.loc[0, "max_i_ka"] = rating_ka
        streets = (
            build_street("lv1", "mv1", 5, copies=30),
            build_street("lv2", "mv1", 17, copies=40, pv_mw=0.002),
        )
        horizon = streets[0].forecast.horizon
        prices = streets[0].forecast.at(0)
        parent = build_feeder(
            medium, "mv1", horizon, load=np.array([0.8, 1.15, 0.6, 0.5]),
            import_price=prices.import_eur_per_mwh, export_price=prices.export_eur_per_mwh,
            intervals=horizon.length,
        )  # fmt: skip
        return System(None, (parent, *streets), horizon, day_ahead=True)

    return make


@pytest.fixture(scope="session")
def decide():
    """`decide(system, scheme, pricing)`: outcome of the highest stage; each decided once."""
    known = {}

    def run(system, scheme="bottom_up", pricing="tariff", **changes):
        key = (id(system), scheme, pricing, tuple(sorted(changes.items())))
        if key not in known:
            cascade = Cascade(system, settings_of(scheme, pricing, **changes))
            known[key] = (cascade, cascade.decide(0, measure(system)), system)
        return known[key][1].outcomes[-1]

    return run


@pytest.fixture(scope="session")
def system(build_system):
    """Streets that trade across; the follower can serve what they want."""
    return build_system()


@pytest.fixture(scope="session")
def tight(build_system):
    """The same with a line that cannot carry what the street behind it wants."""
    return build_system(rating_mva=6.33)


@pytest.fixture(scope="session")
def with_cascade():
    """`with_cascade(system, scheme, pricing, ...)`: a controller of its own."""

    def make(system, scheme="bottom_up", pricing="tariff", **changes):
        return Cascade(system, settings_of(scheme, pricing, **changes))

    return make
