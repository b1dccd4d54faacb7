"""Two small pandapower nets of outside users; keyword arguments give the variants."""

import numpy as np
import pandapower as pp
from support.pandapower_nets import empty_net


def street(
    tap_type="Ratio",
    tap_pos=0,
    tap_neutral=0,
    tap_min=-2,
    tap_max=2,
    tap_side="hv",
    vn_hv=20.0,
    vn_lv=0.4,
    step=2.5,
    **transformer,
):
    """Six houses behind a 160 kVA transformer, slack at 1.02 p.u."""
    net = empty_net(sn_mva=0.1)
    up = pp.create_bus(net, 20.0)
    pp.create_ext_grid(net, up, vm_pu=1.02)
    bus = pp.create_bus(net, 0.4)
    pp.create_transformer_from_parameters(
        net,
        up,
        bus,
        sn_mva=0.16,
        vn_hv_kv=vn_hv,
        vn_lv_kv=vn_lv,
        vk_percent=4.0,
        vkr_percent=1.2,
        pfe_kw=0.3,
        i0_percent=0.2,
        tap_side=tap_side,
        tap_pos=tap_pos,
        tap_neutral=tap_neutral,
        tap_min=tap_min,
        tap_max=tap_max,
        tap_step_percent=step,
        tap_changer_type=tap_type,
        **transformer,
    )
    for house in range(6):
        end = pp.create_bus(net, 0.4)
        pp.create_line_from_parameters(net, bus, end, 0.05, 0.25, 0.08, 0.0, 0.2)
        pp.create_load(net, end, 0.004, 0.001, name=f"house {house}")
        bus = end
    return net


def triangle(shift_degree=0.0, ideal_tap=None):
    """Three 220 kV buses; DC-OPF 3851.053, at a shift of 5 degrees 7346.083, at -5 2889.750."""
    net = empty_net(sn_mva=100.0)
    a, b, c = (pp.create_bus(net, 220.0) for _ in range(3))
    pp.create_ext_grid(net, a, min_p_mw=0, max_p_mw=500)
    pp.create_poly_cost(net, 0, "ext_grid", 10)
    pp.create_gen(net, c, 0, vm_pu=1.0, min_p_mw=0, max_p_mw=300)
    pp.create_poly_cost(net, 0, "gen", 30)
    pp.create_line_from_parameters(net, a, b, 50, 0.05, 0.4, 0, 0.262)
    tap = (
        {}
        if ideal_tap is None
        else {
            "tap_side": "hv",
            "tap_neutral": 0,
            "tap_min": -10,
            "tap_max": 10,
            "tap_step_percent": np.nan,
            "tap_step_degree": 1.0,
            "tap_pos": ideal_tap,
            "tap_changer_type": "Ideal",
        }
    )
    pp.create_transformer_from_parameters(
        net,
        a,
        b,
        sn_mva=200,
        vn_hv_kv=220,
        vn_lv_kv=220,
        vk_percent=10,
        vkr_percent=0.5,
        pfe_kw=0,
        i0_percent=0,
        shift_degree=0.0 if ideal_tap is not None else shift_degree,
        **tap,
    )
    pp.create_line_from_parameters(net, b, c, 40, 0.05, 0.4, 0, 2.0)
    pp.create_load(net, b, 200)
    pp.create_load(net, c, 50)
    return net
