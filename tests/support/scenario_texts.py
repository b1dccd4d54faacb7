"""Small scenarios by name (`scenarios/NAME.toml`), and the net that some of them name."""

import shutil

import pandapower as pp
import tomli_w
from support.paths import SUPPORT

from stackelgrid.scenarios.schema.content import scenario_content

SCENARIOS = SUPPORT / "scenarios"
# of market.toml: feeders by multiplicity, and the retail margin in EUR/MWh
MARKET_COPIES = {"mv1": 3, "mv2": 2}
MARKET_MARGIN = 15.0


def content_of(name):
    """Return the content of a small scenario, merged over what it extends."""
    return scenario_content(str(SCENARIOS / f"{name}.toml"))[0]


def write_extending(folder, name, text=""):
    """Write a scenario that extends a small one, and the files it extends; return its path."""
    shutil.copytree(SCENARIOS, folder, dirs_exist_ok=True)
    path = folder / "scenario.toml"
    path.write_text(f'extends = "{name}.toml"\n{text}', encoding="utf-8")
    return path


TEXTS = {path.stem: tomli_w.dumps(content_of(path.stem)) for path in SCENARIOS.glob("*.toml")}


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
