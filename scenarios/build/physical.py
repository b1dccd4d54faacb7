"""Build the simulated grids: power flow, tap changer and connections to the grids below."""

from collections.abc import Mapping

import numpy as np
from pandapower.auxiliary import pandapowerNet

from stackelgrid.controllers.networks.power_flow import AcPowerFlow
from stackelgrid.controllers.networks.taps import tap_position
from stackelgrid.scenarios.build.grids import BuiltGrid
from stackelgrid.scenarios.schema.grid import GridSection
from stackelgrid.scenarios.schema.scenario import Scenario
from stackelgrid.simulators.grid import LowerGrid, SimulatedGrid
from stackelgrid.simulators.tap_changer import TapControl, TapRegulator


def simulated_grid(
    grid: BuiltGrid, grids: Mapping[str, BuiltGrid], scenario: Scenario
) -> SimulatedGrid:
    """Return the simulated grid of one section; `grids` are all grids of the scenario."""
    section, net = grid.section, grid.net
    where = {int(b): i for i, b in enumerate(net.bus.index)}
    lower = tuple(
        LowerGrid(g.section.name, where[g.section.bus], g.section.multiplicity)
        for g in grids.values()
        if g.section.parent == section.name and g.section.bus is not None
    )
    trafo, taps = grid.trafo, grid.taps
    regulator, regulated = None, 0
    power_flow = AcPowerFlow(net, section.name)
    # until the first measurement the head voltage of a grid below is the root's
    root = next(g.net for g in grids.values() if g.section.parent is None)
    if trafo is not None and taps is not None:
        position = tap_position(net, int(net.trafo.index[trafo]), section.name)
        regulator = TapRegulator(taps, _tap_control(section), position)
        regulated = where[int(net.trafo.lv_bus.iloc[trafo])]
    return SimulatedGrid(
        name=section.name,
        base_mva=float(net.sn_mva),
        power_flow=power_flow,
        lower=lower,
        tolerance_pu=scenario.tolerances.interface_pu,
        regulator=regulator,
        trafo=trafo or 0,
        regulated_bus=regulated,
        vm_pu=float(root.ext_grid.vm_pu.iloc[0]),
        va_degree=0.0 if section.parent is not None else _slack_angle(net),
        bus_p_mw=np.zeros(len(where)),
        bus_q_mvar=np.zeros(len(where)),
    )


def _slack_angle(net: pandapowerNet) -> float:
    angle = float(net.ext_grid.va_degree.iloc[0])
    return 0.0 if np.isnan(angle) else angle


def _tap_control(section: GridSection) -> TapControl | None:
    b = section.boundary
    if b.vm_set_pu is None or b.deadband_pu is None or b.delay_s is None:
        return None
    return TapControl(b.vm_set_pu, b.deadband_pu, b.delay_s)
