"""A net of three voltage levels in one, as users draw it."""

from itertools import pairwise

import pandapower as pp
from support.pandapower_nets import empty_net

CABLE = {"r_ohm_per_km": 0.25, "x_ohm_per_km": 0.12, "c_nf_per_km": 250.0, "max_i_ka": 0.3}


def levels_net():
    """110 kV with two coupled transformers to 20 kV, a chain of 20 kV, two streets of 0.4 kV.

    Lower buses come first. The streets are joined by a cable that a switch opens.
    """
    net = empty_net()
    streets = []
    for street in range(2):
        streets.append([pp.create_bus(net, 0.4, name=f"s{street}{k}") for k in range(4)])
        for a, b in pairwise(streets[-1]):
            pp.create_line_from_parameters(net, a, b, 0.1, **CABLE)
            pp.create_load(net, b, 0.012, 0.003, name=f"home {b}")
    ring = pp.create_line_from_parameters(net, streets[0][-1], streets[1][-1], 0.2, **CABLE)
    pp.create_switch(net, streets[1][-1], ring, et="l", closed=False)
    pp.create_sgen(net, streets[1][2], 0.02, q_mvar=-0.002, type="CHP")
    top = [pp.create_bus(net, 110.0) for _ in range(2)]
    bars = [pp.create_bus(net, 20.0) for _ in range(2)]
    for pair in (top, bars):
        pp.create_switch(net, *pair, et="b", closed=True)
    chain = [bars[0], *(pp.create_bus(net, 20.0) for _ in range(3))]
    for a, b in pairwise(chain):
        pp.create_line_from_parameters(net, a, b, 4.0, **CABLE)
        pp.create_load(net, b, 1.5, 0.4, name=f"works {b}")
    plate = {"vk_percent": 12.0, "vkr_percent": 0.5, "pfe_kw": 15.0, "i0_percent": 0.1}
    tap = {"tap_side": "hv", "tap_neutral": 0, "tap_min": -2, "tap_max": 2, "tap_pos": -1,
           "tap_step_percent": 2.5, "tap_changer_type": "Ratio"}  # fmt: skip
    for high, low in zip(top, bars, strict=True):
        pp.create_transformer_from_parameters(
            net, high, low, 16.0, 110.0, 20.0, shift_degree=150.0, **plate
        )
    for street, bus in zip(streets, (chain[2], chain[3]), strict=True):
        pp.create_transformer_from_parameters(
            net, bus, street[0], 0.25, 20.0, 0.4, vk_percent=4.0, vkr_percent=1.2, pfe_kw=0.4,
            i0_percent=0.3, shift_degree=150.0, **tap,
        )  # fmt: skip
    pp.create_ext_grid(net, top[0], vm_pu=1.02)
    pp.create_poly_cost(net, 0, "ext_grid", 50.0)
    return net
