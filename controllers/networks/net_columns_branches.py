"""Declarations of lines, transformers, switches, controllers of taps (net_columns.py)."""

from stackelgrid.controllers.networks.net_columns_types import (
    Column,
    honoured,
    no_effect,
    refused_table,
    unused_table,
)

_SHORT_CIRCUIT = "short-circuit calculations only"
_LABEL = "a label"
_ZERO_SEQUENCE = "zero sequence, for certificates of phases"
_TEMPERATURE = "only where a power flow considers line temperatures"

BRANCH_COLUMNS: tuple[Column, ...] = (
    # ------------------------------------------------------------------------------- lines
    *honoured(
        "line",
        "from_bus to_bus length_km r_ohm_per_km x_ohm_per_km c_nf_per_km g_us_per_km parallel "
        "in_service",
        "impedance and charging",
    ),
    *honoured("line", "max_i_ka df", "rating, unless line_max_i_ka or ratings are set"),
    *honoured("line", "max_loading_percent", "share of the rating that is allowed; 100 if empty"),
    *honoured("line", "r0_ohm_per_km x0_ohm_per_km c0_nf_per_km g0_us_per_km", _ZERO_SEQUENCE),
    *honoured("line", "name geo", "labels and coordinates of tables and pictures"),
    *no_effect("line", "std_type type", _LABEL),
    *no_effect("line", "endtemp_degree", _SHORT_CIRCUIT),
    *no_effect(
        "line",
        "alpha temperature_degree_celsius tdpf wind_speed_m_per_s wind_angle_degree "
        "conductor_outer_diameter_m air_temperature_degree_celsius "
        "reference_temperature_degree_celsius solar_radiation_w_per_sq_m solar_absorptivity "
        "emissivity r_theta_kelvin_per_mw mc_joule_per_m_k",
        _TEMPERATURE,
    ),
    # ------------------------------------------------------------------------- transformers
    *honoured(
        "trafo",
        "hv_bus lv_bus sn_mva vn_hv_kv vn_lv_kv vk_percent vkr_percent pfe_kw i0_percent "
        "shift_degree parallel in_service",
        "impedance, iron losses and ratio",
    ),
    *honoured(
        "trafo", "leakage_resistance_ratio_hv leakage_reactance_ratio_hv", "0.5 with iron losses"
    ),
    *honoured(
        "trafo",
        "tap_side tap_neutral tap_min tap_max tap_step_percent tap_step_degree tap_pos "
        "tap_changer_type",
        "tap changer",
    ),
    *honoured(
        "trafo",
        "tap2_side tap2_neutral tap2_min tap2_max tap2_step_percent tap2_step_degree tap2_pos "
        "tap2_changer_type",
        "second tap changer",
    ),
    *honoured(
        "trafo",
        "tap_dependency_table id_characteristic_table tap_phase_shifter tap2_phase_shifter",
        "kind of the tap changer",
    ),
    *honoured("trafo", "df max_loading_percent", "rating; share of it that is allowed"),
    *honoured(
        "trafo",
        "vector_group vk0_percent vkr0_percent mag0_percent mag0_rx si0_hv_partial xn_ohm",
        _ZERO_SEQUENCE,
    ),
    *honoured("trafo", "name", _LABEL),
    *no_effect("trafo", "std_type", _LABEL),
    *no_effect("trafo", "oltc power_station_unit pt_percent", _SHORT_CIRCUIT),
    *refused_table("trafo3w", "three two-winding transformers are accepted"),
    *refused_table("impedance", "a line of the same impedance is accepted"),
    *refused_table("tcsc", "a line is accepted"),
    # ----------------------------------------------------------------------------- switches
    *honoured("switch", "bus element et closed z_ohm", "closed ties fuse buses, open ones cut"),
    *no_effect("switch", "name type", _LABEL),
    *no_effect("switch", "in_ka", "the current through a switch is not computed"),
    # -------------------------------------------------------------------------- controllers
    *unused_table(
        "controller",
        "runpp ignores controllers too; profiles and set points are the scenario's; one of a tap "
        "is replaced by an oltc boundary or refused",
    ),
    *unused_table("trafo_characteristic_table", "used through the transformers that name one"),
    *unused_table("shunt_characteristic_table", "used through the shunts that name one"),
)
