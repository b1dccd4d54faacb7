"""Conditions at which a schedule is certified."""

from dataclasses import dataclass

from stackelgrid.profiles.arrays import Floats


@dataclass(frozen=True)
class Conditions:
    """Forecast that a schedule was made for; steps in the last axis.

    Consumption at every bus (buses, steps) in network order, MW and MVAr, grids below included;
    that of every customer (loads, steps); the slack voltage upstream of the boundary transformer
    in p.u. (steps,), and its turns ratio (None without one).
    """

    bus_p_mw: Floats
    bus_q_mvar: Floats
    load_p_mw: Floats
    load_q_mvar: Floats
    vm_slack_pu: Floats
    ratio: float | None
