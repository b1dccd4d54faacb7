"""Names in words: every known key of a scheme, solver, rung and state has words for people."""

import pytest

from stackelgrid.controllers.devices.registry import kinds
from stackelgrid.controllers.schemes.registry import SCHEMES
from stackelgrid.controllers.solvers.registry import CONIC, MIXED_INTEGER
from stackelgrid.controllers.stage.recovery import (
    CONVEX_CONCAVE,
    FEED_IN_CAP,
    LAST_GOOD,
    LIMITS,
    LOSS_PRICE,
)
from stackelgrid.controllers.words import heading, words

RUNGS = (LOSS_PRICE, LIMITS, CONVEX_CONCAVE, FEED_IN_CAP, LAST_GOOD)


@pytest.mark.parametrize("key", [*SCHEMES, *CONIC, *MIXED_INTEGER, "highs", *RUNGS])
def test_known_names_have_no_underscore(key: str) -> None:
    assert words(key).strip()
    assert "_" not in words(key)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("bottom_up", "bottom-up"),
        ("ldd_admm", "LDD-ADMM"),
        ("lmp", "nodal prices"),
        ("misocp", "Clarabel with HiGHS"),
        ("mv", "medium voltage"),
        ("", "no certificate"),
        ("my_own_scheme", "my own scheme"),  # unknown: its own name
        ("my_package.peaks:PeakShaver", "my_package.peaks:PeakShaver"),  # an import path
    ],
)
def test_words(key: str, text: str) -> None:
    assert words(key) == text


@pytest.mark.parametrize(
    ("key", "unit", "text"),
    [
        ("total_cost_corrected", "EUR", "cost corrected by stored energy, EUR"),
        ("self_consumption", "1", "self-consumption"),
        ("pv_curtailed", "MWh", "curtailed energy of PV, MWh"),
        ("battery_throughput", "MWh", "throughput of batteries, MWh"),
    ],
)
def test_headings_state_units(key: str, unit: str, text: str) -> None:
    assert heading(key, unit) == text


def test_energies_and_sweeps_of_every_kind_use_its_label() -> None:
    for kind in kinds():
        assert words(f"{kind.kind}_curtailed") == f"curtailed energy of {kind.label}"
        if kind.sweep:
            assert words(f"{kind.kind}_scale") == kind.sweep
