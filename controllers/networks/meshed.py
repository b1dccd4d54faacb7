"""Meshed network for the DC optimal power flow."""

from dataclasses import dataclass

import numpy as np
from pandapower.auxiliary import pandapowerNet

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.naming import named
from stackelgrid.controllers.networks.per_unit import per_unit_branches
from stackelgrid.profiles.arrays import Floats, Ints


@dataclass(frozen=True)
class MeshedNetwork:
    """Buses and branches of a DC power flow, per unit on `base_mva`.

    Flow on branch k = (f, t): b[k] (theta_f - theta_t - shift[k]) with b = 1 / (x ratio) and shift
    in radian, limited by `rating` (p.u.; infinite for no limit). `shunt_g` (p.u.) is consumed at
    nominal voltage. `reference` is the position of the slack bus.
    """

    name: str
    base_mva: float
    bus_index: tuple[int, ...]
    branch_table: tuple[str, ...]
    branch_index: tuple[int, ...]
    from_bus: Ints
    to_bus: Ints
    b: Floats
    shift: Floats
    rating: Floats
    shunt_g: Floats
    reference: int

    @property
    def buses(self) -> int:
        """Number of buses."""
        return len(self.bus_index)

    @property
    def branches(self) -> int:
        """Number of branches."""
        return len(self.b)


def meshed_network(net: pandapowerNet, name: str) -> MeshedNetwork:
    """Read a normalised and checked pandapower net; raises NetworkError for singular branches."""
    data = per_unit_branches(net)
    singular = np.flatnonzero(np.abs(data.x) < tolerances.JOINED_IMPEDANCE_PU)
    if len(singular):
        k = singular[0]
        kv = float(net.bus.vn_kv.iloc[data.from_bus[k]])
        same = [data.index[i] for i in singular if data.table[i] == data.table[k]]
        raise NetworkError(
            f"{named(name, data.table[k], same)} has x = {data.x[k] * kv**2 / data.base_mva:g} ohm "
            "(series reactance); a DC power flow of the transmission grid needs one "
            f"(at least {tolerances.JOINED_IMPEDANCE_PU:g} p.u. of {data.base_mva:g} MVA)"
        )
    return MeshedNetwork(
        name=name,
        base_mva=data.base_mva,
        bus_index=data.bus_index,
        branch_table=data.table,
        branch_index=data.index,
        from_bus=data.from_bus,
        to_bus=data.to_bus,
        b=1.0 / (data.x * data.ratio),
        shift=np.deg2rad(data.shift_degree),
        rating=data.i_max_pu,
        shunt_g=data.bus_g,
        reference=data.bus_index.index(int(net.ext_grid.bus.iloc[0])),
    )
