"""Mixtures of old and new schedules: by hand on two buses, and against the certificates."""

import itertools

import numpy as np
import pytest
from support.records import schedule_of

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.certification.certificate import FeederCertifier
from stackelgrid.controllers.certification.conditions import Conditions
from stackelgrid.controllers.certification.mixtures import RadialMixtures, TransmissionMixtures
from stackelgrid.controllers.certification.transmission import TransmissionCertifier
from stackelgrid.controllers.devices.devices import read_devices
from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.boundary import TransformerData, attach_transformer
from stackelgrid.controllers.networks.meshed import meshed_network
from stackelgrid.controllers.schedule import BoundaryProfile
from stackelgrid.controllers.system import Transmission
from stackelgrid.profiles.forecast import GridSeries, PerfectForecast
from stackelgrid.profiles.time_axis import Horizon

OHM = (0.03, 0.01)  # the line of the two-bus grid at 0.4 kV


def profile(p_kw, q_kvar=0.0):
    p = np.atleast_1d(np.asarray(p_kw, dtype=float)) / 1e3
    return BoundaryProfile(p, np.broadcast_to(np.asarray(q_kvar, dtype=float) / 1e3, p.shape))


def vm_by_hand(p_kw, q_kvar=0.0):
    """Voltage at the end of the two-bus line from 1 p.u.: larger root of its quartic.

    v^4 + (2 (r p + x q) - 1) v^2 + (r^2 + x^2) (p^2 + q^2) = 0 (Baran and Wu 1989).
    """
    r, x = (ohm / 0.4**2 for ohm in OHM)  # per unit on 1 MVA
    p, q = p_kw / 1e3, q_kvar / 1e3
    half = 0.5 - (r * p + x * q)
    return np.sqrt(half + np.sqrt(half**2 - (r**2 + x**2) * (p**2 + q**2)))


@pytest.fixture
def two_buses(radial_net, build_feeder):
    """`two_buses(vm_min, vm_max, max_i_ka)`: grids a and b at the end of one line."""

    def build(vm_min=0.5, vm_max=1.5, max_i_ka=np.nan):
        net = radial_net([0], [0.0, 0.0], [0.0, 0.0], (10 * OHM[0], 10 * OHM[1]))
        net.bus.loc[1, ["min_vm_pu", "max_vm_pu"]] = vm_min, vm_max
        net.line["max_i_ka"] = max_i_ka
        return RadialMixtures(build_feeder(net, "mv"), {"a": 1, "b": 1})

    return build


def check(mixtures, steps=1, own_kw=0.0, vm=1.0, before=None, **choices):
    own = np.zeros((2, 2, steps))
    own[0, 1] = own_kw / 1e3
    before = None if before is None else np.array(before)
    return mixtures.check(own[0], own[1], np.full(steps, vm), None, choices, before)


def random_feeder(build_feeder, net, seed, grids, possibilities=2, own=0.6, size=None):
    """Grids at random buses of Baran and Wu's feeder; arguments of a check.

    `own` is a factor on its own load, `size` the spread of the exchanges in MW and MVAr.
    """
    rng, steps = np.random.default_rng(seed), 1
    net.line["max_i_ka"] = (np.nan, 0.15, 0.08)[seed % 3]
    feeder = build_feeder(net, "mv")
    buses = rng.choice(np.arange(1, 33), grids, replace=False)
    mixtures = RadialMixtures(feeder, {f"lv{k}": int(bus) for k, bus in enumerate(buses)})
    loads = feeder.devices.loads
    p, q = np.zeros((2, 33, steps))
    at = feeder.network.positions(loads.bus)
    p[at], q[at] = own * loads.p_mw[:, None], own * loads.q_mvar[:, None]
    size_p, size_q = size or (0.05 + 0.03 * (seed % 7), 0.05 + 0.03 * (seed % 5))
    choices = {
        name: tuple(
            BoundaryProfile(rng.normal(0.0, size_p, steps), rng.normal(0.0, size_q, steps))
            for _ in range(possibilities)
        )
        for name in mixtures.children
    }
    return mixtures, (p, q, np.ones(steps), None, choices)


def held_alone(mixtures, *arguments):
    """Arguments of a check in which as much is allowed as the held profiles violate."""
    *point, choices = arguments
    alone = mixtures.check(*point, {name: known[:1] for name, known in choices.items()})
    assert alone.violation_pu == alone.held_violation_pu == max(alone.step_violation_pu)
    return (*arguments, np.array(alone.step_violation_pu))


def both_ways(monkeypatch, mixtures, arguments):
    """Verdicts by all mixtures and by worst cases."""
    monkeypatch.setattr(tolerances, "MIXTURES_EXHAUSTIVE", 10**6)
    every = mixtures.check(*arguments)
    monkeypatch.setattr(tolerances, "MIXTURES_EXHAUSTIVE", 1)
    worst = mixtures.check(*arguments)
    assert every.exhaustive
    assert not worst.exhaustive
    assert worst.checked < every.checked or worst.violation_pu == np.inf
    return every, worst


def test_less_export_here_and_old_import_there_pull_the_voltage_down(two_buses):
    # held: a gives what b takes; new: neither; both leave the line empty
    held = {"a": (profile(-60),), "b": (profile(60),)}
    new = {"a": (profile(0),), "b": (profile(0),)}
    mixtures = two_buses(vm_min=0.995)
    for pure in (held, new):
        assert check(mixtures, **pure).holds
    verdict = check(mixtures, a=(profile(-60), profile(0)), b=(profile(60), profile(0)))
    assert not verdict.holds
    assert verdict.violation_pu == pytest.approx(0.995 - vm_by_hand(60), abs=1e-9)
    assert 0.006 < verdict.violation_pu < 0.007
    assert verdict.held_violation_pu == 0.0
    where = f"bus 1 at {vm_by_hand(60):.4f} p.u."
    assert verdict.worst == f"step 0, profile 1 of a; others held: {where}"
    assert (verdict.mixtures, verdict.checked, verdict.exhaustive) == (4, 4, True)


def test_old_export_here_and_less_import_there_push_the_voltage_up(two_buses):
    mixtures = two_buses(vm_max=1.005)
    verdict = check(
        mixtures, steps=2, a=(profile([-60, -60]), profile([-60, 0])),
        b=(profile([60, 60], 10), profile([60, 0], 10)),
    )  # fmt: skip
    assert not verdict.holds
    assert verdict.violation_pu == pytest.approx(vm_by_hand(-60, 10) - 1.005, abs=1e-9)
    where = f"bus 1 at {vm_by_hand(-60, 10):.4f} p.u."
    assert verdict.worst == f"step 1, profile 1 of b; others held: {where}"
    # nothing differs in the first step: one power flow there and four in the second
    assert (verdict.mixtures, verdict.checked) == (4, 5)


def test_an_own_load_and_the_head_voltage_count(two_buses):
    mixtures = two_buses(vm_min=0.995)
    choices = {"a": (profile(-60), profile(0)), "b": (profile(60), profile(0))}
    verdict = check(mixtures, own_kw=20.0, **choices)
    assert verdict.violation_pu == pytest.approx(0.995 - vm_by_hand(80), abs=1e-9)
    assert check(mixtures, vm=1.03, **choices).holds


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_rating_is_exceeded_in_either_direction(two_buses, sign):
    current_ka = 0.12 / (np.sqrt(3.0) * 0.4 * vm_by_hand(sign * 120.0))
    mixtures = two_buses(max_i_ka=current_ka / 1.25)
    # 60 against -60 before and after, both at 60 or both at -60 in between
    a, b = profile(60 * sign), profile(-60 * sign)
    verdict = check(mixtures, a=(b, a), b=(a, a))
    assert not verdict.holds
    assert verdict.violation_pu == pytest.approx(0.25, abs=1e-8)
    assert verdict.worst == "step 0, profile 1 of a; others held: line 0 at 125.0 % of its limit"
    assert verdict.mixtures == 2  # b has the same profile twice
    assert check(mixtures, a=(b,), b=(a,)).holds


def test_a_violation_within_the_certificates_tolerance_holds(two_buses):
    for tolerance, holds in ((0.9, True), (1.1, False)):
        limit = vm_by_hand(60) + tolerance * tolerances.AC_LIMIT_PU
        verdict = check(two_buses(vm_min=limit), a=(profile(0), profile(60)), b=(profile(0),))
        assert verdict.holds is holds
        assert verdict.violation_pu == pytest.approx(tolerance * tolerances.AC_LIMIT_PU, abs=1e-9)


def test_a_commit_may_not_be_worse_than_no_commit(two_buses):
    mixtures = two_buses(vm_min=0.99)
    violation = 0.99 - vm_by_hand(100)
    assert violation > 0.009
    choices = {"a": (profile(100), profile(40)), "b": (profile(0), profile(-20))}
    better = check(mixtures, before=[violation], **choices)
    assert better.holds
    assert better.violation_pu == better.held_violation_pu == pytest.approx(violation, abs=1e-9)
    assert better.worst == f"step 0, all held: bus 1 at {vm_by_hand(100):.4f} p.u."
    choices["b"] = profile(0), profile(1)
    worse = check(mixtures, before=[violation], **choices)
    assert not worse.holds
    assert worse.held_violation_pu == pytest.approx(violation, abs=1e-9)
    assert worse.violation_pu == pytest.approx(0.99 - vm_by_hand(101), abs=1e-9)


def test_nobody_having_heard_of_a_commit_counts_like_every_mixture(two_buses):
    """The dispatch is the new one: without a commit the network might be within its limits."""
    mixtures = two_buses(vm_min=0.99)
    choices = {"a": (profile(100), profile(40)), "b": (profile(0),)}
    for before in (None, [0.0], [0.99 - vm_by_hand(99)]):
        verdict = check(mixtures, before=before, **choices)
        assert not verdict.holds
        assert verdict.worst.startswith("step 0, all held: bus 1")


def test_what_a_step_allows_is_no_leave_for_another_one(two_buses):
    mixtures = two_buses(vm_min=0.99)
    violation = 0.99 - vm_by_hand(100)
    assert violation > 0.009
    choices = {"a": (profile([0, 100]), profile([99, 0])), "b": (profile([0, 0]),)}
    verdict = check(mixtures, steps=2, before=[0.0, violation], **choices)
    assert not verdict.holds
    assert verdict.step_violation_pu == pytest.approx((0.99 - vm_by_hand(99), violation), abs=1e-9)
    # the largest violation is in step 1, the one that is not allowed in step 0
    assert verdict.violation_pu == verdict.step_violation_pu[1] > verdict.step_violation_pu[0]
    assert verdict.worst.startswith("step 0, profile 1 of a; others held: bus 1")
    assert check(mixtures, steps=2, before=[violation, violation], **choices).holds


def test_a_mixture_without_a_power_flow_is_an_infinite_violation(two_buses):
    mixtures = two_buses()
    far = 1e4
    verdict = check(
        mixtures, a=(profile(-far), profile(0)), b=(profile(far), profile(0))
    )  # 10 MW through a 400 V line
    assert (verdict.holds, verdict.violation_pu, verdict.held_violation_pu) == (False, np.inf, 0.0)
    assert "profile 1 of" in verdict.worst
    assert "AC power flow diverged" in verdict.worst
    assert "\n" not in verdict.worst
    for before in (None, [0.0], [0.5]):
        held = check(mixtures, before=before, a=(profile(far), profile(0)), b=(profile(0),))
        assert (held.holds, held.held_violation_pu) == (False, np.inf)
        assert held.worst.startswith("step 0, all held: grid mv: AC power flow diverged")


def test_where_nothing_could_be_solved_before_new_mixtures_keep_the_limits_alone(two_buses):
    mixtures, far = two_buses(vm_min=0.99), profile(1e4)
    verdict = check(mixtures, before=[np.inf], a=(far, profile(0)), b=(profile(0),))
    assert (verdict.holds, verdict.violation_pu) == (True, 0.0)
    assert (verdict.held_violation_pu, verdict.worst) == (np.inf, "")
    verdict = check(mixtures, before=[np.inf], a=(far, profile(100)), b=(profile(0),))
    assert not verdict.holds
    assert verdict.violation_pu == pytest.approx(0.99 - vm_by_hand(100), abs=1e-9)
    # b alone has heard of it: no power flow either, and not what was there before
    verdict = check(mixtures, before=[np.inf], a=(far, profile(0)), b=(profile(0), profile(1)))
    assert (verdict.holds, verdict.violation_pu) == (False, np.inf)
    assert verdict.worst.startswith("step 0, profile 1 of b; others held: grid mv: AC power")
    # held schedules that have a power flow at the new dispatch are no news, either
    assert check(mixtures, before=[np.inf], a=(profile(100), profile(0)), b=(profile(0),)).holds


def test_profiles_that_hardly_differ_are_one_and_steps_are_taken_apart(two_buses, build_feeder):
    mixtures = two_buses()
    close = BoundaryProfile(np.array([0.06 + 1e-13]), np.zeros(1))
    verdict = check(mixtures, a=(profile(60), close, profile(61)), b=(profile(0),) * 3)
    assert (verdict.mixtures, verdict.checked) == (2, 2)
    # 24 grids, each with another profile at a step of its own: two mixtures a step
    many = RadialMixtures(mixtures.feeder, {f"g{k}": 1 for k in range(24)})
    choices = {
        name: (profile(np.zeros(24)), profile(np.eye(24)[k]))
        for k, name in enumerate(many.children)
    }
    verdict = many.check(np.zeros((2, 24)), np.zeros((2, 24)), np.ones(24), None, choices)
    assert (verdict.mixtures, verdict.checked, verdict.exhaustive) == (2**24, 48, True)
    assert verdict.holds


def test_no_grid_below_is_one_mixture(two_buses):
    lone = RadialMixtures(two_buses().feeder, {})
    verdict = lone.check(np.zeros((2, 3)), np.zeros((2, 3)), np.ones(3), None, {})
    assert (verdict.holds, verdict.mixtures, verdict.checked) == (True, 1, 3)


@pytest.mark.parametrize(("grids", "exhaustive"), [(8, True), (9, False)])
def test_more_than_256_mixtures_are_searched_by_worst_cases(
    build_feeder, load_case, grids, exhaustive
):
    mixtures, arguments = random_feeder(build_feeder, load_case("case33bw"), 1, grids)
    verdict = mixtures.check(*arguments)
    assert (verdict.mixtures, verdict.exhaustive) == (2**grids, exhaustive)
    assert (verdict.checked == 2**grids) is exhaustive


def test_violations_are_those_of_the_certificates_of_all_mixtures(build_feeder, load_case):
    net = load_case("case33bw")
    net.bus["max_vm_pu"] = 1.01
    attach_transformer(net, TransformerData(10.0, 8.0, 0.5, -9, 9, 1.25), "mv")
    feeder = build_feeder(net, "mv", kind="fixed_tap")
    network, loads = feeder.network, feeder.devices.loads
    own_p, own_q = np.zeros((2, network.buses, 2))
    at = network.positions(loads.bus)
    own_p[at], own_q[at] = np.outer(loads.p_mw, (0.5, 0.6)), np.outer(loads.q_mvar, (0.5, 0.6))
    children = {"lv1": 17, "lv2": 32, "lv3": 24}
    choices = {
        "lv1": (profile([200, 0], [50, 0]), profile([-800, 100], [0, 20])),
        "lv2": (profile([100, 100]), profile([-900, 500], [30, 0])),
        "lv3": (profile([0, 50], [80, 0]), profile([300, 200], [100, 50])),
    }
    vm, certifier = np.array([1.01, 0.98]), FeederCertifier(feeder)

    def conditions(mixture, ratio):
        p, q = own_p.copy(), own_q.copy()
        for name, pick in zip(children, mixture, strict=True):
            bus = network.positions([children[name]])[0]
            p[bus] += choices[name][pick].p_mw
            q[bus] += choices[name][pick].q_mvar
        nothing = np.zeros((0, 2))
        return Conditions(p, q, nothing, nothing, vm, ratio)

    nothing = [np.zeros((0, 2))] * 6
    schedule = schedule_of(0, np.ones(2), np.zeros(2), np.zeros(2), *nothing)
    mixtures = RadialMixtures(feeder, children)
    found = []
    for ratio in (0.975, 1.025, 0.975):
        largest = {
            m: certifier.certify(schedule, conditions(m, ratio)).largest_violation((0, 1))
            for m in itertools.product((0, 1), repeat=3)
        }
        verdict = mixtures.check(own_p, own_q, vm, ratio, choices)
        assert verdict.violation_pu == pytest.approx(max(largest.values()), abs=1e-9)
        assert verdict.held_violation_pu == pytest.approx(largest[0, 0, 0], abs=1e-9)
        found.append(verdict)
    assert found[0].violation_pu > 0.01
    assert abs(found[0].violation_pu - found[1].violation_pu) > 1e-4
    assert found[0] == found[2]  # a check depends on its arguments alone


def test_worst_cases_find_what_all_mixtures_contain(build_feeder, load_case, monkeypatch):
    violated, held, rated = 0, 0, 0
    for seed in range(24):
        grids, possibilities = ((9, 2), (8, 2), (6, 3), (7, 2))[seed % 4]
        mixtures, arguments = random_feeder(
            build_feeder, load_case("case33bw"), seed, grids, possibilities
        )
        arguments = held_alone(mixtures, *arguments)
        every, worst = both_ways(monkeypatch, mixtures, arguments)
        assert worst.violation_pu == pytest.approx(every.violation_pu, abs=1e-6)
        assert worst.holds is every.holds
        assert worst.held_violation_pu == pytest.approx(every.held_violation_pu, abs=1e-9)
        violated += every.violation_pu > every.held_violation_pu + 1e-3
        held += every.holds
        rated += "line" in every.worst
    assert min(violated, held, rated) >= 3


def test_close_to_collapse_the_usual_solution_is_judged(build_feeder, load_case, monkeypatch):
    # from the solution of another mixture Newton finds a voltage of 0.08 p.u. at seed 340
    solved = 0
    for seed in range(336, 344):
        mixtures, arguments = random_feeder(
            build_feeder, load_case("case33bw"), seed, 7, own=1.0, size=(1.6, 0.6)
        )
        if mixtures.check(*arguments).held_violation_pu == np.inf:
            continue
        every, worst = both_ways(monkeypatch, mixtures, arguments)
        assert worst.violation_pu == pytest.approx(every.violation_pu, abs=1e-6)
        assert worst.violation_pu > 0.05
        solved += np.isfinite(every.violation_pu)
        assert "reached" not in worst.worst
    assert solved >= 5


def test_worst_cases_turn_a_current_around(two_buses, monkeypatch):
    # ten grids of 10 kW, each may give 14 kW instead: every single change unloads the line
    mixtures = RadialMixtures(two_buses(0.0, np.inf, 0.18).feeder, {f"g{k}": 1 for k in range(10)})
    choices = {name: (profile(10), profile(-14)) for name in mixtures.children}
    arguments = (np.zeros((2, 1)), np.zeros((2, 1)), np.ones(1), None, choices)
    every, worst = both_ways(monkeypatch, mixtures, arguments)
    current_ka = 0.14 / (np.sqrt(3.0) * 0.4 * vm_by_hand(-140))
    for verdict in (every, worst):
        assert verdict.violation_pu == pytest.approx(current_ka / 0.18 - 1.0, abs=1e-8)
        assert verdict.held_violation_pu == 0.0
        assert not verdict.holds
    assert worst.violation_pu > 0.05


def test_worst_cases_are_found_where_held_profiles_have_no_power_flow(two_buses, monkeypatch):
    # ten grids of 131 kW collapse (1.298 MVA is the most at these impedances), nine do not
    mixtures = RadialMixtures(two_buses(0.9).feeder, {f"g{k}": 1 for k in range(10)})
    choices = {name: (profile(131), profile(0)) for name in mixtures.children}
    point = (np.zeros((2, 1)), np.zeros((2, 1)), np.ones(1), None, choices)
    every, worst = both_ways(monkeypatch, mixtures, (*point, np.array([np.inf])))
    for verdict in (every, worst):
        assert not verdict.holds
        assert verdict.violation_pu == pytest.approx(0.9 - vm_by_hand(9 * 131), abs=1e-8)
        assert verdict.held_violation_pu == np.inf
    for before in (None, np.array([0.5])):
        for verdict in both_ways(monkeypatch, mixtures, (*point, before)):
            assert (verdict.holds, verdict.violation_pu) == (False, np.inf)


# --- transmission ---


@pytest.fixture
def case30(load_case):
    """MATPOWER case30 without limits."""
    net = load_case("case30")
    net.bus[["min_vm_pu", "max_vm_pu"]] = [0.5, 1.5]
    net.line["max_i_ka"] = np.nan
    for table in ("ext_grid", "gen"):
        net[table][["min_q_mvar", "max_q_mvar"]] = np.nan
        net[table][["min_p_mw", "max_p_mw"]] = [-1e4, 1e4]
    return net


def transmission_of(net):
    horizon = Horizon((60,), 60)
    devices = read_devices(net, "tn", slack_is_unit=True)
    loads, steps = devices.loads, 4
    series = GridSeries(
        load_p_mw=np.tile(loads.p_mw, (steps, 1)),
        load_q_mvar=np.tile(loads.q_mvar, (steps, 1)),
        pv_available_mw=np.zeros((steps, len(devices.photovoltaics.bus))),
        import_eur_per_mwh=np.ones(steps),
        export_eur_per_mwh=np.ones(steps),
    )
    return Transmission(
        "tn", net, meshed_network(net, "tn"), devices, PerfectForecast(series, horizon)
    )


def dispatch(grid, steps=1):
    """Stored dispatch and loads of a net, the slack takes what is left."""
    net = grid.net
    p, q = np.zeros((2, grid.network.buses))
    at = {bus: k for k, bus in enumerate(grid.network.bus_index)}
    for _, load in net.load.iterrows():
        p[at[load.bus]] += load.p_mw
        q[at[load.bus]] += load.q_mvar
    unit = np.array([p.sum() - net.gen.p_mw.sum(), *net.gen.p_mw])
    return tuple(np.repeat(values[:, None], steps, axis=1) for values in (unit, p, q))


def test_a_rated_line_is_overloaded_in_a_mixture_alone(case30):
    held = {"mv1": profile(12e3), "mv2": profile(-12e3)}
    new = {"mv1": profile(0.0), "mv2": profile(0.0)}
    children = {"mv1": 29, "mv2": 28}  # the far corner of the grid
    case30.line["max_i_ka"] = 1.0
    unit, p, q = dispatch(transmission_of(case30))

    def certificate(net, mixture):
        grid = transmission_of(net)
        load = p.copy()
        for name, exchange in mixture.items():
            load[children[name]] += exchange.p_mw
        return TransmissionCertifier(net, grid.network, grid.devices, "tn").certify(unit, load, q)

    mixed = [{"mv1": held["mv1"], "mv2": new["mv2"]}, {"mv1": new["mv1"], "mv2": held["mv2"]}]
    pure = np.max([certificate(case30, m).loading[:, 0] for m in (held, new)], axis=0)
    worst = np.max([certificate(case30, m).loading[:, 0] for m in mixed], axis=0)
    line = int(np.argmax(worst - pure))
    rating = (worst[line] + pure[line]) / 2.0
    case30.line["max_i_ka"] = np.nan
    case30.line.loc[line, "max_i_ka"] = rating

    mixtures = TransmissionMixtures(transmission_of(case30), children)
    choices = {name: (held[name], new[name]) for name in children}
    verdict = mixtures.check(unit, p, q, choices)
    assert not verdict.holds
    assert verdict.held_violation_pu == 0.0
    assert verdict.violation_pu == pytest.approx(worst[line] / rating - 1.0, abs=1e-6)
    assert verdict.violation_pu > 0.05
    assert f"line {line} at {100 * worst[line] / rating:.1f} % of its limit" in verdict.worst
    assert (verdict.mixtures, verdict.checked) == (4, 4)
    for one in (held, new):
        assert mixtures.check(unit, p, q, {name: (one[name],) for name in children}).holds


def test_the_slacks_limit_counts_in_mixtures(case30):
    grid = transmission_of(case30)
    unit, p, q = dispatch(grid)
    children = {"mv1": 6, "mv2": 20}
    choices = {"mv1": (profile(-2e4), profile(0)), "mv2": (profile(2e4), profile(0))}
    free = TransmissionCertifier(case30, grid.network, grid.devices, "tn")
    p_mixed = p.copy()
    p_mixed[20] += 20.0
    slack = free.certify(unit, p_mixed, q).slack_p_mw[0]
    case30.ext_grid["max_p_mw"] = slack - 3.0
    verdict = TransmissionMixtures(transmission_of(case30), children).check(unit, p, q, choices)
    assert verdict.violation_pu == pytest.approx(3.0 / case30.sn_mva, abs=1e-6)
    assert verdict.worst == (f"step 0, profile 1 of mv1; others held: ext_grid 0 at {slack:.2f} MW")


def test_worst_cases_of_a_meshed_network_are_those_of_all_mixtures(case30, monkeypatch):
    violated = 0
    for seed in range(8):
        rng = np.random.default_rng(seed)
        case30.line["max_i_ka"] = 0.12 + 0.03 * (seed % 3)
        case30.bus[["min_vm_pu", "max_vm_pu"]] = [0.97, 1.03]
        case30.gen[["min_q_mvar", "max_q_mvar"]] = [-20.0, 40.0]
        grid = transmission_of(case30)
        buses = rng.choice(np.arange(1, 30), 6, replace=False)
        mixtures = TransmissionMixtures(grid, {f"mv{k}": int(b) for k, b in enumerate(buses)})
        unit, p, q = dispatch(grid, 2)
        choices = {
            name: tuple(
                BoundaryProfile(rng.normal(0.0, 6.0, 2), rng.normal(0.0, 3.0, 2)) for _ in range(2)
            )
            for name in mixtures.children
        }
        every, worst = both_ways(monkeypatch, mixtures, (unit, p, q, choices))
        assert worst.violation_pu == pytest.approx(every.violation_pu, abs=1e-6)
        assert worst.holds is every.holds
        violated += every.violation_pu > every.held_violation_pu + 1e-3
    assert violated >= 3


def test_a_mixture_without_a_power_flow_is_found_in_a_meshed_network(case30):
    grid = transmission_of(case30)
    far = 3e6
    mixtures = TransmissionMixtures(grid, {"mv1": 29, "mv2": 29})
    choices = {"mv1": (profile(-far), profile(0)), "mv2": (profile(far), profile(0))}
    verdict = mixtures.check(*dispatch(grid), choices)
    assert (verdict.holds, verdict.violation_pu, verdict.held_violation_pu) == (False, np.inf, 0.0)
    assert "grid tn: AC power flow diverged" in verdict.worst


# --- what is refused ---


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"a": (profile(0),), "c": (profile(0),)}, "grid c is not below it; accepted: a, b"),
        ({"a": (profile(0),)}, "grid b has no profile; at least one"),
        ({"a": (profile(0),), "b": ()}, "grid b has no profile; at least one"),
        (
            {"a": (profile(0),), "b": (profile(0), profile([0, 0]))},
            r"p_mw of profile 1 of grid b has shape \(2,\); accepted: \(1,\)",
        ),
        (
            {"a": (BoundaryProfile(np.zeros(1), np.array([np.nan])),), "b": (profile(0),)},
            "q_mvar of profile 0 of grid a is nan at step 0; accepted: finite numbers",
        ),
    ],
)
def test_choices_that_do_not_fit_are_refused_in_one_line(two_buses, choices, message):
    with pytest.raises(NetworkError, match=f"^grid mv: {message}") as caught:
        check(two_buses(), **choices)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("own_p", "vm", "ratio", "message"),
    [
        (np.zeros((3, 1)), np.ones(1), None, r"own_p_mw has shape \(3, 1\); accepted: \(2, 1\)"),
        (np.zeros((2, 1)), np.zeros(1), None, "vm_slack_pu is 0 p.u.; accepted: above 0"),
        (np.full((2, 1), np.inf), np.ones(1), None, "own_p_mw is inf at step 0"),
        (np.zeros((2, 1)), np.ones(1), 0.0, "ratio is 0; accepted: above 0"),
    ],
)
def test_conditions_that_do_not_fit_are_refused(two_buses, own_p, vm, ratio, message):
    choices = {"a": (profile(0),), "b": (profile(0),)}
    with pytest.raises(NetworkError, match=f"^grid mv: {message}"):
        two_buses().check(own_p, np.zeros((2, 1)), vm, ratio, choices)


def test_a_dispatch_of_the_wrong_shape_is_refused(case30):
    grid = transmission_of(case30)
    unit, p, q = dispatch(grid)
    mixtures = TransmissionMixtures(grid, {"mv": 3})
    with pytest.raises(NetworkError, match=r"load_p_mw has shape \(29, 1\); accepted: \(30, 1\)"):
        mixtures.check(unit, p[1:], q, {"mv": (profile(0),)})
    with pytest.raises(NetworkError, match="grid tn: unit_p_mw has shape"):
        mixtures.check(unit[1:], p, q, {"mv": (profile(0),)})


def test_an_unknown_bus_is_refused(two_buses, case30):
    with pytest.raises(NetworkError, match="grid mv: grid a is at bus 7, which does not exist"):
        RadialMixtures(two_buses().feeder, {"a": 7})
    with pytest.raises(NetworkError, match="grid tn: grid mv is at bus 99"):
        TransmissionMixtures(transmission_of(case30), {"mv": 99})
