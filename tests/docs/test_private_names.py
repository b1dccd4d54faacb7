"""The check of private names in tests finds every way to reach one, and nothing else."""

import pytest
from check_private_names import findings


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("run._answer()", ["_answer"]),
        ("from stackelgrid.profiles.prices import _column", ["_column"]),
        ("from stackelgrid.profiles._checks import finite_array", ["_checks"]),
        ("monkeypatch.setattr(module, '_plan', plan)", ["_plan"]),
        ("patch.setattr('stackelgrid.module._plan', plan)", ["_plan"]),
        ("getattr(run, '_answer')", ["_answer"]),
        ("class A:\n    def _own(self):\n        return self._own()", []),
        ("from dataclasses import _MISSING_TYPE", []),
        ("_local = 1\nrun.__class__\npoint._replace(x=1)", []),
        ("state['_answer']", []),
    ],
)
def test_private_names_are_found(source, found):
    assert [name for _, name in findings(source)] == found
