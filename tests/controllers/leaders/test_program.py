"""Programs of leaders with the follower's rows, and with priced deviations from targets."""

import numpy as np
import pytest
from support.records import grid_series

from stackelgrid.controllers.devices.devices import read_devices
from stackelgrid.controllers.errors import SolverError
from stackelgrid.controllers.followers.tso import TsoAgent
from stackelgrid.controllers.leaders.feeder_agent import FeederAgent
from stackelgrid.controllers.leaders.feeder_records import TARIFF, UNPRICED, Variant
from stackelgrid.controllers.leaders.leader_program import LeaderProgram
from stackelgrid.controllers.models.active_network import (
    ActiveNetworkLibrary,
    ActiveNetworkOptions,
)
from stackelgrid.controllers.models.p2p import TradeOptions
from stackelgrid.controllers.networks.meshed import meshed_network
from stackelgrid.controllers.schedule import Measurement
from stackelgrid.controllers.solvers.mixed_integer.incumbent import MixedOptions
from stackelgrid.controllers.system import Transmission
from stackelgrid.profiles.forecast import PerfectForecast
from stackelgrid.profiles.time_axis import Horizon

HORIZON = Horizon((60, 60, 60), 60)
SUN = np.array([1.0, 0.6, 0.0])
PRICE = np.array([250.0, 90.0, 60.0])
COPIES = {"lv1": 300, "lv2": 200}
OPTIONS = MixedOptions(gap=1e-6)


@pytest.fixture
def tso(load_case):
    """Case30 with loads at 90 %; the feeders hang on its buses 7 and 25."""
    net = load_case("case30")
    devices = read_devices(net, "tn", slack_is_unit=True)
    factor, none = np.full(6, 0.9), np.zeros(6)
    loads = (np.outer(factor, p) for p in (devices.loads.p_mw, devices.loads.q_mvar))
    forecast = PerfectForecast(grid_series(*loads, np.zeros((6, 0)), none, none), HORIZON)
    grid = Transmission("tn", net, meshed_network(net, "tn"), devices, forecast)
    return TsoAgent(grid, HORIZON, {"lv1": 7, "lv2": 25})


@pytest.fixture
def agents(radial_net, with_devices, build_feeder):
    """Two streets with PV and a battery that may trade with each other."""
    library, found = ActiveNetworkLibrary(), {}
    trade = TradeOptions(15.0, 8.0, 16.0, True)
    for name, bus, pv_mw in (("lv1", 7, 0.02), ("lv2", 25, 0.002)):
        net = radial_net([0, 1, 1], [0, 2, 2, 3], [0] * 4, length_km=0.02)
        net.bus[["min_vm_pu", "max_vm_pu"]] = (0.85, 1.1)
        with_devices(net, pv=[(2, pv_mw)], batteries=[(3, 0.004, 0.01, 50.0, 0.95, 5.0)])
        feeder = build_feeder(
            net, name, HORIZON, pv=SUN, import_price=PRICE, export_price=PRICE - 40.0,
            parent="tn", bus=bus, multiplicity=COPIES[name], intervals=3,
            options=ActiveNetworkOptions(1.0, trade=trade),
        )  # fmt: skip
        found[name] = FeederAgent(feeder, HORIZON, library, {})
    return found


@pytest.fixture
def instances(agents):
    return {
        n: a.prepare(0, Measurement(1.0, 0, a.feeder.devices.initial), {})
        for n, a in agents.items()
    }


def exchange_of(program, x):
    """Exchange of all copies in MW."""
    return {
        n: COPIES[n] * a.exchange(program.part(n, x), program.variant)
        for n, a in program.agents.items()
    }


def own_eur(program, instances, x):
    """Own costs of all copies in EUR, without what is paid at the boundary."""
    return sum(
        COPIES[n] * a.own_cost(instances[n], program.part(n, x), program.variant)
        for n, a in program.agents.items()
    )


def loaded(tso, parameters, mw):
    """Parameters with a load beside lv1."""
    changed = parameters.copy()
    at, per_mw = tso.exchange("lv1")
    changed[at] += mw * per_mw
    return changed


def test_the_follower_serves_the_leaders_and_both_costs_count(agents, instances, tso):
    program = LeaderProgram(agents, OPTIONS, variant=UNPRICED, follower=tso, weights=(1.0, 1.0))
    parameters = tso.parameters(0)
    found = program.solve(program.data(instances, parameters))
    assert found.status == "optimal"
    exchange, y = exchange_of(program, found.x), program.follower_part(found.x)
    assert len(y) == tso.compiled.program.variables
    p = tso.with_exchange(parameters, exchange)
    under = tso.compiled.program
    assert under.violation(y, under.data(p).b)[0] <= 1e-6
    cost = under.objective(y, under.data(p))
    assert cost == pytest.approx(tso.solve(p).objective, rel=1e-5)  # nothing is left to gain
    assert found.objective == pytest.approx(own_eur(program, instances, found.x) + cost, rel=1e-6)
    # nobody alone does better by both costs
    alone = LeaderProgram(agents, OPTIONS)
    apart = alone.solve(alone.data(instances))
    other = tso.solve(tso.with_exchange(parameters, exchange_of(alone, apart.x)))
    assert found.objective <= own_eur(alone, instances, apart.x) + other.objective + 1e-3


def test_with_weight_zero_the_follower_only_limits(agents, instances, tso):
    free = LeaderProgram(agents, OPTIONS)
    wanted = free.solve(free.data(instances))
    parameters = tso.parameters(0)
    held = LeaderProgram(agents, OPTIONS, follower=tso)
    same = held.solve(held.data(instances, parameters))
    assert same.objective == pytest.approx(wanted.objective, rel=1e-5)
    # a load beside lv1 leaves 0.1 MW too little for what the leaders want to draw at the end
    most = exchange_of(free, wanted.x)
    assert np.argmax(sum(most.values())) == 2
    least, largest = 0.0, 200.0
    while largest - least > 1e-3:
        beside = (least + largest) / 2
        served = tso.solve(tso.with_exchange(loaded(tso, parameters, beside), most))
        least, largest = (beside, largest) if served.status == "optimal" else (least, beside)
    loads = loaded(tso, parameters, least + 0.1)
    short = held.solve(held.data(instances, loads))
    assert short.status == "optimal"
    assert short.objective > wanted.objective + 1e-3
    assert sum(exchange_of(held, short.x).values())[2] < sum(most.values())[2] - 0.05
    p = tso.with_exchange(loads, exchange_of(held, short.x))
    y, under = held.follower_part(short.x), tso.compiled.program
    assert under.violation(y, under.data(p).b)[0] <= 1e-6


def test_a_follower_that_nobody_can_satisfy_is_named(agents, instances, tso):
    program = LeaderProgram(agents, OPTIONS, follower=tso)
    data = program.data(instances, loaded(tso, tso.parameters(0), 400.0))
    assert program.solve(data).status == "infeasible"
    note = program.conflict(data)
    assert note.startswith("limits in conflict: ")
    with pytest.raises(SolverError, match="needs the follower's parameters"):
        program.data(instances)


def test_deviations_from_targets_are_priced(agents, instances):
    plain = LeaderProgram(agents, OPTIONS)
    wanted = plain.solve(plain.data(instances))
    best = {n: exchange_of(plain, wanted.x)[n] / COPIES[n] for n in agents}
    for rate in (1.0, 1000.0):
        program = LeaderProgram(agents, OPTIONS, deviation_eur_per_mwh=rate)
        own = program.solve(program.data(instances, targets=best))
        assert own.objective == pytest.approx(wanted.objective, rel=1e-5)
        aside = {"lv1": best["lv1"] + np.array([0.001, 0.0, 0.0]), "lv2": best["lv2"]}
        moved = program.solve(program.data(instances, targets=aside))
        assert moved.status == "optimal"
        found = exchange_of(program, moved.x)
        off = {n: np.abs(found[n] / COPIES[n] - aside[n]) for n in agents}
        paid = sum(COPIES[n] * rate * off[n].sum() for n in agents)
        bill = sum(
            COPIES[n]
            * (
                a.own_cost(instances[n], program.part(n, moved.x), TARIFF)
                + a.tariff_payment(instances[n], program.part(n, moved.x), TARIFF)
            )
            for n, a in agents.items()
        )
        assert moved.objective == pytest.approx(bill + paid, rel=1e-5)
        if rate == 1.0:  # nobody moves for so little
            assert moved.objective > wanted.objective
        else:
            assert max(o.max() for o in off.values()) < 1e-5
            assert bill > wanted.objective
        with pytest.raises(SolverError, match="needs targets"):
            program.data(instances)


def test_a_feeder_alone_counts_once_and_with_a_follower_with_its_copies(agents, tso):
    one = {"lv1": agents["lv1"]}
    assert LeaderProgram(one, OPTIONS).weight("lv1") == 1.0
    assert LeaderProgram(one, OPTIONS, follower=tso).weight("lv1") == 300.0
    assert LeaderProgram(agents, OPTIONS).weight("lv2") == 200.0


def test_without_trade_across_nothing_links_the_feeders(agents, instances):
    apart = LeaderProgram(agents, OPTIONS, variant=Variant(across=False))
    assert "link.across_clearing" not in apart.compiled.parameters
    found = apart.solve(apart.data(instances))
    alone = 0.0
    for name, agent in agents.items():
        program = LeaderProgram({name: agent}, OPTIONS, variant=Variant(across=False))
        lone = program.solve(program.data({name: instances[name]}))
        alone += COPIES[name] * lone.objective
    assert found.objective == pytest.approx(alone, rel=1e-5)
