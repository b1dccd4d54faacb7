"""MOSEK's path, verified without a licence: the task equals the conic program it came from."""

import socket
import time
from functools import cache
from pathlib import Path

import numpy as np
import pyomo.environ as pyo
import pytest
from scipy.sparse import csc_array, csr_array, triu, vstack
from support.backend_programs import fixed_integers, program_of, random_program
from support.mosek_files import export, read_task

from stackelgrid.controllers.errors import ModelError, SolverError
from stackelgrid.controllers.models.distflow import (
    add_distflow,
    add_injections,
    add_power_balance,
)
from stackelgrid.controllers.networks.radial import radial_network
from stackelgrid.controllers.networks.sources.cases import load_case
from stackelgrid.controllers.solvers import ClarabelSolver, compile_model
from stackelgrid.controllers.solvers.backends.mosek import (
    MosekConicSolver,
    MosekSolver,
    licence_state,
    read_conic,
    read_mixed_integer,
)
from stackelgrid.controllers.solvers.backends.mosek_task import fill_task
from stackelgrid.controllers.solvers.quadratics import factor as quadratic_factor

mosek = pytest.importorskip("mosek")

LICENSED = licence_state().available
CASES = {
    "socp": random_program(1),
    "quadratic": random_program(2, quadratic=True),
    "misocp": random_program(3, quadratic=True, integers=3),
}


@cache
def feeder_33():
    """Least losses of the 33-bus feeder at one instant; loads in p.u. as constants, MW as cost."""
    net = load_case("case33bw", "feeder")
    network = radial_network(net, "feeder")
    m = pyo.ConcreteModel()
    add_distflow(m, network, 1)
    positions = network.positions(net.load.bus.to_numpy())
    p, q = (
        net.load.p_mw.to_numpy() / network.base_mva,
        net.load.q_mvar.to_numpy() / network.base_mva,
    )
    add_injections(m, positions, lambda i, t: p[i], lambda i, t: q[i])
    add_power_balance(m, network)
    m.head = pyo.Constraint(expr=m.v_head[0] == 1.0)
    losses = sum(network.r[k] * m.current2[k, 0] for k in m.branches)
    m.cost = pyo.Objective(expr=network.base_mva * losses)
    program = compile_model(m).program
    return program, program.data(np.zeros(0))


def case(name):
    return feeder_33() if name == "feeder" else CASES[name]


@pytest.mark.parametrize("name", ["socp", "quadratic", "misocp", "feeder"])
@pytest.mark.parametrize("ending", ["ptf", "task.gz", "task"])
def test_written_and_read_back_the_arrays_are_the_programs(name, ending, tmp_path):
    program, data = case(name)
    path = tmp_path / f"program.{ending}"
    export(program, data, path)
    read = read_task(path)
    n, linear = program.variables, program.zero + program.nonneg
    a, b = csr_array(program.matrix), data.b

    assert np.array_equal(read.integer, program.integer)
    assert np.array_equal(read.cost[:n], data.q)
    assert read.constant == data.offset
    assert np.isneginf(read.column_lower).all()
    assert np.isposinf(read.column_upper).all()
    assert same(read.matrix[:, :n], a[:linear])
    assert np.array_equal(read.row_upper, b[:linear])
    assert np.array_equal(read.row_lower[: program.zero], b[: program.zero])
    assert np.isneginf(read.row_lower[program.zero :]).all()

    cone_rows = program.rows - linear
    assert read.cones[: len(program.cones)] == tuple(("quadratic_cone", s) for s in program.cones)
    assert same(read.affine[:cone_rows, :n], -a[linear:])
    assert np.array_equal(read.affine_constant[:cone_rows], b[linear:])
    if not program.quadratic.nnz:
        assert len(read.cost) == n
        assert len(read.cones) == len(program.cones)
        return
    # the epigraph: cost t, last cone 2 t 1 >= |F x|^2 with F'F = P
    size = len(read.affine_constant) - cone_rows
    assert read.cost[n:].tolist() == [1.0]
    assert read.matrix[:, [n]].nnz == 0
    assert read.cones[len(program.cones) :] == (("rquadratic_cone", size),)
    head, factor = read.affine[cone_rows : cone_rows + 2], read.affine[cone_rows + 2 :]
    assert head.toarray().tolist() == [[0.0] * n + [1.0], [0.0] * (n + 1)]
    assert read.affine_constant[cone_rows:].tolist() == [0.0, 1.0] + [0.0] * (size - 2)
    assert factor[:, [n]].nnz == 0
    hessian = program.quadratic + triu(program.quadratic, 1).T
    product = factor[:, :n].T @ factor[:, :n]
    assert abs(product - hessian).max() <= 1e-12 * abs(hessian).max()


def same(one, other):
    return one.shape == other.shape and abs(csr_array(one) - csr_array(other)).max() == 0.0


def read_cbf(path):
    """Read a CBF file (format: cblib.zib.de) of linear and second-order cones; a small reader.

    It knows nothing of MOSEK: blocks are read by keyword, QR cones turned by 45 degrees.
    """
    lines = iter([line.split("#")[0].strip() for line in Path(path).read_text().splitlines()])
    lines = iter([line for line in lines if line])

    def numbers(kinds):
        for _ in range(int(next(lines))):
            yield [kind(word) for kind, word in zip(kinds, next(lines).split(), strict=True)]

    def domains():
        _, count = next(lines).split()
        return [
            (kind, int(size)) for kind, size in (next(lines).split() for _ in range(int(count)))
        ]

    integer, costs, offset, entries, constants = [], [], 0.0, [], []
    for line in lines:
        if line == "VER":
            assert next(lines) in {"1", "2", "3"}
        elif line == "OBJSENSE":
            assert next(lines) == "MIN"
        elif line == "VAR":
            variables = domains()
            assert {kind for kind, _ in variables} == {"F"}
        elif line == "CON":
            cones = domains()
        elif line == "INT":
            integer = [j for (j,) in numbers([int])]
        elif line == "OBJACOORD":
            costs = list(numbers([int, float]))
        elif line == "OBJBCOORD":
            offset = float(next(lines))
        elif line == "ACOORD":
            entries = list(numbers([int, int, float]))
        elif line == "BCOORD":
            constants = list(numbers([int, float]))
        else:
            raise AssertionError(f"unknown block {line}")
    n, m = sum(size for _, size in variables), sum(size for _, size in cones)
    q, g = np.zeros(n), np.zeros(m)
    for j, value in costs:
        q[j] = value
    for i, value in constants:
        g[i] = value
    i, j, v = (np.array(column) for column in zip(*entries, strict=True))
    f = csr_array((v, (i.astype(int), j.astype(int))), shape=(m, n))
    parts, at = {"zero": [], "nonneg": [], "cone": []}, 0
    sizes = []
    for kind, size in cones:
        rows, constant = f[at : at + size], g[at : at + size]
        at += size
        if kind == "QR":
            turn = np.eye(size)
            turn[:2, :2] = np.array([[1.0, 1.0], [1.0, -1.0]]) / np.sqrt(2.0)
            rows, constant, kind = csr_array(turn @ rows.toarray()), turn @ constant, "Q"
        if kind == "Q":
            sizes.append(size)
        sign = -1.0 if kind == "L-" else 1.0
        name = {"L=": "zero", "L+": "nonneg", "L-": "nonneg", "Q": "cone"}[kind]
        parts[name].append((sign * rows, sign * constant))
    stacked = [part for name in ("zero", "nonneg", "cone") for part in parts[name]]
    count = {name: sum(len(c) for _, c in parts[name]) for name in parts}
    matrix = csc_array(-vstack([rows for rows, _ in stacked]))
    b = np.concatenate([constant for _, constant in stacked])
    return program_of(
        matrix, b, count["zero"], count["nonneg"], sizes, q, integer=integer, offset=offset
    )


@pytest.mark.parametrize("name", ["socp", "quadratic", "feeder"])
def test_another_solver_finds_the_same_optimum_in_the_cbf_file(name, tmp_path):
    program, data = case(name)
    path = tmp_path / "program.cbf"
    export(program, data, path)
    written = read_cbf(path)
    expected = ClarabelSolver(program).solve(data)
    found = ClarabelSolver(written[0]).solve(written[1])
    assert (expected.status, found.status) == ("optimal", "optimal")
    assert found.objective == pytest.approx(expected.objective, rel=1e-6, abs=1e-6)
    if name == "feeder":  # Baran and Wu 1989: 202.6771 kW; the relaxation is exact here
        assert found.objective * 1e3 == pytest.approx(202.6771, abs=2e-3)


@pytest.mark.parametrize("seed", [3, 4, 5])
def test_scip_finds_the_same_mixed_integer_optimum_in_the_cbf_file(seed, tmp_path):
    pytest.importorskip("pyscipopt")
    from stackelgrid.controllers.solvers.backends.scip import ScipSolver

    program, data = random_program(seed, quadratic=True, integers=3)
    path = tmp_path / "program.cbf"
    export(program, data, path)
    written, written_data = read_cbf(path)
    assert written.integer.tolist() == program.integer.tolist()
    assert (written.quadratic.nnz, program.quadratic.nnz > 0) == (0, True)
    expected = ScipSolver(program).solve(data, gap=1e-7, time_limit_s=30.0)
    found = ScipSolver(written).solve(written_data, gap=1e-7, time_limit_s=30.0)
    assert (expected.status, found.status) == ("optimal", "optimal")
    assert found.objective == pytest.approx(expected.objective, rel=1e-6, abs=1e-6)


class Solved:
    """A real task holding a solution, whose status words are ours: MOSEK keeps them "unknown"."""

    def __init__(self, task, solsta, prosta, bound=None):
        self._task, self._solsta, self._prosta, self._bound = task, solsta, prosta, bound

    def __getattr__(self, name):
        return getattr(self._task, name)

    def getsolsta(self, _):
        return self._solsta

    def getprosta(self, _):
        return self._prosta

    def getdouinf(self, _):
        return self._bound


def put_interior(task, program, x, dual):
    """Store a point and multipliers, as MOSEK's interior point method would have."""
    linear, factor = program.zero + program.nonneg, quadratic_factor(program.quadratic)
    y, u = -dual[:linear], factor @ x
    squares = 0.5 * float(u @ u)
    cones = [*dual[linear:], *([1.0, squares, *-u] if factor.shape[0] else [])]
    columns = [*x, *([squares] if factor.shape[0] else [])]
    unknown, nothing = mosek.stakey.unk, [0.0] * len(columns)
    task.putsolutionnew(
        mosek.soltype.itr,
        [unknown] * linear,
        [unknown] * len(columns),
        [],
        csr_array(program.matrix)[:linear] @ x,
        columns,
        y,
        np.maximum(y, 0.0),
        np.maximum(-y, 0.0),
        nothing,
        nothing,
        [],
        cones,
    )


@pytest.mark.parametrize("name", ["socp", "quadratic", "feeder"])
def test_dual_signs_are_mosek_s_own(name):
    """MOSEK computes its dual objective from y and z: it must be Clarabel's bound."""
    program, data = case(name)
    known = ClarabelSolver(program).solve(data)
    with mosek.Env() as env, env.Task() as task:
        fill_task(task, program, data)
        put_interior(task, program, known.x, known.dual)
        assert task.getdualobj(mosek.soltype.itr) == pytest.approx(known.bound, rel=1e-9, abs=1e-9)
        assert task.getprimalobj(mosek.soltype.itr) == pytest.approx(known.objective, abs=1e-9)
        cones = list(range(task.getnumacc()))
        assert max(task.getpviolacc(mosek.soltype.itr, cones)) < 1e-7
        solved = Solved(task, mosek.solsta.optimal, mosek.prosta.prim_and_dual_feas)
        read = read_conic(solved, program, data, time.perf_counter())
    assert read.status == "optimal"
    assert np.array_equal(read.x, known.x)
    assert np.array_equal(read.dual, known.dual)
    assert read.objective == known.objective
    assert read.bound == pytest.approx(known.bound, rel=1e-9, abs=1e-9)


def test_a_false_conic_claim_is_failed():
    program, data = CASES["socp"]
    known = ClarabelSolver(program).solve(data)
    for x, dual in ((known.x + 0.1, known.dual), (known.x, -known.dual)):
        with mosek.Env() as env, env.Task() as task:
            fill_task(task, program, data)
            put_interior(task, program, x, dual)
            solved = Solved(task, mosek.solsta.optimal, mosek.prosta.prim_and_dual_feas)
            read = read_conic(solved, program, data, time.perf_counter())
        assert read.status == "failed"
        assert "optimal, but" in read.message


def test_mixed_integer_outcomes_are_read():
    program, data = CASES["misocp"]
    fixed = fixed_integers(program, data, np.zeros(3))[0]
    assert not len(fixed.integer)
    sta, pro = mosek.solsta, mosek.prosta
    x = np.arange(program.variables + 1.0)
    cases = [
        (sta.integer_optimal, pro.prim_feas, "", ("optimal", True, -7.0)),
        (sta.prim_feas, pro.prim_feas, "rescode.trm_max_time", ("limit", True, -7.0)),
        (sta.unknown, pro.unknown, "rescode.trm_max_time", ("limit", False, -7.0)),
        (sta.unknown, pro.unknown, "rescode.trm_stall", ("failed", False, None)),
        (sta.unknown, pro.prim_infeas, "", ("infeasible", False, None)),
        (sta.unknown, pro.dual_infeas, "", ("unbounded", False, None)),
    ]
    with mosek.Env() as env, env.Task() as task:
        fill_task(task, program, data)
        columns, rows = task.getnumvar(), task.getnumcon()
        unknown, none = mosek.stakey.unk, []
        task.putsolutionnew(
            mosek.soltype.itg,
            [unknown] * rows,
            [unknown] * columns,
            none,
            np.zeros(rows),
            x,
            *[none] * 7,
        )
        for solution, problem, ended, (status, point, bound) in cases:
            claim = read_mixed_integer(Solved(task, solution, problem, -7.0), program, ended)
            assert claim.status == status
            assert (claim.x is not None) == point
            if point:
                assert np.array_equal(claim.x, x[:-1])
            assert claim.bound == bound if bound is not None else np.isnan(claim.bound)
        either = Solved(task, sta.unknown, pro.prim_infeas_or_unbounded)
        assert read_mixed_integer(either, program, "") is None


@pytest.mark.parametrize("seed", range(4))
def test_factor_of_coupled_singular_and_diagonal_blocks(seed):
    rng = np.random.default_rng(seed)
    hessian = np.zeros((9, 9))
    root = rng.normal(size=(2, 4))
    block = np.ix_([0, 3, 5, 8], [0, 3, 5, 8])
    hessian[block] = root.T @ root  # rank 2
    hessian[1, 1], hessian[7, 7] = 4.0, 1e-6
    factor = quadratic_factor(csc_array(triu(csc_array(hessian)))).toarray()
    assert factor.shape[0] <= 6
    assert np.abs(factor.T @ factor - hessian).max() < 1e-12 * np.abs(hessian).max()


def test_an_indefinite_objective_is_refused():
    upper = csc_array(np.array([[1.0, 2.0], [0.0, 1.0]]))
    with pytest.raises(SolverError, match=r"curvature -1.0e\+00 in columns \[0, 1\]"):
        quadratic_factor(upper)


def test_files_that_are_refused(tmp_path):
    program, data = CASES["socp"]
    with pytest.raises(SolverError, match=r"accepted endings are .ptf, .cbf"):
        export(program, data, tmp_path / "program.mps")
    (tmp_path / "broken.ptf").write_text("Task\nObjective\n    Minimize + + {\n")
    with pytest.raises(SolverError, match="could not read"):
        read_task(tmp_path / "broken.ptf")
    with pytest.raises(SolverError, match="could not write"):
        export(program, data, tmp_path / "missing" / "program.ptf")
    (tmp_path / "max.ptf").write_text("Task\nObjective\n    Maximize + x\nVariables\n    x\n")
    with pytest.raises(SolverError, match="maximisation"):
        read_task(tmp_path / "max.ptf")


def test_bad_data_are_refused_before_the_solver():
    program, data = CASES["socp"]
    broken = type(data)(q=data.q, b=np.where(np.arange(len(data.b)) == 4, np.nan, data.b), offset=0)
    with pytest.raises(ModelError, match="row 4: right-hand side is nan"):
        MosekSolver(program).solve(broken, 1e-4)
    with pytest.raises(ModelError, match="row 4: right-hand side is nan"):
        MosekConicSolver(program).solve(broken)


@pytest.mark.skipif(LICENSED, reason="a MOSEK licence answers")
def test_without_a_licence_a_solve_fails_with_its_reason():
    program, data = CASES["misocp"]
    result = MosekSolver(program).solve(data, 1e-4)
    assert result.status == "failed"
    assert result.message.startswith("mosek: ")
    assert "(err_" in result.message
    assert len(result.x) == 0
    relaxed = MosekConicSolver(program).solve(data)
    assert relaxed.status == "failed"
    assert relaxed.message.startswith("mosek: ")
    assert "(err_" in relaxed.message


@pytest.mark.skipif(not LICENSED, reason="needs a MOSEK licence")
@pytest.mark.parametrize("name", ["socp", "quadratic", "feeder"])
def test_licensed_conic_solves_agree_with_clarabel(name):
    program, data = case(name)
    expected, found = ClarabelSolver(program).solve(data), MosekConicSolver(program).solve(data)
    assert found.status == "optimal"
    assert found.objective == pytest.approx(expected.objective, rel=1e-6, abs=1e-6)


@pytest.mark.skipif(not LICENSED, reason="needs a MOSEK licence")
def test_licensed_mixed_integer_solves_agree_with_scip():
    pytest.importorskip("pyscipopt")
    from stackelgrid.controllers.solvers.backends.scip import ScipSolver

    program, data = CASES["misocp"]
    found = MosekSolver(program).solve(data, 1e-7)
    expected = ScipSolver(program).solve(data, 1e-7)
    assert found.status == "optimal"
    assert found.objective == pytest.approx(expected.objective, rel=1e-6, abs=1e-6)


ASK = """
import time
from stackelgrid.controllers.solvers.backends.mosek import licence_state
import mosek
started = time.perf_counter()
state = licence_state()
print(repr((state.available, state.text, time.perf_counter() - started)))
"""


@pytest.fixture
def ask(run_fresh, tmp_path):
    """A fresh process' answer with MOSEKLM_LICENSE_FILE set; whatever it prints would be seen."""

    def answered(licence):
        out, err, status = run_fresh(ASK, MOSEKLM_LICENSE_FILE=licence, HOME=str(tmp_path))
        assert (err, status) == ("", 0)
        (line,) = out.splitlines()
        return eval(line)  # a tuple of literals

    return answered


def test_a_missing_licence_is_said_quickly_and_silently(ask, tmp_path):
    available, text, seconds = ask(str(tmp_path / "none.lic"))
    assert not available
    assert text.startswith("no MOSEK licence: no file at MOSEKLM_LICENSE_FILE")
    assert text.endswith("(err_missing_license_file)")
    assert "\n" not in text
    assert seconds < 1.0


def test_a_silent_licence_server_is_not_waited_for(ask):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        available, text, seconds = ask(f"{port}@127.0.0.1")
    assert not available
    assert text == "the MOSEK licence server did not answer within 0.9 s"
    assert seconds < 1.0
