"""Data of shiftable loads at one grid."""

from dataclasses import dataclass

from stackelgrid.profiles.arrays import Bools, Floats, Ints


@dataclass(frozen=True)
class TaskData:
    """Devices with tasks; `whole` marks those that run once at full power."""

    index: tuple[int, ...]
    name: tuple[str, ...]
    bus: Ints
    p_max_mw: Floats
    e_mwh: Floats
    whole: Bools
    unserved_eur_per_mwh: Floats
    phase: tuple[str, ...]

    @property
    def run_h(self) -> Floats:
        """Length of a run at full power (devices,) in h."""
        return self.e_mwh / self.p_max_mw
