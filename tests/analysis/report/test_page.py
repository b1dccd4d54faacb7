import json
import re
from base64 import b64decode
from html.parser import HTMLParser

import numpy as np
import plotly.graph_objects as go
import pytest

from stackelgrid.analysis import style
from stackelgrid.analysis.report import (
    Chart,
    Choice,
    Page,
    ReportTable,
    Section,
    Verdict,
    render,
    write_report,
)

VALUES = np.array([1.0512345678, np.nan, 0.95])


def page(**own):
    figure = go.Figure(
        go.Scatter(x=["2025-06-20T00:00", "<!--", "</script>"], y=VALUES),
        layout=style.layout(height=280),
    )
    content = {
        "title": "A day & <more>",
        "subtitle": "one line",
        "verdict": Verdict("good", "All intervals were exact."),
        "facts": (("Solver", "misocp <1>"),),
        "notices": ("Maps are left out.",),
        "sections": (
            Section(
                "Voltages",
                ("Text.",),
                (Chart("Band", figure, "Voltages over the day"),),
                (ReportTable("Worst", ("bus", "voltage"), (("bus <7>", "1.057"),)),),
            ),
            Section("Costs", ("More text.",)),
        ),
    }
    return Page(**(content | own))


class Reader(HTMLParser):
    """Collects elements with their attributes, and the text outside of scripts and styles."""

    def __init__(self):
        super().__init__()
        self.elements, self.text, self._inside = [], "", ""

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self._inside = tag if tag in ("script", "style") else ""

    def handle_endtag(self, tag):
        self._inside = ""

    def handle_data(self, data):
        if not self._inside:
            self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def document():
    return render(page())


@pytest.fixture(scope="module")
def read(document):
    reader = Reader()
    reader.feed(document)
    return reader


def test_nothing_is_fetched_from_anywhere(read):
    references = [
        value
        for _, attributes in read.elements
        for key, value in attributes.items()
        if key in ("src", "href", "action", "data", "poster")
    ]
    assert references  # the contents, at least
    assert all(r.startswith("#") or r == "data:," for r in references)
    (policy,) = [m["content"] for m in read.all("meta") if "http-equiv" in m]
    assert "default-src 'none'" in policy


def test_plotly_is_embedded_once_and_left_out_without_figures(document):
    banner = re.compile(r"plotly\.js v\d")
    assert len(banner.findall(document)) == 1
    bare = render(page(sections=(Section("Costs", ("Text.",)),)))
    assert not banner.search(bare)
    assert len(bare) < 20_000


def test_texts_are_escaped_and_headed(read):
    assert "A day & <more>" in read.text
    assert "bus <7>" in read.text
    assert "misocp <1>" in read.text
    assert "Maps are left out." in read.text
    assert [name for name, _ in read.elements if name in ("h1", "h2")] == ["h1", "h2", "h2"]
    links = [a["href"].removeprefix("#") for a in read.all("a")]
    assert links == [s["id"] for s in read.all("section")]
    assert read.all("html") == [{"lang": "en"}]
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in read.all(
        "meta"
    )


def test_a_figure_has_its_description_height_and_compact_numbers(document, read):
    (plot,) = [d for d in read.all("div") if d.get("class") == "plot"]
    assert plot["aria-label"] == "Voltages over the day"
    assert plot["style"] == "height:280px"
    found = re.search(
        r'<script type="application/json" data-for="([^"]+)"[^>]*>(.*?)</script>', document
    )
    assert found[1] == plot["id"]
    (trace,) = json.loads(found[2])["data"]
    assert trace["x"][1:] == ["<!--", "</script>"]  # as data, not as the end of the element
    assert "<" not in found[2]
    assert trace["y"]["dtype"] == "f4"
    sent = np.frombuffer(b64decode(trace["y"]["bdata"]), dtype="<f4")
    np.testing.assert_allclose(sent, VALUES, rtol=1e-7)


@pytest.mark.parametrize(("state", "word"), [("good", "Good"), ("warning", "Att"), ("bad", "Bad")])
def test_the_verdict_is_told_without_colour(state, word):
    reader = Reader()
    reader.feed(render(page(verdict=Verdict(state, "So it was."))))
    assert f"verdict {state}" in [p.get("class") for p in reader.all("p")]
    assert re.search(rf"{word}\w*: So it was\.", reader.text)


def test_numbers_stand_right_in_tables(read):
    assert [cell.get("class") for cell in read.all("td")] == [None, "number"]


def test_a_report_is_replaced_at_once(tmp_path):
    (tmp_path / "report.html").write_text("old", encoding="utf-8")
    path = write_report(tmp_path, page())
    assert path == tmp_path / "report.html"
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_a_choice_holds_each_figure_once_and_shows_the_first():
    charts = tuple(
        Chart(name, go.Figure(go.Scatter(y=VALUES), layout=style.layout(height=high)), f"of {name}")
        for name, high in (("mv1", 300), ("lv <1>", 400))
    )
    section = Section("Charge", figures=(Choice("State of charge", "Grid", charts),))
    reader = Reader()
    reader.feed(render(page(sections=(section,))))
    (select,) = reader.all("select")
    (plot,) = [d for d in reader.all("div") if d.get("class") == "plot"]
    held = [s for s in reader.all("script") if "data-for" in s]
    assert select["data-choice"] == plot["id"]
    assert [s["data-for"] for s in held] == [plot["id"]] * 2
    assert [s["data-description"] for s in held] == ["of mv1", "of lv <1>"]
    assert (plot["style"], plot["aria-label"]) == ("height:300px", "of mv1")
    assert [label["for"] for label in reader.all("label")] == [select["id"]]
    assert "lv <1>" in reader.text


def test_a_figure_with_frames_has_a_slider():
    frames = [
        go.Frame(name=f"{hour}:00", data=[{"y": VALUES + hour}], traces=[0]) for hour in (1, 2)
    ]
    figure = go.Figure(go.Scatter(y=VALUES), layout=style.layout(), frames=frames)
    reader = Reader()
    reader.feed(render(page(sections=(Section("Map", figures=(Chart("Map", figure, "A map"),)),))))
    (slider,) = reader.all("input")
    (plot,) = [d for d in reader.all("div") if d.get("class") == "plot"]
    assert (slider["type"], slider["data-frames"]) == ("range", plot["id"])


def test_a_folded_part_keeps_its_figures_and_tables_closed():
    chart = Chart("Band", go.Figure(layout=style.layout()), "Voltages")
    part = Section("Details", ("Inside.",), (chart,), (ReportTable("T", ("a",), (("1",),)),))
    reader = Reader()
    document = render(page(sections=(Section("Voltages", folded=(part,)),)))
    reader.feed(document)
    assert reader.all("details") == [{}]  # not open
    inside = document[document.index("<details>") : document.index("</details>")]
    assert all(text in inside for text in ("Details", "Inside.", "data-for", "<table>"))
    assert "plotly.js v" in document


def test_a_compact_table_names_its_rows_and_groups():
    table = ReportTable(
        "Key figures",
        ("", "result", "without control"),
        (("Energy",), ("Used", "3.1 MWh", "3.2 MWh")),
        compact=True,
    )
    reader = Reader()
    reader.feed(render(page(sections=(Section("Key figures", tables=(table,)),))))
    heads = reader.all("th")
    assert [h["scope"] for h in heads] == ["col", "col", "col", "colgroup", "row"]
    assert heads[3]["colspan"] == "3"
    assert [cell["class"] for cell in reader.all("td")] == ["number", "number"]


def test_dark_colours_are_known_by_the_light_ones():
    document = render(page())
    theme = re.search(r'<script type="application/json" id="theme">(.*?)</script>', document)
    read = json.loads(theme[1])
    assert read["colors"][style.PAPER] == style.DARK[style.PAPER]
    assert read["colors"][style.INK] == style.DARK[style.INK]
    figure = go.Figure(go.Heatmap(z=[[1]], colorscale=style.VOLTAGE_SCALE))
    light = [[at, color] for at, color in figure.data[0].colorscale]
    assert light in [scale for scale, _ in read["scales"]]
