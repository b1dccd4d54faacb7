"""Power flows and solvers are functions of present data: what they solved before is no state."""

import numpy as np
import pytest

from stackelgrid.controllers.networks.power_flow import AcPowerFlow
from stackelgrid.controllers.schedule import BoundaryProfile, Measurement
from stackelgrid.controllers.solvers.backends.clarabel import ClarabelSolver
from stackelgrid.controllers.solvers.conic import parameter_vector
from stackelgrid.scenarios.build.system import build_scenario
from stackelgrid.scenarios.schema.load import load_scenario


@pytest.fixture(scope="module")
def quick_built():
    return build_scenario(load_scenario("quick", ["solver.conic=clarabel"]))


@pytest.mark.parametrize(("grid", "power_mw"), [("mv1", 0.08), ("lv1", 6e-5)])
def test_power_flow_has_no_memory(quick_built, grid, power_mw):
    """From equal starts, an object that has solved thirty others gives the bits of a fresh one."""
    net, chance = quick_built.grids[grid].net, np.random.default_rng(5)
    used, start = AcPowerFlow(net, grid), None
    for _ in range(30):
        p = power_mw * chance.random(len(net.bus))
        vm_pu = 1.0 + 0.02 * chance.standard_normal()
        fresh = AcPowerFlow(net, grid).solve(p, 0.3 * p, vm_pu, None, start)
        known = used.solve(p, 0.3 * p, vm_pu, None, start)
        for name, value in vars(fresh).items():
            np.testing.assert_array_equal(getattr(known, name), value, err_msg=name)
        start = known.voltage


@pytest.mark.parametrize("grid", ["mv1", "lv1"])
def test_conic_solver_has_no_memory(quick_built, grid):
    agent, steps = quick_built.controller.agents[grid], quick_built.horizon.length
    program, energy = agent.compiled.program, quick_built.fleets[grid].states["battery_e_mwh"]
    exchange = BoundaryProfile(np.full(steps, 0.1), np.full(steps, 0.01))
    lower = {f.name: exchange for f in quick_built.system.children(grid)}
    used, tap = ClarabelSolver(program), quick_built.simulated[grid].tap_pos
    for k in range(3):
        measured = Measurement(1.0 + 0.01 * k, tap, battery_e_mwh=(0.5 + 0.2 * k) * energy)
        values = agent.prepare(k, measured, lower).values
        data = program.data(parameter_vector(agent.compiled.parameters, values))
        known, fresh = used.solve(data), ClarabelSolver(program).solve(data)
        assert known.status == "optimal"
        np.testing.assert_array_equal(known.x, fresh.x)
        np.testing.assert_array_equal(known.dual, fresh.dual)
