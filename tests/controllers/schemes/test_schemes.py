"""Schemes on small systems: theory's orderings, limits that bind, prices, refusals, threads."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import block_diag, csc_array, csr_array, hstack

from stackelgrid.controllers.bilevel import (
    BilevelData,
    BilevelOptions,
    BilevelProgram,
    BilevelSolver,
)
from stackelgrid.controllers.bilevel.hull import FollowerCost, HullOptions, HullSearch
from stackelgrid.controllers.cascade.cascade import Cascade
from stackelgrid.controllers.devices.devices import Devices
from stackelgrid.controllers.errors import NetworkError, SchemeError
from stackelgrid.controllers.protocol import ControllerSettings
from stackelgrid.controllers.schedule import Measurement
from stackelgrid.controllers.solvers.conic import ProgramData

TARIFF = ("bottom_up", "feasibility_only", "uncoordinated", "top_down", "integrated",
          "diagonalization")  # fmt: skip
LMP = tuple(s for s in TARIFF if s != "feasibility_only")
# relative; the search snaps roles and modes without proving them by outer approximation
OBJECTIVE = {"untraded": 1e-6, "system": 1e-6, "tight": 1e-3}
EVERY = [*((s, "tariff") for s in TARIFF), *((s, "lmp") for s in LMP)]


def measure(system):
    return {f.name: Measurement(1.0, 0, f.devices.initial) for f in system.feeders}


def exchange_of(outcome, system):
    return {
        f.name: f.boundary.multiplicity * outcome.plans[f.name].schedule.p_import_mw
        for f in system.feeders
    }


@pytest.fixture(scope="module")
def untraded(build_system):
    return build_system(rating_mva=6.33, trades=False)


@pytest.mark.parametrize(("scheme", "pricing"), EVERY)
def test_no_scheme_beats_the_integrated_bound_in_total_cost(system, decide, scheme, pricing):
    outcome = decide(system, scheme, pricing)
    bound = decide(system, "integrated").bound
    assert outcome.total_eur >= bound - 1e-6 * abs(bound)
    # the follower is at its optimum by an independent solver
    assert outcome.follower_gap <= 1e-6
    assert outcome.scheme == scheme
    assert not any(plan.report.fallback for plan in outcome.plans.values())


@pytest.mark.parametrize("scheme", [s for s in TARIFF if s != "uncoordinated"])
@pytest.mark.parametrize("name", ["system", "tight"])
def test_no_scheme_beats_the_leaders_bound_at_the_tariff(request, decide, scheme, name):
    system = request.getfixturevalue(name)
    outcome = decide(system, scheme)
    bound = decide(system, "bottom_up").bound
    assert outcome.leader_eur >= bound - 1e-6 * abs(bound)
    assert outcome.gap <= 1e-4


@pytest.mark.parametrize("scheme", LMP)
def test_no_scheme_beats_the_leaders_bound_at_nodal_prices(system, decide, scheme):
    bound = decide(system, "bottom_up", "lmp").bound
    assert decide(system, scheme, "lmp").leader_eur >= bound - 1e-6 * abs(bound)


def test_orderings_are_strict_somewhere(system, decide):
    leader, total = (
        {s: getattr(decide(system, s), cost) for s in TARIFF}
        for cost in ("leader_eur", "total_eur")
    )
    assert leader["bottom_up"] < leader["uncoordinated"] - 1.0
    assert leader["bottom_up"] < leader["integrated"] - 1.0
    assert total["integrated"] < min(total["bottom_up"], total["top_down"]) - 1.0
    follower = {s: decide(system, s).follower_cost_eur for s in TARIFF}
    assert follower["top_down"] == min(follower.values())


@pytest.mark.parametrize("name", ["system", "tight"])
def test_feasibility_alone_costs_the_leaders_the_same(request, decide, name):
    system = request.getfixturevalue(name)
    outcome, reference = decide(system, "feasibility_only"), decide(system, "bottom_up")
    assert outcome.leader_eur == pytest.approx(reference.leader_eur, rel=1e-6)
    least, most = outcome.follower_min_eur, outcome.follower_max_eur
    returned = outcome.follower_returned_eur
    assert least - 1e-6 * abs(least) <= returned <= most + 1e-6 * abs(most)
    assert least == pytest.approx(outcome.follower_cost_eur, rel=1e-6)
    assert most > 1.05 * least  # the exchange leaves much of the dispatch open


@pytest.mark.parametrize(("name", "gap"), [("untraded", 1e-6), ("system", 5e-3), ("tight", 5e-3)])
def test_the_separable_path_is_the_single_level(request, decide, with_cascade, name, gap):
    """Leaders with the follower's whole optimality conditions have the same optimum."""
    system = request.getfixturevalue(name)
    cascade = with_cascade(system)
    stage = cascade.stages[-1]
    instance = cascade.prepare(stage, 0, measure(system))
    program, below = stage.program(), stage.follower.compiled.program
    n = below.variables
    search = HullSearch(
        program.program, below, program.link(stage.follower), csr_array((n, n)), program.snap()
    )
    solution = search.solve(
        program.data(instance.leaders),
        instance.parameters,
        FollowerCost(np.zeros(n), np.zeros(below.rows)),
        HullOptions(gap=1e-6, relaxation_limit=8),
    )
    separable = decide(system)
    # the search has no outer approximation: with roles of prosumers its own gap remains, and
    # further relaxations do not raise its bound
    assert solution.gap <= gap
    assert solution.objective == pytest.approx(separable.leader_eur, rel=OBJECTIVE[name])
    assert solution.bound <= separable.leader_eur * (1.0 + 1e-7)
    assert separable.bound <= solution.objective * (1.0 + 1e-7)


def test_the_separable_path_is_confirmed_by_branching_on_complementarity(
    untraded, decide, with_cascade
):
    cascade = with_cascade(untraded)
    stage = cascade.stages[-1]
    instance = cascade.prepare(stage, 0, measure(untraded))
    program, below = stage.program(), stage.follower.compiled.program
    data, n = program.data(instance.leaders), below.variables
    leader = program.program
    count = leader.variables + n
    joint = replace(
        leader,
        quadratic=csc_array(block_diag([leader.quadratic, csc_array((n, n))])),
        matrix=csc_array(hstack([leader.matrix, csc_array((leader.rows, n))])),
        q0=np.concatenate([data.q, np.zeros(n)]),
        q_parameters=csr_array((count, leader.q_parameters.shape[1])),
    )
    bilevel = BilevelProgram(
        joint,
        below,
        program.link(stage.follower),
        csr_array((0, below.rows)),
        csr_array((count, count)),
    )
    solution = BilevelSolver(bilevel).solve(
        BilevelData(ProgramData(joint.q0, data.b, data.offset), instance.parameters),
        BilevelOptions(method="branch", snap=program.snap(), time_limit_s=30.0),
    )
    assert solution.objective == pytest.approx(decide(untraded).leader_eur, rel=1e-6)
    assert solution.follower_gap <= 1e-6


def test_binding_limits_of_the_follower_are_kept(tight, system, decide, with_cascade):
    outcome, free = decide(tight), decide(system)
    assert outcome.leader_eur > free.leader_eur + 1e-3  # the limit costs something
    assert np.isfinite(outcome.follower_cost_eur)
    assert outcome.messages == ()
    # what the leaders want without the follower cannot be served
    stage = with_cascade(tight).stages[-1]
    parameters = stage.follower.parameters(0)
    wanted = stage.follower.with_exchange(parameters, exchange_of(free, system))
    assert stage.follower.solve(wanted).status == "infeasible"
    served = stage.follower.with_exchange(parameters, exchange_of(outcome, tight))
    assert stage.follower.solve(served).status == "optimal"


def test_nodal_payments_are_price_times_exchange(system, decide):
    outcome = decide(system, "bottom_up", "lmp")
    schedule = outcome.plans["tn"].schedule
    for f in system.feeders:
        price = schedule.price_eur_per_mwh[f.boundary.bus]
        billed = float(schedule.dt_h @ (price * exchange_of(outcome, system)[f.name]))
        assert outcome.payment_eur[f.name] == pytest.approx(billed, rel=1e-6, abs=1e-6)
    assert np.ptp(schedule.price_eur_per_mwh, axis=0).max() > 0.1  # congested
    # the search pays the lowest of the follower's prices; leaders like to stop where it jumps
    assert outcome.objective - 1e-6 <= outcome.leader_eur <= outcome.objective * (1.0 + 1e-3)


def test_a_scheme_without_prices_is_refused_by_name(system):
    settings = ControllerSettings(scheme="feasibility_only", pricing="lmp")
    with pytest.raises(SchemeError, match="feasibility_only with lmp pricing"):
        Cascade(system, settings)
    with pytest.raises(SchemeError, match="'backwards' unknown; accepted: bottom_up"):
        Cascade(system, ControllerSettings(scheme="backwards"))


def test_the_largest_of_a_piecewise_linear_cost_is_refused_by_name(system):
    tn = system.transmission
    units = tn.devices.units
    lines = ((10.0, 0.0), (20.0, -50.0))
    priced = replace(units, pieces=(lines, *(() for _ in units.index[1:])))
    members = tuple(priced if m is units else m for m in tn.devices.members)
    changed = replace(system, transmission=replace(tn, devices=Devices(members)))
    message = "feasibility_only: ext_grid 0 of tn has a pwl_cost, whose largest value is not"
    with pytest.raises(SchemeError, match=message):
        Cascade(changed, ControllerSettings(scheme="feasibility_only"))


def test_a_wrong_tree_is_refused_by_name(system):
    first, *others = system.feeders
    nowhere = replace(first, boundary=replace(first.boundary, bus=77))
    with pytest.raises(NetworkError, match=r"lv1: bus 77 of tn does not exist.*0 to 29"):
        Cascade(replace(system, feeders=(nowhere, *others)), ControllerSettings())
    orphan = replace(first, boundary=replace(first.boundary, parent="mv9"))
    with pytest.raises(NetworkError, match="lv1: its parent 'mv9'"):
        Cascade(replace(system, feeders=(orphan, *others)), ControllerSettings())
    with pytest.raises(NetworkError, match="lv1 is connected twice"):
        Cascade(replace(system, feeders=(*system.feeders, first)), ControllerSettings())


@pytest.mark.parametrize("scheme", ["bottom_up", "uncoordinated", "diagonalization"])
def test_threads_do_not_change_a_scheme(system, with_cascade, scheme):
    one, *others = (
        with_cascade(system, scheme, threads=n).decide(0, measure(system)).outcomes[-1]
        for n in (1, 2, 3)
    )
    for other in others:
        assert one.leader_cost_eur == other.leader_cost_eur
        assert one.follower_gap == other.follower_gap
        assert one.rounds == other.rounds
        for name, x in exchange_of(one, system).items():
            np.testing.assert_array_equal(x, exchange_of(other, system)[name])
