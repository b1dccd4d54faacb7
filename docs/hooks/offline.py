"""The site needs no network: a page that would fetch something from elsewhere ends the build."""

import re
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.pages import Page

_FETCHED = re.compile(
    r'<(?:script|img|iframe|source)\b[^>]*\bsrc="(https?:[^"]*)|<link\b[^>]*\bhref="(https?:[^"]*)'
)


def on_post_page(html: str, page: Page, **_: Any) -> str:
    """Refuse scripts, pictures and styles that are not part of the site."""
    found = _FETCHED.search(html)
    if found:
        raise PluginError(f"{page.file.src_uri}: would fetch {found[1] or found[2]}")
    return html
