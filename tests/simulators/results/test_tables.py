"""Tables on disk: parts while a run goes, one file when it is done, the same to a reader."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stackelgrid.simulators.results.tables import SCHEMAS, TableWriter, WholeTables, read_table


def columns(interval, buses):
    return {
        "interval": [interval] * len(buses),
        "time": [1_750_496_400_000 + 900_000 * interval] * len(buses),
        "grid": ["mv1"] * len(buses),
        "bus": buses,
        "vm_pu": [1.0 + 0.001 * interval + 1e-6 * b for b in buses],
        "va_degree": [-0.1 * b for b in buses],
        "p_mw": [0.1 * b for b in buses],
        "q_mvar": [0.05 * b for b in buses],
        "price_eur_per_mwh": [float("nan")] * len(buses),
        "vm_planned_pu": [1.001] * len(buses),
        "vm_certified_pu": [1.002] * len(buses),
    }


@pytest.fixture
def writer(tmp_path):
    return TableWriter(tmp_path)


def test_parts_and_merged_table_read_the_same(writer, tmp_path):
    for k in (0, 1, 2, 10, 11):  # 10 after 2, not before
        writer.write_part("bus", k, columns(k, [3, 1, 2]))
    before = read_table(tmp_path, "bus")
    assert not (tmp_path / "bus.parquet").exists()
    writer.merge()
    after = read_table(tmp_path, "bus")
    assert not (tmp_path / "bus").exists()
    assert before.schema == after.schema == SCHEMAS["bus"]
    assert before.drop_columns("price_eur_per_mwh").equals(after.drop_columns("price_eur_per_mwh"))
    assert after["interval"].to_pylist() == [k for k in (0, 1, 2, 10, 11) for _ in range(3)]
    assert after["bus"].to_pylist() == [3, 1, 2] * 5
    assert after["vm_pu"].to_pylist()[3] == 1.0 + 0.001 + 3e-6


def test_an_unfinished_run_is_readable(writer, tmp_path):
    """A part that was being written when the power went is no part."""
    writer.write_part("bus", 0, columns(0, [1, 2]))
    writer.write_part("bus", 1, columns(1, [1, 2]))
    (tmp_path / "bus" / "part-000002.tmp").write_bytes(b"PAR1 and then nothing")
    table = read_table(tmp_path, "bus")
    assert table["interval"].to_pylist() == [0, 0, 1, 1]
    assert list(table.column_names) == SCHEMAS["bus"].names


def test_a_table_without_a_row_has_its_columns(writer, tmp_path):
    for when in ("no part yet", "merged"):
        if when == "merged":
            writer.merge()
        for name, schema in SCHEMAS.items():
            table = read_table(tmp_path, name)
            assert (table.num_rows, table.schema) == (0, schema), when


def test_merge_leaves_files_only(writer, tmp_path):
    writer.write_part("bus", 0, columns(0, [1]))
    writer.merge()
    assert {p.name for p in tmp_path.iterdir()} == {f"{t}.parquet" for t in SCHEMAS}


def test_wrong_columns_are_not_written(writer, tmp_path):
    broken = columns(0, [1, 2])
    broken["vm_pu"] = ["high", "low"]
    with pytest.raises(pa.ArrowInvalid, match="high"):
        writer.write_part("bus", 0, broken)
    missing = columns(0, [1])
    del missing["p_mw"]
    with pytest.raises(KeyError, match="p_mw"):
        writer.write_part("bus", 0, missing)
    assert read_table(tmp_path, "bus").num_rows == 0


def test_schemas_share_their_key():
    for name, schema in SCHEMAS.items():
        assert schema.names[:3] == ["interval", "time", "grid"], name
        assert schema.field("time").type == pa.timestamp("ms", tz="UTC")
        assert len(set(schema.names)) == len(schema.names)


def test_what_ends_a_part_half_way_leaves_nothing(writer, tmp_path, monkeypatch):
    real = pq.write_table

    def interrupted(data, path, **options):
        real(data, path, **options)
        raise KeyboardInterrupt

    writer.write_part("bus", 0, columns(0, [1]))
    monkeypatch.setattr(pq, "write_table", interrupted)
    with pytest.raises(KeyboardInterrupt):
        writer.write_part("bus", 1, columns(1, [1]))
    assert [p.name for p in (tmp_path / "bus").iterdir()] == ["part-000000.parquet"]


def test_tables_without_parts_read_as_merged_ones(writer, tmp_path):
    (tmp_path / "whole").mkdir()
    with WholeTables(tmp_path / "whole", row_group=4) as whole:
        for one in (writer, whole):
            for k in range(3):
                one.write_part("bus", k, columns(k, [3, 1, 2]))
    writer.merge()
    for name in SCHEMAS:
        merged, table = (read_table(d, name) for d in (tmp_path, tmp_path / "whole"))
        assert table.schema == merged.schema
        assert table.to_pandas().equals(merged.to_pandas()), name
    # two intervals are more than four rows: a group of its own, and the rest
    assert pq.read_metadata(tmp_path / "whole" / "bus.parquet").num_row_groups == 2
    assert pq.read_schema(tmp_path / "whole" / "bus.parquet").field("vm_pu").metadata


def test_tables_without_parts_are_whole_or_absent(tmp_path):
    def interrupted():
        with WholeTables(tmp_path) as whole:
            whole.write_part("bus", 0, columns(0, [1]))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []
