"""Data of shiftable loads at one grid."""

from dataclasses import dataclass

from stackelgrid.profiles.arrays import Bools, Floats, Ints


@dataclass(frozen=True)
class TaskData:
    """Devices with a task a day; `whole` marks those that run once at full power.

    Windows lie between the local hours `from_h` and `to_h`, over midnight where `to_h` is not
    later.
    """

    index: tuple[int, ...]
    name: tuple[str, ...]
    bus: Ints
    p_max_mw: Floats
    e_mwh: Floats
    whole: Bools
    from_h: Floats
    to_h: Floats
    unserved_eur_per_mwh: Floats
    phase: tuple[str, ...]

    @property
    def run_h(self) -> Floats:
        """Length of a run at full power (devices,) in h."""
        return self.e_mwh / self.p_max_mw
