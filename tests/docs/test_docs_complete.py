"""The documentation names every column of the results and every key of a scenario."""

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

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
            for child in BaseModel.__subclasses__() + Scenario.__mro__[1].__subclasses__():
                if child.__name__ == part:
                    keys |= keys_of(child, seen)
    return keys


@pytest.mark.parametrize("table", SCHEMAS)
def test_every_column_is_described(table):
    text = (DOCS / "results.md").read_text(encoding="utf-8")
    missing = [n for n in SCHEMAS[table].names if f"`{n}`" not in text]
    assert missing == []


def test_every_key_of_a_scenario_is_described():
    text = (DOCS / "scenario.md").read_text(encoding="utf-8")
    keys = keys_of(Scenario)
    assert {"grids", "pv", "vm_set_pu", "fee_inside_eur_per_mwh", "noise_correlation_h"} <= keys
    missing = sorted(k for k in keys if not re.search(rf"\b{re.escape(k)}\b", text))
    assert missing == []
