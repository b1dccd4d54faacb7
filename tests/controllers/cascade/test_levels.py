"""Three levels: a feeder is follower of its communities and leader below the transmission grid."""

import numpy as np
import pytest

from stackelgrid.controllers.cascade.cascade import Cascade
from stackelgrid.controllers.networks.boundary import TransformerData, attach_transformer
from stackelgrid.controllers.protocol import ControllerSettings
from stackelgrid.controllers.schedule import Measurement
from stackelgrid.controllers.system import System
from stackelgrid.profiles.time_axis import Horizon

STEPS = 4
DAY = Horizon((60,) * STEPS, 60)
PRICE = np.array([60.0, 200.0, 200.0, 300.0])


@pytest.fixture
def build_levels(load_case, radial_net, with_devices, build_feeder, build_transmission):
    """`build_levels(rating_ka)`: 33-bus feeder with 100 communities, below case30."""

    def make(rating_ka=None):
        medium = load_case("case33bw")
        medium.bus[["min_vm_pu", "max_vm_pu"]] = (0.85, 1.1)
        if rating_ka is not None:
            medium.line.loc[0, "max_i_ka"] = rating_ka
        common = {"import_price": PRICE, "export_price": PRICE - 40.0, "intervals": STEPS}
        low = radial_net([0, 1, 1, 3], [0, 2, 2, 2, 3], [0, 0.5, 0.5, 0.5, 1], length_km=0.05)
        low.bus[["min_vm_pu", "max_vm_pu"]] = (0.85, 1.1)
        with_devices(low, batteries=[(4, 0.004, 0.01, 50.0, 0.95, 5.0)])
        attach_transformer(low, TransformerData(0.25, 4.0, 1.0, -2, 2, 2.5), "lv1")
        return System(
            build_transmission(),
            (
                build_feeder(medium, "mv1", DAY, load=0.8, parent="tn", bus=7, **common),
                build_feeder(low, "lv1", DAY, load=0.5, kind="fixed_tap", parent="mv1", bus=1,
                             multiplicity=100, **common),
            ),
            DAY,
        )  # fmt: skip

    return make


def decide(system, **settings):
    controller = Cascade(system, ControllerSettings(gap=1e-6, **settings))
    measured = {f.name: Measurement(1.0, 0, f.devices.initial) for f in system.feeders}
    return controller.decide(0, measured)


@pytest.mark.parametrize("scheme", ["bottom_up", "integrated", "diagonalization"])
def test_both_stages_are_recorded_and_the_leaders_dispatch_is_applied(build_levels, scheme):
    decision = decide(build_levels(), scheme=scheme)
    below, above = decision.outcomes
    assert (below.follower, above.follower) == ("mv1", "tn")
    assert (below.scheme, above.scheme) == (scheme, scheme)
    assert set(below.plans) == {"lv1", "mv1"}
    assert set(above.plans) == {"mv1", "tn"}
    # as follower a linear model without losses, as leader the conic one
    as_follower, as_leader = below.plans["mv1"].schedule, above.plans["mv1"].schedule
    assert as_follower.flows is None
    assert as_leader.flows is not None
    assert (as_leader.p_import_mw > as_follower.p_import_mw + 0.01).all()
    assert decision.plans["mv1"].schedule.flows is as_leader.flows
    assert decision.plans["mv1"].set_points == above.plans["mv1"].set_points
    # both carry the communities' exchange, the transmission grid the leader's
    lower = 100 * decision.plans["lv1"].schedule.p_import_mw
    own = 0.8 * 3.715
    np.testing.assert_allclose(as_follower.p_import_mw, own + lower, atol=1e-5)
    loads = 189.2 * np.array([0.85, 0.9, 1.05, 0.9])
    units = decision.plans["tn"].schedule.unit_p_mw.sum(axis=0)
    np.testing.assert_allclose(units, loads + as_leader.p_import_mw, atol=1e-3)


def test_limits_of_the_linear_model_are_tightened_until_the_conic_one_can_carry_it(build_levels):
    free = decide(build_levels())
    decision = decide(build_levels(rating_ka=0.1915))
    assert any("mv1: limits of its dispatch tightened by" in text for text in decision.messages)
    assert not any(plan.report.fallback for plan in decision.plans.values())
    lower, before = (d.plans["lv1"].schedule.p_import_mw for d in (decision, free))
    assert lower.max() < before.max() - 1e-4  # the communities charge more slowly
    flows = decision.plans["mv1"].schedule.flows
    current = np.sqrt(flows.current2[0]) * 1.0 / (np.sqrt(3.0) * 12.66)
    base = build_levels().feeders[0].network.base_mva
    assert (base * current).max() <= 0.1915 * (1.0 + 1e-5)


def test_a_feeder_that_cannot_be_helped_says_so(build_levels):
    decision = decide(build_levels(rating_ka=0.17))
    assert any("cannot" in text or "served" in text for text in decision.messages)
