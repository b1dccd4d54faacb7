"""Diagrams of concepts share one style, fit their frame and say in words what they show."""

import re
import xml.etree.ElementTree as ElementTree

import pytest
from support.paths import ROOT

FOLDER = ROOT / "docs" / "concepts"
DIAGRAMS = sorted(FOLDER.glob("*.svg"))
SVG = "{http://www.w3.org/2000/svg}"


def style_of(path):
    (style,) = re.findall(r"<style>(.*?)</style>", path.read_text(encoding="utf-8"), re.DOTALL)
    return style


def test_all_have_one_style_for_light_and_dark():
    (style,) = {style_of(path) for path in DIAGRAMS}
    assert "@media (prefers-color-scheme: dark)" in style


@pytest.mark.parametrize("path", DIAGRAMS, ids=lambda path: path.stem)
def test_a_diagram_is_shown_on_its_page_and_inside_its_frame(path):
    page = path.with_suffix(".md").read_text(encoding="utf-8")
    ((words,),) = [re.findall(rf"!\[([^\]]+)\]\({path.name}\)", page)]
    assert len(words.split()) > 8
    root = ElementTree.fromstring(path.read_text(encoding="utf-8"))
    assert len(root.find(f"{SVG}title").text.split()) > 8
    left, top, width, height = map(float, root.get("viewBox").split())
    used = set(re.findall(r"\.([a-z]+)", style_of(path)))
    for node in root.iter():
        assert set((node.get("class") or "").split()) <= used
        if node.tag == f"{SVG}text":
            shape, x, y = node.get("class", ""), float(node.get("x")), float(node.get("y"))
            before = 1.0 if "end" in shape else 0.5 if re.search("name|mid", shape) else 0.0
            length = 7 * len(node.text)  # px; a character takes less on average
            assert left <= x - before * length, node.text
            assert x + (1.0 - before) * length <= left + width, node.text
            assert top + 10 <= y <= top + height - 4
