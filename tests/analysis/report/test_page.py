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
        r'<script type="application/json" data-for="([^"]+)">(.*?)</script>', document
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
