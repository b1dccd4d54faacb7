"""The site's navigation lists every page; every relative link, anchor and image leads somewhere."""

import importlib.util
import pydoc
import re

import pytest
import yaml
from support.paths import ROOT

DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
# pages that a hook makes of files of the repository
BY_HOOK = {DOCS / "contributing.md": "CONTRIBUTING.md", DOCS / "changelog.md": "CHANGELOG.md"}
TEXTS = [ROOT / "README.md", *PAGES]
FOLDERS = "profiles|controllers|simulators|analysis|scenarios|tests"

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"^(```|~~~).*?^\1|`[^`\n]+`", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)


def text_of(path):
    """A page without its code."""
    return CODE.sub("", path.read_text(encoding="utf-8"))


def anchors_of(path):
    """Anchors as mkdocs makes them of headings."""
    fenced = re.sub(r"^(```).*?^\1", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)
    kept = (re.sub(r"[^\w\s-]", "", h).strip().lower() for h in HEADING.findall(fenced))
    return {re.sub(r"[-\s]+", "-", name) for name in kept}


def pages_in(nav):
    """Paths of a navigation tree."""
    for entry in nav:
        for value in entry.values() if isinstance(entry, dict) else [entry]:
            yield from pages_in(value) if isinstance(value, list) else [value]


def test_navigation_lists_every_page_once():
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    listed = [p for p in pages_in(settings["nav"]) if p.endswith(".md")]
    notebooks = [p.with_suffix(".md") for p in DOCS.glob("gallery/*.ipynb")]  # pages by hooks
    own = [p.relative_to(DOCS).as_posix() for p in PAGES + notebooks]
    assert sorted(listed) == sorted([*own, "contributing.md", "changelog.md"])
    assert len(listed) > 20


def test_what_makes_a_broken_link_fail_the_build_is_switched_on():
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    checks = {**settings["validation"]["nav"], **settings["validation"]["links"]}
    assert set(checks.values()) == {"warn"}
    assert {"not_found", "anchors", "omitted_files"} <= set(checks)
    assert settings["theme"]["font"] is False
    (build,) = re.findall("mkdocs build.*", (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert build.split() == ["mkdocs", "build", "--strict"]  # --quiet would hide what strict counts


@pytest.mark.parametrize("path", TEXTS, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_every_relative_link_leads_somewhere(path):
    broken = []
    for target in LINK.findall(text_of(path)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        found = (path.parent / name).resolve() if name else path
        outside = DOCS in path.parents and DOCS not in found.parents
        found = ROOT / BY_HOOK[found] if found in BY_HOOK else found
        missing = outside or not found.is_file()
        if missing or (anchor and anchor not in anchors_of(found)):
            broken.append(target)
    assert broken == []


def test_every_path_of_the_code_exists():
    """Paths like `controllers/models/distflow.py` in the pages and in the picture.

    Benchmarks name files as they were when they were measured.
    """
    named = set()
    present = (p for p in TEXTS if p.name != "benchmarks.md")
    for path in (*present, ROOT / "CONTRIBUTING.md", DOCS / "architecture.svg"):
        text = path.read_text(encoding="utf-8")
        named |= set(re.findall(rf"[`>]((?:{FOLDERS})/[\w/.]*)[`<]", text))
        named |= {f"controllers/{p}" for p in re.findall(r"`(bilevel/\w+\.py)`", text)}
    assert len(named) > 60
    assert sorted(n for n in named if not (ROOT / n).exists()) == []


def test_search_needs_no_server_and_no_network():
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    assert {"search", "offline"} <= {p for p in settings["plugins"] if isinstance(p, str)}
    (script,) = settings["extra"]["polyfills"]  # else the plugin would fetch it
    assert "iframe-worker" in script
    assert (DOCS / script).is_file()


def test_every_name_of_the_api_pages_exists():
    """With a docstring, because a page shows nothing else of it."""
    named = [
        n for p in DOCS.glob("api/*.md") for n in re.findall(r"^::: ([\w.]+)$", p.read_text(), re.M)
    ]
    assert len(named) > 30
    for name in named:
        assert (pydoc.locate(name).__doc__ or "").strip(), name


def test_lines_of_a_docstring_become_sections():
    pytest.importorskip("griffe")
    spec = importlib.util.spec_from_file_location("parameters", DOCS / "hooks/parameters.py")
    hook = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hook)
    text = "Do.\n\na, b: two\n    lines: of text.\nc: one.\n\nNote: c is not known here."
    assert hook.with_section(text, "Args", {"a", "b", "c"}) == (
        "Do.\n\nArgs:\n    a: two lines: of text.\n    b: two lines: of text.\n    c: one.\n\n"
        "Note: c is not known here."
    )
    assert (
        hook.with_section("Do.\n\na: one\nfree text", "Args", {"a"}) == "Do.\n\na: one\nfree text"
    )
