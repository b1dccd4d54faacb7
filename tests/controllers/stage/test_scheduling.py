"""Order of the solves of an interval; no result depends on it."""

import threading
from concurrent.futures import CancelledError, Future
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from stackelgrid.controllers.bilevel import audit
from stackelgrid.controllers.cascade.interval import Interval
from stackelgrid.controllers.decision import SchemeDecision
from stackelgrid.controllers.protocol import ControllerSettings
from stackelgrid.controllers.schedule import Measurement
from stackelgrid.controllers.solvers.backends.clarabel import ClarabelSolver
from stackelgrid.controllers.stage import evaluate
from stackelgrid.controllers.stage.stage import Stage, StageInstance
from stackelgrid.controllers.stage.threads import Threads


def measure(system):
    return {f.name: Measurement(1.0, 0, f.devices.initial) for f in system.feeders}


@pytest.fixture
def counted(monkeypatch):
    """Number of variables of every program that Clarabel solves."""
    solved, solve = [], ClarabelSolver.solve

    def counting(self, data):
        solved.append(self.program.variables)
        return solve(self, data)

    monkeypatch.setattr(ClarabelSolver, "solve", counting)
    return solved


def test_a_follower_is_solved_once_an_interval(system, with_cascade, counted):
    """It is asked whether it can serve the leaders, what it dispatches, and for the audit."""
    cascade = with_cascade(system)
    variables = cascade.stages[-1].follower.compiled.program.variables
    outcome = cascade.decide(0, measure(system)).outcomes[-1]
    assert outcome.follower_gap <= 1e-6
    assert counted.count(variables) == 1


def test_a_follower_answers_other_parameters_anew(system, with_cascade, counted):
    follower = with_cascade(system).stages[-1].follower
    p = follower.parameters(0)
    first = follower.solve(p)
    assert follower.solve(p.copy()) is first
    p[follower.exchange("lv1")[0]] += 0.01  # in place: what was asked is remembered by value
    other = follower.solve(p)
    assert other.objective > first.objective
    assert len(counted) == 2


def test_a_bound_that_its_multipliers_do_not_prove_is_found_anew(system, with_cascade, counted):
    """A wrong answer does not audit itself."""
    follower = with_cascade(system).stages[-1].follower
    program, p = follower.compiled.program, follower.parameters(0)
    data, answer = program.data(p), follower.solve(p)
    independent = audit.IndependentSolver(program)
    honest, by = independent.optimum(data, answer)
    assert (len(counted), by) == (1, "highs and duality")
    for wrong in (
        replace(answer, bound=1.01 * answer.bound),
        replace(answer, dual=0.5 * answer.dual),
    ):
        counted.clear()
        assert independent.optimum(data, wrong) == (honest, "highs and clarabel")
        assert len(counted) == 1


def test_the_next_stage_decides_while_the_last_one_is_audited(
    build_medium, with_cascade, monkeypatch
):
    system = build_medium()
    cascade = with_cascade(system)
    lower, upper = cascade.stages
    begun, decide, gap = threading.Event(), upper.scheme.decide, evaluate.follower_gap

    def audit_of(stage, *arguments):
        assert begun.wait(60.0)
        return gap(stage, *arguments)

    def begin(instance):
        begun.set()
        return decide(instance)

    monkeypatch.setattr(evaluate, "follower_gap", audit_of)
    monkeypatch.setattr(upper.scheme, "decide", begin)
    (outcome,) = cascade.decide(0, measure(system)).outcomes
    assert outcome.follower == lower.name == "mv1"
    assert outcome.follower_gap <= 1e-6


@pytest.fixture
def eager(build_medium, with_cascade, monkeypatch):
    """A cascade whose lower plans are certified once the upper group solves, and what it solves."""
    cascade = with_cascade(build_medium(), threads=3)
    lower, upper = cascade.stages
    (group,) = upper.groups
    solved, begun, solve = [], threading.Event(), group.solve

    def solving(instances):
        solved.append(instances)
        begun.set()
        return solve(instances)

    monkeypatch.setattr(group, "solve", solving)
    for agent in lower.leaders.values():
        certified = agent.certified

        def waiting(*given, certified=certified):
            assert begun.wait(60.0)
            return certified(*given)

        monkeypatch.setattr(agent, "certified", waiting)
    return cascade, solved


def same_bits(decision, expected):
    assert decision.messages == expected.messages
    assert tuple(decision.plans) == tuple(expected.plans)
    for name, plan in expected.plans.items():
        ours, theirs = decision.plans[name], plan
        assert ours.report.objective_eur == theirs.report.objective_eur
        for field in ("p_import_mw", "battery_p_mw", "pv_q_mvar"):
            np.testing.assert_array_equal(
                getattr(ours.schedule, field), getattr(theirs.schedule, field)
            )


def test_the_next_stage_decides_while_plans_are_certified(eager, with_cascade):
    cascade, solved = eager
    system = cascade.system
    decision = cascade.decide(0, measure(system))
    assert len(solved) == 1  # what it began with is its answer
    same_bits(decision, with_cascade(system, threads=1).decide(0, measure(system)))


def test_a_wrong_beginning_leaves_no_trace(eager, with_cascade, monkeypatch):
    """Where exchanges change a group solves again, and an error of its beginning does not count."""
    cascade, solved = eager
    lower, upper = cascade.stages
    boundaries, solve = lower.boundaries, upper.groups[0].solve

    def others(points, instance):
        found = boundaries(points, instance)
        return {name: replace(b, p_mw=b.p_mw + 1e-9) for name, b in found.items()}

    def failing_first(instances):
        found = solve(instances)
        if len(solved) == 1:
            raise MemoryError("of a beginning")
        return found

    monkeypatch.setattr(lower, "boundaries", others)
    monkeypatch.setattr(upper.groups[0], "solve", failing_first)
    system = cascade.system
    decision = cascade.decide(0, measure(system))
    assert len(solved) == 2
    same_bits(decision, with_cascade(system, threads=1).decide(0, measure(system)))


def test_an_interrupt_leaves_out_what_has_not_begun(build_medium, with_cascade, monkeypatch):
    """Threads are busy, the next stage waits for one: it never begins."""
    system = build_medium()
    cascade = with_cascade(system, threads=2)
    upper = cascade.stages[-1]
    go_on, begun, solved = threading.Event(), threading.Barrier(3, timeout=60.0), []
    begin_groups = upper.begin_groups

    def busy():
        begun.wait()
        assert go_on.wait(60.0)

    def begin(instance):
        for _ in range(2):
            upper.pool.submit(busy)
        begun.wait()
        begin_groups(instance)
        raise KeyboardInterrupt

    monkeypatch.setattr(upper, "begin_groups", begin)
    monkeypatch.setattr(upper.groups[0], "solve", solved.append)
    with pytest.raises(KeyboardInterrupt):
        cascade.decide(0, measure(system))
    go_on.set()
    upper.pool.shutdown()
    assert solved == []


def test_the_follower_is_audited_while_plans_are_certified(system, with_cascade, monkeypatch):
    cascade = with_cascade(system, threads=2)
    audited, gap = threading.Event(), evaluate.follower_gap

    def audit_of(*given):
        audited.set()
        return gap(*given)

    for agent in cascade.stages[-1].leaders.values():
        certified = agent.certified

        def waiting(*given, certified=certified):
            assert audited.wait(60.0)
            return certified(*given)

        monkeypatch.setattr(agent, "certified", waiting)
    monkeypatch.setattr(evaluate, "follower_gap", audit_of)
    assert cascade.decide(0, measure(system)).outcomes[-1].follower_gap <= 1e-6


def test_an_audit_of_another_dispatch_does_not_count(system, with_cascade, monkeypatch):
    """Where mending changes an exchange the follower is audited for the one it serves."""
    cascade = with_cascade(system, threads=2)
    stage = cascade.stages[-1]
    audited, boundaries, gap = [], stage.boundaries, evaluate.follower_gap

    def others(points, instance):
        found = boundaries(points, instance)
        return {name: replace(b, p_mw=b.p_mw + 1e-6) for name, b in found.items()}

    def audit_of(stage, p, *given):
        audited.append(p)
        return gap(stage, p, *given)

    monkeypatch.setattr(evaluate, "follower_gap", audit_of)
    expected = with_cascade(system, threads=1).decide(0, measure(system))
    (served,) = audited
    monkeypatch.setattr(stage, "boundaries", others)
    same_bits(cascade.decide(0, measure(system)), expected)
    np.testing.assert_array_equal(audited[-1], served)


def test_an_audit_that_fails_on_its_thread_fails_the_decision(system, with_cascade, monkeypatch):
    def broken(self, data, answer=None):
        raise MemoryError("of the audit")

    monkeypatch.setattr(audit.IndependentSolver, "optimum", broken)
    with pytest.raises(MemoryError, match="of the audit"):
        with_cascade(system).decide(0, measure(system))


def test_an_audit_of_what_is_decided_again_is_left_out():
    future = Future()
    Interval(0, {}, {}, audits={"tn": future}).drop_audit("tn")
    with pytest.raises(CancelledError):
        future.result()


def test_large_groups_begin_first_and_results_keep_their_order():
    sizes, begun, instance = {"a": 1, "b": 3, "c": 2, "d": 3}, [], SimpleNamespace(interval=0)

    def group(name):
        def decide(leaders):
            begun.append(name)
            return SchemeDecision({name: name}, float(ord(name)), 0.0), None

        program = SimpleNamespace(variables=sizes[name])
        return SimpleNamespace(
            names=(name,),
            solve=decide,
            keep=lambda start: None,
            compiled=SimpleNamespace(program=program),
        )

    forecast = SimpleNamespace(import_eur_per_mwh=np.ones(2), export_eur_per_mwh=np.zeros(2))
    instance = SimpleNamespace(interval=0, forecast=forecast)
    agents = {name: SimpleNamespace(plan=lambda *given: given) for name in sizes}
    with Threads(1) as pool:
        settings = ControllerSettings(gap=1e-6)
        stage = Stage("", agents, None, (), settings, pool, lambda stage: None)
        groups = tuple(group(name) for name in sizes)
        stage.groups_of = lambda variant: groups
        found = stage.decide_groups(StageInstance(0, {}, dict.fromkeys(sizes, instance), None))
    assert begun == ["b", "d", "c", "a"]
    assert tuple(found.points) == tuple(sizes)
