import numpy as np
import pandas as pd
import pytest
from support.run_rows import run_of

from stackelgrid.analysis.figures.frame import decades, new_figure, percentiles, rule, steps
from stackelgrid.analysis.results.axes import Clock, copies

CLOCK = Clock(
    np.array([0, 1]),
    np.array(["2025-06-20T00:00", "2025-06-20T00:15", "2025-06-20T00:30"], "datetime64[s]"),
    "time (Europe/Berlin)",
)


def test_percentiles_count_a_column_as_often_as_it_weighs():
    generator = np.random.default_rng(4)
    values, weights = generator.normal(size=(5, 7)), generator.integers(1, 6, size=7)
    shares = (0.0, 5.0, 25.0, 50.0, 75.0, 95.0, 100.0)
    repeated = np.repeat(values, weights, axis=1)
    expected = np.percentile(repeated, shares, axis=1, method="inverted_cdf")
    np.testing.assert_array_equal(percentiles(values, weights.astype(float), shares), expected)


def test_percentiles_leave_out_what_is_unknown():
    values = np.array([[1.0, np.nan, 3.0], [np.nan, np.nan, np.nan]])
    low, high = percentiles(values, np.array([1.0, 9.0, 1.0]), (0.0, 100.0))
    np.testing.assert_array_equal(low, [1.0, np.nan])
    np.testing.assert_array_equal(high, [3.0, np.nan])


def test_a_step_holds_its_value_to_the_end_of_its_interval():
    trace = steps(CLOCK, pd.Series([1.0, 2.0]), "load", "MW")
    assert list(trace.y) == [1.0, 2.0, 2.0]
    assert len(trace.x) == 3
    assert trace.line.shape == "hv"


def test_a_clock_names_the_day_only_where_there_are_several():
    assert CLOCK.text(1) == "00:15"
    edges = CLOCK.edges + np.array([0, 0, 48], "timedelta64[h]")
    assert Clock(CLOCK.intervals, edges, "").text(1) == "20 Jun 00:15"


@pytest.mark.parametrize(
    ("values", "span", "tick"),
    [([2e-9, 5e-9], [-9, -8], 1), ([1e-8, 3e-6], [-8, -5], 1), ([1e-11, 20.0], [-11, 2], 2)],
)
def test_logarithmic_axes_end_at_whole_decades(values, span, tick):
    figure = new_figure(CLOCK, "gap in p.u.")
    figure.add_trace(steps(CLOCK, np.array(values), "gap", "p.u."))
    decades(figure)
    assert list(figure.layout.yaxis.range) == span
    assert figure.layout.yaxis.dtick == tick


def test_a_clock_knows_intervals_beyond_its_own():
    # an interval that ended after the clock was read is in tables that are read later
    assert CLOCK.text(2) == "00:30"
    later = Clock(CLOCK.intervals + 5, CLOCK.edges, "")
    assert (later.text(5), later.text(7)) == ("00:00", "00:30")


def test_copies_multiply_in_whatever_order_grids_are_named():
    grids = {"lv1": ("lv", "mv1", 3), "mv1": ("mv", "tn", 2), "tn": ("transmission", None, 1)}
    assert copies(run_of(grids)) == {"lv1": 6, "mv1": 2, "tn": 1}


def test_no_line_is_drawn_for_a_limit_that_there_is_not():
    figure = new_figure(CLOCK, "voltage in p.u.")
    rule(figure, float("nan"), "limit")
    assert not figure.layout.shapes
    rule(figure, 1.05, "limit")
    assert [shape.y0 for shape in figure.layout.shapes] == [1.05]
