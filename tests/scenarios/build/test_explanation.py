"""`validate --explain`, and scenario keys that name elements of a net which are not in the grid."""

import pandapower as pp
import pytest
from support.outside_nets import street

from stackelgrid.scenarios.build.grids import build_grids
from stackelgrid.scenarios.build.notices import notices
from stackelgrid.scenarios.build.system import build_scenario
from stackelgrid.scenarios.schema.load import load_scenario


def outside_street():
    """The street with a coupled busbar 8 at bus 4, house 7 out of service, tap at -2."""
    net = street(tap_pos=-2)
    twin = pp.create_bus(net, 0.4)
    pp.create_switch(net, 4, twin, et="b", closed=True)
    pp.create_load(net, twin, 0.002)
    net.bus.loc[7, "in_service"] = False
    return net


@pytest.fixture
def scenario(write_scenario, tmp_path):
    """`scenario(**keys)`: path of a scenario whose grid is the street, with keys of the grid."""

    def write(**keys):
        pp.to_json(outside_street(), str(tmp_path / "street.json"))

        def change(data):
            grid = data["grids"][0]
            grid |= {"case": "street.json", "pv": [{"buses": [8], "p_mw": 0.004}], **keys}
            grid["batteries"] = []
            grid["line_max_i_ka"] = 0.15

        return write_scenario(change=change)

    return write


def entries(text, group):
    """Entries of one group as they are printed, continued lines joined."""
    lines = text.split(f"  {group}\n", 1)[1].splitlines()
    found = []
    for line in lines:
        if line.startswith("      "):
            found[-1] += " " + line.strip()
        elif line.startswith("    "):
            found.append(line.strip())
        else:
            break
    return found


def test_explain_tells_what_became_of_the_net(command, scenario):
    outcome = command("validate", scenario(), "--explain")
    assert outcome.status == 0
    text = outcome.stdout
    assert max(map(len, text.splitlines()[:-1])) <= 80
    taken = entries(text, "taken from the net")
    assert "bus 8: one bus with 4 by closed switch 0" in taken
    assert any(line.startswith("line from_bus, to_bus, length_km") for line in taken)
    replaced = entries(text, "replaced by the scenario")
    assert "line max_i_ka 0, 1, 2, 3, 4: 0.2 -> 0.15 [line_max_i_ka]" in replaced
    assert "sgen 0: PV system [pv]" in entries(text, "added by the scenario")
    dropped = entries(text, "dropped")
    assert "load 5: its bus is out of service" in dropped
    assert "line 5: its bus is out of service" in dropped
    assert "bus 7: out of service" in dropped
    ignored = entries(text, "ignored, without effect on results")
    assert any(line.startswith("ext_grid slack_weight (1): ") for line in ignored)


def test_a_run_says_first_what_a_user_may_not_expect(scenario):
    built = build_scenario(load_scenario(str(scenario())))
    told = [line for line in notices(built) if line.startswith("grid mv1")]
    assert told == ["grid mv1: load 5 dropped, as its bus is out of service"]


def test_without_explain_a_grid_is_one_line(command, scenario):
    lines = command("validate", scenario()).stdout.splitlines()
    assert len(lines) == 3  # the grid, its dropped load, the verdict


def test_a_key_that_names_a_joined_bus_means_the_bus_that_stands_for_it(scenario):
    grid = build_grids(load_scenario(str(scenario())))["mv1"]
    assert grid.net.sgen.bus.tolist() == [4]
    assert grid.record.bus(8) == 4
    units = [{"bus": 8, "p_max_mw": 0.01, "c1_eur_per_mwh": 90.0}]
    grid = build_grids(load_scenario(str(scenario(units=units))))["mv1"]
    assert grid.net.sgen.bus.tolist() == [4, 4]


def test_a_grid_below_a_joined_bus_hangs_on_the_bus_that_stands_for_it(scenario, tmp_path):
    path = scenario()
    below = street()
    below.load = below.load.iloc[[0]].assign(p_mw=0.001, q_mvar=0.0)
    pp.to_json(below, str(tmp_path / "below.json"))
    with path.open("a", encoding="utf-8") as file:
        file.write(
            '[[grids]]\nname = "below"\ncase = "below.json"\nlevel = "lv"\nparent = "mv1"\n'
            'bus = 8\ntariff = "mv"\nloads = { mix = { household = 1.0 } }\n'
        )
    grids = build_grids(load_scenario(str(path)))
    assert grids["below"].section.bus == 4
    load = grids["mv1"].net.load
    assert load.p_mw[load.bus == 4].sum() == pytest.approx(0.004 + 0.002 - 0.001, abs=1e-12)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            {"pv": [{"buses": [7], "p_mw": 0.004}]},
            "grids.mv1.pv.0: bus 7 is not in the grid (out of service) in street.json; accepted",
        ),
        (
            {"ratings": [{"lines": [5], "max_i_ka": 0.1}]},
            "grids.mv1.ratings: line 5 is not in the grid (its bus is out of service); accepted",
        ),
        (
            {"pv": [{"buses": [70], "p_mw": 0.004}]},
            "grids.mv1.pv.0: bus 70 does not exist in street.json; accepted: 0 to 6",
        ),
    ],
)
def test_a_key_that_names_a_dropped_element_says_why(command, scenario, keys, message):
    outcome = command("validate", scenario(**keys))
    assert outcome.status == 2
    assert message in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1
