"""Transformers and tap changers of users' nets: a run's voltages are those of pandapower's own net.

Every case compares with `pandapower.runpp` of the user's net, unchanged but for the recorded slack
voltage, tap position and powers, with angles and the transformer model t.
"""

import numpy as np
import pandapower as pp
import pandas as pd
import pytest
import tomli_w
from pandapower.control import DiscreteTapControl
from scipy.optimize import linprog
from support.outside_nets import street, triangle
from support.scenario_texts import content_of

from stackelgrid.analysis import Run
from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.meshed import meshed_network
from stackelgrid.scenarios.build.grids import build_grids
from stackelgrid.scenarios.build.physical import simulated_grid
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.run.run import run_scenario
from stackelgrid.scenarios.schema.load import load_scenario

SAME_PU, SAME_DEGREE = 1e-8, 1e-6
OLTC = {"kind": "oltc", "vm_set_pu": 1.0, "deadband_pu": 0.03, "delay_s": 60.0}
LV = 1  # bus behind the transformer


@pytest.fixture
def scenario(tmp_path):
    """Write a scenario of one street, its net and boundary as given; returns its path."""

    def write(net, boundary=None, **data):
        pp.to_json(net, str(tmp_path / "street.json"))
        grid = {
            "name": "street", "case": "street.json", "level": "lv", "tariff": "lv",
            "vm_min_pu": 0.8, "vm_max_pu": 1.2, "loads": {"assign": {"household": 1.0}},
            **({} if boundary is None else {"boundary": boundary}),
        }  # fmt: skip
        content = {
            **content_of("base"), "name": "taps",
            "horizon": {"steps": [{"count": 2, "minutes": 15}]},
            "tariffs": {"lv": {"kind": "flat", "import": 300.0, "export": 80.0}},
            "grids": [grid], **data,
        }  # fmt: skip
        path = tmp_path / "taps.toml"
        path.write_text(tomli_w.dumps(content))
        return path

    return write


@pytest.fixture
def simulated(scenario):
    """Physical grid of a street after one hour at 4 kW and 1 kVAr a house."""

    def solve(net, boundary=None):
        loaded = load_scenario(str(scenario(net, boundary)))
        grids = build_grids(loaded)
        grid = simulated_grid(grids["street"], grids, loaded.scenario)
        grid.vm_pu = float(net.ext_grid.vm_pu.iloc[0])
        grid.bus_p_mw = np.where(net.bus.index > LV, 0.004, 0.0)
        grid.bus_q_mvar = grid.bus_p_mw / 4.0
        if grid.regulator is not None:
            grid.regulator.begin_interval(3600.0)
        grid.solve()
        return grid

    return solve


def pandapower_state(net, tap_pos=None):
    """pandapower's state of a user's net, at a tap position."""
    if tap_pos is not None:
        net.trafo["tap_pos"] = tap_pos
    pp.runpp(net, calculate_voltage_angles=True, trafo_model="t", tolerance_mva=1e-10, numba=False)
    return net.res_bus


def assert_same(grid, expected):
    assert np.abs(grid.solved.vm_pu - expected.vm_pu).max() < SAME_PU
    assert np.abs(grid.solved.va_degree - expected.va_degree).max() < SAME_DEGREE


@pytest.mark.parametrize("boundary", [None, {"kind": "fixed_tap"}])
def test_the_tap_of_the_net_holds_without_one_in_the_scenario(simulated, boundary):
    """Two steps of -2.5 %: 0.054 p.u. above tap 0 at the transformer."""
    grid = simulated(street(tap_pos=-2), boundary)
    assert_same(grid, pandapower_state(street(tap_pos=-2)))
    assert grid.tap_pos == (0 if boundary is None else -2)
    at_zero = simulated(street(tap_pos=0), boundary)
    assert grid.solved.vm_pu[LV] - at_zero.solved.vm_pu[LV] == pytest.approx(0.0538, abs=1e-4)


def test_a_range_around_another_neutral_position(simulated):
    """Tap 10 of 1 to 19, neutral 10: ratio 1."""
    taps = {"tap_min": 1, "tap_max": 19, "tap_neutral": 10, "tap_pos": 10}
    grid = simulated(street(**taps), {"kind": "fixed_tap"})
    assert grid.regulator.ratio == 1.0
    assert_same(grid, pandapower_state(street(**taps)))
    moved = simulated(street(**taps), {"kind": "fixed_tap", "tap_pos": 8})
    assert_same(moved, pandapower_state(street(**taps), 8))


CHANGERS = {
    "cross": {"tap_step_degree": 60.0},
    "symmetrical": {"tap_type": "Symmetrical", "tap_step_degree": 60.0},
    "second": {
        "tap2_side": "lv", "tap2_neutral": 0, "tap2_min": -2, "tap2_max": 2, "tap2_pos": -1,
        "tap2_step_percent": 2.5, "tap2_step_degree": 0.0, "tap2_changer_type": "Ratio",
    },
    "negative": {"step": -2.5},
    "neutral": {"tap_min": 1, "tap_max": 19, "tap_neutral": 10, "tap_pos": 10, "step": 1.0},
    "vector group": {"shift_degree": 150.0, "vector_group": "Dyn5"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("changer", "vm_set_pu"),
    [
        ("cross", 1.05), ("cross", 0.97), ("symmetrical", 1.05), ("second", 1.05),
        ("negative", 1.05), ("negative", 0.97), ("neutral", 1.05), ("vector group", 0.97),
    ],
)  # fmt: skip
def test_an_on_load_changer_has_pandapowers_ratio_and_angle(simulated, changer, vm_set_pu):
    """Whatever the kind of changer, the tap moves towards the set point and is pandapower's."""
    grid = simulated(street(**CHANGERS[changer]), {**OLTC, "vm_set_pu": vm_set_pu})
    first = CHANGERS[changer].get("tap_pos", 0)
    assert grid.tap_pos != first
    expected = pandapower_state(street(**CHANGERS[changer]), grid.tap_pos)
    assert_same(grid, expected)
    start = pandapower_state(street(**CHANGERS[changer]))
    assert abs(expected.vm_pu[LV] - vm_set_pu) < abs(start.vm_pu[LV] - vm_set_pu)


@pytest.mark.parametrize(
    "net",
    [
        {"tap_type": "Ideal", "tap_step_degree": 2.0, "step": np.nan, "tap_pos": 2},
        {"tap_type": "Ideal", "step": 3.0, "tap_pos": 2},
        {"tap_side": "lv", "tap_pos": 2},
        {"tap_type": "Symmetrical", "tap_step_degree": 90.0, "tap_pos": -2},
        {**CHANGERS["second"], "tap_pos": 1},
        {"tap_pos": 5},
        {"parallel": 2, "df": 0.8, "shift_degree": 150.0, "tap_pos": 1},
        {"vn_hv": 21.0, "vn_lv": 0.41, "tap_pos": -1},
    ],
)
def test_a_transformer_of_the_net_behind_an_ideal_boundary(simulated, net):
    """Percent and degree steps, lower side, beyond the range, between taps: as pandapower does."""
    assert_same(simulated(street(**net)), pandapower_state(street(**net)))


@pytest.mark.parametrize(
    "net",
    [
        {"tap_type": "Ideal", "tap_step_degree": 2.0, "step": np.nan, "tap_pos": 2},
        {"tap_side": "lv", "tap_pos": 2},
        {"tap_type": None, "tap_side": None, "tap_neutral": np.nan, "tap_pos": np.nan,
         "tap_min": np.nan, "tap_max": np.nan, "step": np.nan},
    ],
)  # fmt: skip
def test_a_fixed_tap_of_any_kind_or_none(simulated, net):
    """A changer on the lower side, a phase shifter, and no tap data (Kerber's nets)."""
    grid = simulated(street(**net), {"kind": "fixed_tap"})
    assert_same(grid, pandapower_state(street(**net)))


def characteristic(net, positions):
    """Give trafo 0 a table of its taps: 2 % of ratio and 1 degree a position."""
    table = {"id_characteristic": 0, "step": positions}
    steps = np.array(positions)
    table |= {"voltage_ratio": 1.0 + 0.02 * steps, "angle_deg": 1.0 * steps}
    table |= {"vk_percent": 4.0, "vkr_percent": 1.2}
    net.trafo_characteristic_table = pd.DataFrame(table)
    net.trafo["tap_dependency_table"] = True
    net.trafo["id_characteristic_table"] = pd.array([0], dtype="Int64")
    return net


def test_an_on_load_changer_with_a_characteristic_table(simulated):
    net = characteristic(street(tap_type="Tabular"), range(-2, 3))
    grid = simulated(net, {**OLTC, "vm_set_pu": 1.05})
    assert grid.tap_pos == -1
    assert_same(grid, pandapower_state(net, -1))


def changed(**columns):
    net = street()
    for column, value in columns.items():
        net.trafo[column] = value
    return net


@pytest.mark.parametrize(
    ("net", "boundary", "message"),
    [
        (
            changed(tap_pos=-2, tap_changer_type=None),
            None,
            "grid street: trafo 0 has tap_pos = -2 and no tap_changer_type, without which "
            "pandapower 3 passes over the tap",
        ),
        (changed(tap_changer_type="ratio"), None, "has tap_changer_type 'ratio'; accepted: Ratio"),
        (
            changed(tap_changer_type="Tabular"),
            None,
            "has tap_changer_type 'Tabular'; tap_dependency_table must be True with it",
        ),
        (
            changed(tap_changer_type="Ideal", tap_step_degree=1.0),
            None,
            "an ideal changer with tap_step_percent = 2.5 and tap_step_degree = 1; one of the two",
        ),
        (changed(tap_pos=1, tap_neutral=np.nan), None, "has tap_pos = 1 and tap_neutral NaN"),
        (changed(tap_pos=1, tap_side="mv"), None, "has tap_pos = 1 and tap_side 'mv'; 'hv' and"),
        (changed(tap_phase_shifter=True), None, "has tap_phase_shifter beside tap_changer_type"),
        (changed(tap_dependent_impedance=True), None, "has tap_dependent_impedance, which"),
        (changed(tap_dependency_table=True), None, "has tap_dependency_table and no characterist"),
        (
            characteristic(changed(tap_pos=2), range(-1, 2)),
            None,
            "has tap_pos = 2, which characteristic 0 of net.trafo_characteristic_table does not "
            "hold; accepted: -1, 0, 1",
        ),
        (characteristic(street(), range(-1, 2)), OLTC, "its characteristic does not hold tap -2"),
        (changed(tap_pos=0.5), {"kind": "fixed_tap"}, "has tap_pos = 0.5; a whole number"),
        (changed(tap_pos=5), OLTC, r"has tap_pos = 5; -2 to 2 \(tap_min to tap_max\)"),
        (changed(tap_max=np.nan), OLTC, "has tap_max NaN; an oltc needs it, in the net or under"),
        (changed(tap_side="lv"), OLTC, "has tap_side 'lv'; 'hv' is accepted for an oltc"),
        (
            changed(tap_changer_type="Ideal"),
            OLTC,
            "has tap_changer_type Ideal, whose ratio does not rise or fall throughout from tap -2",
        ),
        (changed(parallel=0), None, "has parallel = 0; a finite number > 0 is accepted"),
        (street(), {**OLTC, "tap_pos": 3}, r"tap_pos must lie in \[-2, 2\], found 3"),
        (
            street(),
            {**OLTC, "deadband_pu": 0.02},
            r"deadband_pu must be at least one step of the tap \(0.025\), or it hunts",
        ),
        (
            street(),
            {"kind": "ideal", "tap_pos": 1},
            "an ideal boundary has no tap_pos; fixed_tap and oltc have",
        ),
    ],
)
def test_what_cannot_be_honoured_is_named(simulated, net, boundary, message):
    with pytest.raises((NetworkError, ScenarioError), match=message):
        simulated(net, boundary)


def test_what_the_scenario_states_replaces_what_the_net_says(scenario):
    """Eight steps of 1.25 % in place of two of 2.5 %: the deadband may be narrower, too."""
    stated = {"tap_min": -8, "tap_max": 8, "tap_step_percent": 1.25, "shift_degree": 30.0}
    boundary = {**OLTC, "deadband_pu": 0.0125, **stated}
    grid = build_grids(load_scenario(str(scenario(street(tap_pos=1), boundary))))["street"]
    assert (grid.taps.tap_min, grid.taps.tap_max) == (-8, 8)
    assert grid.taps.ratio(-4) == pytest.approx(0.95, abs=1e-12)
    assert grid.taps.shift_degree(3) == 30.0
    replaced = {n.column: (n.key, n.text) for n in grid.record.notes if n.fate == "replaced"}
    assert replaced["tap_step_percent"] == ("boundary.tap_step_percent", "2.5 -> 1.25")
    assert set(replaced) >= {"tap_min", "tap_max", "shift_degree"}
    assert "tap_pos" not in replaced


def test_a_root_with_an_on_load_changer_records_its_tap(scenario, tmp_path):
    """pandapower solves the net of an interval to the recorded voltages, at the recorded tap."""
    net = street(tap_step_degree=60.0, tap_pos=1, tap_max=6, tap_min=-6)
    boundary = {**OLTC, "vm_set_pu": 1.08, "delay_s": 450.0}
    run_scenario(load_scenario(str(scenario(net, boundary))), tmp_path / "out")
    run = Run(tmp_path / "out")
    interval = run.interval.sort_values("interval")
    assert interval["tap_pos"].tolist() == [-1, -3]
    for k, tap in enumerate(interval["tap_pos"]):
        solved = run.net("street", interval=k)
        assert solved.trafo.tap_pos.tolist() == [tap]
        recorded = run.bus[run.bus["interval"] == k].set_index("bus")
        found = pandapower_state(solved)
        assert np.abs(found.vm_pu - recorded["vm_pu"]).max() < SAME_PU
        assert np.abs(found.va_degree - recorded["va_degree"]).max() < SAME_DEGREE
        # and the user's own net at that tap and at the run's powers
        own = street(tap_step_degree=60.0, tap_pos=tap, tap_max=6, tap_min=-6)
        own.load[["p_mw", "q_mvar"]] = solved.load[["p_mw", "q_mvar"]]
        assert np.abs(pandapower_state(own).vm_pu - recorded["vm_pu"]).max() < SAME_PU


def feeder(vn_kv):
    """Two buses of one voltage; the second has the load of a street."""
    net = pp.create_empty_network(sn_mva=1.0)
    a, b = pp.create_bus(net, vn_kv), pp.create_bus(net, vn_kv)
    pp.create_ext_grid(net, a, vm_pu=1.0)
    pp.create_line_from_parameters(net, a, b, 1.0, 0.1, 0.1, 0.0, 0.4)
    pp.create_load(net, b, 0.03, 0.01, name="street")
    return net


@pytest.mark.parametrize("vn_kv", [20.0, 12.66])
def test_a_child_keeps_the_ratio_of_its_transformer(scenario, tmp_path, vn_kv):
    """21/0.4 kV with a 20 kV slack bus: 1 / 1.05 of the voltage above, in p.u. of any parent."""
    pp.to_json(feeder(vn_kv), str(tmp_path / "feeder.json"))
    below = {"name": "street", "parent": "feeder", "bus": 1, "case": "street.json", "level": "lv"}
    above = {"name": "feeder", "case": "feeder.json", "level": "mv"}
    common = {"tariff": "lv", "loads": {"mix": {"household": 1.0}}}
    net = street(vn_hv=21.0)
    grids = [{**above, **common}, {**below, **common, "boundary": {"kind": "fixed_tap"}}]
    loaded = load_scenario(str(scenario(net, grids=grids)))
    built = build_grids(loaded)
    child = built["street"].net
    assert child.trafo.vn_hv_kv[0] / child.bus.vn_kv[0] == pytest.approx(1.05, rel=1e-15)
    assert child.bus.vn_kv[0] == vn_kv
    notes = [n.column for n in built["street"].record.notes if n.key == "parent"]
    assert notes == ([] if vn_kv == 20.0 else ["vn_kv", "vn_hv_kv"])
    grid = simulated_grid(built["street"], built, loaded.scenario)
    grid.vm_pu, grid.bus_p_mw = 1.02, np.where(net.bus.index > LV, 0.004, 0.0)
    grid.bus_q_mvar = grid.bus_p_mw / 4.0
    grid.solve()
    assert_same(grid, pandapower_state(net))
    assert grid.solved.vm_pu[LV] == pytest.approx(0.9680, abs=1e-4)


def two_transformers(**second):
    """The street behind two coupled transformers on busbars joined by closed switches."""
    net = street(tap_pos=-1, shift_degree=150.0)
    low = pp.create_bus(net, 0.4)
    pp.create_switch(net, LV, low, "b", closed=True)
    net.trafo = pd.concat([net.trafo, net.trafo], ignore_index=True)
    net.trafo.loc[1, "lv_bus"] = low
    for column, value in second.items():
        net.trafo.loc[1, column] = value
    return net


@pytest.mark.parametrize("boundary", [{"kind": "fixed_tap"}, {**OLTC, "vm_set_pu": 1.08}])
def test_equal_parallel_transformers_are_one(scenario, boundary):
    """Voltages, losses and loading are those of pandapower's two transformers."""
    net = two_transformers()
    loaded = load_scenario(str(scenario(net, boundary)))
    built = build_grids(loaded)
    assert built["street"].net.trafo.parallel.tolist() == [2]
    assert built["street"].record.loss_of("trafo", 1) == "equal to trafo 0 in parallel with it"
    grid = simulated_grid(built["street"], built, loaded.scenario)
    where = built["street"].net.bus.index
    grid.vm_pu = 1.02
    grid.bus_p_mw = np.where(where > LV, 0.004, 0.0)
    grid.bus_q_mvar = grid.bus_p_mw / 4.0
    grid.regulator.begin_interval(3600.0)
    grid.solve()
    assert grid.tap_pos == (-1 if boundary["kind"] == "fixed_tap" else -2)
    expected = pandapower_state(net, grid.tap_pos).loc[where]
    assert_same(grid, expected)
    assert grid.solved.loss_mw == pytest.approx(
        net.res_trafo.pl_mw.sum() + net.res_line.pl_mw.sum(), abs=1e-10
    )
    assert grid.solved.loading_percent[-1] == pytest.approx(
        net.res_trafo.loading_percent[0], abs=1e-6
    )


def controlled(**controller):
    net = street()
    DiscreteTapControl(net, 0, 0.98, 1.02, side="lv", **controller)
    return net


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: two_transformers(tap_pos=1),
            r"grid street: trafo 0, 1 are parallel between buses 0 and 1 and differ in tap_pos "
            r"\(-1.0, 1.0\); those of one ratio, shift and tap changer are merged: take all",
        ),
        (
            controlled,
            r"grid street: controller 0 \(DiscreteTapControl\) moves the tap of trafo 0; a "
            "boundary of kind oltc regulates the transformer at the slack bus in its place",
        ),
    ],
)
def test_parallel_and_controlled_transformers_that_are_refused(simulated, make, message):
    with pytest.raises(NetworkError, match=message):
        simulated(make(), {"kind": "fixed_tap"})


def test_an_oltc_of_the_scenario_replaces_the_controller_of_the_net(simulated):
    assert simulated(controlled(), {**OLTC, "vm_set_pu": 1.05}).tap_pos == -1
    assert simulated(controlled(in_service=False), {"kind": "fixed_tap"}).tap_pos == 0


def dispatch_eur(net, network):
    """Least cost of the slack at 10 and the generator at 30 EUR/MWh over angles and powers."""
    n, base = network.buses, network.base_mva
    incidence = np.zeros((network.branches, n))
    rows = np.arange(network.branches)
    incidence[rows, network.from_bus], incidence[rows, network.to_bus] = 1.0, -1.0
    flow = network.b[:, None] * incidence
    held = network.b * network.shift
    # nodal balance: generation - load = incidence' (flow theta - held)
    place = np.zeros((n, 2))
    place[[0, 2], [0, 1]] = 1.0
    load = np.bincount(net.load.bus, net.load.p_mw, n) / base
    limited = np.tile(np.isfinite(network.rating), 2)
    result = linprog(
        [0.0] * n + [10.0 * base, 30.0 * base],
        A_eq=np.hstack([-incidence.T @ flow, place]),
        b_eq=load - incidence.T @ held,
        A_ub=np.hstack([np.vstack([flow, -flow])[limited], np.zeros((limited.sum(), 2))]),
        b_ub=np.concatenate([network.rating + held, network.rating - held])[limited],
        bounds=[(0.0, 0.0), *[(None, None)] * (n - 1), (0.0, 500.0 / base), (0.0, 300.0 / base)],
    )
    return result.fun


@pytest.mark.parametrize(("tap", "eur"), [(0, 3851.053), (5, 7346.083), (-5, 2889.750)])
def test_a_phase_shifter_of_a_transmission_grid_turns_its_dispatch(scenario, tap, eur):
    """DC optimal power flow of three buses, an ideal changer of 1 degree a position at the slack.

    The optima are those of a DC-OPF by hand; at another angle the line beside it is the limit.
    """
    grid = {"name": "street", "case": "street.json", "level": "transmission"}
    grid["loads"] = {"mix": {"household": 1.0}}
    loaded = load_scenario(str(scenario(triangle(ideal_tap=tap), grids=[grid])))
    built = build_grids(loaded)["street"]
    network = meshed_network(built.net, "street")
    assert np.rad2deg(network.shift[-1]) == pytest.approx(tap, abs=1e-12)
    assert dispatch_eur(built.net, network) == pytest.approx(eur, abs=1e-2)
