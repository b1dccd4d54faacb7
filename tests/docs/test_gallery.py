"""The notebooks of the gallery are valid, hold no outputs, and ask for what there is."""

import ast
import importlib.util
import inspect
import json

import pytest
from support.paths import ROOT

import stackelgrid
from stackelgrid.scenarios.schema.load import load_scenario

GALLERY = ROOT / "docs" / "gallery"
NOTEBOOKS = sorted(GALLERY.glob("*.ipynb"))


def cells_of(path, kind):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


def sources_of(path):
    """Python of all cells, without the magic of IPython."""
    texts = ["".join(cell["source"]) for cell in cells_of(path, "code")]
    return "\n".join(line for t in texts for line in t.splitlines() if not line.startswith("%"))


def parameters_of(verb):
    return inspect.signature(getattr(stackelgrid, verb)).parameters


def test_there_are_three():
    names = {p.stem for p in NOTEBOOKS}
    assert names == {"run_a_day", "validate_exactness", "forecast_errors"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_holds_a_story_and_no_outputs(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
    code = cells_of(path, "code")
    assert len(code) >= 5
    for cell in code:
        assert (cell["outputs"], cell["execution_count"]) == ([], None)
    words = " ".join("".join(c["source"]) for c in cells_of(path, "markdown")).split()
    assert len(words) > 100
    assert "".join(notebook["cells"][0]["source"]).startswith("# ")


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
    assert calls
    for call in calls:
        assert {k.arg for k in call.keywords} <= set(parameters_of(call.func.attr))
        load_scenario(call.args[0].value)


def test_outputs_of_a_notebook_that_was_changed_since_are_not_shown(tmp_path):
    pytest.importorskip("mkdocs")
    spec = importlib.util.spec_from_file_location("gallery", GALLERY.parent / "hooks/gallery.py")
    hook = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hook)

    def notebook(source, outputs):
        return {"cells": [{"cell_type": "code", "source": source, "outputs": outputs}]}

    executed = tmp_path / "a.ipynb"
    done = notebook("a = 1\nprint(a)", [{"output_type": "stream", "name": "stdout", "text": "1"}])
    executed.write_text(json.dumps(done), encoding="utf-8")
    assert hook.executed_form(notebook(["a = 1\n", "print(a)"], []), executed) == done
    assert hook.executed_form(notebook("a = 2\nprint(a)", []), executed) is None
    assert hook.executed_form(notebook("", []), tmp_path / "none.ipynb") is None
