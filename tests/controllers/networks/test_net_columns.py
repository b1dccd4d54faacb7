"""Every table and column of pandapower has a declaration, and the checks of a net refuse by it."""

import importlib
import pkgutil

import pandapower as pp
import pandapower.network_schema as schema
import pandas as pd
import pytest
from support.pandapower_nets import empty_net

from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.checks import check_net
from stackelgrid.controllers.networks.net_columns import (
    DECLARED,
    Treatment,
    explained,
    refused_tables,
)

WHOLE = {row.table for row in DECLARED if not row.column}
COLUMNS = {(row.table, row.column) for row in DECLARED}


def pandapower_columns():
    """Columns of an empty net and of pandapower's own schema."""
    net = empty_net()
    for table, frame in net.items():
        if isinstance(frame, pd.DataFrame) and not table.startswith(("res_", "_")):
            yield from ((table, column) for column in frame.columns)
    for module in pkgutil.iter_modules(schema.__path__):
        found = importlib.import_module(f"pandapower.network_schema.{module.name}")
        for column in getattr(getattr(found, f"{module.name}_schema", None), "columns", ()):
            yield module.name, column


def test_every_column_of_pandapower_is_declared():
    known = set(pandapower_columns())
    assert len(known) > 300
    assert {(t, c) for t, c in known if t not in WHOLE} - COLUMNS == set()


def test_no_column_is_declared_twice_for_one_kind_of_grid():
    for scope in ("transmission", "feeder"):
        keys = [(r.table, r.column) for r in DECLARED if r.scope in ("", scope)]
        assert len(keys) == len(set(keys))


@pytest.fixture
def net():
    net = empty_net()
    a, b = pp.create_bus(net, 20.0), pp.create_bus(net, 20.0)
    pp.create_ext_grid(net, a, va_degree=0.0)
    pp.create_line_from_parameters(net, a, b, 1.0, 0.1, 0.1, 0.0, 0.2)
    pp.create_load(net, b, 0.1, 0.02)
    pp.create_gen(net, b, 0.1)
    return net


@pytest.mark.parametrize("table", refused_tables())
def test_every_table_without_a_model_is_refused_by_name(net, table):
    net[table] = pd.DataFrame({"name": ["x"], "bus": [1]}, index=[7])
    with pytest.raises(NetworkError, match=f"grid g: {table} 7 not supported"):
        check_net(net, "g")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda n: pp.create_poly_cost(n, 0, "ext_grid", 1.0, cq1_eur_per_mvar=2.0),
            "poly_cost 0 has cq1_eur_per_mvar = 2.0; reactive power has no price here",
        ),
        (
            lambda n: pp.create_poly_cost(n, 0, "ext_grid", 1.0, cq2_eur_per_mvar2=0.5),
            "poly_cost 0 has cq2_eur_per_mvar2 = 0.5",
        ),
        (
            lambda n: pp.create_load(n, 1, 0.1, controllable=True, min_p_mw=0, max_p_mw=0.1),
            "load 1 has controllable = True; False, or a load of its own with shed_percent",
        ),
        (
            lambda n: n.gen.__setitem__("reactive_capability_curve", True),
            "gen 0 has reactive_capability_curve = True",
        ),
    ],
)
def test_values_that_have_no_model_are_refused_by_name(net, change, message):
    check_net(net, "g")
    change(net)
    with pytest.raises(NetworkError) as error:
        check_net(net, "g")
    assert message in str(error.value)


def test_explanation_of_a_net_lists_what_holds_a_value(net):
    net.load["meter"] = "A17"
    net["notes"] = pd.DataFrame({"text": ["built by hand"]})
    rows = {(r.table, r.column): r for r in explained(net, transmission=False)}
    assert rows["load", "p_mw"].treatment is Treatment.HONOURED
    assert rows["load", "p_mw"].elements == 1
    assert ("load", "sn_mva") not in rows  # empty
    assert rows["load", "meter"].treatment is Treatment.NO_EFFECT
    assert "not a column of pandapower" in rows["load", "meter"].reason
    assert "not a table of pandapower" in rows["notes", ""].reason
    assert rows["ext_grid", "vm_pu"].treatment is Treatment.REPLACED
    upper = {(r.table, r.column): r for r in explained(net, transmission=True)}
    assert upper["ext_grid", "vm_pu"].treatment is Treatment.HONOURED
