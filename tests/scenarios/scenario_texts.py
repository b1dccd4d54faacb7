"""Small scenarios as TOML texts, and the net that some of them name."""

import pandapower as pp

# one MV feeder fed from outside, two intervals: builds in half a second; the solvers are named, so
# that a licence changes nothing and none stands in for another
FEEDER = """
name = "feeder"
seed = 3
[time]
start = 2025-06-21T11:00:00
timezone = "Europe/Berlin"
intervals = 2
[horizon]
steps = [{ count = 2, minutes = 15 }, { count = 2, minutes = 60 }]
[solver]
conic = "clarabel"
mixed_integer = "misocp"
[site]
latitude = 51.3
longitude = 9.5
[tariffs.mv]
kind = "flat"
import = 75.0
export = 55.0
[[grids]]
name = "mv1"
case = "case33bw"
level = "mv"
tariff = "mv"
vm_min_pu = 0.9
vm_max_pu = 1.1
loads = { mix = { household = 1.0 } }
pv = [{ buses = [7, 13], p_mw = 0.3, sn_mva = 0.33 }]
batteries = [{ buses = [7], p_mw = 0.1, e_mwh = 0.2 }]
"""

# one street fed from outside: a third of the time of the feeder, where the grid does not matter
VILLAGE = (
    FEEDER[: FEEDER.index("[tariffs.mv]")].replace('"feeder"', '"village"')
    + """
[tariffs.lv]
kind = "flat"
import = 300.0
export = 80.0
[[grids]]
name = "lv1"
case = "village.json"
level = "lv"
tariff = "lv"
loads = { assign = { household = 1.0 } }
pv = [{ count = 2, p_mw = 0.004 }]
batteries = [{ count = 1, p_mw = 0.004, e_mwh = 0.008 }]
"""
)

# three villages below one feeder, solved on threads together
VILLAGES = (
    FEEDER
    + """
[[grids]]
name = "lv1"
case = "village.json"
level = "lv"
parent = "mv1"
bus = 24
multiplicity = 3
tariff = "mv"
boundary = { kind = "fixed_tap", tap_pos = -1 }
loads = { assign = { household = 1.0 } }
pv = [{ share = 0.5, p_mw = 0.005 }]
batteries = [{ count = 1, among = "pv", p_mw = 0.004, e_mwh = 0.008 }]

[[grids]]
name = "lv2"
case = "village.json"
level = "lv"
parent = "mv1"
bus = 30
tariff = "mv"
boundary = { kind = "fixed_tap" }
loads = { assign = { household = 0.5, commercial = 0.5 } }
pv = [{ count = 3, p_mw = 0.005 }]
batteries = [{ count = 2, among = "pv", p_mw = 0.004, e_mwh = 0.008 }]

[[grids]]
name = "lv3"
case = "village.json"
level = "lv"
parent = "mv1"
bus = 24
tariff = "mv"
boundary = { kind = "fixed_tap" }
loads = { assign = { household = 1.0 } }
pv = [{ count = 1, p_mw = 0.005 }]
batteries = [{ count = 1, p_mw = 0.004, e_mwh = 0.008, soc_percent = 20.0 }]
"""
)

# transmission, a feeder behind an OLTC, a community; half hours around sunrise in Kassel
THREE_LEVELS = """
name = "three_levels"
seed = 11
[time]
start = 2025-06-20T04:00:00
timezone = "Europe/Berlin"
intervals = 6
interval_min = 30
[horizon]
steps = [{ count = 2, minutes = 30 }, { count = 3, minutes = 60 }]
[solver]
conic = "clarabel"
mixed_integer = "misocp"
[site]
latitude = 51.3
longitude = 9.5
[costs]
generation_factor = 20.0
curtailment_eur_per_mwh = 1.0
[tariffs.mv]
kind = "time_of_use"
periods = [
    { from = "00:00", import = 70.0, export = 50.0 },
    { from = "05:00", import = 120.0, export = 60.0 },
    { from = "06:30", import = 60.0, export = 40.0 },
]
[tariffs.lv]
kind = "time_of_use"
periods = [
    { from = "00:00", import = 180.0, export = 70.0 },
    { from = "05:00", import = 310.0, export = 90.0 },
    { from = "06:30", import = 150.0, export = 60.0 },
]
[[grids]]
name = "tn"
case = "case30"
level = "transmission"
[grids.loads]
mix = { household = 0.5, commercial = 0.5 }
[[grids]]
name = "mv1"
case = "case33bw"
level = "mv"
parent = "tn"
bus = 7
multiplicity = 6
tariff = "mv"
vm_min_pu = 0.9
vm_max_pu = 1.1
line_max_i_ka = 0.4
loads = { mix = { household = 1.0 } }
boundary = { kind = "oltc", sn_mva = 10.0, vk_percent = 8.0, vkr_percent = 0.4, \
shift_degree = 150.0, vm_set_pu = 1.04, deadband_pu = 0.02, delay_s = 60.0 }
pv = [{ buses = [7, 13, 30], p_mw = 0.3, sn_mva = 0.33 }]
batteries = [{ buses = [7, 24], p_mw = 0.1, e_mwh = 0.2, efficiency_charge = 0.9, \
efficiency_discharge = 0.8, e_min_mwh = 0.02 }]
units = [{ bus = 17, p_max_mw = 0.3, c1_eur_per_mwh = 80.0 }]
[[grids]]
name = "lv1"
case = "european_lv_206"
level = "lv"
parent = "mv1"
bus = 24
multiplicity = 7
tariff = "lv"
vm_min_pu = 0.9
vm_max_pu = 1.1
boundary = { kind = "fixed_tap", tap_pos = -1 }
loads = { assign = { household = 1.0 }, equal = true }
pv = [{ share = 0.35, p_mw = 0.005, sn_mva = 0.0055 }]
batteries = [{ count = 12, among = "pv", p_mw = 0.004, e_mwh = 0.008 }]
"""

TEXTS = {"feeder": FEEDER, "village": VILLAGE, "villages": VILLAGES, "three_levels": THREE_LEVELS}


def village_net():
    """One transformer and six customers of 3 kW on a street."""
    net = pp.create_empty_network(sn_mva=0.1)
    high = pp.create_bus(net, vn_kv=12.66)
    pp.create_ext_grid(net, high)
    bus = pp.create_bus(net, vn_kv=0.4)
    pp.create_transformer_from_parameters(
        net, high, bus, sn_mva=0.1, vn_hv_kv=12.66, vn_lv_kv=0.4, vk_percent=4.0,
        vkr_percent=1.5, pfe_kw=0.2, i0_percent=0.3, tap_side="hv", tap_neutral=0, tap_min=-2,
        tap_max=2, tap_step_percent=2.5, tap_step_degree=0.0, tap_pos=0,
        tap_changer_type="Ratio",
    )  # fmt: skip
    for _ in range(6):
        following = pp.create_bus(net, vn_kv=0.4)
        pp.create_line_from_parameters(
            net, bus, following, length_km=0.05, r_ohm_per_km=0.3, x_ohm_per_km=0.08,
            c_nf_per_km=0.0, max_i_ka=0.2,
        )  # fmt: skip
        pp.create_load(net, following, p_mw=0.003, q_mvar=0.001)
        bus = following
    return net
