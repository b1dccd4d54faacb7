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

# three streets below a feeder, of which one has much PV; hours around noon, prices that move
STREETS = """
name = "streets"
seed = 5
controller = "ldd_admm"
[time]
start = 2025-06-21T10:00:00
timezone = "Europe/Berlin"
intervals = 6
interval_min = 60
[horizon]
steps = [{ count = 4, minutes = 60 }]
[solver]
conic = "clarabel"
mixed_integer = "misocp"
threads = 2
[site]
latitude = 51.3
longitude = 9.5
[costs]
curtailment_eur_per_mwh = 1.0
[tariffs.mv]
kind = "flat"
import = 75.0
export = 55.0
[tariffs.lv]
kind = "time_of_use"
periods = [
    { from = "00:00", import = 200.0, export = 70.0 },
    { from = "11:00", import = 180.0, export = 60.0 },
    { from = "13:00", import = 310.0, export = 90.0 },
]
[templates.street]
case = "village.json"
level = "lv"
parent = "mv1"
tariff = "lv"
boundary = { kind = "fixed_tap" }
loads = { assign = { household = 0.7, commercial = 0.3 } }
trade = { retail_margin_eur_per_mwh = 40.0, fee_inside_eur_per_mwh = 15.0, \
fee_across_eur_per_mwh = 30.0 }
batteries = [{ count = 2, among = "pv", p_mw = 0.004, e_mwh = 0.008, wear_eur_per_mwh = 10.0 }]
"""
ABOVE_STREETS = """
[[grids]]
name = "mv1"
case = "case33bw"
level = "mv"
tariff = "mv"
vm_min_pu = 0.9
vm_max_pu = 1.1
loads = { mix = { household = 1.0 } }
"""
BELOW = """
[[grids]]
template = "street"
name = "lv1"
bus = 24
multiplicity = 7
pv = [{ share = 0.7, p_mw = 0.006 }]
[[grids]]
template = "street"
name = "lv2"
bus = 30
multiplicity = 5
pv = [{ count = 2, p_mw = 0.002 }]
[[grids]]
template = "street"
name = "lv3"
bus = 6
multiplicity = 4
pv = [{ count = 3, p_mw = 0.003 }]
"""
BEHIND_A_TRANSFORMER = """
multiplicity = 3
parent = "tn"
bus = 7
boundary = { kind = "fixed_tap", sn_mva = 10.0, vk_percent = 8.0, vkr_percent = 0.4 }
"""
ABOVE = f"""
[[grids]]
name = "tn"
case = "case30"
level = "transmission"
loads = {{ mix = {{ household = 1.0 }} }}
{ABOVE_STREETS.replace("mv1", "mv2")}
{BEHIND_A_TRANSFORMER.replace("bus = 7", "bus = 20")}
pv = [{{ buses = [7, 13], p_mw = 0.3 }}]
"""
TREES = {
    "streets": ABOVE_STREETS + BELOW,
    "levels": ABOVE + ABOVE_STREETS + BEHIND_A_TRANSFORMER + BELOW,
}

# two feeders below case30 around noon: one with much PV, one with little; prices that move
MARKET_COPIES = {"mv1": 3, "mv2": 2}
MARKET_MARGIN = 15.0  # EUR/MWh
MARKET = """
name = "market"
seed = 7
[time]
start = 2025-06-21T10:00:00
timezone = "Europe/Berlin"
intervals = 3
interval_min = 60
[horizon]
steps = [{ count = 2, minutes = 60 }, { count = 1, minutes = 120 }]
[solver]
conic = "clarabel"
mixed_integer = "misocp"
[site]
latitude = 51.3
longitude = 9.5
[costs]
generation_factor = 20.0
curtailment_eur_per_mwh = 1.0
[tariffs.one]
kind = "time_of_use"
periods = [
    { from = "00:00", import = 90.0, export = 50.0 },
    { from = "11:00", import = 60.0, export = 40.0 },
    { from = "15:00", import = 140.0, export = 95.0 },
]
[tariffs.two]
kind = "flat"
import = 110.0
export = 55.0
[[grids]]
name = "tn"
case = "case30"
level = "transmission"
loads = { mix = { household = 1.0 } }
[templates.feeder]
case = "case33bw"
level = "mv"
parent = "tn"
vm_min_pu = 0.9
vm_max_pu = 1.1
boundary = { kind = "fixed_tap", sn_mva = 10.0, vk_percent = 8.0, vkr_percent = 0.4 }
loads = { mix = { household = 1.0 }, scale = 0.5 }
trade = { retail_margin_eur_per_mwh = 15.0, fee_inside_eur_per_mwh = 8.0, \
fee_across_eur_per_mwh = 16.0 }
batteries = [{ buses = [7, 30], p_mw = 0.1, e_mwh = 0.2, e_min_mwh = 0.02, \
efficiency_charge = 0.9, wear_eur_per_mwh = 4.0 }]
[[grids]]
template = "feeder"
name = "mv1"
bus = 7
multiplicity = 3
tariff = "one"
pv = [{ buses = [7, 13, 24], p_mw = 0.4, sn_mva = 0.44 }]
[[grids]]
template = "feeder"
name = "mv2"
bus = 20
multiplicity = 2
tariff = "two"
pv = [{ buses = [7, 17], p_mw = 0.03 }, { buses = [13], p_mw = 0.3 }]
"""

# the market by messages: a lossy quality, and an outage before the first interval
BY_MESSAGES = """
coordination = "ldd_admm"
[communication]
gate_s = 600.0
[communication.qualities.lossy]
latency_s = 3.0
jitter_s = 3.0
loss = 0.2
duplication = 0.1
[[communication.outages]]
agents = ["mv2"]
from = "09:30"
to = "10:30"
[time]"""
OUTAGE = BY_MESSAGES[BY_MESSAGES.index("[[") : BY_MESSAGES.index("[time]")]

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
