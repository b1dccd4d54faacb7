"""PV systems and batteries are connected to the phase of the customer they belong to."""

import pandapower as pp
import pytest

from stackelgrid.controllers.devices.devices import read_devices
from stackelgrid.controllers.devices.phases import check_phases
from stackelgrid.controllers.errors import NetworkError
from stackelgrid.scenarios.build.grids import build_grids
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.schema.load import load_scenario


def devices_of(grid):
    return read_devices(grid.net, "lv1", slack_is_unit=False)


def quick_lv(*overrides):
    return devices_of(build_grids(load_scenario("quick", overrides))["lv1"])


def test_devices_take_the_phase_of_the_customer_at_their_bus():
    devices = quick_lv()
    customer = dict(zip(devices.loads.bus.tolist(), devices.loads.phase, strict=True))
    for kind, count in ((devices.photovoltaics, 19), (devices.batteries, 12)):
        assert len(kind.phase) == count
        assert set(kind.phase) == {"a", "b", "c"}
        assert kind.phase == tuple(customer[bus] for bus in kind.bus.tolist())
    check_phases(devices, "lv1")


@pytest.mark.parametrize("phase", ["b", "abc"])
def test_a_stated_phase_holds(phase):
    devices = quick_lv(f"grids.lv1.pv.0.phase={phase}")
    assert devices.photovoltaics.phase == (phase,) * 19
    assert devices.batteries.phase == quick_lv().batteries.phase


def test_a_grid_without_phases_gets_none():
    grids = build_grids(load_scenario("quick"))
    devices = read_devices(grids["mv1"].net, "mv1", slack_is_unit=False)
    assert {*devices.loads.phase, *devices.photovoltaics.phase, *devices.batteries.phase} == {""}


def test_a_bus_without_a_customer_leaves_the_phase_open():
    devices = quick_lv("grids.lv1.batteries=[{ buses = [1], p_mw = 0.004, e_mwh = 0.008 }]")
    assert 1 not in devices.loads.bus.tolist()
    assert devices.batteries.phase == ("",)


def test_an_unknown_phase_is_refused():
    with pytest.raises(ScenarioError, match=r"batteries\.0\.phase.*'a', 'b', 'c' or 'abc'"):
        load_scenario("quick", ["grids.lv1.batteries.0.phase=d"])


@pytest.fixture
def two_phases(village_json, tmp_path):
    """Overrides of `quick`: a village with customers on a and c at bus 2, and PV and battery."""
    net = pp.from_json(str(village_json))
    net.load["phase"] = "a"
    pp.create_load(net, 2, p_mw=0.001, phase="c")
    pp.to_json(net, str(tmp_path / "phases.json"))
    return [
        f"grids.lv1.case={tmp_path / 'phases.json'}",
        "grids.lv1.pv=[{ buses = [3], p_mw = 0.004 }]",
        "grids.lv1.batteries=[{ buses = [2], p_mw = 0.004, e_mwh = 0.008 }]",
    ]


def test_customers_on_two_phases_at_the_bus_of_a_device_are_named(two_phases):
    with pytest.raises(ScenarioError) as caught:
        build_grids(load_scenario("quick", two_phases))
    assert str(caught.value) == (
        "grids.lv1.batteries.0: bus 2 has customers on phases a and c; state the `phase` of the "
        "devices there: a, b, c or abc"
    )


def test_a_stated_phase_settles_it_for_the_device_not_for_the_customers(two_phases):
    devices = quick_lv(*two_phases, "grids.lv1.batteries.0.phase=c")
    assert (devices.photovoltaics.phase, devices.batteries.phase) == (("a",), ("c",))
    with pytest.raises(NetworkError, match="lv1: bus 2 has customers on phases a and c; one phas"):
        check_phases(devices, "lv1")
