"""JSON files are valid for every parser: no NaN."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from stackelgrid.scenarios.cli.terminal import Terminal
from stackelgrid.scenarios.run.directory import RunLog, finite, json_text, write_summary

CONTENT = {
    "gap": float("nan"), "cost": [1.5, float("-inf"), np.float64("inf")], "of": {"a": (1, "NaN")},
    "done": True, "none": None,
}  # fmt: skip
STRICT = {"gap": None, "cost": [1.5, None, None], "of": {"a": [1, "NaN"]}} | {
    "done": True,
    "none": None,
}


def strict(text):
    def refuse(constant):
        raise AssertionError(constant)

    return json.loads(text, parse_constant=refuse)


def test_numbers_that_are_not_finite_become_null():
    assert strict(json_text(CONTENT)) == STRICT
    assert finite(CONTENT) == STRICT
    with pytest.raises(TypeError, match="set is not JSON"):
        json_text({"bus": {1}})


def test_logs_summaries_and_the_console_write_it(tmp_path, capsys):
    RunLog(tmp_path).event("solve", **CONTENT)
    assert strict((tmp_path / "log.jsonl").read_text()) == {"event": "solve", **STRICT}
    write_summary(tmp_path, CONTENT)
    assert strict((tmp_path / "summary.json").read_text()) == STRICT
    Terminal(as_json=True).results(SimpleNamespace(directory=tmp_path, summary=CONTENT))
    assert strict(capsys.readouterr().out) == {"directory": str(tmp_path), **STRICT}
