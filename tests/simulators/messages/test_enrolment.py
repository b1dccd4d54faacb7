"""Power limits with which agents are enrolled: all installed devices, and not more."""

from dataclasses import replace

import numpy as np
import pandapower as pp
import pytest
from support.negotiating_streets import street_net

from stackelgrid.controllers.devices.devices import Devices, read_devices
from stackelgrid.controllers.negotiation.commit.messages import PowerLimits
from stackelgrid.controllers.networks.conversion.normalise import normalise
from stackelgrid.controllers.networks.radial import radial_network
from stackelgrid.controllers.system import Feeder
from stackelgrid.simulators.messages.enrolment import enrolled_limits


@pytest.fixture(scope="module")
def street():
    """Four customers of 3 kW and 1 kVAr, twice as much at their peaks, PV of 5 kW, a battery."""
    net = street_net()
    pp.create_sgen(net, 3, p_mw=0.005, sn_mva=0.006, type="PV", controllable=True)
    pp.create_storage(
        net, 2, p_mw=0.0, max_e_mwh=0.01, min_e_mwh=0.0, min_p_mw=-0.004, max_p_mw=0.004
    )
    net = normalise(net, "street")
    devices = read_devices(net, "street", slack_is_unit=False)
    return Feeder(
        name="street", level="lv", net=net, network=radial_network(net, "street"),
        devices=devices, boundary=None, options=None, forecast=None,
        load_peak_mw=2.0 * devices.loads.p_mw,
    )  # fmt: skip


def test_limits_are_one_and_a_half_times_what_is_installed(street):
    limits = enrolled_limits(street, ())
    assert limits.p_mw == pytest.approx(1.5 * (4 * 0.006 + 0.005 + 0.004), rel=1e-12)
    # besides them only the core of the transformer takes reactive power
    core = street.network.base_mva * np.abs(street.network.shunt_b).sum()
    assert 0.0 < core < 1e-3
    apparent = 4 * 2.0 * np.hypot(0.003, 0.001) + 0.006 + 0.004 + core
    assert limits.q_mvar == pytest.approx(1.5 * apparent, rel=1e-12)


def with_loads(devices, loads):
    return Devices(tuple(loads if member.kind == loads.kind else member for member in devices))


def test_loads_may_take_more_reactive_than_active_power(street):
    loads = street.devices.loads
    reactive = replace(loads, q_mvar=5.0 * loads.p_mw)
    limits = enrolled_limits(replace(street, devices=with_loads(street.devices, reactive)), ())
    assert limits.p_mw == enrolled_limits(street, ()).p_mw
    assert limits.q_mvar > 1.5 * 4 * 2.0 * 0.015


def test_loads_without_active_power_count(street):
    loads = street.devices.loads
    coils = replace(loads, p_mw=np.zeros(4), q_mvar=np.full(4, -0.02))
    devices = with_loads(street.devices, coils)
    limits = enrolled_limits(replace(street, devices=devices, load_peak_mw=np.zeros(4)), ())
    assert limits.q_mvar > 1.5 * 4 * 0.02


def test_copies_of_the_grids_below_count(street):
    alone = enrolled_limits(street, ())
    limits = enrolled_limits(street, [(3, PowerLimits(1.0, 2.0)), (2, PowerLimits(0.1, 0.2))])
    assert limits.p_mw == pytest.approx(alone.p_mw + 3.2)
    assert limits.q_mvar == pytest.approx(alone.q_mvar + 6.4)
