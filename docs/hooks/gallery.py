"""Pages of the notebooks of docs/gallery, with the outputs of build/gallery, and their index."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from plotly.offline import get_plotlyjs

from stackelgrid.analysis.report.figure_json import CONFIG

PLOTLY = "application/vnd.plotly.v1+json"
CARDS = "<!-- cards -->"  # place of the cards in gallery/index.md
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_CLEAR, _TOP_PX = "rgba(0,0,0,0)", 44  # background; margin above the plot, for the legend
_SCRIPTS = (
    '<script src="../assets/plotly.min.js"></script>\n<script src="../hooks/gallery.js"></script>\n'
)


@dataclass
class Notebook:
    """A page of the gallery: its Markdown, and the figures that a script draws into it."""

    text: str = ""
    figures: list[str] = field(default_factory=list)


pages: dict[str, Notebook] = {}


def on_files(files_: Files, config: MkDocsConfig, **_: Any) -> Files:
    """Add a page gallery/NAME.md for every notebook; the notebook itself stays for download."""
    pages.clear()
    for source in sorted(Path(config.docs_dir, "gallery").glob("*.ipynb")):
        notebook = json.loads(source.read_text("utf-8"))
        done = executed_form(notebook, executed_folder(config) / source.name)
        page = page_of(notebook if done is None else done)
        head = f"[This page as a notebook]({source.name})"
        if done is None:
            head += "; `make gallery` executes it"
        title, newline, rest = page.text.partition("\n")
        name = f"gallery/{source.stem}.md"
        pages[name] = page
        content = f"{title}{newline}\n{rest}\n{head}.\n"
        files_.append(File.generated(config, name, content=content))
        picture = executed_folder(config) / f"{source.stem}.png"
        if picture.is_file():
            kept = File.generated(config, f"gallery/{picture.name}", content=picture.read_bytes())
            files_.append(kept)
    if any(page.figures for page in pages.values()):
        files_.append(File.generated(config, "assets/plotly.min.js", content=get_plotlyjs()))
    return files_


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Write the cards of the notebooks, in the order of the navigation, into the index."""
    if page.file.src_uri != "gallery/index.md":
        return markdown
    cards = []
    for name in names_in(config.nav):
        title, question = opening_of(pages[name].text)
        picture = name.removesuffix(".md") + ".png"
        shown = f"![]({Path(picture).name})" if files.get_file_from_path(picture) else ""
        cards.append(f"- {shown}\n\n    **[{title}]({Path(name).name})**\n\n    {question}\n")
    listed = "\n".join(cards)
    return markdown.replace(CARDS, f'<div class="cards" markdown>\n\n{listed}\n\n</div>')


def on_page_content(html: str, page: Page, **_: Any) -> str:
    """Add the figures of a notebook's page, and the scripts that draw them."""
    notebook = pages.get(page.file.src_uri)
    if notebook is None or not notebook.figures:
        return html
    figures = "\n".join(
        f'<script type="application/json" data-for="figure-{n}">{figure}</script>'
        for n, figure in enumerate(notebook.figures)
    )
    return f"{html}\n{figures}\n{_SCRIPTS}"


def executed_folder(config: MkDocsConfig) -> Path:
    """Return the folder of the executed notebooks."""
    return Path(config.site_dir).parent / "gallery"


def executed_form(notebook: dict[str, Any], path: Path) -> dict[str, Any] | None:
    """Return the notebook with outputs; None without one, or if it was changed since."""
    if not path.is_file():
        return None
    done: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return done if _sources(done) == _sources(notebook) else None


def _sources(notebook: dict[str, Any]) -> list[str]:
    return ["".join(cell["source"]) for cell in notebook["cells"]]


def names_in(nav: Any) -> Iterator[str]:
    """Yield the pages of notebooks in a navigation tree, in their order."""
    for entry in nav:
        for value in entry.values() if isinstance(entry, dict) else [entry]:
            if isinstance(value, list):
                yield from names_in(value)
            elif value in pages:
                yield value


def opening_of(text: str) -> tuple[str, str]:
    """Return title and question of a page: its heading and first paragraph."""
    title, question = re.split(r"\n\s*\n", text, maxsplit=2)[:2]
    return title.removeprefix("# ").strip(), " ".join(question.split())


def page_of(notebook: dict[str, Any]) -> Notebook:
    """Return the page of a notebook: text as it is, code and printed text fenced."""
    page = Notebook()
    page.text = "\n\n".join(_parts(notebook, page.figures)) + "\n"
    return page


def _parts(notebook: dict[str, Any], figures: list[str]) -> Iterator[str]:
    for cell in notebook["cells"]:
        source = "".join(cell["source"]).strip()
        if cell["cell_type"] == "markdown":
            yield source
        elif cell["cell_type"] == "code" and source:
            yield f"```python\n{source}\n```"
            answer = "answer" in cell["metadata"].get("tags", ())
            for output in cell["outputs"]:
                shown = _output(output, figures)
                yield from map(_answer, shown) if answer else shown


def _output(output: dict[str, Any], figures: list[str]) -> Iterator[str]:
    """Yield the richest form that a page can show."""
    data = output.get("data", {})
    if output["output_type"] == "stream":
        if output["name"] == "stdout":
            yield _fenced(output["text"])
    elif PLOTLY in data:
        yield _figure(data[PLOTLY], figures)
    elif "image/png" in data:
        encoded = "".join(data["image/png"]).replace("\n", "")
        yield f'<img alt="figure" src="data:image/png;base64,{encoded}">'
    elif "text/markdown" in data:
        yield "".join(data["text/markdown"])
    elif "<table" in "".join(data.get("text/html", "")):
        table = re.search(r"<table.*</table>", "".join(data["text/html"]), re.DOTALL)
        if table:
            yield re.sub(r' (border|class|style)="[^"]*"', "", table[0])
    elif "text/plain" in data:
        yield _fenced(data["text/plain"])


def _answer(text: str) -> str:
    """Return the answer of a notebook in a box."""
    inside = text.removeprefix("**Answer.** ").replace("\n", "\n    ")
    return f'!!! success "Answer"\n\n    {inside}'


def _figure(content: dict[str, Any], figures: list[str]) -> str:
    """Return title and place of a figure; its content is kept for the end of the page."""
    layout = {**content["layout"], "paper_bgcolor": _CLEAR, "plot_bgcolor": _CLEAR}
    title = layout.pop("title", {}).get("text", "figure")  # text wraps on a phone
    layout["modebar"] = {"bgcolor": _CLEAR}
    layout["margin"] = {**layout.get("margin", {}), "t": _TOP_PX}
    for name, axis in layout.items():
        if name.startswith("yaxis") and axis.get("title", {}).get("text"):
            axis["title"].setdefault("standoff", 10)
    height = int(layout.get("height", 360))
    number = len(figures)
    own = {"data": content["data"], "layout": layout, "config": CONFIG}
    figures.append(json.dumps(own, separators=(",", ":")).replace("</", "<\\/"))
    return (
        f'<p class="plot-title">{escape(title)}</p>\n<div class="plot" id="figure-{number}" '
        f'role="img" aria-label="{escape(title)}" style="height:{height}px"></div>'
    )


def _fenced(text: str | list[str]) -> str:
    plain = _COLOURS.sub("", "".join(text)).rstrip()
    return f"```text\n{plain}\n```"
