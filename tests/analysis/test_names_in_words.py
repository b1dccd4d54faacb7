"""Every indicator, key figure and dimension of studies has words without underscores."""

import pytest

from stackelgrid.analysis.ensemble.statistics import KEY_FIGURES
from stackelgrid.analysis.ensemble.variants import OWN, PERFECT, variant_words
from stackelgrid.analysis.kpis.indicators import UNITS
from stackelgrid.analysis.study_columns import DIMENSIONS
from stackelgrid.controllers.words import counted_label, heading, words


@pytest.mark.parametrize("name", UNITS)
def test_indicators(name: str) -> None:
    assert "_" not in words(name)


def test_headings_of_indicators_differ() -> None:
    headings = [heading(name, unit) for name, unit in UNITS.items()]
    assert len(set(headings)) == len(UNITS)


def test_key_figures_of_ensembles() -> None:
    assert all("_" not in words(figure.kpi) for figure in KEY_FIGURES)
    assert words("horizon_cost") == "extra cost of the horizon"


def test_dimensions_of_sweeps_state_their_unit() -> None:
    assert DIMENSIONS["export_price_eur_per_mwh"] == "export price, EUR/MWh"
    assert all("_" not in text for text in DIMENSIONS.values())


def test_variants() -> None:
    texts = [variant_words(v) for v in (OWN, PERFECT, "short_horizon")]
    assert texts == ["own horizon", "perfect foresight", "short horizon"]


@pytest.mark.parametrize(
    ("number", "label", "text"),
    [
        (1, "batteries", "1 battery"),
        (2, "batteries", "2 batteries"),
        (1, "electric vehicles", "1 electric vehicle"),
        (1, "PV", "1 PV"),
        (3, "PV", "3 PV"),
    ],
)
def test_counts_of_devices(number: int, label: str, text: str) -> None:
    assert counted_label(number, label) == text
