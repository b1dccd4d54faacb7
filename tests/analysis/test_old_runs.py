"""Runs of earlier versions, whose tables lack columns, are read, reported and shown."""

import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest

from stackelgrid.analysis.report.run import run_page
from stackelgrid.analysis.run import Run
from stackelgrid.analysis.view.data import LiveRun
from stackelgrid.controllers.devices.registry import kinds

# columns that version 0.1 wrote, of kinds it had
FIRST = ("load", "pv", "battery", "unit")


def later_columns(table):
    """Columns of a table that version 0.1 did not write."""
    newer = [kind for kind in kinds() if kind.kind not in FIRST]
    own = {q.column for kind in newer for q in kind.quantities}
    shared = {q.column for kind in kinds() if kind.kind in FIRST for q in kind.quantities}
    found = {
        "device": (own - shared) | {"limit_mw"},
        "schedule": {column for kind in newer for column in kind.bands},
        "interval": {q.name for kind in newer for q in kind.quantities if q.total}
        | {kind.cost_column for kind in newer}
        | {"capacity_eur", "emission_eur", "emissions_kg", "tap_pos"},
    }
    return sorted(found[table] - {""})


@pytest.fixture
def old(quick, tmp_path):
    """Copy of a run without manifest and without the later columns, as version 0.1 wrote it."""
    directory = tmp_path / "old"
    shutil.copytree(quick.directory, directory)
    for own in (directory, directory / "baseline"):
        (own / "manifest.jsonl").unlink()
        summary = json.loads((own / "summary.json").read_text())
        del summary["manifest"]
        (own / "summary.json").write_text(json.dumps(summary))
        for name in ("device", "interval", "schedule"):
            path = own / f"{name}.parquet"
            table = pq.read_table(path)
            dropped = [c for c in later_columns(name) if c in table.column_names]
            pq.write_table(table.drop(dropped), path)
    return directory


def test_sums_of_kinds_that_a_run_does_not_know_are_zero_and_others_empty(old, quick):
    run, whole = Run(old), Run(quick.directory)
    assert {"vehicle_p_mw", "comfort_eur", "capacity_eur"} <= set(later_columns("interval"))
    assert {"unmet_mw", "connected", "room_c"} <= set(later_columns("device"))
    for column in ("vehicle_p_mw", "comfort_eur", "capacity_eur", "emission_eur"):
        assert (run.interval[column] == 0.0).all()
    for column in ("unmet_mw", "connected", "room_c", "limit_mw"):
        assert run.device[column].isna().all()
    assert run.interval["emissions_kg"].isna().all()
    assert list(run.device) == list(whole.device)
    np.testing.assert_array_equal(run.interval["p_import_mw"], whole.interval["p_import_mw"])


def test_it_has_a_report_with_the_same_costs_and_a_page(old, quick):
    def costs(run):
        page = run_page(run)
        return [t for s in page.sections for t in s.tables if t.title.startswith("Costs")]

    assert costs(Run(old)) == costs(Run(quick.directory))
    live = LiveRun(old)
    assert live.update().problem == ""
    assert live.table("device")["room_c"].isna().all()
    assert live.baseline.table("device")["p_mw"].notna().any()
