"""Declarations of the columns of lines, transformers, impedances and switches."""

from stackelgrid.controllers.networks.net_column import (
    LABEL,
    SHORT_CIRCUIT,
    Column,
    falsy,
    honoured,
    no_effect,
    refused,
)

_ZERO_SEQUENCE = "zero sequence, for certificates of phases"
_TEMPERATURE = "only where a power flow considers line temperatures"

BRANCHES: tuple[Column, ...] = (
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
    *no_effect("line", "std_type type", LABEL),
    *no_effect("line", "endtemp_degree", SHORT_CIRCUIT),
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
    *honoured("trafo", "name", LABEL),
    *no_effect("trafo", "std_type", LABEL),
    *no_effect("trafo", "oltc power_station_unit pt_percent", SHORT_CIRCUIT),
    *honoured(
        "trafo3w",
        "hv_bus mv_bus lv_bus sn_hv_mva sn_mv_mva sn_lv_mva vn_hv_kv vn_mv_kv vn_lv_kv "
        "vk_hv_percent vk_mv_percent vk_lv_percent vkr_hv_percent vkr_mv_percent vkr_lv_percent "
        "pfe_kw i0_percent shift_mv_degree shift_lv_degree loss_side in_service",
        "a star of three transformers",
    ),
    *honoured(
        "trafo3w",
        "tap_side tap_neutral tap_min tap_max tap_step_percent tap_step_degree tap_pos "
        "tap_at_star_point tap_changer_type",
        "tap changer",
    ),
    *honoured("trafo3w", "max_loading_percent", "share of the rating that is allowed"),
    *refused(
        "trafo3w",
        "tap_dependency_table tap_phase_shifter",
        "False or empty is accepted",
        accepts=falsy,
    ),
    *no_effect("trafo3w", "id_characteristic_table", "only with tap_dependency_table"),
    *honoured("trafo3w", "name", LABEL),
    *no_effect("trafo3w", "std_type", LABEL),
    *no_effect(
        "trafo3w",
        "vk0_hv_percent vk0_mv_percent vk0_lv_percent vkr0_hv_percent vkr0_mv_percent "
        "vkr0_lv_percent vk0_x vkr0_x vector_group",
        SHORT_CIRCUIT,
    ),
    *honoured(
        "impedance",
        "from_bus to_bus rft_pu xft_pu rtf_pu xtf_pu gf_pu bf_pu gt_pu bt_pu sn_mva in_service",
        "a line without rating",
    ),
    *honoured("impedance", "name", LABEL),
    *no_effect(
        "impedance",
        "rft0_pu xft0_pu rtf0_pu xtf0_pu gf0_pu bf0_pu gt0_pu bt0_pu",
        SHORT_CIRCUIT,
    ),
    *refused("tcsc", "", "a line is accepted"),
    # ----------------------------------------------------------------------------- switches
    *honoured(
        "switch",
        "bus element et closed z_ohm",
        "closed ties fuse buses or are lines of z_ohm, open ones cut",
    ),
    *no_effect("switch", "name type", LABEL),
    *no_effect("switch", "in_ka", "the current through a switch is not computed"),
)
