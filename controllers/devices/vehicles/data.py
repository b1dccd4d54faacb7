"""Data of vehicles at one grid."""

from dataclasses import dataclass

from stackelgrid.profiles.arrays import Bools, Floats, Ints


@dataclass(frozen=True)
class VehicleData:
    """Charging points with one vehicle each; power is positive when charging.

    A vehicle charges with at most `p_max_mw` while it is connected, not below `p_least_mw` unless
    not at all, and feeds back at most `p_back_mw`. Energy that is missing at a departure is charged
    elsewhere at `unmet_eur_per_mwh`. `reserve_mwh` is wanted when it comes back from a trip, which
    takes `kwh_per_km` at 20 degrees Celsius.
    """

    index: tuple[int, ...]
    name: tuple[str, ...]
    bus: Ints
    p_max_mw: Floats
    p_least_mw: Floats
    p_back_mw: Floats
    e_max_mwh: Floats
    e_initial_mwh: Floats
    efficiency_charge: Floats
    efficiency_discharge: Floats
    reserve_mwh: Floats
    unmet_eur_per_mwh: Floats
    wear_eur_per_mwh: Floats
    kwh_per_km: Floats
    phase: tuple[str, ...]

    @property
    def switched(self) -> Bools:
        """Vehicles whose charging is a binary decision: with a least power, or feeding back."""
        return (self.p_least_mw > 0.0) | (self.p_back_mw > 0.0)
