"""Loss-minimal reconfiguration of the 33-bus feeder, a literature MISOCP with a known optimum.

Five tie lines are in service; one parent for every bus. Over the arcs a = (i, j) of both
directions, b_a = 1 where i is the parent of j and w_a = v_i b_a (McCormick with the voltage limits,
so no big-M stands for an open line):

    sum_{a into j} b_a = 1
    sum_{a into j} (P_a - r_a l_a) = p_j + sum_{a out of j} P_a          (Q with x_a alike)
    v_j = sum_{a into j} (w_a - 2 (r_a P_a + x_a Q_a) + (r_a^2 + x_a^2) l_a)
    P_a^2 + Q_a^2 <= l_a w_a
    p_j b_a <= P_a <= Pmax b_a,  q_j b_a <= Q_a <= Qmax b_a,  l_a <= lmax b_a

Pmax and Qmax: the total load and the losses of the feeder as built, which no better tree exceeds;
lmax = (Pmax^2 + Qmax^2) / vmin^2.
"""

import json
from dataclasses import dataclass

import numpy as np
import pytest
from support.misocp_instances import Rows, program
from support.pandapower_nets import shipped_net
from support.paths import REFERENCE_CASES

from stackelgrid.controllers.solvers.mixed_integer.incumbent import MixedOptions
from stackelgrid.controllers.solvers.mixed_integer.misocp import MixedIntegerConicSolver

CASES = json.loads((REFERENCE_CASES / "grids.json").read_text())
AS_BUILT = CASES["power_flow"]["case33bw"]
OPTIMUM = CASES["soc_distflow"]["case33bw_reconfiguration"]
OPEN_LINES = {7, 9, 14, 32, 37}  # 1-based, as the literature counts
V_MIN, V_MAX = 0.9**2, 1.0  # case data; no bus without generation exceeds the head's 1 p.u.


@dataclass(frozen=True)
class Arc:
    line: int
    tail: int
    head: int
    r: float
    x: float


def feeder():
    """Loads (p.u. of 1 MVA) and the arcs of the 33-bus feeder; no arc enters the head bus."""
    net = shipped_net("case33bw")
    impedance = net.bus.vn_kv[0] ** 2
    p, q = np.zeros(len(net.bus)), np.zeros(len(net.bus))
    p[net.load.bus], q[net.load.bus] = net.load.p_mw, net.load.q_mvar
    lines = zip(
        net.line.from_bus,
        net.line.to_bus,
        net.line.r_ohm_per_km,
        net.line.x_ohm_per_km,
        strict=True,
    )
    arcs = [
        Arc(e, int(i), int(j), r / impedance, x / impedance)
        for e, (a, b, r, x) in enumerate(lines)
        for i, j in ((a, b), (b, a))
        if j != 0
    ]
    return p, q, arcs


def reconfiguration(opened):
    """The program, its arcs and the columns of the squared voltages; objective in kW.

    The lines `opened` carry nothing.
    """
    p, q, arcs = feeder()
    count, buses = len(arcs), len(p)
    closed, active, reactive, current, parent = np.arange(5 * count).reshape(5, count)
    voltage = 5 * count + np.arange(buses)
    n = 5 * count + buses
    p_max = p.sum() + 1e-3 * AS_BUILT["loss_kw"]
    q_max = q.sum() + 1e-3 * AS_BUILT["loss_kvar"]
    l_max = (p_max**2 + q_max**2) / V_MIN
    rows = Rows(n)

    def row(*terms):
        entries = np.zeros(n)
        for column, coefficient in terms:
            entries[column] += coefficient
        return entries

    for k, arc in enumerate(arcs):
        b, i, j = closed[k], voltage[arc.tail], arc.head
        rows.bounds(b, 0, 0 if arc.line + 1 in opened else 1)
        for flow, largest, load in ((active, p_max, p[j]), (reactive, q_max, q[j])):
            rows.at_most(row((flow[k], 1), (b, -largest)), 0)
            rows.at_most(row((flow[k], -1), (b, load)), 0)
        rows.at_most(row((current[k], 1), (b, -l_max)), 0)
        rows.at_most(row((parent[k], 1), (b, -V_MAX)), 0)
        rows.at_most(row((parent[k], -1), (b, V_MIN)), 0)
        rows.at_most(row((parent[k], 1), (i, -1), (b, -V_MIN)), -V_MIN)
        rows.at_most(row((parent[k], -1), (i, 1), (b, V_MAX)), V_MAX)
        rows.cone(
            [
                (row((current[k], 1), (parent[k], 1)), 0),
                (row((active[k], 2)), 0),
                (row((reactive[k], 2)), 0),
                (row((current[k], 1), (parent[k], -1)), 0),
            ]
        )
    for line in {arc.line for arc in arcs}:
        rows.at_most(row(*((closed[k], 1) for k, a in enumerate(arcs) if a.line == line)), 1)
    rows.equal(row((voltage[0], 1)), 1.0)
    for j in range(1, buses):
        rows.bounds(voltage[j], V_MIN, V_MAX)
        into = [(k, a) for k, a in enumerate(arcs) if a.head == j]
        out = [k for k, a in enumerate(arcs) if a.tail == j]
        rows.equal(row(*((closed[k], 1) for k, _ in into)), 1)
        for flow, load, resistance in ((active, p[j], "r"), (reactive, q[j], "x")):
            arriving = [(flow[k], 1) for k, _ in into]
            lost = [(current[k], -getattr(a, resistance)) for k, a in into]
            rows.equal(row(*arriving, *lost, *((flow[k], -1) for k in out)), load)
        drop = [
            term
            for k, a in into
            for term in (
                (parent[k], -1),
                (active[k], 2 * a.r),
                (reactive[k], 2 * a.x),
                (current[k], -(a.r**2) - a.x**2),
            )
        ]
        rows.equal(row((voltage[j], 1), *drop), 0)
    losses = np.zeros(n)
    losses[current] = [1e3 * arc.r for arc in arcs]
    return *program(rows, losses, closed), arcs, voltage


@pytest.mark.parametrize("opened", [{7, 9, 14, 37}, pytest.param(set(), marks=pytest.mark.slow)])
def test_reconfiguration_reaches_the_known_optimum_with_a_proof(opened):
    """One loop to open, or all five, which takes 10 s on a free core."""
    conic, data, arcs, voltage = reconfiguration(opened)
    found = MixedIntegerConicSolver(conic).solve(data, MixedOptions(gap=1e-4))
    assert found.status == "optimal"
    assert found.gap <= 1e-4
    assert found.objective == pytest.approx(OPTIMUM["loss_kw"], abs=1e-3)
    lines = {arc.line + 1 for arc in arcs}
    closed = {a.line + 1 for k, a in enumerate(arcs) if found.x[k] > 0.5}
    assert lines - closed == OPEN_LINES
    assert np.sqrt(found.x[voltage].min()) == pytest.approx(OPTIMUM["min_vm_pu"], abs=1e-5)
