"""Typed content of a report page, and its rendering as one file that needs no network.

    page = Page(title="day", subtitle="...", verdict=Verdict("good", "..."), sections=(...,))
    write_report(Path("runs/day"), page)       # runs/day/report.html

The browser draws the figures with plotly.js, which is embedded once. Titles, notes and tables are
HTML, so that they wrap on small screens, can be searched and work with screen readers.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from stackelgrid.analysis.results.errors import ResultsError
from stackelgrid.simulators.results.whole_file import whole_file

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

State = Literal["good", "warning", "bad"]
REPORT_NAME = "report.html"
_SYMBOLS = {"good": "✓", "warning": "!", "bad": "✗"}
_WORDS = {"good": "Good", "warning": "Attention", "bad": "Bad"}
# Plotly controls in a report: save a picture, and reset the view
_BUTTONS = [["toImage", "resetScale2d"]]
_CONFIG = {
    "displaylogo": False,
    "responsive": True,
    "modeBarButtons": _BUTTONS,
}


@dataclass(frozen=True)
class Verdict:
    """Result in one sentence, and its rating."""

    state: State
    sentence: str


@dataclass(frozen=True)
class Chart:
    """A figure with title, note, and a description for screen readers.

    A chart that is not `wide` shares its row with others if the window is wide enough.
    """

    title: str
    figure: "Figure" = field(repr=False)
    description: str
    note: str = ""
    wide: bool = True

    @classmethod
    def of(
        cls,
        title: str,
        figure: "Callable[..., Figure]",
        *arguments: Any,
        note: str = "",
        wide: bool = False,
    ) -> "Chart":
        """Draw a figure of some arguments; its description is the first line of its docstring."""
        described = (figure.__doc__ or title).splitlines()[0]
        return cls(title, figure(*arguments), described, note, wide)


@dataclass(frozen=True)
class ReportTable:
    """A table of text; every row has the length of `columns`, and the caller formats numbers."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True)
class Section:
    """A section of a report: paragraphs of text, figures, tables."""

    title: str
    text: tuple[str, ...] = ()
    figures: tuple[Chart, ...] = ()
    tables: tuple[ReportTable, ...] = ()


@dataclass(frozen=True)
class Page:
    """A report: title, subtitle, verdict, notices, facts as (label, value), sections."""

    title: str
    subtitle: str
    verdict: Verdict
    facts: tuple[tuple[str, str], ...] = ()
    sections: tuple[Section, ...] = ()
    notices: tuple[str, ...] = ()


def render(page: Page) -> str:
    """Return the page as one HTML document without external references."""
    numbered = list(enumerate(page.sections, start=1))
    contents = "".join(
        f'<li><a href="#section-{n}">{escape(section.title)}</a></li>' for n, section in numbered
    )
    facts = "".join(
        f"<div><dt>{escape(label)}</dt><dd>{escape(value)}</dd></div>"
        for label, value in page.facts
    )
    notices = "".join(f'<p class="notice">{escape(text)}</p>' for text in page.notices)
    state = page.verdict.state
    body = "\n".join(part for n, section in numbered for part in _section(n, section))
    drawn = any(section.figures for section in page.sections)
    scripts = f"<script>{_plotly()}</script>\n<script>{_asset('report.js')}</script>"
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="generator" content="stackelgrid">
<title>{escape(page.title)}</title>
<link rel="icon" href="data:,">
<style>{_asset("report.css")}</style>
</head>
<body>
<header>
<h1>{escape(page.title)}</h1>
<p class="subtitle">{escape(page.subtitle)}</p>
<p class="verdict {state}" role="status"><span class="symbol" aria-hidden="true">\
{_SYMBOLS[state]}</span><span class="hidden">{_WORDS[state]}: </span>\
<span>{escape(page.verdict.sentence)}</span></p>
{notices}
<dl class="facts">{facts}</dl>
</header>
<nav aria-label="Contents"><ol>{contents}</ol></nav>
<main>
{body}
</main>
{scripts if drawn else ""}
</body>
</html>
"""


# only scripts and styles inside the page, and pictures made by it; nothing is fetched
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:"
)


def write_report(directory: Path, page: Page) -> Path:
    """Replace report.html in a directory atomically and return its path; raises ResultsError."""
    path = directory / REPORT_NAME
    try:
        with whole_file(path) as unfinished:
            unfinished.write_text(render(page), encoding="utf-8")
    except OSError as error:
        raise ResultsError(f"{directory}: cannot be written ({error.strerror})") from error
    return path


def _section(number: int, section: Section) -> Iterator[str]:
    yield f'<section id="section-{number}" aria-labelledby="title-{number}">'
    yield f'<h2 id="title-{number}">{escape(section.title)}</h2>'
    yield from (f"<p>{escape(text)}</p>" for text in section.text)
    if section.figures:
        yield '<div class="figures">'
        alone = _without_partner(section.figures)
        for n, chart in enumerate(section.figures):
            yield _chart(f"figure-{number}-{n}", chart, wide=chart.wide or n in alone)
        yield "</div>"
    yield from (_table(table) for table in section.tables)
    yield "</section>"


def _without_partner(charts: Sequence[Chart]) -> set[int]:
    """Return the narrow charts that would have an empty half of the page beside them."""
    alone, started = set(), False
    for n, chart in enumerate(charts):
        started = not chart.wide and not started
        if started and (n + 1 == len(charts) or charts[n + 1].wide):
            alone.add(n)
            started = False
    return alone


def _chart(name: str, chart: Chart, *, wide: bool) -> str:
    height = int(chart.figure.layout.height or 360)
    note = f'<p class="note">{escape(chart.note)}</p>' if chart.note else ""
    return (
        f'<figure class="{"wide" if wide else "narrow"}">'
        f"<figcaption>{escape(chart.title)}</figcaption>"
        f'<div class="plot" id="{name}" role="img" aria-label="{escape(chart.description)}" '
        f'style="height:{height}px"></div>'
        f'<script type="application/json" data-for="{name}">{_json(chart.figure)}</script>'
        f"{note}</figure>"
    )


def _table(table: ReportTable) -> str:
    head = "".join(f'<th scope="col">{escape(c)}</th>' for c in table.columns)
    rows = "".join(
        "<tr>" + "".join(f"<td{_align(cell)}>{escape(cell)}</td>" for cell in row) + "</tr>"
        for row in table.rows
    )
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    return (
        f'<div class="table" tabindex="0" role="region" aria-label="{escape(table.title)}"><table>'
        f"<caption>{escape(table.title)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{rows}</tbody></table></div>{note}"
    )


def _align(cell: str) -> str:
    """Return the alignment of a cell: right for numbers and for the mark of a missing number."""
    if cell == "-":
        return ' class="number"'
    digits = cell.replace(",", "").removesuffix(" %")
    try:
        float(digits)
    except ValueError:
        return ""
    return ' class="number"'


def _json(figure: "Figure") -> str:
    """Return a figure as JSON, safe in a script element because Plotly escapes < and >."""
    from plotly.io.json import to_json_plotly

    content = _compact(figure.to_plotly_json())
    return str(to_json_plotly({**content, "config": _CONFIG}))


def _compact(value: Any) -> Any:
    """Round numbers to single precision: seven digits suffice for drawing and halve the size."""
    if isinstance(value, dict):
        if value.get("dtype") == "f8" and "bdata" in value:
            return _single(value)
        return {key: _compact(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_compact(v) for v in value]
    if isinstance(value, float):
        return float(f"{value:.7g}")
    return value


def _single(spec: dict[str, Any]) -> dict[str, Any]:
    from base64 import b64decode, b64encode

    values = np.frombuffer(b64decode(spec["bdata"]), dtype="<f8").astype("<f4")
    return {**spec, "dtype": "f4", "bdata": b64encode(values.tobytes()).decode("ascii")}


@cache
def _asset(name: str) -> str:
    return files("stackelgrid.analysis.report").joinpath(name).read_text(encoding="utf-8")


@cache
def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())
