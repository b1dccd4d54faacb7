"""Privacy of negotiations: no datum of loads, devices or network leaves an agent."""

import gc
import types
from collections.abc import Iterable
from concurrent.futures import Executor

import msgspec
import numpy as np
import pytest
import simpy
from support.negotiating_streets import AGENTS, HEAD_VM_PU, build

from stackelgrid.controllers.schedule import Measurement
from stackelgrid.simulators.messages.communication import CommunicationNetwork

HEADER = {"type", "protocol", "sender", "recipient", "interval", "attempt"}
FIELDS = {
    "response": HEADER | {"round", "exchange_mw", "trade_mw"},
    "vote": HEADER
    | {"round", "yes", "exchange_mw", "exchange_mvar", "trade_mw", "held", "held_mw", "held_mvar"},
    "ack": HEADER | {"held"},
}
INTERVALS = 3
# distance of two numbers that are taken for one; what is sent and known has 16 digits
RELATIVE = 1e-9


@pytest.fixture(scope="module")
def negotiated(tmp_path_factory):
    """Streets after three negotiations, and the data that each agent had for each of them."""
    streets = build(tmp_path_factory.mktemp("privacy")).start()
    coordinator = streets.scheme.coordinator
    opens, streets.openings = coordinator.open, []

    def recorded(interval, gate_s, public, own_parameters):
        streets.openings.append(own_parameters)
        streets.reactive.clear()
        opens(interval, gate_s, public, own_parameters)

    coordinator.open = recorded
    with_reactive, streets.reactive = streets.scheme.follower.with_reactive, []

    def answered(parameters, q_mvar):
        streets.reactive.append((parameters, q_mvar))
        return with_reactive(parameters, q_mvar)

    streets.scheme.follower.with_reactive = answered
    instances = {name: [] for name in AGENTS}
    for name, agent in streets.scheme.agents.items():

        def begun(instance, price, *, begin=agent.begin, own=instances[name]):
            own.append(instance)
            begin(instance, price)

        agent.begin = begun
    for interval in range(INTERVALS):
        _, found = streets.decide(interval)
        assert found.confirmed == AGENTS
    return streets, instances


def messages_of(streets, name):
    """Content of everything that an agent has sent, without its own types."""
    return [msgspec.msgpack.decode(p) for sender, p in streets.payloads if sender == name]


def floats(content):
    """All floating-point numbers in a message."""
    if isinstance(content, float):
        yield content
    elif isinstance(content, dict):
        for value in content.values():
            yield from floats(value)
    elif isinstance(content, (list, tuple)):
        for value in content:
            yield from floats(value)


def private_data(agent, instances):
    """Numbers that nobody but the agent may know, by what they are; powers in MW."""
    feeder = agent.agent.feeder
    network, devices, base = feeder.network, feeder.devices, feeder.network.base_mva
    batteries, pv = devices.batteries, devices.photovoltaics
    found = {
        "network": [network.r, network.x, network.i_max, network.vm_min, network.vm_max],
        "base": [base],
        "battery": [batteries.p_max_mw, batteries.e_min_mwh, batteries.e_max_mwh,
                    batteries.e_initial_mwh, batteries.efficiency_charge,
                    batteries.efficiency_discharge, batteries.wear_eur_per_mwh],
        "photovoltaics": [pv.p_rated_mw, pv.sn_mva],
        "peak": [feeder.load_peak_mw, feeder.load_peak_mw.sum()],
        "transformer": [feeder.net.trafo.sn_mva, feeder.net.trafo.vk_percent,
                        feeder.net.trafo.vkr_percent, feeder.net.trafo.pfe_kw],
        "line": [feeder.net.line.length_km, feeder.net.line.r_ohm_per_km,
                 feeder.net.line.x_ohm_per_km, feeder.net.line.max_i_ka],
    }  # fmt: skip
    for instance in instances:
        forecast = instance.forecast
        for key, values in (
            ("load", [forecast.load_p_mw, forecast.load_q_mvar]),
            ("available", [forecast.pv_available_mw]),
            ("stored", [*instance.states.values()]),
            ("head", [instance.head_vm_pu]),
        ):
            found.setdefault(key, []).extend(values)
            # sums over buses, or over devices
            found[key] += [np.asarray(v).sum(axis=1) for v in values if np.ndim(v) == 2]
            found[key] += [np.cumsum(v, axis=1) for v in values if np.ndim(v) == 2]
        net = forecast.load_p_mw.sum(axis=1) - forecast.pv_available_mw.sum(axis=1)
        found["load"].append(net)
    return {
        key: np.unique(np.concatenate([np.ravel(np.asarray(v, dtype=float)) for v in values]))
        for key, values in found.items()
    }


def telling_ones(values):
    """Sizes of numbers that are no commonplace."""
    sizes = np.abs(values[np.isfinite(values)])
    return sizes[(sizes > 1e-9) & (sizes != 1.0)]


def leaks(sent, private, base_mva, copies):
    """Private numbers found among those sent, in MW or p.u. or kW, of one copy or of all."""
    sent = np.sort(np.abs(np.asarray(sent)))
    scales = [
        unit * number
        for unit in (1.0, 1.0 / base_mva, base_mva, 1e3, 1e-3)
        for number in (1.0, copies, 1.0 / copies)
    ]
    found = []
    for key, values in private.items():
        telling = telling_ones(values)
        for scale in scales:
            scaled = scale * telling
            at = np.searchsorted(sent, scaled)
            for side in (np.clip(at, 0, len(sent) - 1), np.clip(at - 1, 0, len(sent) - 1)):
                near = np.abs(sent[side] - scaled) <= RELATIVE * scaled
                found += [(key, scale, value) for value in telling[near]]
    return found


@pytest.mark.parametrize("name", AGENTS)
def test_no_datum_of_an_agent_is_among_what_it_sends(negotiated, name):
    streets, instances = negotiated
    agent = streets.scheme.agents[name]
    private = private_data(agent, instances[name])
    # there are losses, PV and batteries, each with numbers that could be told
    assert all(len(telling_ones(values)) for values in private.values())
    assert streets.lost_mwh[name] > 0.0
    sent = [v for content in messages_of(streets, name) for v in floats(content)]
    assert len(sent) > 200
    assert len({abs(v) for v in sent}) > 50
    base, copies = agent.agent.feeder.network.base_mva, agent.multiplicity
    assert leaks(sent, private, base, copies) == []
    # and would be found: each kind of datum, as it is and scaled
    for key, values in private.items():
        telling = telling_ones(values)
        for scale in (1.0, copies, 1.0 / base):
            told = leaks([*sent, scale * telling[-1]], private, base, copies)
            assert key in {one[0] for one in told}, key


def test_an_agent_is_enrolled_with_two_numbers(negotiated):
    """Its coordinator holds messages to them; above it they count with its copies."""
    scheme = negotiated[0].scheme
    assert scheme.coordinator.mailbox.limits == {name: scheme.limits(name) for name in AGENTS}
    below = scheme.host.enrolled_below("mv1")
    assert below == [(n, scheme.limits(name)) for n, name in zip((7, 5, 4), AGENTS, strict=True)]
    assert scheme.host.enrolled_below("lv1") == []


@pytest.mark.parametrize("name", AGENTS)
def test_only_listed_fields_leave_an_agent(negotiated, name):
    streets, _ = negotiated
    kinds = set()
    for content in messages_of(streets, name):
        kinds.add(content["type"])
        assert set(content) == FIELDS[content["type"]]
        assert content["sender"] == name
        assert content["recipient"] == "mv1"
        for key, value in content.items():
            if key.endswith(("_mw", "_mvar")):
                assert len(value) == 3  # a number a step, not a bus
                assert all(type(v) is float for v in value)
            elif key == "held":
                assert value is None or set(value) == {"interval", "attempt"}
            else:
                assert isinstance(value, (int, str, bool))
    assert kinds == set(FIELDS)


def test_agents_hear_of_each_other_by_prices_alone(negotiated):
    """What one agent sends is in no message to another one, a cleared trade of its own aside."""
    streets, _ = negotiated
    told = [
        (content["recipient"], set(map(abs, floats(content))))
        for sender, payload in streets.payloads
        for content in [msgspec.msgpack.decode(payload)]
        if sender == "mv1"
    ]
    for name in AGENTS:
        sent = {abs(v) for c in messages_of(streets, name) for v in floats(c)} - {0.0}
        others = set().union(*(values for recipient, values in told if recipient != name))
        assert not sent & others


def test_the_coordinator_knows_of_its_agents_what_they_have_told(negotiated):
    """It opens an interval with its own network alone; reactive exchanges are those of votes."""
    streets, instances = negotiated
    scheme = streets.scheme
    follower = scheme.follower
    measured = Measurement(HEAD_VM_PU, 0, battery_e_mwh=streets.energy_mwh["mv1"])
    for interval, own in enumerate(streets.openings):
        np.testing.assert_array_equal(own, follower.parameters(interval, measured))
    votes = {
        content["sender"]: content
        for _, payload in streets.payloads
        for content in [msgspec.msgpack.decode(payload)]
        if content["type"] == "vote" and content["interval"] == INTERVALS - 2
    }
    own, used = streets.reactive[0]  # with which the last negotiation began
    assert own is streets.openings[-1]
    for name in AGENTS:
        copies, q_mvar = scheme.agents[name].multiplicity, votes[name]["exchange_mvar"]
        told = copies * np.array([*q_mvar[1:], q_mvar[-1]])  # an interval later
        np.testing.assert_array_equal(used[name], told)
        loads = copies * instances[name][-1].load_q_mvar.sum(axis=0)
        assert np.abs(told - loads).max() > 1e-6


# what all agents may see: the clock, the network, threads, and data that nobody changes
SHARED = (simpy.Environment, CommunicationNetwork, Executor, types.ModuleType, type)
CODE = (types.FunctionType, types.BuiltinFunctionType, types.CodeType, types.GeneratorType)


def reachable(start):
    """Objects reachable from one without leaving through shared ones or code, by id."""
    seen, todo = {}, [start]
    while todo:
        one = todo.pop()
        if id(one) in seen or isinstance(one, (*SHARED, *CODE, str, bytes, int, float)):
            continue
        seen[id(one)] = one
        if isinstance(one, np.ndarray):
            if one.base is not None:
                todo.append(one.base)
            continue
        if isinstance(one, types.MethodType):
            todo.append(one.__self__)
        elif isinstance(one, dict):
            todo += [*one.keys(), *one.values()]
        elif isinstance(one, Iterable) and isinstance(one, (list, tuple, set, frozenset)):
            todo += one
        else:
            todo += [o for o in gc.get_referents(one) if not isinstance(o, type)]
    return seen


def test_no_agent_reaches_another_one(negotiated):
    """Neither its process nor what it computes with; only the messages lead from one to another."""
    streets, instances = negotiated
    for name in AGENTS:
        seen = reachable(streets.process(name))
        agent = streets.scheme.agents[name]
        assert id(agent) in seen
        assert id(agent.agent) in seen
        assert id(instances[name][-1]) in seen
        for other in set(AGENTS) - {name}:
            its = streets.scheme.agents[other]
            for one in (streets.process(other), its, its.agent, its.agent.feeder,
                        instances[other][-1], streets.process(other).participant,
                        streets.process(other).mailbox,
                        *(solver for _, solver in its.solvers.values())):  # fmt: skip
                assert id(one) not in seen, f"{name} reaches {type(one).__name__} of {other}"
        assert id(streets.scheme.coordinator) not in seen
        assert id(streets.scheme.coordinator.coordinator) not in seen
