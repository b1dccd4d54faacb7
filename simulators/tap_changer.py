"""On-load tap changer: steps, deadband and delay, in the quasi-stationary time of a simulation."""

from dataclasses import dataclass

from stackelgrid.controllers.networks.taps import TapChanger
from stackelgrid.profiles.stateful import Carrying

# most steps in one interval: tap changers without delay could hunt for ever
_MOST_MOVES = 1000


@dataclass(frozen=True)
class TapControl:
    """Regulator of an on-load tap changer: keeps the lower side at vm_set +- deadband / 2 (p.u.).

    `delay_s` is the time that the voltage must be outside the band before each step of the tap.
    """

    vm_set_pu: float
    deadband_pu: float
    delay_s: float


class TapRegulator(Carrying):
    """State of one regulator; moves in one direction only within an interval, so it cannot hunt."""

    carried = ("tap_pos", "outside_s")

    def __init__(self, taps: TapChanger, control: TapControl | None, tap_pos: int) -> None:
        self.taps, self.control = taps, control
        self.tap_pos = tap_pos
        self.outside_s = 0.0
        self._moves_left = 0
        self._direction = 0

    def begin_interval(self, interval_s: float) -> None:
        """Grant the steps that the delay permits within the coming interval."""
        if self.control is None:
            return
        self.outside_s += interval_s
        delay = self.control.delay_s
        self._moves_left = int(self.outside_s // delay) if delay > 0.0 else _MOST_MOVES
        self._direction = 0

    def wants(self, vm_pu: float) -> int:
        """Return the direction of the step at this voltage, 0 for none."""
        if self.control is None:
            return 0
        error = vm_pu - self.control.vm_set_pu
        half = self.control.deadband_pu / 2.0
        lowering = self.taps.lowering
        direction = lowering if error > half else -lowering if error < -half else 0
        if direction == 0 or self._moves_left == 0 or direction == -self._direction:
            return 0
        inside = self.taps.tap_min <= self.tap_pos + direction <= self.taps.tap_max
        return direction if inside else 0

    @property
    def ratio(self) -> float:
        """Turns ratio at the position."""
        return self.taps.ratio(self.tap_pos)

    @property
    def shift_degree(self) -> float:
        """Phase shift at the position, degrees."""
        return self.taps.shift_degree(self.tap_pos)

    def move(self, direction: int) -> float:
        """Make one step; returns the new turns ratio."""
        assert self.control is not None
        self.tap_pos += direction
        self._direction = direction
        self._moves_left -= 1
        self.outside_s = max(self.outside_s - self.control.delay_s, 0.0)
        return self.ratio

    def end_interval(self, vm_pu: float) -> None:
        """Store for how long the voltage has been outside the band."""
        if self.control is None:
            return
        inside = abs(vm_pu - self.control.vm_set_pu) <= self.control.deadband_pu / 2.0
        self.outside_s = 0.0 if inside else min(self.outside_s, self.control.delay_s)
