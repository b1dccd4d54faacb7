"""Phases of loads, PV systems and batteries: read, shared out, refused."""

import re

import numpy as np
import pandapower as pp
import pytest

from stackelgrid.controllers.devices.devices import read_devices
from stackelgrid.controllers.devices.phases import check_phases
from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.conversion.normalise import normalise
from stackelgrid.controllers.networks.conversion.series import merge_series_lines
from stackelgrid.controllers.networks.phases import phase_shares


@pytest.fixture
def net(radial_net):
    """Two customers, a PV system, a static generator and a battery; no phase is stated."""
    net = radial_net([0, 1], [0, 3, 4], [0, 1, 2])
    pp.create_sgen(net, 1, p_mw=0.005, type="PV")
    pp.create_sgen(net, 2, p_mw=0.001, type="CHP")
    pp.create_storage(net, 2, p_mw=0.0, max_e_mwh=0.01, max_p_mw=0.005)
    return net


def read(net):
    return read_devices(net, "lv1", slack_is_unit=False)


def state_all(net):
    """A phase for every element: loads on a and b, the others beside them."""
    net.load["phase"], net.sgen["phase"], net.storage["phase"] = ["a", "b"], ["a", "b"], ["abc"]
    return net


def test_phases_are_read_from_every_table(net):
    for devices in (read(net), read(normalise(net, "lv1"))):
        kinds = (devices.loads, devices.photovoltaics, devices.batteries)
        assert [k.phase for k in kinds] == [("", "", ""), ("",), ("",)]
    devices = read(state_all(net))
    assert devices.loads.phase == ("a", "b", "b")  # two loads, then the static generator
    assert devices.photovoltaics.phase == ("a",)
    assert devices.batteries.phase == ("abc",)
    check_phases(devices, "lv1")
    net.load["phase"] = ["c", np.nan]
    net.sgen["phase"] = None
    devices = read(net)
    assert devices.loads.phase == ("c", "", "")
    assert devices.photovoltaics.phase == ("",)


@pytest.mark.parametrize("value", ["d", "A", 1, "ab"])
@pytest.mark.parametrize(("table", "element"), [("load", 1), ("sgen", 0), ("storage", 0)])
def test_an_unknown_phase_is_refused(net, table, element, value):
    state_all(net)
    net[table]["phase"] = net[table]["phase"].astype(object)
    net[table].at[element, "phase"] = value
    message = f"grid lv1: {table} {element} has phase {value!r}; accepted: a, b, c, abc"
    with pytest.raises(NetworkError, match=re.escape(message)):
        read(net)


def test_the_european_feeder_states_the_phases_of_its_customers(load_case):
    devices = read(load_case("european_lv_206"))
    # IEEE European LV test feeder, Loads.csv: 21 customers on a, 19 on b, 15 on c
    assert [devices.loads.phase.count(phase) for phase in "abc"] == [21, 19, 15]
    check_phases(devices, "lv1")


def test_a_load_between_two_phases_has_none(net):
    net.load = net.load.drop(net.load.index)
    pp.create_asymmetric_load(net, 1, p_a_mw=0.002, type="delta", name="between")
    pp.create_asymmetric_load(net, 2, p_b_mw=0.004, scaling=0.5, name="half")
    loads = read(normalise(net, "lv1")).loads
    assert loads.phase[:2] == ("", "b")
    np.testing.assert_allclose(loads.p_mw[:2], [0.002, 0.002], rtol=1e-15)


@pytest.mark.parametrize(
    ("table", "element"), [("load", 0), ("load", 1), ("sgen", 0), ("sgen", 1), ("storage", 0)]
)
def test_a_phase_that_is_not_stated_is_refused(net, table, element):
    state_all(net)[table].at[element, "phase"] = ""
    message = f"grid lv1: {table} {element} states no phase, which a three-phase view needs; give"
    with pytest.raises(NetworkError, match=re.escape(message)):
        check_phases(read(net), "lv1")


def test_two_phases_at_a_bus_are_refused(net):
    state_all(net)
    pp.create_load(net, 1, p_mw=0.001, phase="abc")
    pp.create_sgen(net, 1, p_mw=0.001, type="CHP", phase="c")
    check_phases(read(net), "lv1")  # neither a balanced load nor a generator is a second customer
    pp.create_load(net, 1, p_mw=0.001, phase="b")
    with pytest.raises(NetworkError) as caught:
        check_phases(read(net), "lv1")
    assert str(caught.value) == (
        "grid lv1: bus 1 has customers on phases a and b; one phase at a bus, or abc, is accepted"
    )


def test_shares_of_the_phases():
    shares = phase_shares(("a", "abc", "c", "b"))
    third = 1.0 / 3.0
    np.testing.assert_array_equal(shares, [[1, third, 0, 0], [0, third, 0, 1], [0, third, 1, 0]])
    assert phase_shares(()).shape == (3, 0)
    with pytest.raises(NetworkError, match="phase '' has no share of the phases; accepted: a, b"):
        phase_shares(("a", ""))


def test_merging_adds_zero_sequence_impedances_by_length(radial_net):
    net = radial_net([0, 1, 2, 3], [0, 0, 0, 0, 6], [0, 0, 0, 0, 2])
    net.line["length_km"] = [0.1, 0.2, 0.3, 0.4]
    net.line["r0_ohm_per_km"] = [0.9, 0.9, 0.9, 1.1]
    net.line["x0_ohm_per_km"], net.line["c0_nf_per_km"] = 0.3, 0.0
    merged = merge_series_lines(net)
    assert merged.line.length_km.tolist() == pytest.approx([0.6, 0.4])  # another impedance, kept
    for column in ("r_ohm_per_km", "x_ohm_per_km", "r0_ohm_per_km", "x0_ohm_per_km"):
        whole = (net.line[column] * net.line.length_km).sum()
        assert (merged.line[column] * merged.line.length_km).sum() == pytest.approx(whole, 1e-12)
    net.line["c0_nf_per_km"] = [0.0, 0.0, 5.0, 0.0]
    with pytest.raises(NetworkError, match="line 2 has charging; cannot be merged"):
        merge_series_lines(net)
