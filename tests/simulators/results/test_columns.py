"""The declarations of columns: units follow names, files carry them, frames agree with them."""

import pandas as pd
import pyarrow.parquet as pq
import pytest

from stackelgrid.analysis.exactness import tables as exactness_tables
from stackelgrid.analysis.study_columns import (
    COMPARE_TABLES,
    ENSEMBLE_TABLES,
    SWEEP_TABLES,
)
from stackelgrid.controllers.networks.elements import ELEMENT_COLUMNS
from stackelgrid.simulators.results.columns import Column, count, group, number, table
from stackelgrid.simulators.results.grid_tables import NETWORK
from stackelgrid.simulators.results.tables import SCHEMAS, TABLES, TableWriter, read_table

DECLARED = (*TABLES.values(), NETWORK, *COMPARE_TABLES, *SWEEP_TABLES, *ENSEMBLE_TABLES)
# the conventions of pandapower, and those of the project; longest endings first
UNIT_OF_ENDING = {
    "_eur_per_mwh": "EUR/MWh", "_percent": "%", "_degree": "degree", "_mvar": "MVAr",
    "_share": "1", "_scale": "1", "_mwh": "MWh", "_mva": "MVA", "_eur": "EUR", "_sec": "s",
    "_pu": "p.u.", "_mw": "MW", "_ka": "kA", "_kv": "kV", "_km": "km", "_h": "h", "_s": "s",
}  # fmt: skip


def ending(name):
    return next((e for e in UNIT_OF_ENDING if name.endswith(e)), None)


@pytest.mark.parametrize("declared", DECLARED, ids=lambda t: t.name)
def test_units_follow_the_endings_of_names(declared):
    assert len(set(declared.names)) == len(declared.names) > 0
    for column in declared.columns:
        if ending(column.name) is not None:
            assert column.unit == UNIT_OF_ENDING[ending(column.name)], column.name
        elif column.type == "double":
            no_unit = {"value", "mean", "std", "low", "high", "x", "y", "mixtures"}
            assert (column.unit == "") == (column.name in no_unit), column.name
        else:
            assert column.unit == "", column.name


def test_most_columns_have_a_unit():
    columns = [c for t in DECLARED for c in t.columns if c.type == "double"]
    assert len(columns) > 150
    assert sum(c.unit != "" for c in columns) > 140


def test_schemas_are_those_of_the_declarations():
    assert set(SCHEMAS) == set(TABLES)
    for name, schema in SCHEMAS.items():
        assert tuple(schema.names) == TABLES[name].names
        for column in TABLES[name].columns:
            told = schema.field(column.name).metadata
            assert told == {b"unit": column.unit.encode(), b"description": column.text.encode()}
    for name, schema in exactness_tables.SCHEMAS.items():
        declared = next(t for t in SWEEP_TABLES if t.name == name)
        assert schema.equals(declared.schema)
    assert NETWORK.names == ("grid", "level", *ELEMENT_COLUMNS)


def test_a_finished_table_carries_units_and_its_parts_read_the_same(tmp_path):
    writer = TableWriter(tmp_path)
    at = pd.Timestamp("2025-06-21T10:00Z").as_unit("ms")
    for interval, vm in ((0, 1.01), (1, 1.02)):
        row = {"interval": interval, "time": at, "grid": "mv1", "bus": 4, "vm_a_pu": vm,
               "vm_b_pu": vm, "vm_c_pu": vm, "unbalance_percent": 0.0}  # fmt: skip
        writer.write_part("phase", interval, {k: [v] for k, v in row.items()})
    before = read_table(tmp_path, "phase")
    assert before["vm_a_pu"].to_pylist() == [1.01, 1.02]
    writer.merge()
    after = pq.read_table(tmp_path / "phase.parquet")
    assert after.equals(before)
    assert after.schema.field("vm_a_pu").metadata[b"unit"] == b"p.u."
    assert list(pd.read_parquet(tmp_path / "phase.parquet")) == list(TABLES["phase"].names)
    # a table without a row has its columns and units, too
    assert pq.read_schema(tmp_path / "bus.parquet").field("p_mw").metadata[b"unit"] == b"MW"


def test_groups_keep_the_order_of_columns():
    made = table(
        "t", "One row.", count("a", "A."), number("b", "MW", "B."),
        group("more", "", number("c", "1", "C.")), count("d", "D."),
    )  # fmt: skip
    assert made.names == ("a", "b", "c", "d")
    assert [g.title for g in made.groups] == ["", "more", ""]


def test_a_unit_that_nobody_knows_is_refused():
    with pytest.raises(ValueError, match="column p: unit 'kW'; accepted"):
        number("p", "kW", "Power.")
    with pytest.raises(ValueError, match="column p: has no text"):
        Column("p", "double", "MW", "")
