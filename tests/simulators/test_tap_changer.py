"""Deadband, delay, range and direction of an on-load tap changer."""

import pytest

from stackelgrid.controllers.networks.taps import TapChanger
from stackelgrid.simulators.tap_changer import TapControl, TapRegulator


def changer(tap_min, tap_max, step_percent, tap_neutral, neutral_ratio):
    """Even steps of the ratio on the upstream side."""
    steps = range(tap_min - tap_neutral, tap_max - tap_neutral + 1)
    ratios = tuple(neutral_ratio * (1.0 + k * step_percent / 100.0) for k in steps)
    return TapChanger(tap_min, ratios, (0.0,) * len(ratios))


TAPS = changer(-8, 8, 1.25, 0, 1.0)
CONTROL = TapControl(vm_set_pu=1.02, deadband_pu=0.02, delay_s=60.0)


def regulator(control=CONTROL, tap_pos=0, taps=TAPS):
    return TapRegulator(taps, control, tap_pos)


def settle(reg, upstream_pu):
    """Move while the regulator wants to, the lower side following the ratio; returns voltage."""
    vm = upstream_pu / reg.taps.ratio(reg.tap_pos)
    while step := reg.wants(vm):
        vm = upstream_pu / reg.move(step)
    return vm


@pytest.mark.parametrize(
    ("vm_pu", "direction"),
    [(1.0101, 0), (1.0299, 0), (1.0301, 1), (1.0099, -1), (1.02, 0), (0.5, -1), (2.0, 1)],
)
def test_band_is_half_a_deadband_to_each_side(vm_pu, direction):
    reg = regulator()
    reg.begin_interval(900.0)
    assert reg.wants(vm_pu) == direction


@pytest.mark.parametrize(
    ("interval_s", "delay_s", "steps"),
    [(900.0, 60.0, 15), (900.0, 899.0, 1), (900.0, 900.0, 1), (900.0, 901.0, 0), (60.0, 25.0, 2)],
)
def test_delay_grants_that_many_steps_an_interval(interval_s, delay_s, steps):
    taps = changer(-50, 50, 0.1, 0, 1.0)
    reg = regulator(TapControl(1.02, 0.02, delay_s), taps=taps)
    reg.begin_interval(interval_s)
    settle(reg, 0.9)
    assert reg.tap_pos == -steps


def test_time_outside_the_band_is_carried_over():
    """900 s with a delay of 1000 s: no step at first, one at 1800 s, one at 2700 s."""
    reg = regulator(TapControl(1.02, 0.02, 1000.0))
    positions = []
    for _ in range(4):
        reg.begin_interval(900.0)
        reg.end_interval(settle(reg, 0.9))
        positions.append(reg.tap_pos)
    assert positions == [0, -1, -2, -3]


def test_a_step_uses_up_its_delay():
    """900 s with 400 s a step: two steps leave 100 s, and the third interval 300 s for a ninth."""
    reg = regulator(TapControl(1.02, 0.02, 400.0), taps=changer(-50, 50, 0.1, 0, 1.0))
    positions = []
    for _ in range(4):
        reg.begin_interval(900.0)
        reg.end_interval(settle(reg, 0.9))
        positions.append(reg.tap_pos)
    assert positions == [-2, -4, -6, -9]
    assert reg.outside_s == 0.0


def test_time_carried_over_is_at_most_one_delay():
    """Long out of the band at the end of the range earns one early step, not many."""
    reg = regulator(TapControl(1.02, 0.02, 600.0), tap_pos=-8)
    for _ in range(5):
        reg.begin_interval(900.0)
        reg.end_interval(settle(reg, 0.8))
    assert reg.tap_pos == -8
    assert reg.outside_s == 600.0
    reg.begin_interval(900.0)
    settle(reg, 1.2)
    assert reg.tap_pos == -6  # 600 s + 900 s grant two steps of 600 s


def test_time_inside_the_band_is_forgotten():
    reg = regulator(TapControl(1.02, 0.02, 1000.0))
    reg.begin_interval(900.0)
    reg.end_interval(0.9)
    assert reg.outside_s == 900.0
    reg.begin_interval(900.0)
    reg.end_interval(1.02)
    assert reg.outside_s == 0.0
    reg.begin_interval(900.0)
    assert reg.wants(0.9) == 0


@pytest.mark.parametrize(("upstream_pu", "end"), [(0.5, -8), (2.0, 8)])
def test_range_ends_the_steps(upstream_pu, end):
    reg = regulator()
    reg.begin_interval(3600.0)
    settle(reg, upstream_pu)
    assert reg.tap_pos == end


def test_one_direction_within_an_interval():
    reg = regulator()
    reg.begin_interval(900.0)
    assert reg.wants(0.9) == -1
    reg.move(-1)
    assert reg.wants(1.2) == 0
    assert reg.wants(0.9) == -1
    reg.end_interval(1.2)
    reg.begin_interval(900.0)
    assert reg.wants(1.2) == 1


def test_without_delay_it_settles_and_does_not_hunt():
    reg = regulator(TapControl(1.02, 0.02, 0.0))
    reg.begin_interval(900.0)
    vm = settle(reg, 0.97)
    assert 1.01 <= vm <= 1.03
    assert reg.tap_pos == -4  # 0.97 / (1 - 0.0125 k) enters 1.01 at k = 3.17
    assert reg.wants(vm) == 0


def test_a_higher_position_lowers_the_voltage():
    """ratio = neutral (1 + step (pos - neutral position)), on the upper side."""
    taps = changer(-2, 2, 2.5, 1, 1.05)
    assert taps.ratio(1) == 1.05
    assert taps.ratio(2) == pytest.approx(1.05 * 1.025, rel=1e-15)
    assert taps.ratio(-2) == pytest.approx(1.05 * 0.925, rel=1e-15)
    reg = regulator(taps=taps)
    reg.begin_interval(900.0)
    assert reg.move(reg.wants(1.1)) == taps.ratio(1)


def test_a_fixed_tap_stays():
    reg = regulator(control=None, tap_pos=-1)
    reg.begin_interval(1e6)
    assert reg.wants(0.5) == reg.wants(2.0) == 0
    reg.end_interval(0.5)
    assert reg.tap_pos == -1


def test_a_negative_step_moves_the_other_way_towards_the_set_point():
    """With -1.25 % a step the ratio falls with the position: 0.97 p.u. is raised by going up."""
    reg = regulator(TapControl(1.02, 0.02, 0.0), taps=changer(-8, 8, -1.25, 0, 1.0))
    reg.begin_interval(900.0)
    assert reg.wants(0.97) == 1
    vm = settle(reg, 0.97)
    assert 1.01 <= vm <= 1.03
    assert reg.tap_pos == 4
