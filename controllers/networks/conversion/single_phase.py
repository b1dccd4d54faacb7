"""Single-phase loads as balanced loads whose phase is kept."""

import pandapower as pp
from pandapower.auxiliary import pandapowerNet

from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.naming import named
from stackelgrid.controllers.networks.phases import PHASES


def balance_single_phase_loads(net: pandapowerNet, name: str) -> None:
    """Replace single-phase loads, in place, by balanced ones; raises NetworkError."""
    single = net.asymmetric_load
    if not len(single):
        return
    p = single[[f"p_{phase}_mw" for phase in PHASES]].to_numpy(dtype=float)
    q = single[[f"q_{phase}_mvar" for phase in PHASES]].to_numpy(dtype=float)
    used = (p != 0.0) | (q != 0.0)
    bad = single.index[used.sum(axis=1) != 1]
    if len(bad):
        raise NetworkError(
            f"{named(name, 'asymmetric_load', bad)} must be connected to exactly one phase"
        )
    if len(net.load):
        raise NetworkError(
            f"grid {name}: holds both load and asymmetric_load; one of the two is accepted"
        )
    names = [n if isinstance(n, str) else None for n in single.name]
    pp.create_loads(
        net,
        single.bus.to_numpy(),
        p_mw=p.sum(axis=1),
        q_mvar=q.sum(axis=1),
        name=names,
        scaling=single.scaling.to_numpy(),
        phase=[
            PHASES[i] if kind == "wye" else ""
            for i, kind in zip(used.argmax(axis=1), single.type, strict=True)
        ],
    )
    net.asymmetric_load = single.drop(single.index)
