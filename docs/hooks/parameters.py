"""Extension of griffe: lines `name: text` of a docstring become a table of parameters or fields.

A docstring describes parameters in a paragraph of lines `name: text` with indented continuations;
mkdocstrings knows such a paragraph as a section of Google style. Pages that it names are linked.
"""

import re
from typing import Any

import griffe

_LINE = re.compile(r"^(\w+(?:, \w+)*): (.+(?:\n[ \t]+\S.*)*)$", re.MULTILINE)
_PAGE = re.compile(r"\bdocs/([\w/]+)\.md\b")


class Parameters(griffe.Extension):
    """Rewrite the docstrings of functions and classes before they are parsed."""

    def on_function_instance(self, *, func: griffe.Function, **_: Any) -> None:
        """Make a section of parameters."""
        if func.docstring:
            names = {parameter.name for parameter in func.parameters}
            func.docstring.value = with_section(func.docstring.value, "Args", names)

    def on_class_members(self, *, cls: griffe.Class, **_: Any) -> None:
        """Make a section of fields."""
        if cls.docstring:
            text = with_section(cls.docstring.value, "Attributes", set(cls.members))
            cls.docstring.value = text


def with_section(docstring: str, title: str, known: set[str]) -> str:
    """Return a docstring with sections for paragraphs of lines with known names, and links."""
    parts = docstring.split("\n\n")
    for k, part in enumerate(parts):
        lines = _LINE.findall(part)
        named = [(name, text) for names, text in lines for name in names.split(", ")]
        if named and {name for name, _ in named} <= known and not _LINE.sub("", part).strip():
            rows = [f"    {name}: {' '.join(text.split())}" for name, text in named]
            parts[k] = "\n".join([f"{title}:", *rows])
    return _PAGE.sub(r"[\g<0>](../\1.md)", "\n\n".join(parts))
