"""The notebooks of the gallery ask a question, hold no outputs, run to their end and answer."""

import ast
import importlib.util
import inspect
import json
import re
import sys
from types import SimpleNamespace

import pytest
import yaml
from support.paths import ROOT

import stackelgrid
from stackelgrid.scenarios.schema.load import load_scenario

DOCS = ROOT / "docs"
GALLERY = DOCS / "gallery"
NOTEBOOKS = sorted(GALLERY.glob("*.ipynb"))
QUICK = ("bilevel",)  # executed by `make test`; all others by `make test-slow`
PLOTLY = "application/vnd.plotly.v1+json"


def load(name):
    """Module of a script in docs/hooks."""
    spec = importlib.util.spec_from_file_location(name, DOCS / "hooks" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look it up
    spec.loader.exec_module(module)
    return module


def cells_of(path, kind):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


def sources_of(path):
    """Python of all cells, without the magic of IPython."""
    texts = ["".join(cell["source"]) for cell in cells_of(path, "code")]
    return "\n".join(line for t in texts for line in t.splitlines() if not line.startswith("%"))


def parameters_of(verb):
    return inspect.signature(getattr(stackelgrid, verb)).parameters


def figure(title="Voltage", **layout):
    content = {"data": [{"type": "scatter", "x": [1, 2], "y": [3, 4]}], "layout": layout}
    content["layout"]["title"] = {"text": title}
    return {"output_type": "execute_result", "data": {PLOTLY: content, "text/plain": "Figure"}}


def cell(source, *outputs, tags=()):
    own = {"metadata": {"tags": list(tags)}, "outputs": list(outputs)}
    return {"cell_type": "code", "source": source, **own}


def test_there_are_at_least_ten_and_the_navigation_orders_them():
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    pages = re.findall(r"'gallery/(\w+)\.md'", str(settings["nav"]))
    assert pages[0] == "index"
    assert sorted(pages[1:]) == [path.stem for path in NOTEBOOKS]
    assert len(NOTEBOOKS) >= 10


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_has_a_question_an_answer_and_no_outputs(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert len({c["id"] for c in notebook["cells"]}) == len(notebook["cells"])
    code = cells_of(path, "code")
    assert 5 <= len(code) <= 10
    for own in code:
        assert (own["outputs"], own["execution_count"]) == ([], None)
    words = " ".join("".join(c["source"]) for c in cells_of(path, "markdown")).split()
    assert len(words) > 100
    title, question = "".join(notebook["cells"][0]["source"]).split("\n\n")[:2]
    assert re.fullmatch(r"# .*\?", title)
    assert question.endswith("?")
    answer = "".join(notebook["cells"][-1]["source"])
    assert notebook["cells"][-1]["metadata"]["tags"] == ["answer"]
    assert "**Answer.** " in answer
    assert answer.count("{") >= 3  # of values that the notebook has computed
    assert sum("cover" in c["metadata"].get("tags", ()) for c in code) == 1


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_what_a_notebook_imports_exists(path):
    """Names that notebooks take from the project, and the scenarios that they run."""
    tree = ast.parse(sources_of(path))
    taken = [
        node for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("stackelgrid")
    ]  # fmt: skip
    assert taken
    for node in taken:
        module = ast.Module([node], [])
        exec(compile(module, path.name, "exec"), {})
    calls = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and getattr(node.func.value, "id", "") == "sg"
    ]
    for call in calls:
        if call.func.attr != "Scenario":
            assert {k.arg for k in call.keywords} <= set(parameters_of(call.func.attr))
        if call.args and isinstance(call.args[0], ast.Constant):
            load_scenario(call.args[0].value)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(path.stem, marks=() if path.stem in QUICK else pytest.mark.slow)
        for path in NOTEBOOKS
    ],
)
def test_a_notebook_runs_to_its_end_and_shows_its_answer(name, tmp_path, monkeypatch):
    pytest.importorskip("nbclient")
    execute = load("execute_gallery")
    monkeypatch.setenv("PLOTLY_RENDERER", "plotly_mimetype")
    monkeypatch.delenv("STACKELGRID_GALLERY", raising=False)
    assert execute.execute(GALLERY / f"{name}.ipynb", tmp_path, "key")
    assert execute.is_executed(GALLERY / f"{name}.ipynb", tmp_path, "key")
    assert not execute.is_executed(GALLERY / f"{name}.ipynb", tmp_path, "another")
    done = json.loads((tmp_path / f"{name}.ipynb").read_text(encoding="utf-8"))
    outputs = [o for c in done["cells"] for o in c.get("outputs", ())]
    figures = [o["data"][PLOTLY] for o in outputs if PLOTLY in o.get("data", {})]
    assert figures
    for shown in figures:
        assert shown["layout"]["title"]["text"]
    (answer,) = done["cells"][-1]["outputs"]
    text = "".join(answer["data"]["text/markdown"])
    assert text.startswith("**Answer.** ")
    assert "nan" not in text.split()
    assert (tmp_path / f"{name}.png").stat().st_size > 5_000


def test_a_notebook_that_fails_is_noticed(tmp_path, capsys):
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("nbclient")
    execute = load("execute_gallery")
    wrong = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0")])
    nbformat.write(wrong, tmp_path / "wrong.ipynb")
    (tmp_path / "out").mkdir()
    assert not execute.execute(tmp_path / "wrong.ipynb", tmp_path / "out", "key")
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert not execute.is_executed(tmp_path / "wrong.ipynb", tmp_path / "out", "key")


def test_outputs_depend_on_notebook_code_and_size(tmp_path, monkeypatch):
    pytest.importorskip("nbclient")
    execute = load("execute_gallery")
    monkeypatch.delenv("STACKELGRID_GALLERY", raising=False)
    notebook, code = tmp_path / "a.ipynb", tmp_path / "profiles" / "loads.py"
    notebook.write_text("one")
    code.parent.mkdir()
    code.write_text("x = 1\n")
    first = execute.key_of(notebook, execute.state_of_code(tmp_path))
    assert execute.key_of(notebook, execute.state_of_code(tmp_path)) == first
    code.write_text("x = 2\n")
    other = execute.key_of(notebook, execute.state_of_code(tmp_path))
    notebook.write_text("two")
    third = execute.key_of(notebook, execute.state_of_code(tmp_path))
    monkeypatch.setenv("STACKELGRID_GALLERY", "full")
    fourth = execute.key_of(notebook, execute.state_of_code(tmp_path))
    assert len({first, other, third, fourth}) == 4


def test_outputs_of_a_notebook_that_was_changed_since_are_not_shown(tmp_path):
    pytest.importorskip("mkdocs")
    hook = load("gallery")

    def notebook(source, *outputs):
        return {"cells": [cell(source, *outputs)]}

    executed = tmp_path / "a.ipynb"
    printed = {"output_type": "stream", "name": "stdout", "text": "1"}
    done = notebook("a = 1\nprint(a)", printed)
    executed.write_text(json.dumps(done), encoding="utf-8")
    assert hook.executed_form(notebook(["a = 1\n", "print(a)"]), executed) == done
    assert hook.executed_form(notebook("a = 2\nprint(a)"), executed) is None
    assert hook.executed_form(notebook(""), tmp_path / "none.ipynb") is None


def test_a_page_has_figures_tables_and_the_answer():
    pytest.importorskip("mkdocs")
    hook = load("gallery")
    table = {"output_type": "execute_result", "data": {"text/html": '<table border="1"></table>'}}
    answer = {"output_type": "execute_result", "data": {"text/markdown": "**Answer.** 4 </MW>"}}
    title = {"cell_type": "markdown", "source": "# How much?\n\nHow much is it?\n\nMore."}
    cells = [title, cell("draw()", figure("a </script>", height=300)), cell("frame", table)]
    cells.append(cell("say()", answer, tags=["answer"]))
    page = hook.page_of({"cells": cells})
    assert hook.opening_of(page.text) == ("How much?", "How much is it?")
    assert 'id="figure-0"' in page.text
    assert "a &lt;/script&gt;" in page.text
    assert "<table></table>" in page.text
    assert '!!! success "Answer"\n\n    4 </MW>' in page.text
    (content,) = page.figures
    assert "</script" not in content
    assert json.loads(content)["data"][0]["y"] == [3, 4]
    assert "title" not in json.loads(content)["layout"]


def test_the_order_of_the_index_is_that_of_the_navigation(monkeypatch):
    pytest.importorskip("mkdocs")
    hook = load("gallery")
    page = SimpleNamespace(file=SimpleNamespace(src_uri="gallery/index.md"))
    files = SimpleNamespace(get_file_from_path=lambda path: path.startswith("gallery/b") or None)
    nav = ["index.md", {"Gallery": [{"B": "gallery/b.md"}, {"Deep": ["gallery/a.md"]}]}]
    texts = {f"gallery/{n}.md": hook.Notebook(f"# {n}?\n\nWhy {n}?\n\nText.") for n in "ab"}
    monkeypatch.setattr(hook, "pages", texts)
    shown = hook.on_page_markdown(
        "# Gallery\n\n<!-- cards -->\n", page, SimpleNamespace(nav=nav), files
    )
    assert shown.index("Why b?") < shown.index("Why a?")
    assert "![](b.png)" in shown
    assert "![](a.png)" not in shown  # not executed yet
    assert "**[b?](b.md)**" in shown


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_texts_are_in_plain_words(path):
    spec = importlib.util.spec_from_file_location("wording", ROOT / "tests" / "check_wording.py")
    wording = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(wording)
    found = [
        f for c in cells_of(path, "markdown") for f in wording.page_findings("".join(c["source"]))
    ]
    assert found == []


def test_pictures_are_drawn_from_what_a_notebook_keeps(tmp_path):
    """Times and encoded arrays come back as NumPy, which the pictures draw."""
    pytest.importorskip("nbclient")
    execute = load("execute_gallery")
    import numpy as np

    kept = {"x": ["2025-06-21T00:00:00", None], "y": {"dtype": "f8", "bdata": "AAAAAAAA8D8="}}
    found = execute.decoded(kept)
    assert found["x"] == [np.datetime64("2025-06-21T00:00:00"), None]
    np.testing.assert_array_equal(found["y"], [1.0])
    matrix = {"dtype": "u1", "bdata": "AQIDBA==", "shape": "2, 2"}
    np.testing.assert_array_equal(execute.decoded(matrix), [[1, 2], [3, 4]])
