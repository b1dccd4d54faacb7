"""Plotly figures as pictures: what matplotlib draws has the numbers of the traces."""

import numpy as np
import plotly.graph_objects as go
import pytest
from matplotlib.colors import to_hex
from plotly.subplots import make_subplots

from stackelgrid.analysis.pictures.draw import panels, picture, plain

TIMES = np.array(["2025-06-20T00:00", "2025-06-20T06:00", "2025-06-20T12:00"], "datetime64[s]")


def names(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def bars(axes):
    """Left, bottom, width and height of every bar."""
    return [(p.get_x(), p.get_y(), p.get_width(), p.get_height()) for p in axes.patches]


def test_areas_of_a_stack_begin_where_the_one_below_ends():
    figure = go.Figure()
    for name, y in (("a", [1.0, 2.0]), ("b", [3.0, 1.0])):
        figure.add_scatter(x=[0, 1], y=y, stackgroup="s", name=name, fillcolor="rgba(0,0,255,0.5)")
    drawn = picture(figure, "two areas")
    below, above = (area.get_paths()[0].vertices for area in drawn.axes[0].collections)
    assert (below[:, 1].min(), below[:, 1].max()) == (0.0, 2.0)
    assert (above[:, 1].min(), above[:, 1].max()) == (1.0, 4.0)
    assert drawn.axes[0].collections[0].get_facecolor()[0].tolist() == [0.0, 0.0, 1.0, 0.5]
    assert names(drawn) == ["a", "b"]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("relative", [(0.0, 0.0, 2.0), (1.0, 0.0, -1.0), (0.0, 2.0, 3.0), (1.0, -1.0, -4.0)]),
        ("group", [(-0.25, 0.0, 2.0), (0.75, 0.0, -1.0), (0.25, 0.0, 3.0), (1.25, 0.0, -4.0)]),
    ],
)
def test_bars_are_stacked_apart_by_sign_or_stand_side_by_side(mode, expected):
    figure = go.Figure(layout={"barmode": mode, "bargap": 0.0})
    for color, y in (("#ff0000", [2.0, -1.0]), ("#00ff00", [3.0, -4.0])):
        figure.add_bar(x=["x", "y"], y=y, marker={"color": color})
    axes = picture(figure).axes[0]
    middles = [(x + w / 2.0, y, h) for x, y, w, h in bars(axes)]
    np.testing.assert_allclose(middles, expected)
    assert [to_hex(p.get_facecolor()) for p in axes.patches] == ["#ff0000"] * 2 + ["#00ff00"] * 2
    assert [t.get_text() for t in axes.get_xticklabels()] == ["x", "y"]


def test_bars_over_time_reach_from_edge_to_edge():
    figure = go.Figure(go.Bar(x=TIMES[:-1], y=[1.0, 2.0], offset=0, width=[6 * 3.6e6] * 2,
                              marker={"color": "#123456"}))  # fmt: skip
    (x, _, width, height), second = bars(picture(figure).axes[0])
    assert width == pytest.approx(0.25)
    assert second[0] == pytest.approx(x + 0.25)
    assert height == 1.0


def test_limits_and_texts_of_a_logarithmic_axis_are_at_their_values():
    figure = go.Figure(go.Scatter(x=[0, 1], y=[1e-9, 1e-3], mode="lines"))
    figure.update_yaxes(type="log", range=[-10, -2])
    figure.add_hline(y=1e-6, line={"color": "#ff0000", "dash": "dash"})
    figure.add_annotation(x=1.0, xref="paper", y=-6.0, text="exact <b>below</b>", showarrow=False)
    axes = picture(figure).axes[0]
    assert axes.get_yscale() == "log"
    assert axes.get_ylim() == pytest.approx((1e-10, 1e-2))
    limit = axes.lines[-1]
    assert list(limit.get_ydata()) == [1e-6, 1e-6]
    assert limit.get_linestyle() == "--"
    (text,) = axes.texts
    assert (text.get_text(), text.xy) == ("exact below", (1.0, pytest.approx(1e-6)))


def test_a_heat_map_has_its_colours_and_readable_numbers():
    z = [[0.0, 100.0], [np.nan, 50.0]]
    scale = [[0.0, "#000000"], [1.0, "#ffffff"]]
    heat = go.Heatmap(x=["a", "b"], y=["c", "d"], z=z, zmin=0, zmax=100, colorscale=scale,
                      texttemplate="%{z:.0f}", colorbar={"title": {"text": "%"}})  # fmt: skip
    drawn = picture(go.Figure(heat))
    axes, bar = drawn.axes
    (mesh,) = axes.collections
    np.testing.assert_array_equal(np.ma.filled(mesh.get_array(), np.nan).reshape(2, 2), z)
    assert mesh.get_clim() == (0.0, 100.0)
    assert [t.get_text() for t in axes.texts] == ["0", "100", "50"]
    assert to_hex(axes.texts[0].get_color()) == "#ffffff"  # white on black
    assert bar.get_ylabel() == "%"
    assert [t.get_text() for t in axes.get_yticklabels()] == ["c", "d"]


def test_subplots_and_a_second_axis_keep_their_traces():
    figure = make_subplots(rows=2, cols=1, row_heights=[0.75, 0.25])
    figure.add_scatter(x=[0, 1], y=[1, 2], row=1, col=1, name="above")
    figure.add_scatter(x=[0, 1], y=[5, 6], row=2, col=1, name="below")
    figure.add_scatter(x=[0, 1], y=[8, 9], yaxis="y3", name="right")
    figure.update_layout(yaxis3={"overlaying": "y", "side": "right", "title": {"text": "MW"}})
    drawn = picture(figure)
    assert [list(axes.lines[0].get_ydata()) for axes in drawn.axes] == [[1, 2], [5, 6], [8, 9]]
    assert drawn.axes[2].get_ylabel() == "MW"
    upper, lower, _ = drawn.axes
    assert upper.get_subplotspec().rowspan.start < lower.get_subplotspec().rowspan.start


def test_panels_stand_row_by_row_and_names_are_told_once():
    figure = go.Figure([go.Scatter(x=[0], y=[1.0], name="a"), go.Scatter(x=[0], y=[9.0], name="b")])
    other = go.Figure([go.Scatter(x=[0], y=[-5.0], name="b"), go.Scatter(x=[0], y=[0.0], name="c")])
    drawn = panels([("one", figure), ("two", other)], "both", columns=2, same_y=True)
    assert [axes.get_title() for axes in drawn.axes] == ["one", "two"]
    assert names(drawn) == ["a", "b", "c"]
    first, second = (axes.get_ylim() for axes in drawn.axes)
    assert first == second
    assert first[0] < -5.0
    assert first[1] > 9.0


def test_another_kind_of_trace_is_refused():
    with pytest.raises(ValueError, match="'pie' is not drawn; accepted: scatter, bar, heatmap"):
        picture(go.Figure(go.Pie(values=[1.0])))


def test_marks_of_plotly_become_plain_text():
    assert plain('<b>a</b><br><span style="color:#fff">1 &lt; 2</span>') == "a\n1 < 2"


@pytest.mark.parametrize(
    ("ending", "start"), [("svg", b"<?xml"), ("pdf", b"%PDF"), ("png", b"\x89PNG")]
)
def test_pictures_have_the_format_of_their_name(tmp_path, ending, start):
    file = tmp_path / f"picture.{ending}"
    picture(go.Figure(go.Scatter(x=TIMES, y=[1.0, 2.0, 3.0], line={"shape": "hv"}))).savefig(file)
    assert file.read_bytes().startswith(start)
