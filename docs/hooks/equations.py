"""TeX becomes MathML while the site is built: browsers draw it, nothing is fetched or scripted."""

import re
from html import unescape
from importlib.resources import files
from typing import Any

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

# what pymdownx.arithmatex leaves (generic mode): \( ... \) in a line, \[ ... \] on its own
_INLINE = re.compile(r'<span class="arithmatex">\\\((.*?)\\\)</span>', re.DOTALL)
_BLOCK = re.compile(r'<div class="arithmatex">\\\[(.*?)\\\]</div>', re.DOTALL)
# browsers need a font with a table of mathematical metrics, and not every system has one
_FONT = "STIXTwoMath-Regular.ttf"


def on_files(files_: Files, config: MkDocsConfig, **_: Any) -> Files:
    """Add the font (SIL Open Font License), which the package ziamath ships."""
    source = files("ziamath.fonts").joinpath(_FONT)
    files_.append(File.generated(config, f"hooks/{_FONT}", content=source.read_bytes()))
    return files_


def on_page_content(html: str, **_: Any) -> str:
    """Replace every equation of a page; a formula that is not TeX ends the build with its text."""
    html = _BLOCK.sub(lambda m: f'<div class="equation">{_mathml(m[1], "block")}</div>', html)
    return _INLINE.sub(lambda m: _mathml(m[1], "inline"), html)


def _mathml(escaped: str, display: str) -> str:
    tex = unescape(escaped).strip()
    try:
        return convert(tex, display=display)
    except Exception as error:
        raise ValueError(f"equation {tex!r}: {type(error).__name__} {error}") from error
