"""The host of users' simulators, in processes of their own: time, values, and the mean."""

import numpy as np
import pytest
from support.hosted import devices, hosting

from stackelgrid.simulators.external.wiring import (
    EntityGroup,
    FromEntity,
    FromSeries,
    FromWorld,
    Reading,
)


def test_powers_hold_between_long_steps_and_are_averaged_over_short_ones():
    long = devices(parameters={"values": [1.0, 3.0]}, positions=(0,))
    short = devices(parameters={"values": [1.0, 2.0, 6.0]}, positions=(1,))
    with hosting(
        ("long", "Table", {"step_s": 1800}, long), ("short", "Table", {"step_s": 400}, short)
    ) as hosted:
        found = np.array([hosted.powers(k).p_mw for k in range(4)])
    # steps of 400 s: 1 2 6 | 1 2 6 ... over 900 s each, by hand
    by_hand = [
        (400 * 1 + 400 * 2 + 100 * 6) / 900, (300 * 6 + 400 * 1 + 200 * 2) / 900,
        (200 * 2 + 400 * 6 + 300 * 1) / 900, (100 * 1 + 400 * 2 + 400 * 6) / 900,
    ]  # fmt: skip
    assert found[:, 0].tolist() == [1.0, 1.0, 3.0, 3.0]
    assert found[:, 1] == pytest.approx(by_hand, rel=1e-14)


def test_units_signs_reactive_power_and_plans():
    group = devices(
        count=2, parameters={"values": [[5.0, -4.0, 3.0, 9.0]]}, p=None, plan=Reading("plan", -1e-3)
    )
    powers = devices(
        "powers", count=2, parameters={"values": [250.0]},
        p=Reading("P", -1e-3), q=Reading("Q", 1e-6),
    )  # fmt: skip
    with hosting(("solar", "Table", {}, group, powers)) as hosted:
        p, q, plan = hosted.powers(0)
    assert p.tolist() == [-0.25, -0.25]
    assert q == pytest.approx([0.00025, 0.00025])
    assert plan == pytest.approx(np.array([[-0.005, 0.004, -0.003]] * 2))


def test_numbers_and_arrays_of_numpy_are_accepted():
    power = devices("power", parameters={"values": [0.5, 0.25]})
    plan = devices("plan", p=None, plan=Reading("plan"), parameters={"values": [[1.5, 2.5]]})
    with hosting(("solar", "OfNumPy", {}, power, plan)) as hosted:
        assert [hosted.powers(k).p_mw[0] for k in range(2)] == [0.5, 0.25]
        assert hosted.powers(2).plan_mw[0, :2].tolist() == [1.5, 2.5]


def test_inputs_carry_sources_and_world_quantities_of_the_interval():
    house = devices(
        count=2,
        inputs={
            "in": tuple((FromWorld("lv1", "bus_vm_pu", i, 100.0),) for i in (2, 0)),
            "Q": ((FromSeries("lv1", np.array([50.0, 70.0])),),) * 2,
            "plan": ((FromEntity("sun", "sky", 0, "P"),),) * 2,
        },
    )
    sky = devices("sky", grid=None, p=None, parameters={"values": [7.0, 8.0]})
    with hosting(("home", "Table", {}, house), ("sun", "Table", {}, sky)) as hosted:
        for k in range(2):
            hosted.powers(k, bus_vm_pu=np.array([1.0, np.nan, 1.02 + k]))
        (_, first, until), (time, second, _) = hosted.seen("home")
    assert (time, until) == (900, 3600)
    assert first["d0"] == {
        "in": {"stackelgrid.lv1": 102.0}, "Q": {"stackelgrid.lv1": 50.0}, "plan": {"sun.d0": 7.0},
    }  # fmt: skip
    assert first["d1"]["in"] == {"stackelgrid.lv1": 100.0}
    assert second["d0"]["in"] == {"stackelgrid.lv1": pytest.approx(202.0)}
    assert (second["d1"]["Q"], second["d1"]["plan"]) == (
        {"stackelgrid.lv1": 70.0}, {"sun.d0": 8.0},
    )  # fmt: skip


def test_a_quantity_without_a_value_is_left_out():
    house = devices(inputs={"in": ((FromWorld("lv1", "external_p_set_mw"),),)})
    with hosting(("home", "Table", {}, house)) as hosted:
        hosted.powers(0, external_p_set_mw=np.array([0.5]))
        hosted.powers(1, external_p_set_mw=np.array([np.nan]))
        (_, first, _), (_, second, _) = hosted.seen("home")
    assert first == {"d0": {"in": {"stackelgrid.lv1": 0.5}}}
    assert second == {}


def test_event_based_simulators_are_stepped_by_their_inputs_and_hold_their_power():
    source = devices("source", grid=None, p=None, parameters={"values": [1.0, 2.0, 4.0]})
    target = devices(inputs={"in": ((FromEntity("clock", "source", 0, "P"),),)})
    with hosting(
        ("clock", "Table", {"step_s": 600}, source), ("valve", "Follower",
        {"type": "event-based"}, target), intervals=2,
    ) as hosted:  # fmt: skip
        found = [hosted.powers(k).p_mw[0] for k in range(2)]
        steps = hosted.seen("valve")
    assert found == pytest.approx([(600 * 1 + 300 * 2) / 900, (300 * 2 + 600 * 4) / 900])
    # max_advance: the source may start a step at its next one, and nothing after the end
    assert [(t, until) for t, _, until in steps] == [(0, 599), (600, 1199), (1200, 1800)]


def test_an_event_is_received_once_and_only_triggers_start_steps():
    """A hybrid simulator: `in` starts a step, Q does not; an event holds for its step only."""
    pulse = devices("pulse", grid=None, p=None, parameters={"values": [5.0]})
    hybrid = devices(
        inputs={
            "in": ((FromEntity("pulses", "pulse", 0, "P"),),),
            "Q": ((FromEntity("steady", "level", 0, "P"),),),
        }
    )
    level = devices("level", grid=None, p=None, parameters={"values": [1.0, 2.0]})
    with hosting(
        ("pulses", "Later", {"step_s": 1800, "type": "event-based"}, pulse),
        ("steady", "Table", {"step_s": 300}, level),
        ("mixed", "Table", {"step_s": 500, "type": "hybrid", "trigger": ["in"]}, hybrid),
        intervals=2,
    ) as hosted:
        for k in range(2):
            hosted.powers(k)
        steps = {t: inputs["d0"] for t, inputs, _ in hosted.seen("mixed")}
    assert sorted(steps) == [0, 500, 900, 1000, 1400, 1500]
    assert [t for t, inputs in steps.items() if "in" in inputs] == [900]
    assert steps[900] == {"in": {"pulses.d0": 5.0}, "Q": {"steady.d0": 2.0}}


def test_a_time_shifted_value_is_that_of_the_step_before():
    shifted = FromEntity("right", "b", 0, "P", time_shifted=True, initial=9.0)
    there = devices(
        "a", grid=None, p=None, parameters={"values": [1.0, 2.0]}, inputs={"in": ((shifted,),)}
    )
    back = devices("b", inputs={"in": ((FromEntity("left", "a", 0, "P"),),)})
    with hosting(("left", "Table", {}, there), ("right", "Table", {}, back)) as hosted:
        for k in range(2):
            hosted.powers(k)
        assert [i["d0"]["in"]["right.d0"] for _, i, _ in hosted.seen("left")] == [9.0, 0.0]
        assert [i["d0"]["in"]["left.d0"] for _, i, _ in hosted.seen("right")] == [1.0, 2.0]


def test_entities_may_be_the_children_of_one():
    flats = devices(
        "flats", "Block", count=3, child="Flat", parameters={"flats": 3}, positions=(2, 1, 0)
    )
    with hosting(("block", "Block", {}, flats)) as hosted:
        assert hosted.powers(0).p_mw.tolist() == [0.5, 0.5, 0.5]


def test_a_saved_state_goes_on_to_the_same_bits():
    values = [0.1, 0.7, 0.3, 0.9, 0.2]
    described = ("t", "Table", {"step_s": 700}, devices(parameters={"values": values}))
    with hosting(described) as hosted:
        whole = [hosted.powers(k).p_mw[0] for k in range(2)]
        state = hosted.host.state()
        whole += [hosted.powers(k).p_mw[0] for k in (2, 3)]
        assert hosted.host.unsaved == ""
    with hosting(described) as hosted:
        hosted.host.restore(state)
        assert [hosted.powers(k).p_mw[0] for k in (2, 3)] == whole[2:]


def test_the_boiler_of_the_household_takes_in_the_mean_what_is_drawn():
    houses = EntityGroup(
        "homes", "House", 3, {"base_kw": 0.3}, grid="lv1", positions=(2, 0, 1),
        p=Reading("P[kW]", 1e-3),
    )  # fmt: skip
    kind = "stackelgrid.scenarios.household:Household"
    with hosting(("homes", kind, {"step_s": 60}, houses), intervals=96) as hosted:
        found = np.array([hosted.powers(k).p_mw for k in range(96)])
    # it heats 10 K in 0.994 h and cools in 6.96 h: three cycles in 23.9 h
    assert found.mean() == pytest.approx(0.00030 + 0.00025, rel=0.06)
    assert found.max() == pytest.approx(0.0023)
    assert found.min() == pytest.approx(0.0003)
