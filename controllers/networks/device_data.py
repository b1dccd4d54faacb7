"""Data of devices of a grid: loads, photovoltaics, batteries, dispatchable units."""

from dataclasses import dataclass

import numpy as np

from stackelgrid.profiles.arrays import Floats, Ints

# the phases of the three-phase view; "abc" is a balanced three-phase connection
PHASES = ("a", "b", "c")
CONNECTIONS = (*PHASES, "abc")


@dataclass(frozen=True)
class Loads:
    """Uncontrolled consumers; p_mw, q_mvar are nominal values that a profile multiplies.

    Static generators that are neither photovoltaic nor dispatchable (a negative power) and storages
    that are not controllable are listed here; `profiled` is False for them: their power is
    constant. `phase` is the connection of each: a, b, c, abc (balanced three-phase), or empty
    if not stated.
    """

    table: tuple[str, ...]
    index: tuple[int, ...]
    name: tuple[str, ...]
    bus: Ints
    p_mw: Floats
    q_mvar: Floats
    profiled: "np.typing.NDArray[np.bool_]"
    phase: tuple[str, ...]


@dataclass(frozen=True)
class Photovoltaics:
    """PV systems: rated active power, inverter rating, optional power-factor limit.

    Systems at the positions `fixed` are not controllable: they feed in the available power, and
    reactive power of `fixed_q_per_p` times that, whatever their rating. `phase` as in Loads.
    """

    index: tuple[int, ...]
    name: tuple[str, ...]
    bus: Ints
    p_rated_mw: Floats
    sn_mva: Floats
    min_power_factor: Floats
    phase: tuple[str, ...]
    fixed: tuple[int, ...] = ()
    fixed_q_per_p: tuple[float, ...] = ()

    @property
    def controllable(self) -> "np.typing.NDArray[np.bool_]":
        """Return whether each system may be curtailed and give reactive power, (systems,)."""
        return ~np.isin(np.arange(len(self.index)), self.fixed)

    @property
    def q_per_p(self) -> Floats:
        """Reactive over active power of systems that are not controllable, else 0, (systems,)."""
        ratio = np.zeros(len(self.index))
        ratio[list(self.fixed)] = self.fixed_q_per_p
        return ratio


@dataclass(frozen=True)
class Batteries:
    """Storage units; power is measured at the grid connection, positive when charging.

    It lies between `p_min_mw` <= 0 (discharging; None for -`p_max_mw`) and `p_max_mw`. `phase` as
    in Loads.
    """

    index: tuple[int, ...]
    name: tuple[str, ...]
    bus: Ints
    p_max_mw: Floats
    e_min_mwh: Floats
    e_max_mwh: Floats
    e_initial_mwh: Floats
    efficiency_charge: Floats
    efficiency_discharge: Floats
    wear_eur_per_mwh: Floats
    phase: tuple[str, ...]
    p_min_mw: Floats | None = None

    @property
    def discharge_max_mw(self) -> Floats:
        """Largest power of discharging, (m,) in MW >= 0."""
        return self.p_max_mw if self.p_min_mw is None else -self.p_min_mw

    @property
    def rated_mw(self) -> Floats:
        """Largest power in either direction, (m,) in MW."""
        return np.maximum(self.p_max_mw, self.discharge_max_mw)


@dataclass(frozen=True)
class Units:
    """Dispatchable generation: cost c2 p^2 + c1 p + c0 in EUR/h with p in MW.

    `table` is ext_grid, gen or sgen. A unit without a limit has an infinite one; a generator that
    is not controllable has equal limits. `fixed_eur_per_h` is the cost of static generators that
    are not controllable.
    """

    table: tuple[str, ...]
    index: tuple[int, ...]
    name: tuple[str, ...]
    bus: Ints
    p_min_mw: Floats
    p_max_mw: Floats
    c2: Floats
    c1: Floats
    c0: Floats
    fixed_eur_per_h: float = 0.0


@dataclass(frozen=True)
class Devices:
    """All devices of one grid; `bus` holds pandapower bus indices."""

    loads: Loads
    photovoltaics: Photovoltaics
    batteries: Batteries
    units: Units

    @property
    def occupied_buses(self) -> set[int]:
        """Pandapower indices of all buses with a device."""
        kinds = (self.loads, self.photovoltaics, self.batteries, self.units)
        return {int(b) for kind in kinds for b in kind.bus}
