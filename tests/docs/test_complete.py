"""The documentation names every column of the results and every key of a scenario."""

import re
import subprocess
import sys

from pydantic import BaseModel
from support.paths import ROOT

from stackelgrid.analysis.exactness.analysis import conditions_table
from stackelgrid.analysis.exactness.tables import SCHEMAS as SWEEP_SCHEMAS
from stackelgrid.analysis.study_columns import COMPARE_TABLES, ENSEMBLE_TABLES, SWEEP_TABLES
from stackelgrid.scenarios.schema.scenario import Scenario
from stackelgrid.simulators.results.grid_tables import NETWORK
from stackelgrid.simulators.results.tables import TABLES

DOCS = ROOT / "docs"
PAGES = ("results", "exactness", "ensemble")
DECLARED = (*TABLES.values(), NETWORK, *COMPARE_TABLES, *SWEEP_TABLES, *ENSEMBLE_TABLES)


def keys_of(model, seen=None):
    """Names of all fields of a section and the sections below it, as TOML spells them."""
    seen = set() if seen is None else seen
    if model in seen:
        return set()
    seen.add(model)
    keys = set()
    for name, field in model.model_fields.items():
        keys.add(field.alias or name)
        for part in re.findall(r"\w+Section|\w+", str(field.annotation)):
            for child in sections(BaseModel):
                if child.__name__ == part:
                    keys |= keys_of(child, seen)
    return keys


def sections(base):
    """All classes below a section, at any depth."""
    return [c for child in base.__subclasses__() for c in (child, *sections(child))]


def test_columns_in_the_pages_are_those_of_the_code():
    """`make schema` writes what the code declares; nobody edits it by hand."""
    done = subprocess.run(
        [sys.executable, str(DOCS / "hooks" / "columns.py"), "--check"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_changed_page_is_noticed(tmp_path):
    for page in ("results.md", "exactness.md", "ensemble.md"):
        (tmp_path / page).write_text((DOCS / page).read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "hooks").mkdir()
    script = tmp_path / "hooks" / "columns.py"
    script.write_text((DOCS / "hooks" / "columns.py").read_text(encoding="utf-8"), encoding="utf-8")
    page = tmp_path / "results.md"
    page.write_text(
        page.read_text(encoding="utf-8").replace("| `vm_pu` | p.u. |", "| `vm_pu` | kV |")
    )
    done = subprocess.run(
        [sys.executable, str(script), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stdout == "docs/results.md: is not as generated; run make schema\n"


def test_every_table_is_on_a_page():
    text = "".join((DOCS / f"{p}.md").read_text(encoding="utf-8") for p in PAGES)
    for table in DECLARED:
        assert text.count(f"<!-- columns: {table.name} -->") == 1, table.name
        for column in table.columns:
            assert f"`{column.name}`" in text


def test_every_column_of_the_tables_of_a_sweep_is_described():
    text = (DOCS / "exactness.md").read_text(encoding="utf-8")
    frame = SWEEP_SCHEMAS["points"].empty_table().to_pandas()
    stops = {"along", "last_exact", "first_inexact", "last_predicted", "first_not_predicted"}
    columns = {*conditions_table(frame, frame), *stops, "failing_conditions"}
    assert len(columns) == 14
    assert sorted(c for c in columns if f"`{c}`" not in text) == []


def test_every_key_of_a_scenario_is_described():
    text = (DOCS / "scenario.md").read_text(encoding="utf-8")
    keys = keys_of(Scenario)
    assert {"grids", "pv", "vm_set_pu", "fee_inside_eur_per_mwh", "noise_correlation_h"} <= keys
    assert {"exactness", "sizes", "pv_scale", "levels"} <= keys
    missing = sorted(k for k in keys if not re.search(rf"\b{re.escape(k)}\b", text))
    assert missing == []
