"""Messages on the page of troubleshooting are those of the code, word for word."""

import ast
import re

import pytest
from support.paths import ROOT

PACKAGES = ("profiles", "controllers", "simulators", "scenarios", "analysis")
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
# a message that holds code is between double backticks
QUOTES = [q for _, q in re.findall(r"^\*\*(`+) ?(.+?) ?\1\*\*$", PAGE, re.MULTILINE)]


def template(node):
    """Text of a string in the code, with an ellipsis for each of its expressions."""
    if isinstance(node, ast.JoinedStr):
        return "".join(v.value if isinstance(v, ast.Constant) else "…" for v in node.values)
    return node.value if isinstance(node, ast.Constant) else None


@pytest.fixture(scope="module")
def templates():
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    nodes = (n for path in files for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    texts = {template(node) for node in nodes}
    return "\n".join(sorted(t for t in texts if isinstance(t, str)))


def test_there_are_the_messages_that_users_meet():
    assert 30 <= len(QUOTES) == len(set(QUOTES))


@pytest.mark.parametrize("quote", QUOTES, ids=lambda quote: quote[:40])
def test_a_quoted_message_is_one_of_the_code(quote, templates):
    assert quote in templates


def test_every_quoted_message_is_explained():
    parts = re.split(r"^\*\*`.+`\*\*$|^## .+$", PAGE, flags=re.MULTILINE)
    assert min(len(part.split()) for part in parts if part.strip()) >= 9
