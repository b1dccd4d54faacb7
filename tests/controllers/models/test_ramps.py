"""Optional ramps of the DC optimal power flow."""

import numpy as np
import pytest

from stackelgrid.controllers.devices.devices import read_devices
from stackelgrid.controllers.errors import ModelError
from stackelgrid.controllers.models.dc_opf import dc_opf_data, dc_opf_model
from stackelgrid.controllers.networks.meshed import meshed_network


@pytest.fixture
def solve(load_case, optimise):
    net = load_case("case30")
    network, units = meshed_network(net, "tn"), read_devices(net, "tn", slack_is_unit=True).units

    def run(factor, dt_h, ramp, before):
        demand = np.zeros((network.buses, len(dt_h)))
        np.add.at(demand, net.load.bus.to_numpy(), np.outer(net.load.p_mw, factor))
        base = network.base_mva
        model = dc_opf_model(network, units, np.array(dt_h), ramp)
        assert [c.name for c in dc_opf_data(model)] == ["load_p", "unit_p_before"]
        optimum = optimise(model, {"load_p": demand / base, "unit_p_before": before / base})
        return optimum.objective, base * optimum.value("unit_p").reshape(-1, len(dt_h))

    return run


def test_ramps_bind_between_the_middles_of_steps(solve):
    dt_h, factor = (0.25, 0.25, 1.0), (0.6, 0.9, 1.2)
    before = np.full(6, 113.52 / 6)  # 0.6 of 189.2 MW
    free, _ = solve(factor, dt_h, np.full(6, np.inf), before)
    ramp = np.array([60.0, 60.0, np.inf, np.inf, np.inf, 8.0])
    cost, output = solve(factor, dt_h, ramp, before)
    assert cost > free + 0.1
    change = np.abs(np.diff(np.column_stack([before, output]), axis=1))
    limits = np.outer(ramp[[0, 1, 5]], [0.125, 0.25, 0.625])
    share = change[[0, 1, 5]] / limits
    assert share.max() == pytest.approx(1.0, abs=1e-5)
    np.testing.assert_allclose(output.sum(axis=0), 189.2 * np.array(factor), atol=1e-4)


def test_a_ramp_that_is_not_positive_is_refused(load_case):
    net = load_case("case30")
    units = read_devices(net, "tn", slack_is_unit=True).units
    with pytest.raises(ModelError, match=r"ramp of 0 MW/h; a value > 0 is accepted"):
        dc_opf_model(meshed_network(net, "tn"), units, np.ones(2), np.array([9, 9, 0, 9, 9, 9.0]))
