"""Map of the hierarchy: places, exchange of all copies, margins, and times of its slider."""

import numpy as np
import pytest
from support.run_rows import judged, limits, run_of, voltages

from stackelgrid.analysis.figures.hierarchy import hierarchy

GRIDS = {
    "tn": ("transmission", None, 1),
    "mv1": ("mv", "tn", 3),
    "mv2": ("mv", "tn", 1),
    "lv1": ("lv", "mv1", 4),
}
IMPORTS = {"tn": 0.0, "mv1": 2.0, "mv2": -1.0, "lv1": 0.5}


@pytest.fixture
def figure(tmp_path):
    """Two intervals; bus 2 of lv1 is 0.02 p.u. beyond its limit in the second."""
    network = [row for name in GRIDS for row in limits(name, 0.9, 1.1, [1, 2])]
    bus = [
        row
        for interval, high in ((0, 1.05), (1, 1.12))
        for name in GRIDS
        for row in voltages(interval, name, {1: 1.0, 2: high if name == "lv1" else 1.04})
    ]
    interval = [
        judged(k, name, p_import_mw=p * (1 + k), min_vm_pu=1.0, max_vm_pu=1.05)
        for k in (0, 1)
        for name, p in IMPORTS.items()
    ]
    return hierarchy(run_of(GRIDS, directory=tmp_path, network=network, bus=bus, interval=interval))


def test_a_grid_lies_below_the_one_that_supplies_it_and_within_its_width(figure):
    exchange, bars, *_ = figure.data
    names = [text.split("<b>")[1].split("</b>")[0] for text in bars.hovertext]
    middle = dict(zip(names, bars.x, strict=True))
    width = dict(zip(names, bars.width, strict=True))
    level = dict(zip(names, np.round(np.asarray(bars.base, dtype=float)), strict=True))
    assert level == {"tn": 0, "mv1": -1, "mv2": -1, "lv1": -2}
    assert abs(middle["lv1"] - middle["mv1"]) < width["mv1"] / 2
    for name in ("mv1", "mv2"):
        assert abs(middle[name] - middle["tn"]) < width["tn"] / 2
    assert middle["mv1"] != middle["mv2"]
    assert len(exchange.x) == 3  # the top has no grid above


def test_exchange_counts_all_copies_and_points_where_power_flows(figure):
    exchange, _, arrows, numbers = figure.data[:4]
    by_text = dict(zip(exchange.hovertext, exchange.customdata, strict=True))
    exchanges = {text.split("</b>")[0].removeprefix("<b>"): p for text, p in by_text.items()}
    assert exchanges == pytest.approx({"mv1": 12.0, "lv1": 12.0, "mv2": -2.0})  # second interval
    powers = np.asarray(exchange.customdata)
    down = np.asarray(arrows.marker.symbol) == "triangle-down"
    np.testing.assert_array_equal(down, powers > 0)
    assert list(numbers.text) == [{12.0: "12.0", -2.0: "2.00"}[p] for p in powers]
    assert max(exchange.width) == exchange.width[int(np.argmax(np.abs(powers)))]


def test_the_slider_starts_at_the_smallest_margin(figure):
    _, bars, *_ = figure.data
    margins = dict(zip(bars.hovertext, np.asarray(bars.marker.color), strict=True))
    (worst,) = [m for text, m in margins.items() if "lv1" in text]
    assert worst == pytest.approx(-0.02)
    assert max(bars.marker.line.width) > 0  # an outline, beside the colour
    slider = figure.layout.sliders[0]
    assert [frame.name for frame in figure.frames] == [step.label for step in slider.steps]
    assert (len(figure.frames), slider.active) == (2, 1)
    first = figure.frames[0].data[1]
    assert min(first.marker.color) == pytest.approx(0.05)
    assert max(first.marker.line.width) == 0


def test_copies_stand_at_each_grid(figure):
    written = {t.replace("<br>", " ") for trace in figure.data[4:] for t in trace.text or ()}
    assert {"<b>tn</b>", "<b>mv1</b> x 3", "<b>lv1</b> x 12", "<b>mv2</b>"} <= written


def test_a_single_grid_without_limits_is_a_bar(tmp_path):
    run = run_of({"mv": ("mv", None, 1)}, directory=tmp_path, interval=[judged(0, "mv")])
    figure = hierarchy(run)
    assert len(figure.data[1].x) == 1
    assert len(figure.data[0].x) == 0


def test_a_long_run_has_few_times_and_the_worst_among_them(tmp_path):
    network = limits("mv", 0.9, 1.1, [1])
    count, worst = 500, 123
    bus = [row for k in range(count) for row in voltages(k, "mv", {1: 1.09 if k == worst else 1})]
    interval = [judged(k, "mv", p_import_mw=0.0) for k in range(count)]
    grids = {"mv": ("mv", None, 1)}
    figure = hierarchy(
        run_of(grids, directory=tmp_path, network=network, bus=bus, interval=interval)
    )
    assert len(figure.frames) <= 97
    shown = figure.frames[figure.layout.sliders[0].active]
    assert np.asarray(shown.data[1].marker.color)[0] == pytest.approx(0.01)
