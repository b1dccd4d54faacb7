"""Figures of studies: their values are those of the tables, their axes have units."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from support.study_cases import COSTS, FEEDER, REGRETS

from stackelgrid.analysis import style
from stackelgrid.analysis.comparison import PLAN, Comparison
from stackelgrid.analysis.exactness.analysis import SweepTables, pairs_by_effect
from stackelgrid.analysis.exactness.feeder_tree import tree_table
from stackelgrid.analysis.figures import compare as of_schemes
from stackelgrid.analysis.figures import ensemble as of_ensemble
from stackelgrid.analysis.figures import exactness as of_sweep
from stackelgrid.analysis.figures import negotiation as of_rounds
from stackelgrid.analysis.kpis.indicators import TOTAL, Row, frame_of
from stackelgrid.controllers.words import words


@pytest.fixture
def tables(swept):
    return SweepTables.read(swept)


def trace(figure, name):
    return next(t for t in figure.data if t.name == name)


def test_costs_are_drawn_beyond_the_lowest(comparison):
    figure = of_schemes.costs(comparison, PLAN)
    assert list(figure.data[0].x) == [10.0, 0.0, 250.0]
    labels = figure.layout.yaxis.ticktext
    assert labels[0] == "<b>bottom-up</b><br>1,010.00 EUR"
    assert labels[1] == "<b>integrated</b><br>1,000.00 EUR, the lowest"
    assert figure.layout.xaxis.title.text == "EUR beyond the lowest"
    # the first is on top
    assert figure.layout.yaxis.range[0] > figure.layout.yaxis.range[1]
    leaders = of_schemes.costs(comparison, PLAN, "leader")
    assert np.allclose(leaders.data[0].x, 0.4 * (np.array(list(COSTS.values())) - 1000.0))


def test_indicators_without_a_value_are_left_out(comparison):
    assert list(of_schemes.indicators(comparison, PLAN)) == ["Import from upstream"]


def test_exchanges_hold_to_the_end_of_their_step(comparison):
    figure = of_schemes.exchange(comparison, PLAN)
    assert [t.name for t in figure.data] == [words(s) for s in COSTS]
    assert list(figure.data[0].x) == [0.0, 1.0, 2.0]
    assert list(figure.data[0].y) == [2.0, 3.0, 3.0]
    assert figure.data[0].line.shape == "hv"
    looks = {(t.line.color, t.line.dash) for t in figure.data}
    assert len(looks) == len(COSTS)
    assert figure.layout.yaxis.title.text == "mv1, MW"


def test_a_scheme_that_failed_keeps_its_colour(comparison):
    before = of_schemes.costs(comparison, PLAN).data[0].marker.color
    comparison.fail(PLAN, "top_down", "no")
    assert of_schemes.costs(comparison, PLAN).data[0].marker.color == before


def test_range_of_a_follower_and_what_it_returned(comparison):
    told = {"follower_min": 5.0, "follower_max": 9.0, "follower_returned": 7.0}
    rows = [Row("tn", k, v) for k, v in told.items()] + [Row(TOTAL, "total_cost", 1.0)]
    own = frame_of(rows, "feasibility_only", "tariff")
    comparison.add(PLAN, "feasibility_only", own, comparison.exchange.iloc[:0])
    figure = of_schemes.follower_range(comparison, PLAN)
    assert (figure.data[0].base[0], figure.data[0].x[0]) == (5.0, 4.0)
    assert trace(figure, "returned").x[0] == 7.0
    assert np.isnan(trace(figure, "optimal at the same exchange").x[0])


def test_verdicts_along_a_dimension_add_up(tables):
    figure = of_sweep.along(tables, "pv_scale")
    shares = {t.name: np.asarray(t.y) for t in figure.data}
    assert shares["exact"].tolist() == [100.0, 50.0, 0.0]
    assert shares["feasible"].tolist() == [0.0, 50.0, 0.0]
    assert shares["predicted exact"].tolist() == [100.0, 0.0, 0.0]
    total = shares["exact"] + shares["feasible"] + shares["infeasible"]
    assert total.tolist() == [100.0, 100.0, 100.0]
    assert trace(figure, "exact").marker.color == style.VERDICTS["exact"]
    assert figure.layout.yaxis.title.text == "percent of points"


def test_conditions_count_all_points(tables):
    figure = of_sweep.conditions(tables)
    counts = np.array([t.x for t in figure.data])
    assert counts.sum(axis=0).tolist() == [6, 6, 6, 6]
    assert list(trace(figure, "holds, exact").x) == [2, 3, 2, 3]
    assert list(trace(figure, "holds, not exact").x) == [0, 3, 0, 3]
    colors = trace(figure, "holds, not exact").marker.color
    assert colors[0] == style.VERMILION != colors[1]


def test_pairs_by_effect_and_their_cells(tables):
    assert pairs_by_effect(tables) == [("pv_scale", "vm_max_pu")]
    figure = of_sweep.exact_share(tables, "pv_scale", "vm_max_pu")
    assert np.asarray(figure.data[0].z).tolist() == [[100.0, 100.0, 0.0], [100.0, 0.0, 0.0]]
    loss = of_sweep.fictitious_loss(tables, "pv_scale", "vm_max_pu").data[0]
    assert np.asarray(loss.z)[0] == pytest.approx([-9.0, np.log10(2e-9), -1.0])
    # white is where the verdict turns
    middle = min(loss.colorscale, key=lambda point: abs(point[0] - 4.0 / (loss.zmax + 10.0)))
    assert middle[1] == "rgb(247, 247, 247)"
    assert loss.zmin == -10.0


def test_the_tree_colours_lines_by_share(tables):
    figure = of_sweep.feeder_tree(tables, tree_table(FEEDER))
    lines = [t for t in figure.data if t.mode == "lines"]
    assert len(lines) == 4
    colors = [t.line.color for t in lines]
    assert colors[0] == colors[1] == colors[3] != colors[2]
    told = next(t for t in figure.data if t.customdata is not None).customdata
    assert list(told) == [
        "bus 0 (head)", "line 10: 0.0 %", "line 11: 0.0 %", "line 12: 50.0 %", "line 13: 0.0 %",
    ]  # fmt: skip


def test_members_and_their_mean_with_interval(ensemble_tables):
    figure = of_ensemble.members(ensemble_tables)
    dots, mean = figure.data
    assert list(dots.y) == list(REGRETS)
    assert list(mean.y) == [20.0]
    # Student's t of 2 degrees of freedom (4.3027) times the standard error 10 / sqrt(3)
    assert mean.error_y.array[0] == pytest.approx(4.3027 * 10.0 / np.sqrt(3.0), rel=1e-4)
    assert figure.layout.yaxis.title.text == "regret in EUR"
    assert list(figure.layout.xaxis.ticktext) == ["1"]


def test_key_figures_have_perfect_foresight_beside(ensemble_tables):
    figures = of_ensemble.key_figures(ensemble_tables)
    assert list(figures)[:3] == [
        "Cost",
        "Regret against perfect foresight",
        "Imbalance, all boundaries",
    ]
    names = [t.name for t in figures["Cost"].data]
    assert names == ["bottom-up", "bottom-up, perfect foresight"]
    assert figures["Cost"].data[0].y[0] == 1020.0
    told = {title: str(f.data[0].customdata[0]) for title, f in figures.items()}
    assert told["Cost"] == "1,020.00 EUR (995.16 to 1,044.84)"
    assert told["Intervals beyond limits"] == "0.00 (0.00 to 0.00)"  # a number has no unit
    by_grid = of_ensemble.imbalance(ensemble_tables).data[0]
    assert (list(by_grid.x), list(by_grid.y)) == (["mv1"], [3.0])


def test_rounds_and_schedules_of_a_negotiation():
    rounds = pd.DataFrame({
        "interval": 4, "grid": "mv", "round": [1, 2], "fixed": [False, True],
        "open_share": [0.5, 0.0], "price_apart": [0.1, 0.01], "price_moved": [0.2, 0.02],
    })  # fmt: skip
    held = pd.DataFrame({
        "interval": [4, 4, 6, 6], "grid": ["a", "b"] * 2, "follower": "mv",
        "on_new": [True, False, True, False], "in_doubt": [False, True, True, False],
        "silent": [False, False, False, True],
    })  # fmt: skip
    told = pd.DataFrame({
        "interval": [4, 6], "grid": "mv", "rounds": 2, "agreement_after_sec": [3.0, np.nan],
    })  # fmt: skip
    tables = SimpleNamespace(round=rounds, negotiation=told, commitment=held)
    figure = of_rounds.rounds(tables, "mv")
    assert list(figure.data[0].y) == [0.5, 1e-8]  # nothing is drawn at the lower end
    assert figure.layout.yaxis.type == "log"
    assert "binaries fixed" in [t.name for t in figure.data]
    states = of_rounds.schedules_held(tables)
    z = np.asarray(states.data[0].z, dtype=float)
    assert np.nan_to_num(z, nan=-1.0).tolist() == [[0.0, -1.0, 1.0], [3.0, -1.0, 4.0]]
    assert list(states.data[0].x) == [4, 5, 6]
    legend = {t.name: t.marker.color for t in states.data[1:]}
    assert legend == {k: v for k, v in style.HELD.items() if k != "old schedule"}
    assert of_rounds.agreement(tables).data[0].y[0] == 3.0
    titles = [
        (drawn.layout.xaxis.title.text, drawn.layout.yaxis.title.text)
        for drawn in (figure, states, of_rounds.agreement(tables))
    ]
    assert titles == [
        ("round", "residual (1)"),
        ("interval", "agent"),
        ("interval", "time to agreement in s"),
    ]


def alike(**values):
    """A comparison of plans with an import in MWh by scheme."""
    made = Comparison("tariff")
    for scheme, value in values.items():
        rows = [Row(TOTAL, "total_cost", 1.0), Row(TOTAL, "import", value)]
        flows = pd.DataFrame(
            {"scheme": scheme, "grid": "mv1", "start_h": [0.0, 1.0], "dt_h": 1.0,
             "p_mw": [value, 2.0 * value]}
        )  # fmt: skip
        made.add(PLAN, scheme, frame_of(rows, scheme, "tariff"), flows)
    return made


def test_values_that_would_look_alike_are_drawn_as_differences_to_the_reference():
    study = alike(bottom_up=101.0, uncoordinated=100.0, integrated=98.0)
    bars = of_schemes.indicators(study, PLAN)["Import from upstream"]
    np.testing.assert_allclose(bars.data[0].x, [1.0, 0.0, -2.0])
    assert bars.layout.xaxis.title.text == "import in MWh, less that of uncoordinated"
    assert bars.layout.yaxis.ticktext[0] == "<b>bottom-up</b><br>101.000"  # the value itself
    apart = of_schemes.indicators(alike(bottom_up=100.0, integrated=10.0), PLAN)
    assert list(apart["Import from upstream"].data[0].x) == [100.0, 10.0]


def test_values_that_are_the_same_are_told_without_a_figure():
    study = alike(bottom_up=5.0, integrated=5.0 + 1e-9)
    assert of_schemes.same(study, PLAN) == {"Import from upstream": "5.000 MWh"}
    assert of_schemes.same(alike(bottom_up=5.0, integrated=5.1), PLAN) == {}


def test_exchange_is_shown_as_difference_to_the_reference():
    study = alike(bottom_up=3.0, integrated=2.0)
    figure = of_schemes.exchange(study, PLAN, against="bottom_up")
    drawn = {t.name: list(t.y) for t in figure.data}
    assert drawn == {"bottom-up": [0.0, 0.0, 0.0], "integrated": [-1.0, -2.0, -2.0]}
