"""Notebooks of docs/gallery become pages, with the outputs that `make gallery` has left, if any."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def on_files(files_: Files, config: MkDocsConfig, **_: Any) -> Files:
    """Add a page gallery/NAME.md for every notebook; the notebook itself stays for download."""
    executed = Path(config.site_dir).parent / "gallery"
    for source in sorted(Path(config.docs_dir, "gallery").glob("*.ipynb")):
        notebook = json.loads(source.read_text("utf-8"))
        done = executed_form(notebook, executed / source.name)
        text = page_of(notebook if done is None else done)
        how = "its outputs come from" if done is None else "outputs are those of the last"
        head = f"[This page as a notebook]({source.name}); {how} `make gallery`.\n\n"
        title, newline, rest = text.partition("\n")
        content = f"{title}{newline}\n{head}{rest}"
        files_.append(File.generated(config, f"gallery/{source.stem}.md", content=content))
    return files_


def executed_form(notebook: dict[str, Any], path: Path) -> dict[str, Any] | None:
    """The notebook with outputs; None where there is none, or it was changed since."""
    if not path.is_file():
        return None
    done: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return done if _sources(done) == _sources(notebook) else None


def _sources(notebook: dict[str, Any]) -> list[str]:
    return ["".join(cell["source"]) for cell in notebook["cells"]]


def page_of(notebook: dict[str, Any]) -> str:
    """Markdown of a notebook: text as it is, code and printed text fenced, pictures inside."""
    return "\n\n".join(_parts(notebook)) + "\n"


def _parts(notebook: dict[str, Any]) -> Iterator[str]:
    for cell in notebook["cells"]:
        source = "".join(cell["source"]).strip()
        if cell["cell_type"] == "markdown":
            yield source
        elif cell["cell_type"] == "code" and source:
            yield f"```python\n{source}\n```"
            for output in cell["outputs"]:
                yield from _output(output)


def _output(output: dict[str, Any]) -> Iterator[str]:
    """The richest form that needs no script; nothing for what only a script can draw."""
    data = output.get("data", {})
    if output["output_type"] == "stream":
        if output["name"] == "stdout":
            yield _fenced(output["text"])
    elif "image/png" in data:
        encoded = "".join(data["image/png"]).replace("\n", "")
        yield f'<img alt="figure" src="data:image/png;base64,{encoded}">'
    elif "application/vnd.plotly.v1+json" in data:
        yield "*An interactive figure: open the notebook to see it.*"
    elif "<table" in "".join(data.get("text/html", "")):
        table = re.search(r"<table.*</table>", "".join(data["text/html"]), re.DOTALL)
        if table:
            yield re.sub(r' (border|class|style)="[^"]*"', "", table[0])
    elif "text/plain" in data:
        yield _fenced(data["text/plain"])


def _fenced(text: str | list[str]) -> str:
    plain = _COLOURS.sub("", "".join(text)).rstrip()
    return f"```text\n{plain}\n```"
