"""The documentation names every column of the results and every key of a scenario."""

import re
import subprocess
import sys

from pydantic import BaseModel
from support.paths import ROOT

from stackelgrid.analysis.exactness.analysis import conditions_table
from stackelgrid.analysis.exactness.tables import SCHEMAS as SWEEP_SCHEMAS
from stackelgrid.analysis.study_columns import COMPARE_TABLES, ENSEMBLE_TABLES, SWEEP_TABLES
from stackelgrid.controllers.devices.registry import SHIPPED
from stackelgrid.controllers.networks.net_columns_declared import DECLARED as NET_COLUMNS
from stackelgrid.controllers.schemes.registry import SCHEMES
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
    """`make schema` writes columns, keys, quantities and equations; nobody edits them by hand."""
    done = subprocess.run(
        [sys.executable, str(DOCS / "hooks" / "columns.py"), "--check"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_changed_page_is_noticed(tmp_path):
    def change(page, old, new):
        path = tmp_path / "docs" / page
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1
        path.write_text(text.replace(old, new), encoding="utf-8")

    for page in (*DOCS.glob("*.md"), *DOCS.glob("components/*.md"), *DOCS.glob("hooks/*.py"),
                 ROOT / "README.md"):  # fmt: skip
        copy = tmp_path / page.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(page.read_text(encoding="utf-8"), encoding="utf-8")
    change("results.md", "| `vm_pu` | p.u. | realised", "| `vm_pu` | kV | realised")
    change("index.md", "**Leaders decide first.**", "**Leaders decide last.**")
    change("components/battery.md", "Least stored energy. | MWh |", "Least stored energy. | kWh |")
    change("components/pv.md", "when injecting | MVAr |", "when injecting | kvar |")
    change("components/unit.md", r"\underline{p} \le p_t \le", r"\underline{p} \le p_t <")
    done = subprocess.run(
        [sys.executable, str(tmp_path / "docs" / "hooks" / "columns.py"), "--check"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    changed = ("results.md", "components/pv.md", "components/battery.md", "components/unit.md",
               "index.md")  # fmt: skip
    assert done.stdout.splitlines() == [
        f"docs/{page}: is not as generated; run make schema" for page in changed
    ]


def test_every_shipped_kind_and_scheme_has_its_place_among_the_components():
    for kind in SHIPPED:
        text = (DOCS / "components" / f"{kind.kind}.md").read_text(encoding="utf-8")
        keys = (*kind.sections, *(f"deviations.{key}" for key in kind.deviations))
        for part in (f"quantities: {kind.kind}", *(f"keys: {key}" for key in keys)):
            assert text.count(f"<!-- {part} -->") == 1
    listed = re.findall(
        r"^\| `(\w+)` \|", (DOCS / "components/schemes.md").read_text(encoding="utf-8"), re.M
    )
    assert set(listed) == {*SCHEMES, "controller", "pricing", "coordination"}


def test_columns_that_make_an_element_a_device_are_on_the_page_of_its_kind():
    """Pages of kinds list the columns of a net that are not pandapower's."""
    own = [c for c in NET_COLUMNS if c.reason.startswith("columns of this project: ")]
    assert len(own) >= 30
    pages = [
        (DOCS / "components" / f"{kind.kind}.md").read_text(encoding="utf-8") for kind in SHIPPED
    ]
    missing = [c.column for c in own if not any(f"`{c.column}`" in page for page in pages)]
    assert missing == []


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
    pages = (DOCS / "scenario.md", *DOCS.glob("components/*.md"))
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    keys = keys_of(Scenario)
    assert {"grids", "pv", "vm_set_pu", "fee_inside_eur_per_mwh", "noise_correlation_h"} <= keys
    assert {"exactness", "sizes", "pv_scale", "levels"} <= keys
    missing = sorted(k for k in keys if not re.search(rf"\b{re.escape(k)}\b", text))
    assert missing == []
