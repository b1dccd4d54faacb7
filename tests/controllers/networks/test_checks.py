"""Every refusal of a grid, by the message a user would read."""

import copy
import re

import numpy as np
import pandapower as pp
import pytest
from pandapower.control import DiscreteTapControl

from stackelgrid.controllers.devices.devices import read_devices
from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.boundary import TransformerData, attach_transformer
from stackelgrid.controllers.networks.boundary import tap_changer as read_tap_changer
from stackelgrid.controllers.networks.checks import check_net, check_radial
from stackelgrid.controllers.networks.conversion.normalise import normalise
from stackelgrid.controllers.networks.conversion.series import merge_series_lines
from stackelgrid.controllers.networks.net_record import NetRecord
from stackelgrid.controllers.networks.radial import radial_network
from stackelgrid.controllers.networks.sources.cases import load_case as read_case
from stackelgrid.controllers.networks.taps import replace_tap_controllers


@pytest.fixture
def net(radial_net):
    """Transformer 0-1 and lines 0 to 3 along the buses 1-2-3-4-5; loads at 2, 3, 4, 5."""
    net = radial_net([0, 1, 2, 3], [0, 1, 1, 1, 1], [0] * 5)
    attach_transformer(net, TransformerData(0.4, 4.0, 1.0, -2, 2, 2.5), "base")
    return net


def refused(message):
    return pytest.raises(NetworkError, match=re.escape(message))


def set_value(table, index, column, value):
    def mutate(net):
        if column not in net[table]:
            net[table][column] = np.nan
        if isinstance(value, float):
            net[table][column] = net[table][column].astype(float)
        net[table].loc[index, column] = value

    return mutate


def closed_switch_of_kind(kind):
    def mutate(net):
        pp.create_switch(net, 2, 4, et="b")
        net.switch.loc[0, "et"] = kind

    return mutate


def cost_of(table):
    def mutate(net):
        pp.create_poly_cost(net, 0, "ext_grid", 1.0)
        net.poly_cost.loc[0, "et"] = table

    return mutate


def second_slack(net):
    pp.create_ext_grid(net, 2)


def no_slack(net):
    net.ext_grid = net.ext_grid.drop(0)


def slack_generator(net):
    pp.create_gen(net, 3, p_mw=0.1, slack=True)


def only_slack_generator(net):
    no_slack(net)
    slack_generator(net)


def unsupported(net):
    pp.create_dcline(net, 2, 3, 0.01, 1.0, 0.0, 1.0, 1.0)


def unconverted(net):
    pp.create_motor(net, 2, 0.01, 0.9)


def constant_impedance(net):
    net.load["const_z_p_percent"] = [0.0, 30.0, 0.0, 0.0]


def isolated_bus(net):
    net.line = net.line.drop([2])


def asymmetric_leakage(net):
    net.trafo["pfe_kw"] = 0.5
    net.trafo["leakage_reactance_ratio_hv"] = 0.7


def doubled_bus(net):
    net.bus = net.bus.loc[[0, 1, 2, 3, 4, 5, 5]]


@pytest.mark.parametrize(
    ("mutate", "message"),
    [
        (second_slack, "grid g: exactly one slack bus is accepted, found buses 5, 2"),
        (no_slack, "grid g: exactly one slack bus is accepted, found none"),
        (slack_generator, "grid g: exactly one slack bus is accepted, found buses 5, 3"),
        (only_slack_generator, "the slack must be an ext_grid, found a gen with slack=True"),
        (unsupported, "grid g: dcline 0 not supported; accepted elements: asymmetric_load, "),
        (unconverted, "grid g: motor 0 not converted yet"),
        (constant_impedance, "grid g: load 1 voltage dependent (const_z/const_i)"),
        (isolated_bus, "grid g: bus 3, 4 isolated from the slack bus"),
        (
            asymmetric_leakage,
            "grid g: trafo 0 has leakage_reactance_ratio_hv = 0.7; 0.5 is accepted",
        ),
        (doubled_bus, "grid g: bus 5 defined twice"),
        (set_value("bus", 3, "vn_kv", np.nan), "grid g: bus 3 has vn_kv NaN or <= 0"),
        (set_value("bus", 3, "vn_kv", -0.4), "grid g: bus 3 has vn_kv NaN or <= 0"),
        (set_value("load", 2, "bus", 77), "grid g: load 2 sits on bus 77, which does not exist"),
        (set_value("line", 1, "to_bus", 77), "line 1 sits on to_bus 77"),
        (set_value("trafo", 0, "lv_bus", 77), "trafo 0 sits on lv_bus 77"),
        (set_value("ext_grid", 0, "bus", 77), "ext_grid 0 sits on bus 77"),
        (set_value("ext_grid", 0, "vm_pu", 0.0), "grid g: ext_grid 0 has vm_pu = 0; > 0"),
        (set_value("line", 1, "r_ohm_per_km", np.nan), "grid g: line 1 has r = nan, x = 0.01 ohm"),
        (set_value("line", 1, "r_ohm_per_km", -0.2), "grid g: line 1 has r = -0.02, x = 0.01 ohm"),
        (set_value("line", 2, "length_km", 0.0), "grid g: line 2 has r = 0, x = 0 ohm"),
        (set_value("line", 2, "length_km", np.inf), "grid g: line 2 has r = inf"),
        (set_value("line", 2, "c_nf_per_km", np.nan), "line 2 has c_nf_per_km NaN or negative"),
        (set_value("line", 2, "c_nf_per_km", -1.0), "line 2 has c_nf_per_km NaN or negative"),
        (set_value("trafo", 0, "vk_percent", 0.0), "grid g: trafo 0 has an impossible impedance"),
        (set_value("trafo", 0, "vkr_percent", 5.0), "grid g: trafo 0 has an impossible impedance"),
        (set_value("trafo", 0, "sn_mva", np.nan), "grid g: trafo 0 has an impossible impedance"),
        (set_value("line", 0, "max_i_ka", 0.0), "grid g: line 0 has max_i_ka = 0; a rating > 0"),
        (set_value("line", 0, "max_i_ka", -1.0), "grid g: line 0 has max_i_ka = -1; a rating > 0"),
        (set_value("line", 3, "df", 0.0), "grid g: line 3 has df = 0"),
        (
            set_value("line", 3, "max_loading_percent", -5.0),
            "grid g: line 3 has max_loading_percent = -5",
        ),
        (
            set_value("trafo", 0, "max_loading_percent", 0.0),
            "grid g: trafo 0 has max_loading_percent = 0",
        ),
        (set_value("load", 3, "p_mw", np.nan), "grid g: load 3 has p_mw NaN or infinite"),
        (set_value("load", 3, "q_mvar", np.inf), "grid g: load 3 has q_mvar NaN or infinite"),
        (
            set_value("bus", 4, "min_vm_pu", 1.6),
            "grid g: bus 4 has the empty voltage band [1.6, 1.5] p.u.",
        ),
    ],
)
def test_check_net_names_what_it_refuses(net, mutate, message):
    check_net(net, "g")  # what is refused is the change and nothing else
    mutate(net)
    with refused(message):
        check_net(net, "g")


def test_long_lists_of_elements_are_cut(net):
    net.load = net.load.loc[[0] * 9].reset_index(drop=True)
    net.load["p_mw"] = np.nan
    with refused("load 0, 1, 2, 3, 4, 5 and 3 more has p_mw NaN"):
        check_net(net, "g")


def add_line(net, a, b):
    pp.create_line_from_parameters(net, a, b, 0.1, 0.3, 0.1, 0.0, np.nan)


def test_a_loop_is_named_by_its_buses(net):
    add_line(net, 2, 4)
    with pytest.raises(NetworkError, match=r"grid g: bus [234], [234], [234] form a loop"):
        check_radial(net, "g")


def test_parallel_branches_are_named(net):
    add_line(net, 2, 1)
    with refused("grid g: parallel branches between buses 1-2; a radial network is required"):
        radial_network(net, "g")


def test_radial_network_alone_names_an_isolated_bus(net):
    net.line = net.line.drop([3])
    with refused("grid g: bus 4 is isolated from the head"):
        radial_network(net, "g")


def test_as_many_branches_as_a_tree_is_not_a_tree(net):
    net.line = net.line.drop([3])
    add_line(net, 1, 3)
    with refused("grid g: bus 4 is isolated from the head"):
        radial_network(net, "g")
    with refused("grid g: bus 4 isolated from the slack bus"):
        check_net(net, "g")


def with_pv(net, **values):
    pp.create_sgen(net, 2, p_mw=0.01, sn_mva=0.01, type="PV", controllable=True)
    for column, value in values.items():
        net.sgen[column] = value


def with_battery(net, **values):
    pp.create_storage(net, 3, p_mw=0.0, max_e_mwh=0.02, max_p_mw=0.01, soc_percent=50.0)
    for column, value in values.items():
        net.storage[column] = value


def with_unit(net, c2=0.1, **values):
    i = pp.create_sgen(net, 2, p_mw=0.0, min_p_mw=0.0, max_p_mw=1.0, type="unit", controllable=True)
    pp.create_poly_cost(net, i, "sgen", cp1_eur_per_mw=1.0, cp2_eur_per_mw2=c2)
    for column, value in values.items():
        net.sgen[column] = value


def with_generator(net, costs):
    pp.create_gen(net, 2, p_mw=0.0)
    for _ in range(costs):
        pp.create_poly_cost(net, 0, "gen", cp1_eur_per_mw=1.0, check=False)


def with_piecewise_cost(points, poly=False, **values):
    def change(net):
        with_unit(net)
        if not poly:
            net.poly_cost = net.poly_cost.drop(net.poly_cost.index)
        pp.create_pwl_cost(net, 0, "sgen", [[0, 1, 1.0]], check=False, **values)
        net.pwl_cost["points"] = [points]

    return change


@pytest.mark.parametrize(
    ("mutate", "message"),
    [
        (lambda n: with_battery(n, max_p_mw=np.nan), "grid g: storage 0 needs max_p_mw > 0"),
        (lambda n: with_battery(n, max_p_mw=-1.0), "grid g: storage 0 needs max_p_mw > 0"),
        (lambda n: with_battery(n, max_e_mwh=np.nan), "storage 0 needs 0 <= min_e_mwh < max_e_mwh"),
        (lambda n: with_battery(n, max_e_mwh=np.inf), "storage 0 needs 0 <= min_e_mwh < max_e_mwh"),
        (lambda n: with_battery(n, min_e_mwh=0.02), "storage 0 needs 0 <= min_e_mwh < max_e_mwh"),
        (lambda n: with_battery(n, min_e_mwh=-0.1), "storage 0 needs 0 <= min_e_mwh < max_e_mwh"),
        (lambda n: with_battery(n, soc_percent=101.0), "storage 0 needs 0 <= soc_percent <= 100"),
        (
            lambda n: with_battery(n, efficiency_charge=1.1),
            "storage 0 needs 0 < efficiency_charge <= 1",
        ),
        (
            lambda n: with_battery(n, efficiency_discharge=0.0),
            "storage 0 needs 0 < efficiency_discharge <= 1",
        ),
        (lambda n: with_pv(n, p_mw=0.0), "grid g: sgen 0 is PV with p_mw <= 0"),
        (lambda n: with_pv(n, min_power_factor=1.2), "sgen 0 has min_power_factor outside [0, 1]"),
        (lambda n: with_pv(n, sn_mva=-0.01), "grid g: sgen 0 is PV with sn_mva <= 0"),
        (
            lambda n: with_unit(n, c2=-0.1),
            "grid g: sgen 0 has cp2_eur_per_mw2 = -0.1; a convex cost (>= 0) is accepted",
        ),
        (lambda n: with_unit(n, min_p_mw=2.0), "grid g: sgen 0 has the empty range [2, 1] MW"),
        (lambda n: with_generator(n, costs=0), "grid g: gen 0 has no poly_cost"),
        (lambda n: with_generator(n, costs=2), "grid g: gen 0 has several poly_costs"),
        (with_piecewise_cost([[0, 1, 2.0]], poly=True), "grid g: sgen 0 has several costs"),
        (
            with_piecewise_cost([[0, 0.5, 3.0], [0.5, 1, 2.0]]),
            "sgen 0 has a pwl_cost whose slope falls from 3 to 2 EUR/MWh at 0.5 MW; a convex cost",
        ),
        (
            with_piecewise_cost([[0, 0.4, 1.0], [0.5, 1, 2.0]]),
            "pwl_cost 0 has points = [[0, 0.4, 1.0], [0.5, 1, 2.0]]; points [[from MW, to MW, ",
        ),
        (with_piecewise_cost("free"), "grid g: pwl_cost 0 has points = 'free'; points [["),
        (
            with_piecewise_cost([[0, 1, 2.0]], power_type="q"),
            "grid g: pwl_cost 0 has power_type = 'q'; 'p' is accepted",
        ),
    ],
)
def test_read_devices_names_what_it_refuses(net, mutate, message):
    read_devices(net, "g", slack_is_unit=False)
    mutate(net)
    with refused(message):
        read_devices(net, "g", slack_is_unit=False)


def single_phase(net, b):
    net.load = net.load.drop(net.load.index)
    pp.create_asymmetric_load(net, 2, p_a_mw=0.001, p_b_mw=b, name="customer")


def test_a_single_phase_load_keeps_its_power_and_phase(net):
    single_phase(net, 0.0)
    pp.create_asymmetric_load(net, 4, p_c_mw=0.003, q_c_mvar=0.001, name="other")
    plain = normalise(net, "g")
    assert plain.load[["bus", "p_mw", "q_mvar", "phase", "name"]].to_numpy().tolist() == [
        [2, 0.001, 0.0, "a", "customer"],
        [4, 0.003, 0.001, "c", "other"],
    ]
    assert not len(plain.asymmetric_load)
    assert len(net.asymmetric_load) == 2  # the given net is untouched


def test_in_service_must_be_known(net):
    net.line["in_service"] = net.line.in_service.astype(object)
    net.line.loc[1, "in_service"] = None
    with refused("grid g: line 1 has in_service empty"):
        normalise(net, "g")


def piecewise_cost_of_a_line(net):
    pp.create_pwl_cost(net, 0, "ext_grid", [[0, 1, 2]])
    net.pwl_cost.loc[0, "et"] = "line"


def impedance_without_in_service(net):
    pp.create_impedance(net, 2, 3, 0.1, 0.1, 1.0)
    net.impedance = net.impedance.drop(columns="in_service")


@pytest.mark.parametrize(
    ("mutate", "message"),
    [
        (closed_switch_of_kind("B"), "grid g: switch 0 has et = 'B'; b, l, t, t3 are accepted"),
        (cost_of("feeder"), "poly_cost 0 has et = 'feeder'; ext_grid, gen, sgen, load, storage,"),
        (cost_of("name"), "poly_cost 0 has et = 'name'; "),
        (piecewise_cost_of_a_line, "pwl_cost 0 has et = 'line'; "),
        (impedance_without_in_service, "grid g: impedance: column 'in_service' is missing"),
    ],
)
def test_kinds_and_columns_that_decide_what_counts_must_be_known(net, mutate, message):
    mutate(net)
    with refused(message):
        normalise(net, "g")


@pytest.mark.parametrize("options", [["trafo_model"], "init", 5])
def test_power_flow_options_have_names(net, options):
    net["user_pf_options"] = options
    with refused("grid g: user_pf_options is "):
        check_net(normalise(net, "g"), "g")


@pytest.mark.parametrize("key", ["element", "element_index"])
def test_a_tap_controller_says_what_it_moves(net, key):
    control = DiscreteTapControl(net, 0, 0.98, 1.02)
    delattr(control, key)
    with refused("grid g: controller 0 (DiscreteTapControl) does not say which transformers"):
        replace_tap_controllers(net, "g", [0], NetRecord())


def test_elements_out_of_service_disappear(net):
    net.line.loc[3, "in_service"] = False
    net.bus.loc[4, "in_service"] = False
    plain = normalise(net, "g")
    check_net(plain, "g")
    assert list(plain.bus.index) == [0, 1, 2, 3, 5]
    assert list(plain.load.bus) == [1, 2, 3]


def test_an_unknown_case_lists_the_accepted_ones():
    with refused(
        "grid g: case 'case31' unknown; accepted: case30, case33bw, european_lv_206, "
        "european_lv_906, the path of a pandapower .json, MATPOWER .m or OpenDSS .dss file"
    ):
        read_case("case31", "g")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(NetworkError, match=r"grid g: file .*missing\.json does not exist"):
        read_case(str(tmp_path / "missing.json"), "g")


@pytest.mark.parametrize("text", ["", "no json", "{", '{"a": 1}', "[1, 2]", "3"])
def test_a_file_that_holds_no_net_is_named(tmp_path, text):
    path = tmp_path / "broken.json"
    path.write_text(text)
    with pytest.raises(
        NetworkError,
        match=r"grid g: .*broken\.json (is not a pandapower JSON file|does not hold a pandapower)",
    ):
        read_case(str(path), "g")


def test_refusals_reach_a_user_through_load_case(net, tmp_path):
    net.load.loc[0, "bus"] = 77
    pp.to_json(net, str(tmp_path / "mine.json"))
    with refused("grid mine: load 0 sits on bus 77, which does not exist"):
        read_case(str(tmp_path / "mine.json"), "mine")


def test_taps_need_one_transformer_with_taps_upstream(net):
    read_tap_changer(net, "g")
    beside = copy.deepcopy(net)
    add_line(beside, 5, 2)
    with refused("grid g: a boundary with taps needs exactly one branch at the slack bus"):
        read_tap_changer(beside, "g")
    net.trafo["tap_side"] = None
    with refused("grid g: trafo 0 has no tap_side; a transformer without taps is accepted"):
        read_tap_changer(net, "g")
    net.trafo["tap_side"] = "lv"
    with refused("grid g: trafo 0 has tap_side 'lv'; 'hv' is accepted"):
        read_tap_changer(net, "g")


def test_a_transformer_without_tap_data_is_refused(net):
    net.trafo["tap_min"] = np.nan
    with refused("grid g: trafo 0 has tap_min NaN"):
        read_tap_changer(net, "g")


def test_a_second_boundary_transformer_is_refused(net):
    with refused("grid g: already has trafo 0 at its slack bus; leave sn_mva"):
        attach_transformer(net, TransformerData(0.4, 4.0, 1.0, -2, 2, 2.5), "g")


def test_lines_with_charging_are_not_merged(net):
    net.name = "g"
    net.line.loc[2, "c_nf_per_km"] = 200.0
    with refused("grid g: line 2 has charging; cannot be merged"):
        merge_series_lines(net)
