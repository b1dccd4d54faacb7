"""The host steps users' simulators as mosaik itself does: same times and inputs."""

import copy
import warnings

import mosaik
from support import user_simulators
from support.hosted import devices, hosting

from stackelgrid.simulators.external.wiring import FromEntity

END_S = 3600
# name: class, parameters of init, values of its one entity
SIMULATORS = {
    "clock": ("Table", {"step_s": 600}, [1.0, 2.0, 4.0]),
    "valve": ("Follower", {"type": "event-based"}, []),
    "pulses": ("Later", {"step_s": 1100, "type": "event-based"}, [5.0, 6.0]),
    "steady": ("Table", {"step_s": 300}, [1.0, 2.0, 3.0, 4.0, 5.0]),
    "mixed": ("Table", {"step_s": 700, "type": "hybrid", "trigger": ["in"]}, [7.0, 8.0]),
    "last": ("Follower", {"type": "event-based"}, []),
}
# source and its attribute, target and its attribute, time-shifted
CONNECTIONS = [
    ("clock", "P", "valve", "in", False),
    ("pulses", "P", "mixed", "in", False),
    ("steady", "P", "mixed", "Q", False),
    ("mixed", "P", "steady", "in", True),
    ("valve", "P", "last", "in", False),
    ("mixed", "Q", "last", "in", False),
]
INITIAL = 9.0


def steps_of_mosaik():
    configured = {
        name: {"python": f"support.user_simulators:{kind}"}
        for name, (kind, _, _) in SIMULATORS.items()
    }
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="mosaik")
        world = mosaik.World(configured, skip_greetings=True, configure_logging=False)
        with world:
            entities = {}
            for name, (_, parameters, values) in SIMULATORS.items():
                started = world.start(name, sim_id=name, **copy.deepcopy(parameters))
                entities[name] = started.Device(values=values or [0.0])
            for source, given, target, taken, shifted in CONNECTIONS:
                keys = {"time_shifted": True, "initial_data": {given: INITIAL}} if shifted else {}
                world.connect(entities[source], entities[target], (given, taken), **keys)
            world.set_initial_event("pulses")
            world.run(until=END_S, print_progress=False)
    return {name: user_simulators.Table.by_sid[name] for name in SIMULATORS}


def steps_of_the_host():
    def inputs(name):
        found = {}
        for source, given, target, taken, shifted in CONNECTIONS:
            if target == name:
                initial = INITIAL if shifted else None
                entity = FromEntity(source, "devices", 0, given, shifted, initial)
                found[taken] = ((*found.get(taken, ((),))[0], entity),)
        return found

    described = [
        (name, kind, parameters, devices(
            grid="lv1" if name == "clock" else None, p=devices().p if name == "clock" else None,
            parameters={"values": values or [0.0]}, inputs=inputs(name),
        ))
        for name, (kind, parameters, values) in SIMULATORS.items()
    ]  # fmt: skip
    with hosting(*described) as hosted:
        for interval in range(END_S // 900):
            hosted.powers(interval)
        return {name: hosted.seen(name) for name in SIMULATORS}


def test_steps_are_those_of_mosaik():
    expected, found = steps_of_mosaik(), steps_of_the_host()
    for name, steps in expected.items():
        assert len(steps) >= END_S // 1100, name
        assert [s[:2] for s in found[name]] == [s[:2] for s in steps], name
        # mosaik may know more where it has let a source run ahead
        assert all(s[0] <= s[2] <= m[2] for s, m in zip(found[name], steps, strict=True)), name
    for name in ("clock", "valve", "pulses", "steady", "mixed"):
        assert found[name] == expected[name]
