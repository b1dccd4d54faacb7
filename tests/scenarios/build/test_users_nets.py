"""Scenarios on nets with loops, branches in parallel and limits of the source."""

import pandapower as pp
import pytest
import tomli_w
from support.outside_nets import street
from support.scenario_texts import content_of

from stackelgrid.controllers.devices.devices import read_devices
from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.models.conflicts import RowWords
from stackelgrid.scenarios.build.net_notices import net_lines
from stackelgrid.scenarios.build.system import build_scenario
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.schema.load import load_scenario


@pytest.fixture
def built(tmp_path):
    """`built(net, **keys)`: the scenario of one street with further keys of its grid."""

    def build(net, **keys):
        pp.to_json(net, str(tmp_path / "street.json"))
        grid = {
            "name": "street", "case": "street.json", "level": "lv", "tariff": "lv",
            "vm_min_pu": 0.8, "vm_max_pu": 1.2, "loads": {"assign": {"household": 1.0}}, **keys,
        }  # fmt: skip
        content = {
            **content_of("base"), "name": "nets",
            "horizon": {"steps": [{"count": 2, "minutes": 15}]},
            "tariffs": {"lv": {"kind": "flat", "import": 300.0, "export": 80.0}},
            "grids": [{key: value for key, value in grid.items() if value is not None}],
        }  # fmt: skip
        path = tmp_path / "nets.toml"
        path.write_text(tomli_w.dumps(content))
        return build_scenario(load_scenario(str(path)))

    return build


def ring():
    """A street whose end is connected to its beginning by two different cables in parallel."""
    net = street()
    for r_ohm_per_km, max_i_ka in ((0.3, 0.2), (0.5, 0.1)):
        pp.create_line_from_parameters(net, 7, 1, 0.2, r_ohm_per_km, 0.08, 0.0, max_i_ka)
    return net


def test_loops_and_parallel_cables_are_printed(built):
    lines = net_lines(built(ring(), open_loops="minimum_loss"))
    assert lines[0].startswith(
        "grid street: line 7 in parallel with line 6, which stands for all: its rating of 0.26"
    )
    assert lines[1].startswith('grid street: line 4 dropped, as open_loops = "minimum_loss" opens')
    assert len(lines) == 2
    with pytest.raises(NetworkError, match=r'\(open a line of the loop, or state open_loops = "mi'):
        built(ring())


def test_open_loops_is_for_feeders(built):
    message = "open_loops is for mv and lv grids; a transmission grid is meshed"
    with pytest.raises(ScenarioError, match=message):
        built(street(), open_loops="minimum_loss", level="transmission", tariff=None)


def test_limits_of_the_source_are_those_of_the_exchange(built):
    net = street()
    net.ext_grid["min_p_mw"], net.ext_grid["max_p_mw"] = -0.01, 0.05
    scenario = built(net)
    feeder = scenario.system.feeders[0]
    assert feeder.options.exchange.stated == {"min_p_mw": -0.01, "max_p_mw": 0.05}
    assert net_lines(scenario) == [
        "grids.street: ext_grid 0: the exchange is limited by min_p_mw = -0.01, max_p_mw = 0.05"
    ]
    devices = read_devices(feeder.net, "street", slack_is_unit=False)
    words = RowWords("street", feeder.network, devices)
    assert words.describe("max_p_mw", [1], 0.2) == (
        "street.ext_grid: max_p_mw missed by 0.02 MW in step 1"
    )


def test_a_busbar_may_feed_several_lines(built):
    net = street()
    for _ in range(2):
        bus = pp.create_bus(net, 0.4)
        pp.create_line_from_parameters(net, 1, bus, 0.1, 0.3, 0.08, 0.0, 0.2)
        pp.create_load(net, bus, 0.005, 0.001)
    assert built(net, boundary={"kind": "fixed_tap"}).system.feeders[0].network.buses == 10
    net.ext_grid["bus"] = 1  # the same busbar without its transformer
    net.trafo = net.trafo.drop(0)
    network = built(net).system.feeders[0].network
    assert sum(int(parent) == 0 for parent in network.parent) == 3
