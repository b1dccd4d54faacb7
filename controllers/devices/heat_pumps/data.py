"""Data of heat pumps at one grid."""

from dataclasses import dataclass

import numpy as np

from stackelgrid.profiles.arrays import Bools, Floats, Ints

FAR_K = 40.0
"""Rooms stay within this distance of their set temperature, K."""


@dataclass(frozen=True)
class HeatPumpData:
    """Heat pumps with buildings; powers are electric, positive when consuming.

    p_max_mw, backup_mw: electric power of the machine and of the resistive heater.
    tan_phi: reactive over active power of the machine.
    loss_mw_per_k, capacity_mwh_per_k: heat losses and capacity of the building.
    set_c, below_k, above_k: set temperature and comfort band.
    comfort_eur_per_k_h: price of leaving the band.
    store_mwh, store_kept: size of the hot-water store, and the share it keeps over an hour.
    water_mwh: heat drawn as hot water in a day.
    ground, floor: whether the source is the ground (else outdoor air), and whether the heating is
        in the floor (else radiators).
    coldest_c: outdoor temperature that the heating is made for.
    gains_mw, window_m2: heat from people and appliances, and window to the south.
    """

    index: tuple[int, ...]
    name: tuple[str, ...]
    bus: Ints
    p_max_mw: Floats
    backup_mw: Floats
    tan_phi: Floats
    loss_mw_per_k: Floats
    capacity_mwh_per_k: Floats
    set_c: Floats
    below_k: Floats
    above_k: Floats
    comfort_eur_per_k_h: Floats
    store_mwh: Floats
    store_kept: Floats
    water_mwh: Floats
    ground: Bools
    floor: Bools
    coldest_c: Floats
    gains_mw: Floats
    window_m2: Floats
    phase: tuple[str, ...]

    def kept(self, dt_h: float) -> Floats:
        """Share of a temperature difference that is left after `dt_h` h, (buildings,)."""
        return np.exp(-dt_h * self.loss_mw_per_k / self.capacity_mwh_per_k)
