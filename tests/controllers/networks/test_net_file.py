"""Grid files: read like pandapower does, without importing what they name; refusals name cells."""

import json
import sys

import numpy as np
import pandapower as pp
import pandapower.networks as pn
import pandas as pd
import pytest
from pandapower.control import DiscreteTapControl
from support.pandapower_nets import empty_net

from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.net_tables import conform_tables
from stackelgrid.controllers.networks.sources.cases import load_case
from stackelgrid.controllers.networks.sources.json_file import read_net


def street(houses=3):
    """A transformer and a few houses."""
    net = empty_net(sn_mva=0.1)
    up, bus = pp.create_bus(net, 20.0), pp.create_bus(net, 0.4, geodata=(9.5, 51.3))
    pp.create_ext_grid(net, up, vm_pu=1.02)
    pp.create_transformer(net, up, bus, "0.25 MVA 20/0.4 kV")
    for house in range(houses):
        end = pp.create_bus(net, 0.4)
        pp.create_line_from_parameters(net, bus, end, 0.05, 0.25, 0.08, 0.0, 0.2)
        pp.create_load(net, end, 0.004, 0.001, name=f"house {house}")
        bus = end
    return net


@pytest.fixture
def saved(tmp_path):
    """Write a document, the text of a net after a change to its content."""

    def write(change=lambda content: None, net=None):
        document = json.loads(pp.to_json(street() if net is None else net))
        change(document["_object"])
        path = tmp_path / "net.json"
        path.write_text(json.dumps(document), encoding="utf-8")
        return path

    return write


def table(content, name):
    return json.loads(content[name]["_object"])


def cell(name, row, column, value):
    """Set a cell of a table in the document of a net."""

    def change(content):
        held = table(content, name)
        held["data"][row][held["columns"].index(column)] = value
        content[name]["_object"] = json.dumps(held)

    return change


def without(name, column):
    def change(content):
        held = table(content, name)
        k = held["columns"].index(column)
        held["columns"].pop(k)
        for row in held["data"]:
            row.pop(k)
        content[name]["_object"] = json.dumps(held)

    return change


def put(*keys, value):
    def change(content):
        at = content
        for key in keys[:-1]:
            at = at[key]
        at[keys[-1]] = value

    return change


def both(*changes):
    def change(content):
        for one in changes:
            one(content)

    return change


def indexed(name, row, value):
    def change(content):
        held = table(content, name)
        held["index"][row] = value
        content[name]["_object"] = json.dumps(held)

    return change


@pytest.mark.parametrize(
    "make",
    [pn.case30, pn.case33bw, pn.example_multivoltage, pn.create_cigre_network_mv],
)
def test_values_are_those_that_pandapower_reads(make, tmp_path):
    path = tmp_path / "net.json"
    pp.to_json(make(), str(path))
    own, other = read_net(path, "g"), pp.from_json(str(path))
    for name, frame in other.items():
        if isinstance(frame, pd.DataFrame) and len(frame) and not name.startswith("res_"):
            pd.testing.assert_frame_equal(
                own[name][frame.columns], frame, check_dtype=False, check_exact=True
            )
    pp.runpp(own)
    pp.runpp(other)
    assert np.array_equal(own.res_bus.vm_pu, other.res_bus.vm_pu)


def test_a_tap_controller_of_pandapower_is_restored(saved):
    net = street()
    DiscreteTapControl(net, 0, 0.98, 1.02)
    read = read_net(saved(net=net), "g")
    control = read.controller.object.iloc[0]
    assert type(control) is DiscreteTapControl
    assert (control.vm_lower_pu, control.vm_upper_pu) == (0.98, 1.02)


FOREIGN = {"_module": "beside_the_net", "_class": "Anything", "_object": "{}"}


@pytest.mark.parametrize(
    "change",
    [
        put("controller", value=FOREIGN),
        put("bus", value=FOREIGN),
        put("user_pf_options", value={"a": [{"b": FOREIGN}]}),
        cell("load", 0, "name", FOREIGN),
        cell("bus", 1, "zone", {**FOREIGN, "_class": "function", "_object": "run"}),
        put(
            "controller",
            value={
                "_module": "pandapower.control.controller.trafo.DiscreteTapControl",
                "_class": "DiscreteTapControl",
                "_object": json.dumps({"matching_params": FOREIGN}),
            },
        ),
    ],
)
def test_a_module_beside_the_file_is_not_imported(change, saved, tmp_path, monkeypatch):
    path = saved(change)
    (tmp_path / "beside_the_net.py").write_text(
        f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Anything: pass\nrun = print\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NetworkError, match=r"names beside_the_net\.(Anything|function); classes"):
        read_net(path, "g")
    assert not (tmp_path / "ran").exists()
    assert "beside_the_net" not in sys.modules


@pytest.mark.parametrize(
    ("module", "kind"),
    [
        ("os", "system"),
        ("builtins", "eval"),
        ("numpy", "fromfile"),
        ("pandas", "read_pickle"),
        ("pandapower.file_io", "from_pickle"),
        ("pandapower_evil", "A"),
    ],
)
def test_callables_are_not_called(module, kind, saved):
    thing = {"_module": module, "_class": kind, "_object": "x"}
    with pytest.raises(NetworkError, match=rf"names {module}\.{kind}"):
        read_net(saved(put("extra", value=thing)), "g")


def test_the_table_of_another_file_is_not_read(saved, tmp_path):
    """pandapower opens the path that a table's text is."""
    other = tmp_path / "other.json"
    other.write_text('{"columns": ["vn_kv"], "index": [0], "data": [[1.0]]}', encoding="utf-8")
    with pytest.raises(NetworkError, match="is not a pandapower JSON file"):
        read_net(saved(put("bus", "_object", value=str(other))), "g")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (without("bus", "name"), "bus: column 'name' is missing"),
        (without("line", "length_km"), "line: column 'length_km' is missing"),
        (without("trafo", "tap_min"), "trafo: column 'tap_min' is missing"),
        (without("ext_grid", "va_degree"), "ext_grid: column 'va_degree' is missing"),
        (cell("line", 1, "length_km", {"a": 1}), "line 1 has length_km = {'a': 1}; a number"),
        (cell("line", 1, "length_km", "0.05"), "line 1 has length_km = '0.05'; a number"),
        (cell("line", 1, "length_km", True), "line 1 has length_km = True; a number"),
        (cell("line", 1, "length_km", [1, 2]), "line 1 has length_km = [1, 2]; a number"),
        (cell("line", 1, "length_km", float("inf")), "line 1 has length_km = inf; a number"),
        (cell("line", 1, "length_km", 1e300), "line 1 has length_km = 1e+300; a number (at most"),
        (cell("line", 1, "length_km", 10**400), "line 1 has length_km = "),
        (cell("line", 1, "length_km", None), "line 1 has length_km empty; a number"),
        (cell("line", 2, "from_bus", 1.5), "line 2 has from_bus = 1.5; a whole number"),
        (cell("line", 2, "from_bus", -1), "line 2 has from_bus = -1; a whole number"),
        (cell("load", 2, "in_service", "yes"), "load 2 has in_service = 'yes'; true or false"),
        (cell("load", 2, "in_service", None), "load 2 has in_service empty; true or false"),
        (cell("bus", 0, "name", ["a"]), "bus 0 has name = ['a']; a text"),
        (cell("bus", 1, "geo", "somewhere"), "bus 1 has geo = 'somewhere'; a GeoJSON point"),
        (cell("bus", 1, "geo", "{}"), "bus 1 has geo = '{}'; a GeoJSON point"),
        (cell("ext_grid", 0, "va_degree", None), "ext_grid 0 has va_degree empty; a number"),
        (indexed("bus", 0, "first"), "bus has the index 'first'; whole numbers"),
        (indexed("bus", 0, 1), "bus 1 defined twice"),
        (put("load", value=[1, 2]), "load is [1, 2]; a table is accepted"),
        (put("sn_mva", value="1"), "sn_mva is '1'; a number above 0"),
        (
            both(put("version", value="99.0"), put("format_version", value="99.0")),
            "its format (version '99.0') cannot be converted",
        ),
        (put("line", "_object", value="[1]"), "line holds [1]; a table"),
    ],
)
def test_a_refusal_names_table_column_and_row(change, expected, saved):
    with pytest.raises(NetworkError) as refused:
        read_net(saved(change), "g")
    text = str(refused.value)
    assert text.startswith("grid g: ")
    assert expected in text
    assert "\n" not in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "not a pandapower JSON file"),
        ("[]", "does not hold a pandapower net"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a": ' + "9" * 100_000 + "}", "not a pandapower JSON file"),
        ('{"_module": "os", "_class": "system", "_object": "true"}', "holds os.system"),
    ],
)
def test_texts_that_are_no_net(text, expected, tmp_path):
    path = tmp_path / "net.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(NetworkError, match=expected) as refused:
        read_net(path, "g")
    assert len(str(refused.value)) < 500


def test_files_that_are_no_text_or_too_large(tmp_path, monkeypatch):
    path = tmp_path / "net.json"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(NetworkError, match="not a UTF-8 text file"):
        read_net(path, "g")
    with pytest.raises(NetworkError, match="is not a file"):
        read_net(tmp_path, "g")
    with path.open("wb") as file:
        file.truncate(64_000_001)
    with pytest.raises(NetworkError, match="has 64,000,001 bytes; at most 64,000,000 are accepted"):
        read_net(path, "g")


def test_nets_in_memory_are_checked_the_same(tmp_path):
    net = street()
    net.line["length_km"] = net.line["length_km"].astype("category")
    net.load["in_service"] = net.load["in_service"].astype("category")
    conform_tables(net, "g")
    assert net.line.length_km.dtype == np.float64
    assert list(net.line.length_km) == [0.05] * 3
    assert net.load.in_service.dtype == bool
    net.load["p_mw"] = net.load["p_mw"].astype(str)
    with pytest.raises(NetworkError, match=r"load 0 has p_mw = '0.004'; a number"):
        conform_tables(net, "g")


def test_a_limit_may_be_infinite_or_empty(saved):
    change = cell("trafo", 0, "tap_pos", None)
    net = street()
    net.ext_grid["max_p_mw"] = [np.inf]
    read = read_net(saved(change, net), "g")
    assert np.isnan(read.trafo.tap_pos.iloc[0])
    path = saved(cell("ext_grid", 0, "max_p_mw", float("inf")), net)
    assert np.isinf(read_net(path, "g").ext_grid.max_p_mw.iloc[0])
    assert len(load_case(str(path), "g").bus) == 5
