"""Which solver a run takes, and what an unavailable one says."""

import importlib.metadata

import pytest
from support.backend_programs import random_program

from stackelgrid.controllers.errors import SolverError
from stackelgrid.controllers.solvers import ClarabelSolver
from stackelgrid.controllers.solvers.backends import external, mosek, scip
from stackelgrid.controllers.solvers.backends.backend import LicenceState
from stackelgrid.controllers.solvers.registry import (
    Choice,
    available_backends,
    choose,
    conic_solver,
    mixed_integer_solver,
    solver_table,
)

MISSING = "no MOSEK licence: no file at ~/mosek/mosek.lic (err_missing_license_file)"


@pytest.fixture
def unlicensed(monkeypatch):
    monkeypatch.setattr(mosek, "licence_state", lambda wait_s=0.9: LicenceState(False, MISSING))


@pytest.fixture
def licensed(monkeypatch):
    monkeypatch.setattr(mosek, "licence_state", lambda wait_s=0.9: LicenceState(True, "answers"))
    monkeypatch.setattr(mosek, "version", lambda: "11.2.7")


def test_without_a_licence_the_open_solvers_are_taken_and_the_reason_given(unlicensed):
    conic, mixed = choose(False), choose(True)
    assert conic == Choice("clarabel", ClarabelSolver.version, MISSING)
    highs = importlib.metadata.version("highspy")
    assert mixed == Choice("misocp", f"clarabel {ClarabelSolver.version} + highs {highs}", MISSING)
    assert "\n" not in MISSING


def test_mosek_is_taken_where_a_licence_answers(licensed):
    assert choose(True) == choose(False) == Choice("mosek", "11.2.7", None)
    used = {(b.name, b.kind) for b in available_backends() if b.used}
    assert used == {("mosek", "conic"), ("mosek", "mixed-integer conic")}


def test_a_named_open_solver_is_no_fallback(unlicensed):
    assert choose(False, "clarabel").fallback_reason is None
    assert choose(True, "misocp").fallback_reason is None


def test_a_named_solver_without_licence_is_an_error(unlicensed):
    with pytest.raises(SolverError, match="solver 'mosek' is not available: no MOSEK licence"):
        choose(True, "mosek")


@pytest.mark.parametrize("name", ["gurobi", "xpress", "copt"])
def test_a_named_solver_that_is_not_installed_is_an_error(name, monkeypatch):
    monkeypatch.setattr(external.importlib.util, "find_spec", lambda module: None)
    external.licence_state.cache_clear()
    package = external.external(name).package
    with pytest.raises(SolverError, match=f"'{name}' is not available: not installed: .*{package}"):
        choose(True, name)
    external.licence_state.cache_clear()


def test_scip_names_its_extra(monkeypatch):
    def missing(package):
        raise importlib.metadata.PackageNotFoundError(package)

    monkeypatch.setattr(scip.importlib.metadata, "version", missing)
    with pytest.raises(SolverError, match="pip install 'pyscipopt"):
        choose(True, "scip")


def test_unknown_and_unfit_names_are_refused():
    with pytest.raises(SolverError, match="'cplex' is not mixed-integer conic; accepted are misoc"):
        choose(True, "cplex")
    with pytest.raises(SolverError, match="'scip' is not conic; accepted are clarabel, mosek"):
        choose(False, "scip")


def test_the_licence_is_asked_for_once():
    mosek.licence_state.cache_clear()
    choose(True)
    choose(False)
    available_backends()
    assert mosek.licence_state.cache_info().misses == 1


def test_the_table_lists_every_solver(unlicensed):
    table, _, notes = solver_table().partition("\n\n")
    lines = table.splitlines()
    names = [line.split()[0] for line in lines[2:]]
    assert names == [
        "clarabel", "mosek", "highs", "misocp", "mosek", "scip", "gurobi", "xpress", "copt"
    ]  # fmt: skip
    assert [line.split()[0] for line in lines[2:] if line.endswith("used by default")] == [
        "clarabel", "highs", "misocp"
    ]  # fmt: skip
    assert sum(line.endswith("no licence") for line in lines) == 2
    assert f"mosek: {MISSING}" in " ".join(notes.split())
    assert "misocp: the project's solver" in notes
    assert max(map(len, solver_table().splitlines())) <= 80


def test_every_available_backend_solves_the_same_program(unlicensed):
    program, data = random_program(7, quadratic=True, integers=2)
    found = {}
    for backend in available_backends():
        if backend.kind == "mixed-integer conic" and backend.licence.available:
            solver = mixed_integer_solver(choose(True, backend.name), program)
            result = solver.solve(data, 1e-6, 20.0)
            assert result.status == "optimal"
            found[backend.name] = result.objective
    assert "misocp" in found
    assert max(found.values()) - min(found.values()) < 1e-5 * max(1.0, abs(found["misocp"]))


def test_the_conic_choice_is_a_solver(unlicensed):
    program, data = random_program(8)
    assert conic_solver(choose(False))(program).solve(data).status == "optimal"
    with pytest.raises(SolverError, match="scip is no conic solver"):
        conic_solver(Choice("scip", "1", None))
