"""The documentation names every column of the results and every key of a scenario."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from stackelgrid.analysis.exactness import conditions_table
from stackelgrid.analysis.exactness_tables import SCHEMAS as SWEEP_SCHEMAS
from stackelgrid.scenarios.schema import Scenario
from stackelgrid.simulators.tables import SCHEMAS

DOCS = Path(__file__).resolve().parents[2] / "docs"


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


@pytest.mark.parametrize("table", SCHEMAS)
def test_every_column_is_described(table):
    text = (DOCS / "results.md").read_text(encoding="utf-8")
    missing = [n for n in SCHEMAS[table].names if f"`{n}`" not in text]
    assert missing == []


@pytest.mark.parametrize("table", SWEEP_SCHEMAS)
def test_every_column_of_a_sweep_is_described(table):
    text = (DOCS / "exactness.md").read_text(encoding="utf-8")
    assert [n for n in SWEEP_SCHEMAS[table].names if f"`{n}`" not in text] == []


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
