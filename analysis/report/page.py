"""Typed content of a report page, and its rendering as one file that needs no network.

    page = Page(title="day", subtitle="...", verdict=Verdict("good", "..."), sections=(...,))
    write_report(Path("runs/day"), page)       # runs/day/report.html

The browser draws the figures with plotly.js, which is embedded once, when they come near the
window; report.js adapts them to dark mode, phones and paper. Titles, notes and tables are HTML, so
that they wrap on small screens, can be searched and work with screen readers.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from stackelgrid.analysis.report.figure_json import figure_json, theme_json
from stackelgrid.analysis.results.errors import ResultsError
from stackelgrid.simulators.results.whole_file import whole_file

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

State = Literal["good", "warning", "bad"]
REPORT_NAME = "report.html"
_SYMBOLS = {"good": "✓", "warning": "!", "bad": "✗"}
_SHORT = 20  # rows up to which a table is printed on one page
_WORDS = {"good": "Good", "warning": "Attention", "bad": "Bad"}


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
class Choice:
    """Charts in one place, of which the reader chooses one by its title; the first is shown.

    `label` names what is chosen, as "Grid". Only the chosen figure is drawn.
    """

    title: str
    label: str
    charts: tuple[Chart, ...]
    note: str = ""
    wide: bool = True


@dataclass(frozen=True)
class ReportTable:
    """A table of text; every row has the length of `columns`, and the caller formats numbers.

    A row of one cell is a heading of the rows below it. A `compact` table has names in its first
    column and numbers with units in the others, and fits a phone without scrolling.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    compact: bool = False


@dataclass(frozen=True)
class Section:
    """A section of a report: paragraphs of text, figures, tables, and folded parts.

    A folded part shows its title, and its content once the reader opens it; print shows open ones.
    """

    title: str
    text: tuple[str, ...] = ()
    figures: tuple[Chart | Choice, ...] = ()
    tables: tuple[ReportTable, ...] = ()
    folded: tuple["Section", ...] = ()

    def has_figures(self) -> bool:
        """Return True if the section or a folded part has a figure."""
        return bool(self.figures) or any(part.has_figures() for part in self.folded)


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
    scripts = [f"<script>{_asset('tables.js')}</script>"]
    if any(section.has_figures() for section in page.sections):
        scripts.append(f'<script type="application/json" id="theme">{theme_json()}</script>')
        scripts += [f"<script>{text}</script>" for text in (_plotly(), _asset("report.js"))]
    closing = "\n".join(scripts)
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
{closing}
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
    yield from _content(str(number), section)
    yield "</section>"


def _content(number: str, section: Section) -> Iterator[str]:
    """Text, figures, tables and folded parts of a section or a folded part."""
    yield from (f"<p>{escape(text)}</p>" for text in section.text)
    if section.figures:
        yield '<div class="figures">'
        alone = _without_partner(section.figures)
        for n, chart in enumerate(section.figures):
            yield _figure(f"figure-{number}-{n}", chart, wide=chart.wide or n in alone)
        yield "</div>"
    yield from (_table(table) for table in section.tables)
    for n, part in enumerate(section.folded):
        yield f"<details><summary>{escape(part.title)}</summary>"
        yield from _content(f"{number}-folded{n}", part)
        yield "</details>"


def _without_partner(charts: Sequence[Chart | Choice]) -> set[int]:
    """Return the narrow charts that would have an empty half of the page beside them."""
    alone, started = set(), False
    for n, chart in enumerate(charts):
        started = not chart.wide and not started
        if started and (n + 1 == len(charts) or charts[n + 1].wide):
            alone.add(n)
            started = False
    return alone


def _figure(name: str, chart: Chart | Choice, *, wide: bool) -> str:
    """A figure element: title, controls, the place of the plot, its data, and the note."""
    charts = chart.charts if isinstance(chart, Choice) else (chart,)
    first = charts[0]
    control = _select(name, chart) if isinstance(chart, Choice) else ""
    if any(c.figure.frames for c in charts):
        control += (
            f'<p class="control slider"><label for="{name}-frame"></label>'
            f'<input type="range" id="{name}-frame" min="0" step="1" data-frames="{name}">'
            "<output></output></p>"
        )
    height = int(first.figure.layout.height or 360)
    return (
        f'<figure class="{"wide" if wide else "narrow"}">'
        f"<figcaption>{escape(chart.title)}</figcaption>{control}"
        f'<div class="plot" id="{name}" role="img" aria-label="{escape(first.description)}" '
        f'style="height:{height}px"></div>'
        f"{''.join(_data(name, c) for c in charts)}"
        f"{_chosen_note(chart)}{_note(chart.note)}</figure>"
    )


def _select(name: str, choice: Choice) -> str:
    options = "".join(
        f'<option value="{n}">{escape(chart.title)}</option>'
        for n, chart in enumerate(choice.charts)
    )
    return (
        f'<p class="control"><label for="{name}-choice">{escape(choice.label)}</label>'
        f'<select id="{name}-choice" data-choice="{name}" autocomplete="off">{options}</select></p>'
    )


def _data(name: str, chart: Chart) -> str:
    """A figure's data, with the description and the note that are shown with it."""
    return (
        f'<script type="application/json" data-for="{name}" '
        f'data-description="{escape(chart.description)}" data-note="{escape(chart.note)}">'
        f"{figure_json(chart.figure)}</script>"
    )


def _chosen_note(chart: Chart | Choice) -> str:
    """Place of the note of the chosen chart, which report.js keeps."""
    if isinstance(chart, Chart) or not any(c.note for c in chart.charts):
        return ""
    return f'<p class="note" data-of="choice">{escape(chart.charts[0].note)}</p>'


def _note(text: str) -> str:
    return f'<p class="note">{escape(text)}</p>' if text else ""


def _table(table: ReportTable) -> str:
    head = "".join(
        f'<th scope="col"{_align_head(table, k)}>{escape(c)}</th>'
        for k, c in enumerate(table.columns)
    )
    rows = "".join(_row(row, table) for row in table.rows)
    kind = "table" + " compact" * table.compact + " short" * (len(table.rows) <= _SHORT)
    return (
        f'<div class="{kind}" role="region" aria-label="{escape(table.title)}"><table>'
        f"<caption>{escape(table.title)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{rows}</tbody></table></div>{_note(table.note)}"
    )


def _row(row: tuple[str, ...], table: ReportTable) -> str:
    first, *others = row
    if not others and len(table.columns) > 1:
        span = len(table.columns)
        return f'<tr class="group"><th scope="colgroup" colspan="{span}">{escape(first)}</th></tr>'
    if table.compact:
        cells = "".join(f'<td class="number">{escape(cell)}</td>' for cell in others)
        return f'<tr><th scope="row">{escape(first)}</th>{cells}</tr>'
    return "<tr>" + "".join(f"<td{_align(cell)}>{escape(cell)}</td>" for cell in row) + "</tr>"


def _align_head(table: ReportTable, column: int) -> str:
    """Return the alignment of a column's head: right over numbers."""
    cells = [row[column] for row in table.rows if len(row) == len(table.columns)]
    return ' class="number"' if cells and all(map(_align, cells)) else ""


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


@cache
def _asset(name: str) -> str:
    return files("stackelgrid.analysis.report").joinpath(name).read_text(encoding="utf-8")


@cache
def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())
