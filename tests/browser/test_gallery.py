"""A page of the gallery in a real browser, without a network."""

import importlib.util
import shutil
import sys
from types import SimpleNamespace

import pytest
from plotly.offline import get_plotlyjs
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from support.paths import ROOT

pytestmark = pytest.mark.browser
HOOKS = ROOT / "docs" / "hooks"
DRAWN = ".plot .main-svg"


@pytest.fixture
def page(tmp_path, monkeypatch):
    """A page with a figure at its top and one far below, as the site has it."""
    pytest.importorskip("mkdocs")
    spec = importlib.util.spec_from_file_location("gallery_hook", HOOKS / "gallery.py")
    hook = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "gallery_hook", hook)
    spec.loader.exec_module(hook)
    content = {
        "data": [{"type": "bar", "x": ["a", "b"], "y": [1, 2], "name": "power"}],
        "layout": {"title": {"text": "Power in MW"}, "height": 320, "margin": {"t": 80}},
    }
    output = {"output_type": "execute_result", "data": {hook.PLOTLY: content}}
    cell = {"cell_type": "code", "source": "draw()", "metadata": {}, "outputs": [output]}
    hook.pages["gallery/a.md"] = notebook = hook.page_of({"cells": [cell, cell]})
    of_site = SimpleNamespace(file=SimpleNamespace(src_uri="gallery/a.md"))
    far = '<p style="height: 5000px"></p><p class="plot-title">'
    first, second = notebook.text.split('<p class="plot-title">')[1:]
    html = hook.on_page_content(f'<p class="plot-title">{first}{far}{second}', of_site)
    for folder in ("gallery", "hooks", "assets"):
        (tmp_path / folder).mkdir()
    shutil.copy(HOOKS / "gallery.js", tmp_path / "hooks")
    (tmp_path / "assets" / "plotly.min.js").write_text(get_plotlyjs(), encoding="utf-8")
    path = tmp_path / "gallery" / "a.html"
    path.write_text(f'<!DOCTYPE html><meta charset="utf-8">{html}', encoding="utf-8")
    return path


def test_figures_are_drawn_when_they_come_near_the_window(browser, page):
    browser.get(page.as_uri())
    first, second = browser.find_elements(By.CLASS_NAME, "plot")
    WebDriverWait(browser, 30, 0.05).until(lambda b: b.find_elements(By.CSS_SELECTOR, DRAWN))
    assert first.find_elements(By.CSS_SELECTOR, ".bars path")
    assert not second.find_elements(By.CSS_SELECTOR, ".main-svg")
    titles = [e.text for e in browser.find_elements(By.CLASS_NAME, "plot-title")]
    assert titles == ["Power in MW"] * 2
    assert not browser.find_elements(By.CSS_SELECTOR, ".gtitle")  # the page has the title
    browser.execute_script("arguments[0].scrollIntoView()", second)
    WebDriverWait(browser, 30, 0.05).until(
        lambda _: second.find_elements(By.CSS_SELECTOR, ".main-svg")
    )
    assert [e for e in browser.get_log("browser") if e["level"] == "SEVERE"] == []
