"""Vehicles, heat pumps, tasks, sheddable loads and caps as columns of a user's net."""

import io
from dataclasses import fields

import numpy as np
import pandapower as pp
import pandas as pd
import pytest
from support.outside_nets import street

from stackelgrid.controllers.devices.devices import plain_loads, read_devices
from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.checks import check_net
from stackelgrid.controllers.networks.net_tables import conform_tables
from stackelgrid.scenarios.build.system import build_scenario
from stackelgrid.scenarios.schema.load import load_scenario

SECTIONS = {
    "vehicles": [{"buses": [5, 9], "p_mw": 0.011, "e_mwh": 0.06, "p_min_mw": 0.00138,
                  "p_back_mw": 0.005, "wear_eur_per_mwh": 3.0, "phase": "abc"}],
    "heat_pumps": [{"buses": [5, 11], "source": "ground", "heating": "floor", "store_kwh": 8.0,
                    "water_kwh": 6.0}, {"buses": [7], "set_c": 22.0, "coldest_c": -10.0}],
    "tasks": [{"buses": [6], "p_mw": 0.002, "e_mwh": 0.004, "window": ["22:00", "06:00"],
               "interruptible": False}],
    "sheddable": [{"buses": [12], "percent": 40.0, "price_eur_per_mwh": 900.0}],
    "caps": [{"buses": [5], "hours": ["17:00", "20:30"]},
             {"buses": [9], "held_back_eur_per_mwh": 200.0}],
}  # fmt: skip
KINDS = ("vehicles", "heat_pumps", "tasks", "sheddable_loads", "caps")


def read(net):
    """Read a net as a scenario does."""
    conform_tables(net, "g")
    check_net(net, "g")
    return read_devices(net, "g", slack_is_unit=False)


def same(one, other):
    for field in fields(one):
        a, b = (getattr(member, field.name) for member in (one, other))
        np.testing.assert_array_equal(a, b, err_msg=f"{one.kind}: {field.name}")


@pytest.fixture(scope="module")
def homes():
    """A street with one device of each kind as columns of its own tables."""
    net = street()
    pp.create_storage(net, 3, 0.0, 0.05, type="vehicle", min_e_mwh=0.0, max_p_mw=0.011)
    own = {
        "heat_pump_mw": 0.003, "loss_mw_per_k": 1.6e-4, "capacity_mwh_per_k": 0.01,
    }, {"task_mw": 0.001, "task_mwh": 0.002, "task_from_h": 22.0, "task_to_h": 6.0}, {
        "shed_percent": 30.0, "shed_eur_per_mwh": 900.0}, {
        "cap_mw": 0.0042, "cap_from_h": 17.0, "cap_to_h": 20.0}  # fmt: skip
    for values in own:
        pp.create_load(net, 3, 0.0, 0.0, **values)
    return pp.to_json(net)


@pytest.fixture
def changed(homes):
    """Read the street after a change of one cell."""

    def net_with(table="load", row=None, **cells):
        net = pp.from_json_string(homes)
        frame = net[table]
        at = frame.index[row]
        for column, value in cells.items():
            if column not in frame:
                frame[column] = np.nan
            if not isinstance(value, float):
                frame[column] = frame[column].astype(object)
            frame.at[at, column] = value
        return net

    return net_with


def test_a_net_with_columns_reads_equal_to_the_sections_of_a_scenario(write_scenario, tmp_path):
    def placed(data):
        data["grids"][0].update(SECTIONS)

    first = build_scenario(load_scenario(str(write_scenario(change=placed))))
    pp.to_json(first.grids["mv1"].net, str(tmp_path / "homes.json"))

    def from_file(data):
        data["grids"][0].update(case="homes.json", pv=[], batteries=[])

    again = build_scenario(load_scenario(str(write_scenario(change=from_file))))
    one, other = first.devices["mv1"], again.devices["mv1"]
    for kind in KINDS:
        assert len(getattr(one, kind).index) > 0
        same(getattr(one, kind), getattr(other, kind))
    # but for the trips, which are drawn for each section, and the sun, series are the same
    a, b = first.series["mv1"].devices, again.series["mv1"].devices
    for name in a:
        if not name.startswith(("vehicle_", "pv_")):
            np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def test_devices_survive_files_of_pandapower(homes):
    net = pp.from_json_string(homes)
    again = pp.from_json_string(pp.to_json(net))
    for kind in KINDS:
        one, other = (getattr(read(n), kind) for n in (net, again))
        assert len(one.index) == 1
        same(one, other)


def test_defaults_of_columns_that_are_missing(homes):
    devices = read(pp.from_json_string(homes))
    vehicle, pump = devices.vehicles, devices.heat_pumps
    assert vehicle.p_back_mw[0] == vehicle.p_least_mw[0] == vehicle.reserve_mwh[0] == 0.0
    assert vehicle.efficiency_charge[0] == 1.0
    assert (vehicle.unmet_eur_per_mwh[0], vehicle.kwh_per_km[0]) == (700.0, 0.17)
    assert not pump.ground[0]
    assert not pump.floor[0]
    assert (pump.set_c[0], pump.below_k[0], pump.above_k[0]) == (20.5, 0.5, 1.5)
    assert pump.backup_mw[0] == pump.store_mwh[0] == pump.gains_mw[0] == pump.tan_phi[0] == 0.0
    assert devices.tasks.unserved_eur_per_mwh[0] == 2000.0
    assert devices.sheddable_loads.share[0] == 0.3
    assert not devices.caps.by_operator[0]
    assert devices.loads.name == tuple(f"house {k}" for k in range(6))


@pytest.mark.parametrize("empty", [np.nan, None, pd.NA, ""])
def test_empty_cells_count_as_missing_columns(changed, homes, empty):
    texts = {"heat_source": empty, "heating": empty, "phase": empty}
    numbers = {} if isinstance(empty, str) else {"backup_mw": empty, "store_mwh": empty}
    net = changed(row=6, **texts, **numbers)
    plain = read(pp.from_json_string(homes))
    for kind in KINDS:
        same(getattr(read(net), kind), getattr(plain, kind))


@pytest.mark.parametrize(("spelling", "counts"), [("Vehicle", 1), ("VEHICLE", 1), ("van", 0)])
def test_the_type_of_a_vehicle_in_any_spelling(changed, spelling, counts):
    devices = read(changed("storage", 0, type=spelling))
    assert len(devices.vehicles.index) == counts
    assert len(devices.batteries.index) == 1 - counts


def test_a_vehicle_that_is_not_controllable_is_a_constant_power(changed):
    devices = read(changed("storage", 0, controllable=False, p_mw=0.002))
    assert not devices.vehicles.index
    assert not devices.batteries.index
    assert devices.loads.p_mw[-1] == 0.002


# table, row of the device, cells, and what the message says behind "grid g: TABLE INDEX"
PUMP, TASK, SHED, CAP = 6, 7, 8, 9
REFUSED = [
    ("load", PUMP, {"heat_pump_mw": "three"}, " has heat_pump_mw = 'three'; a number (at most"),
    ("load", PUMP, {"backup_mw": "much"}, " has backup_mw = 'much'; a number (at most"),
    ("load", PUMP, {"backup_mw": True}, " has backup_mw = True; a number (at most"),
    ("load", PUMP, {"loss_mw_per_k": np.inf}, " has loss_mw_per_k = inf; a number (at most"),
    ("load", PUMP, {"heat_pump_mw": np.nan},
     " is a heat pump and needs heat_pump_mw > 0; found heat_pump_mw = nothing"),
    ("load", PUMP, {"heat_pump_mw": -0.003}, " is a heat pump and needs heat_pump_mw > 0; found "),
    ("load", PUMP, {"loss_mw_per_k": 0.0}, " is a heat pump and needs loss_mw_per_k > 0; found lo"),
    ("load", PUMP, {"capacity_mwh_per_k": np.nan}, " is a heat pump and needs capacity_mwh_per_k"),
    ("load", PUMP, {"power_factor": 0.0},
     " is a heat pump and needs 0 < power_factor <= 1; found power_factor = 0"),
    ("load", PUMP, {"below_k": -1.0}, " is a heat pump and needs a comfort band: below_k, above_k"),
    ("load", PUMP, {"below_k": 0.0, "above_k": 0.0}, " is a heat pump and needs a comfort band: "),
    ("load", PUMP, {"set_c": 293.15},
     " is a heat pump and needs 5 <= set_c <= 35; found set_c = 293.15"),
    ("load", PUMP, {"coldest_c": 12.0, "set_c": 10.0},
     " is a heat pump and needs coldest_c below set_c; found coldest_c = 12, set_c = 10"),
    ("load", PUMP, {"water_mwh": 0.006}, " is a heat pump and needs store_mwh > 0 where water_mwh"),
    ("load", PUMP, {"comfort_eur_per_k_h": -1.0}, " is a heat pump and needs comfort_eur_per_k_h "),
    ("load", PUMP, {"heat_source": "water"},
     " needs heat_source air or ground; found heat_source = 'water'"),
    ("load", PUMP, {"heating": 3.0}, " needs heating radiators or floor; found heating = 3"),
    ("load", PUMP, {"phase": "d"}, " has phase 'd'; accepted: a, b, c, abc (three-phase), or empt"),
    ("load", PUMP, {"p_mw": 0.001},
     " needs p_mw = q_mvar = 0: the power of heat pumps is decided; found p_mw = 0.001, q_mvar ="),
    ("load", PUMP, {"scaling": 2.0}, " needs scaling = 1: the power of heat pumps is decided; fou"),
    ("load", TASK, {"task_mwh": np.nan}, " is a shiftable load and needs task_mwh > 0; found task"),
    ("load", TASK, {"task_from_h": 24.0}, " is a shiftable load and needs 0 <= task_from_h, task_"),
    ("load", TASK, {"task_mwh": 0.0081}, " is a shiftable load and needs task_mwh that fits in th"),
    ("load", TASK, {"task_whole": 2.0}, " is a shiftable load and needs task_whole 0 (in parts) o"),
    ("load", TASK, {"unserved_eur_per_mwh": -1.0}, " is a shiftable load and needs unserved_eur_p"),
    ("load", TASK, {"q_mvar": 0.001}, " needs p_mw = q_mvar = 0: the power of shiftable loads is "),
    ("load", SHED, {"shed_percent": 130.0},
     " is a sheddable load and needs 0 < shed_percent <= 100; found shed_percent = 130"),
    ("load", SHED, {"shed_percent": np.nan}, " is a sheddable load and needs 0 < shed_percent <= "),
    ("load", SHED, {"shed_eur_per_mwh": np.nan}, " is a sheddable load and needs shed_eur_per_mwh"),
    ("load", SHED, {"bus": 1}, " is a sheddable load and needs another load at its bus, whose dem"),
    ("load", CAP, {"cap_mw": 0.0}, " is a power cap and needs cap_mw > 0; found cap_mw = 0"),
    ("load", CAP, {"cap_to_h": np.nan}, " is a power cap and needs 0 <= cap_from_h, cap_to_h < 24"),
    ("load", CAP, {"held_back_eur_per_mwh": 9.0}, " is a power cap and needs either cap_from_h, "),
    ("load", CAP, {"cap_from_h": np.nan, "cap_to_h": np.nan, "held_back_eur_per_mwh": -9.0},
     " is a power cap and needs held_back_eur_per_mwh >= 0; found held_back_eur_per_mwh = -9"),
    ("storage", 0, {"max_p_mw": np.nan}, " is a vehicle and needs max_p_mw > 0; found max_p_mw = "),
    ("storage", 0, {"min_p_mw": 0.001}, " is a vehicle and needs min_p_mw <= 0 (feeding back); fo"),
    ("storage", 0, {"soc_percent": 120.0}, " is a vehicle and needs 0 <= soc_percent <= 100; foun"),
    ("storage", 0, {"p_least_mw": 0.02},
     " is a vehicle and needs 0 <= p_least_mw <= max_p_mw; found p_least_mw = 0.02, max_p_mw = 0."),
    ("storage", 0, {"p_least_mw": "6 A"}, " has p_least_mw = '6 A'; a number (at most"),
    ("storage", 0, {"reserve_mwh": 0.06}, " is a vehicle and needs 0 <= reserve_mwh <= max_e_mwh;"),
    ("storage", 0, {"min_e_mwh": 0.01}, " is a vehicle and needs min_e_mwh = 0 (reserve_mwh is a "),
    ("storage", 0, {"max_e_mwh": 0.0}, " is a vehicle and needs max_e_mwh > 0; found max_e_mwh = "),
    ("storage", 0, {"efficiency_charge": 0.0}, " is a vehicle and needs 0 < efficiency_charge <= "),
    ("storage", 0, {"kwh_per_km": 17.0}, " is a vehicle and needs 0 <= kwh_per_km <= 5; found kwh"),
    ("storage", 0, {"unmet_eur_per_mwh": -1.0}, " is a vehicle and needs unmet_eur_per_mwh >= 0; "),
    ("storage", 0, {"wear_eur_per_mwh": -1.0}, " is a vehicle and needs wear_eur_per_mwh >= 0; fo"),
    ("storage", 0, {"q_mvar": 0.001}, " needs q_mvar = 0: electric vehicles give no reactive powe"),
    ("storage", 0, {"scaling": 0.5}, " is a vehicle and needs scaling = 1; found scaling = 0.5"),
]  # fmt: skip


@pytest.mark.parametrize(("table", "row", "cells", "said"), REFUSED)
def test_values_that_are_refused_are_named(changed, table, row, cells, said):
    with pytest.raises(NetworkError) as error:
        read(changed(table, row, **cells))
    text = str(error.value)
    assert text.startswith(f"grid g: {table} {row}{said}")
    assert "\n" not in text


def test_equal_loads_and_their_scale_leave_devices_alone(homes, write_scenario, tmp_path):
    (tmp_path / "homes.json").write_text(homes, encoding="utf-8")
    net = pp.from_json(io.StringIO(homes))
    assert plain_loads(net, "g") == list(range(6))

    def change(data):
        grid = data["grids"][0]
        loads = {"assign": {"household": 1.0}, "equal": True, "scale": 0.5}
        grid.update(case="homes.json", level="lv", loads=loads, pv=[], batteries=[])

    devices = build_scenario(load_scenario(str(write_scenario(change=change)))).devices["mv1"]
    np.testing.assert_allclose(devices.loads.p_mw, 0.5 * 0.004)
    assert devices.heat_pumps.p_max_mw.tolist() == [0.003]
    assert devices.sheddable_loads.nominal_mw.tolist() == pytest.approx([0.002])


def test_a_load_with_columns_of_two_kinds_is_refused(homes):
    net = pp.from_json_string(homes)
    heat_pump = net.load.index[net.load["heat_pump_mw"].notna()][0]
    net.load.loc[heat_pump, ["cap_mw", "cap_from_h", "cap_to_h"]] = [0.0042, 17.0, 20.0]
    with pytest.raises(
        NetworkError, match=rf"load {heat_pump} has columns of heat pumps and of power caps; those"
    ):
        read(net)
