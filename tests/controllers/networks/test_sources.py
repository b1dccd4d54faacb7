"""Nets by the forms of `case`: files of other tools, functions of pandapower, SimBench codes."""

import logging
import random
import sys
from pathlib import Path

import numpy as np
import pandapower as pp
import pandapower.networks as pn
import pytest
from pandapower.toolbox import nets_equal
from support.paths import REFERENCE_CASES

from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.net_record import NetRecord
from stackelgrid.controllers.networks.sources import pandapower_function, simbench_code
from stackelgrid.controllers.networks.sources.cases import (
    is_file,
    load_case,
    located,
    read_case,
)

FILES = REFERENCE_CASES / "sources"
# Baran and Wu 1989 (doi 10.1109/61.25627) and 1989 (doi 10.1109/61.19265): losses in kW
PUBLISHED_KW = {"case33bw": 202.68, "case69": 225.0}


@pytest.mark.parametrize("case", sorted(PUBLISHED_KW))
def test_units_of_matpowers_distribution_cases_are_converted(solve_ac, case):
    record = NetRecord()
    net = load_case(str(FILES / f"{case}.m"), "mine", record)
    assert 1e3 * solve_ac(net).loss_mw == pytest.approx(PUBLISHED_KW[case], abs=0.05)
    # MATPOWER's own result of runpf
    exact = {"case33bw": 202.6771, "case69": 224.9917}[case]
    assert 1e3 * solve_ac(net).loss_mw == pytest.approx(exact, abs=1e-4)
    assert len(record.notices) == 1
    assert "band of zero width" in record.notices[0]
    assert (net.bus.min_vm_pu == 0.9).all()


def text_of(**changes):
    """Case of two buses: 3 + 1j MVA behind 0.01 + 0.05j p.u. of 100 MVA at 110 kV."""
    parts = {
        "head": "function mpc = tiny\nmpc.version = '2';\nmpc.baseMVA = 100; % MVA\n",
        "bus": "mpc.bus = [1 3 0 0 0 0 1 1 0 110 1 1.1 0.9; 7, 1, 3, 1, 0, 0, 1, 1, 0, ...\n"
        " 110, 1, 1.1, 0.9];\n",
        "gen": "mpc.gen = [\n1 0 0 Inf -Inf 1 100 1 250 0\n];\n",
        "branch": "mpc.branch = [ 1 7 0.01 1/20 0 0 0 0 0 0 1 -360 360 ];\n",
        "names": "mpc.bus_name = {'North % 1'; 'South'};\n",
        "code": "",
    }
    return "".join((parts | changes).values())


def read_text(tmp_path, text):
    path = tmp_path / "tiny.m"
    path.write_text(text, encoding="utf-8")
    return read_case(str(path), "mine").net


def test_a_case_of_matpower_in_any_layout(tmp_path):
    net = read_text(tmp_path, text_of())
    assert net.bus.name.tolist() == ["North % 1", "South"]
    assert net.bus.index.tolist() == [0, 6]  # MATPOWER's numbers less 1
    # hand computation: Z = 110^2 / 100 ohm
    assert net.line.r_ohm_per_km[0] == pytest.approx(1.21)
    assert net.line.x_ohm_per_km[0] == pytest.approx(6.05)
    code = "%{\nmpc.bus = 3;\n%}\nS = mpc.bus(7 - 5, 3) * 2; mpc.bus(:, [PD QD]) = S / 4;\n"
    net = read_text(tmp_path, text_of(code=code))
    assert net.load[["p_mw", "q_mvar"]].to_numpy().tolist() == [[1.5, 1.5], [1.5, 1.5]]
    turned = text_of(code="pf = 0.8; mpc.bus(:, QD) = mpc.bus(:, PD) .* sin(acos(pf));\n")
    assert read_text(tmp_path, turned).load.q_mvar.tolist() == pytest.approx([1.8])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"code": "if true\n mpc.bus(:, PD) = 0;\nend\n"}, r"line 11: 'if true' cannot be read"),
        ({"code": "mpc = scale_load(2, mpc);\n"}, r"'mpc = scale_load\(2, mpc\)' cannot be read"),
        ({"code": "mpc.bus(2, PD) = system('ls');\n"}, "cannot be read; tables and arithmetic"),
        ({"code": "x.y = 1\n"}, "cannot be read"),
        ({"head": "mpc.version = '1';\nmpc.baseMVA = 100;\n"}, "mpc.version is '1'"),
        ({"bus": ""}, "mpc.bus is not a table of at least 13 columns"),
        ({"bus": "mpc.bus = [1 3 0; 2 1 0 0];\n"}, "cannot be read"),
        ({"gen": "mpc.gen = [5 0 0 0 0 1 100 1 250 0];\n"}, "bus 5 is not in mpc.bus"),
        ({"code": "mpc.dcline = [1 7 1 10];\n"}, "mpc.dcline has 1 rows"),
        ({"code": "mpc.bus(:, PD) = mpc.bus(:, PD) * NaN;\n"}, "cannot be read"),
        ({"code": "mpc.bus(:, PD) = mpc.bus(:, PD) * 1e999;\n"}, "not finite"),
    ],
)
def test_other_texts_are_refused_in_one_line(tmp_path, changes, message):
    with pytest.raises(NetworkError, match=message) as caught:
        read_text(tmp_path, text_of(**changes))
    assert "\n" not in str(caught.value)


def test_a_feeder_of_opendss_has_its_voltages(solve_ac):
    pytest.importorskip("opendssdirect")
    record, here = NetRecord(), Path.cwd()
    net = load_case(str(FILES / "feeder.dss"), "mine", record)
    assert Path.cwd() == here
    assert net.f_hz == 60.0
    solved = net["opendss_import"]["vm_pu_opendss"]
    found = dict(zip(net.bus.name, solve_ac(net).vm_pu, strict=True))
    # the load of one phase depends on the voltage in OpenDSS: 3 of 93 kW, unbalanced
    for bus in ("head", "middle", "end"):
        assert found[bus] == pytest.approx(solved[bus], abs=2e-5)
    for bus in ("low", "house"):
        assert found[bus] == pytest.approx(solved[bus], abs=2e-3)
    # the open line draws its charging: 2 pi 60 Hz 300 nF/km 5 km 10 kV^2
    assert (net.line.name == "spare").any()
    text = " ".join(record.notices)
    for part in ("1 load of one or two phases", "1 voltage-dependent load", "1 Generator"):
        assert part in text


def test_a_file_that_opendss_does_not_read_is_refused(tmp_path):
    pytest.importorskip("opendssdirect")
    path = tmp_path / "wrong.dss"
    path.write_text("New Circuit.x\nNew Lyne.one bus1=a\n")
    with pytest.raises(NetworkError, match=r"wrong\.dss: OpenDSS") as caught:
        read_case(str(path), "mine")
    assert "\n" not in str(caught.value)
    with pytest.raises(NetworkError, match="does not exist"):
        read_case(str(tmp_path / "none.dss"), "mine")


def test_functions_of_pandapower_take_literals():
    case = "pandapower.networks:create_cigre_network_mv(with_der='pv_wind')"
    net = read_case(case, "mine").net
    assert nets_equal(net, pn.create_cigre_network_mv(with_der="pv_wind"))


def test_warnings_of_a_function_are_not_printed(monkeypatch, caplog):
    def loud():
        logging.getLogger("pandapower.auxiliary").warning("numba cannot be imported")
        return pp.create_empty_network(add_stdtypes=False)

    loud.__module__ = pn.__name__
    monkeypatch.setattr(pn, "loud", loud, raising=False)
    pandapower_function.read_function("pandapower.networks:loud", "m", NetRecord())
    assert not caplog.records


def test_random_choices_of_a_function_are_the_same_in_every_run(monkeypatch):
    def drawn():
        net = pp.create_empty_network(add_stdtypes=False)
        pp.create_bus(net, random.random(), name=str(np.random.rand()))  # noqa: NPY002
        return net

    drawn.__module__ = pn.__name__
    monkeypatch.setattr(pn, "drawn", drawn, raising=False)
    random.seed(5)
    before = random.getstate()
    case = "pandapower.networks:drawn"
    first, second = (pandapower_function.read_function(case, "m", NetRecord()) for _ in range(2))
    assert first.bus.vn_kv[0] == second.bus.vn_kv[0]
    assert first.bus.name[0] == second.bus.name[0]
    assert random.getstate() == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("case9(__import__('os').getcwd())", "FUNCTION or FUNCTION"),
        ("(lambda: 1)()", "FUNCTION or FUNCTION"),
        ("os.getcwd()", "FUNCTION or FUNCTION"),
        ("case9(**{'a': 1})", "FUNCTION or FUNCTION"),
        ("case9(", "FUNCTION or FUNCTION"),
        ("no_such_net", "no function 'no_such_net'"),
        ("_something", "no function '_something'"),
        ("pd", "no function 'pd'"),
        ("case9(12)", "case9 refuses its arguments"),
        ("mv_oberrhein(separation_by_sub=True)", "returns tuple; a function that returns one net"),
    ],
)
def test_other_expressions_are_refused(text, message):
    with pytest.raises(NetworkError, match=message) as caught:
        read_case(f"pandapower.networks:{text}", "mine")
    assert "\n" not in str(caught.value)


def test_names_of_files_are_relative_to_the_scenario():
    folder = Path("/data")
    for case in ("a.json", "b/c.m", "d.dss"):
        assert is_file(case)
        assert located(case, folder) == f"/data/{case}"
    assert located("/x/a.m", folder) == "/x/a.m"
    for case in ("case33bw", "simbench:1-LV-rural1--0-sw", "pandapower.networks:f('a.m')"):
        assert not is_file(case)
        assert located(case, folder) == case
    with pytest.raises(NetworkError, match=r"case 'mine.xlsx' unknown; accepted: case30, "):
        read_case("mine.xlsx", "mine")
    for case in (".json", ".m", ".dss"):  # names that are an ending alone
        with pytest.raises(NetworkError, match=rf"file {case} "):
            read_case(case, "mine")


def test_a_missing_package_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "simbench", None)
    with pytest.raises(NetworkError, match="needs the package simbench; pip install 'simbench"):
        read_case("simbench:1-LV-rural1--0-sw", "mine")
    monkeypatch.setitem(sys.modules, "opendssdirect", None)
    (tmp_path / "own.dss").touch()
    with pytest.raises(NetworkError, match=r"needs the package OpenDSSDirect.py; pip install"):
        read_case(str(tmp_path / "own.dss"), "mine")


@pytest.mark.slow
def test_a_code_of_simbench_is_its_net(solve_ac):
    simbench = pytest.importorskip("simbench")
    source = read_case("simbench:1-LV-rural1--2-sw", "mine")
    net = source.net
    theirs = simbench.get_simbench_net("1-LV-rural1--2-sw")
    assert source.profiles.known["sgen"] == {"PV5", "PV6", "PV8"}
    # tap 1 of 2.5 %, which the package's net has without the type of its changer
    theirs.trafo["tap_changer_type"] = "Ratio"
    pp.runpp(theirs, numba=False)
    own = load_case("simbench:1-LV-rural1--2-sw", "mine", NetRecord())
    solved = dict(zip(own.bus.index, solve_ac(own).vm_pu, strict=True))
    for bus, vm_pu in solved.items():
        assert vm_pu == pytest.approx(theirs.res_bus.vm_pu[bus], abs=1e-8)
    assert "trafo 0: tap_changer_type is Ratio" in source.notices[0]
    # storages charge and discharge up to their rating
    np.testing.assert_array_equal(net.storage.max_p_mw, net.storage.sn_mva)
    np.testing.assert_array_equal(net.storage.efficiency_charge, 0.95)
    with pytest.raises(NetworkError, match="no such code of SimBench; for example 1-LV-rural1--"):
        read_case("simbench:1-LV-rural1--9-sw", "mine")
    assert simbench_code.PREFIX == "simbench:"
