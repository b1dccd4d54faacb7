"""Every equation that a model declares to be the same in every step is."""

import numpy as np
import pandapower as pp
import pyomo.environ as pyo
import pytest

from stackelgrid.controllers.devices.devices import read_devices
from stackelgrid.controllers.models.active_network import (
    ActiveNetworkOptions,
    active_network_data,
    active_network_model,
)
from stackelgrid.controllers.models.dc_opf import dc_opf_data, dc_opf_model
from stackelgrid.controllers.models.mv_dispatch import mv_dispatch_data, mv_dispatch_model
from stackelgrid.controllers.models.p2p import TradeOptions, prosumers_of
from stackelgrid.controllers.networks.meshed import meshed_network
from stackelgrid.controllers.networks.radial import radial_network
from stackelgrid.controllers.solvers import compile_model
from stackelgrid.controllers.solvers.step_constraint import StepConstraint

DT_H = np.array([0.25, 0.5, 1.0, 2.0])


@pytest.fixture
def feeder_net(radial_net, with_devices):
    """Four buses with every kind of device: limited power factor, constant PV, battery, unit."""
    net = radial_net([0, 1, 1], [0, 10.0, 20.0, 5.0], [0, 3.0, 4.0, 1.0])
    net.line["max_i_ka"] = 0.2
    net.bus["min_vm_pu"], net.bus["max_vm_pu"] = 0.9, 1.1
    net = with_devices(
        net,
        pv=[(1, 0.01, 0.012, 0.9), (2, 0.02)],
        batteries=[(2, 0.01, 0.03, 50.0, 0.8, 4.0), (3, 0.01, 0.02)],
    )
    net.sgen.loc[net.sgen.index[-1], "controllable"] = False
    unit = pp.create_sgen(net, 3, 0.0, min_p_mw=0.0, max_p_mw=0.02, type="unit", controllable=True)
    pp.create_poly_cost(net, unit, "sgen", cp1_eur_per_mw=50.0, cp2_eur_per_mw2=2.0)
    return net


def feeder(net):
    network, devices = radial_network(net, "f"), read_devices(net, "f", slack_is_unit=False)
    prosumers = prosumers_of(devices, devices.loads.p_mw)
    options = ActiveNetworkOptions(
        curtailment_eur_per_mwh=1.0, loss_eur_per_mwh=2.0,
        trade=TradeOptions(retail_margin=10.0, fee_inside=5.0, fee_across=20.0, across=True),
    )  # fmt: skip
    rows = network.positions(devices.loads.bus)
    m = active_network_model(network, devices, rows, prosumers, DT_H, options)
    return m, active_network_data(m)


def dispatch(net):
    network, devices = radial_network(net, "f"), read_devices(net, "f", slack_is_unit=False)
    m = mv_dispatch_model(network, devices, DT_H, 1.0)
    return m, mv_dispatch_data(m)


def transmission(net):
    units = read_devices(net, "tn", slack_is_unit=True).units
    ramp = np.full(len(units.index), 30.0)
    m = dc_opf_model(meshed_network(net, "tn"), units, DT_H, ramp)
    return m, dc_opf_data(m)


@pytest.mark.parametrize(("build", "declared"), [(feeder, 20), (dispatch, 7), (transmission, 3)])
def test_shifted_programs_equal_those_read_member_by_member(build, declared, feeder_net, load_case):
    net = load_case("case30") if build is transmission else feeder_net
    model, data = build(net)
    shifted = compile_model(model, data)
    every = [c for c in model.component_objects(pyo.Constraint) if isinstance(c, StepConstraint)]
    assert sum(len(c) > 0 for c in every) == declared
    model, data = build(net)
    for constraint in model.component_data_objects(pyo.Constraint):
        assert constraint.expr is not None  # read: no longer shifted
    read = compile_model(model, data)
    for matrix in ("matrix", "b_parameters", "quadratic", "q_parameters"):
        mine, theirs = getattr(shifted.program, matrix), getattr(read.program, matrix)
        for part in ("data", "indices", "indptr"):
            np.testing.assert_array_equal(getattr(mine, part), getattr(theirs, part))
    np.testing.assert_array_equal(shifted.program.b0, read.program.b0)
    assert shifted.program.cones == read.program.cones
    assert tuple(shifted.row_names) == tuple(read.row_names)
    for name, rows in read.rows.items():
        np.testing.assert_array_equal(shifted.rows[name], rows)
