"""Declarations of the columns of all tables of pandapower (net_columns.py)."""

from typing import Any

from stackelgrid.controllers.networks.net_column import (
    FEEDER,
    LABEL,
    SHORT_CIRCUIT,
    TRANSMISSION,
    Column,
    falsy,
    honoured,
    no_effect,
    refused,
    replaced,
)
from stackelgrid.controllers.networks.net_columns_branches import BRANCHES

_NET_PROFILE = "name of a profile in net.profiles, unless a section states another source"
_SERVICE = "elements out of service are dropped before anything else"
_CONVERTER = "converters and DC grids have no model here"
_SLACK_WEIGHT = "there is one slack, which balances alone"
_CURVE = "reactive capability curves are not modelled; False or empty is accepted"


def _zero(value: Any) -> bool:
    return bool(value == 0)


DECLARED: tuple[Column, ...] = (
    # ------------------------------------------------------------------------------- buses
    *honoured("bus", "vn_kv", "nominal voltage, the base of per-unit voltages"),
    *honoured("bus", "in_service", _SERVICE),
    *honoured("bus", "min_vm_pu max_vm_pu", "voltage band, unless vm_min_pu, vm_max_pu are set"),
    *honoured("bus", "name geo", "labels and coordinates of tables and pictures"),
    *no_effect("bus", "type zone", LABEL),
    # ------------------------------------------------------------------------------- slack
    *honoured("ext_grid", "bus in_service", "the slack bus; exactly one is accepted"),
    *honoured("ext_grid", "name", LABEL),
    *honoured("ext_grid", "vm_pu", "voltage of the slack, unless vm_pu is set", TRANSMISSION),
    *replaced("ext_grid", "vm_pu", "without a grid above this, unless vm_pu is set", FEEDER),
    *honoured("ext_grid", "va_degree", "angle of the slack of a grid without parent", TRANSMISSION),
    *replaced("ext_grid", "va_degree", "without a grid above this", FEEDER),
    *honoured(
        "ext_grid",
        "min_p_mw max_p_mw",
        "limits of the slack unit in the dispatch; no limit where empty",
        TRANSMISSION,
    ),
    *honoured(
        "ext_grid",
        "min_q_mvar max_q_mvar",
        "judged by the certificate of the dispatch",
        TRANSMISSION,
    ),
    *honoured(
        "ext_grid",
        "min_p_mw max_p_mw min_q_mvar max_q_mvar",
        "limits of the exchange of a grid without parent; below a parent its branches limit it",
        FEEDER,
    ),
    *no_effect("ext_grid", "slack_weight", _SLACK_WEIGHT),
    *no_effect(
        "ext_grid", "controllable", "frees the voltage in an AC OPF; the slack holds vm_pu here"
    ),
    *no_effect(
        "ext_grid",
        "s_sc_max_mva s_sc_min_mva rx_max rx_min r0x0_max x0x_max r0x0_min x0x_min",
        "short circuits; the source of a three-phase certificate is stiff",
    ),
    # ------------------------------------------------------------ voltage-holding generators
    *honoured("gen", "bus vm_pu in_service", "holds its voltage; transmission grids only"),
    *honoured("gen", "name", LABEL),
    *honoured(
        "gen", "controllable", "False: power fixed at p_mw times scaling, its cost is counted"
    ),
    *honoured("gen", "p_mw", "power where controllable is False; otherwise it is decided"),
    *honoured(
        "gen", "scaling", "multiplies p_mw where controllable is False; a dispatched one takes 1"
    ),
    *honoured("gen", "min_p_mw max_p_mw", "limits of the dispatch; a dispatched one needs both"),
    *honoured("gen", "min_q_mvar max_q_mvar", "judged by the certificate of the dispatch"),
    *honoured("gen", "min_vm_pu max_vm_pu", "vm_pu must lie between them"),
    *honoured("gen", "slack", "True: the slack, if the net has no other"),
    *no_effect("gen", "slack_weight", _SLACK_WEIGHT),
    *no_effect("gen", "sn_mva", "a rating that power flow and OPF do not use"),
    *no_effect("gen", "type", LABEL),
    *refused("gen", "reactive_capability_curve", _CURVE, accepts=falsy),
    *no_effect("gen", "id_q_capability_characteristic curve_style", "only with a capability curve"),
    *no_effect(
        "gen", "vn_kv xdss_pu rdss_ohm cos_phi power_station_trafo pg_percent", SHORT_CIRCUIT
    ),
    # --------------------------------------------------------------------- static generators
    *honoured("sgen", "bus in_service", "where it injects"),
    *honoured("sgen", "name", "a label, and the column of a profile"),
    *honoured(
        "sgen",
        "type",
        "PV or solar: photovoltaics with the scenario's sun; wye; any other type has the "
        "profile of the net or of net_sgen, or is constant",
    ),
    *honoured(
        "sgen",
        "controllable",
        "True: dispatched within its limits at its cost (photovoltaics: curtailed); False: fixed",
    ),
    *honoured("sgen", "p_mw q_mvar", "power where it is fixed; rated power of photovoltaics"),
    *honoured("sgen", "scaling", "multiplies p_mw and q_mvar; a dispatched unit takes 1"),
    *honoured("sgen", "sn_mva", "inverter rating of photovoltaics; not used by others"),
    *honoured("sgen", "min_p_mw max_p_mw", "limits of a dispatched unit, which needs both"),
    *honoured("sgen", "min_q_mvar max_q_mvar", "must contain what the unit does (0 of a unit)"),
    *honoured("sgen", "phase min_power_factor", "columns of this project: connection, inverter"),
    *refused("sgen", "reactive_capability_curve", _CURVE, accepts=falsy),
    *no_effect(
        "sgen", "id_q_capability_characteristic curve_style", "only with a capability curve"
    ),
    *no_effect("sgen", "current_source k rx generator_type lrc_pu max_ik_ka kappa", SHORT_CIRCUIT),
    # ------------------------------------------------------------------------------- loads
    *honoured("load", "bus p_mw q_mvar scaling in_service", "nominal power, times its profile"),
    *honoured("load", "name", "a label, and the column of a profile"),
    *(c for t in ("load", "sgen", "storage") for c in honoured(t, "profile", _NET_PROFILE)),
    *honoured("load", "phase", "column of this project: the phase of the connection"),
    *refused(
        "load",
        "controllable",
        "False, or a load of its own with shed_percent and shed_eur_per_mwh, is accepted",
        accepts=falsy,
    ),
    *honoured(
        "load",
        "heat_pump_mw backup_mw power_factor loss_mw_per_k capacity_mwh_per_k set_c below_k "
        "above_k comfort_eur_per_k_h store_mwh store_loss_per_h water_mwh heat_source heating "
        "coldest_c gains_mw window_m2",
        "columns of this project: a heat pump with its building",
    ),
    *honoured(
        "load",
        "task_mw task_mwh task_whole task_from_h task_to_h unserved_eur_per_mwh",
        "columns of this project: a shiftable load",
    ),
    *honoured(
        "load",
        "shed_percent shed_eur_per_mwh",
        "columns of this project: a part of the other loads at the bus that may be shed",
    ),
    *honoured(
        "load",
        "cap_mw cap_from_h cap_to_h held_back_eur_per_mwh",
        "columns of this project: a cap on the vehicles and heat pumps at the bus",
    ),
    *honoured(
        "load",
        "external external_initial_mw external_min_mw external_max_mw external_rated_mw "
        "external_eur_per_mwh external_profiled",
        "columns of this project: an entity of a user's simulator, placed by a scenario",
    ),
    *no_effect("load", "min_p_mw max_p_mw min_q_mvar max_q_mvar", "only of controllable loads"),
    *honoured(
        "load",
        "const_z_p_percent const_i_p_percent const_z_q_percent const_i_q_percent",
        "0; a load that depends on the voltage is refused",
    ),
    *no_effect("load", "sn_mva", "a rating that power flow and OPF do not use"),
    *honoured("load", "type", "wye; delta is refused where phases are certified"),
    *no_effect("load", "zone", LABEL),
    *honoured(
        "asymmetric_load",
        "bus p_a_mw p_b_mw p_c_mw q_a_mvar q_b_mvar q_c_mvar scaling in_service",
        "a load of the same power whose phase is kept; one phase each",
    ),
    *honoured("asymmetric_load", "name", "a label, and the column of a profile"),
    *honoured("asymmetric_load", "type", "wye; of a delta load no phase is known"),
    *no_effect("asymmetric_load", "sn_mva sn_a_mva sn_b_mva sn_c_mva", "not used by power flow"),
    *honoured(
        "asymmetric_sgen",
        "bus p_a_mw p_b_mw p_c_mw q_a_mvar q_b_mvar q_c_mvar scaling in_service",
        "sgens of the same power whose phase is kept",
    ),
    *honoured("asymmetric_sgen", "name", "a label, and the column of a profile"),
    *honoured("asymmetric_sgen", "type", "wye; of a delta connection no phase is known"),
    *no_effect("asymmetric_sgen", "sn_mva sn_a_mva sn_b_mva sn_c_mva", "not used by power flow"),
    *no_effect("asymmetric_sgen", "current_source", SHORT_CIRCUIT),
    *honoured(
        "motor",
        "bus pn_mech_mw loading_percent efficiency_percent cos_phi scaling in_service",
        "a load of the same power",
    ),
    *honoured("motor", "name", "a label, and the column of a profile"),
    *no_effect("motor", "cos_phi_n efficiency_n_percent lrc_pu rx vn_kv", SHORT_CIRCUIT),
    *honoured(
        "ward",
        "bus ps_mw qs_mvar pz_mw qz_mvar in_service",
        "an sgen of constant power and a shunt",
    ),
    *no_effect("ward", "name", LABEL),
    *honoured(
        "xward",
        "bus ps_mw qs_mvar pz_mw qz_mvar r_ohm x_ohm vm_pu in_service",
        "a ward, and a gen without active power behind a line; transmission grids only",
    ),
    *no_effect("xward", "name", LABEL),
    *no_effect("xward", "slack_weight", _SLACK_WEIGHT),
    # ------------------------------------------------------------------------------ storages
    *honoured("storage", "bus in_service", "where it is connected"),
    *honoured("storage", "name", LABEL),
    *honoured(
        "storage",
        "controllable",
        "False: fixed at its p and q; True, or not stated with a max_e_mwh: a battery",
    ),
    *honoured("storage", "p_mw q_mvar", "power where fixed; a battery's p_mw is decided, q is 0"),
    *honoured("storage", "scaling", "multiplies p_mw and q_mvar; a battery takes 1"),
    *honoured("storage", "min_p_mw max_p_mw", "discharging and charging; -max_p_mw if not stated"),
    *honoured("storage", "min_e_mwh max_e_mwh", "energy limits; min_e_mwh is 0 if not stated"),
    *honoured("storage", "soc_percent", "initial energy in percent of max_e_mwh; 50 if not stated"),
    *honoured(
        "storage", "min_q_mvar max_q_mvar", "must contain 0: batteries give no reactive power"
    ),
    *honoured(
        "storage",
        "efficiency_charge efficiency_discharge wear_eur_per_mwh phase",
        "columns of this project",
    ),
    *honoured(
        "storage",
        "p_least_mw reserve_mwh unmet_eur_per_mwh kwh_per_km",
        "columns of this project: an electric vehicle",
    ),
    *no_effect("storage", "sn_mva", "a rating that power flow and OPF do not use"),
    *honoured("storage", "type", "vehicle: an electric vehicle; else a label"),
    # ------------------------------------------------------------------------------- shunts
    *honoured("shunt", "bus p_mw q_mvar vn_kv step in_service", "admittance at its bus"),
    *honoured("shunt", "step_dependency_table id_characteristic_table", "as pandapower does"),
    *no_effect("shunt", "max_step", "steps are not switched"),
    *no_effect("shunt", "name", LABEL),
    # -------------------------------------------------------------------------------- costs
    *honoured("poly_cost", "element et", "dispatched units, and fixed ones whose cost is counted"),
    *honoured("poly_cost", "cp0_eur cp1_eur_per_mw cp2_eur_per_mw2", "times generation_factor"),
    *refused(
        "poly_cost",
        "cq0_eur cq1_eur_per_mvar cq2_eur_per_mvar2",
        "reactive power has no price here; 0 is accepted",
        accepts=_zero,
    ),
    *no_effect(
        "poly_cost", "redispatch_up_eur_per_mw redispatch_down_eur_per_mw", "redispatch only"
    ),
    *honoured("pwl_cost", "element et points power_type", "convex costs of active power"),
    # ----------------------------------------------------------------- elements without a model
    *refused("dcline", "", "two loads, or a load and a generator, are accepted"),
    *refused("svc", "", "a shunt is accepted"),
    *refused("ssc", "", "a gen is accepted"),
    *refused("vsc", "", _CONVERTER),
    *refused("bi_vsc", "", _CONVERTER),
    *refused("b2b_vsc", "", _CONVERTER),
    *refused("vsc_stacked", "", _CONVERTER),
    *refused("vsc_bipolar", "", _CONVERTER),
    *refused("bus_dc", "", _CONVERTER),
    *refused("line_dc", "", _CONVERTER),
    *refused("load_dc", "", _CONVERTER),
    *refused("source_dc", "", _CONVERTER),
    # --------------------------------------------------------------------- beside the elements
    *no_effect("measurement", "", "state estimation only"),
    *no_effect("group", "", "groups of elements, for selection only"),
    *no_effect("characteristic", "", "used through the elements that name one"),
    *no_effect("q_capability_curve_table", "", "used through the elements that name one"),
    *no_effect("q_capability_characteristic", "", "used through the elements that name one"),
    *no_effect("bus_geodata", "", "coordinates of an older pandapower"),
    *no_effect("line_geodata", "", "coordinates of an older pandapower"),
    # -------------------------------------------------------------------------- controllers
    *no_effect(
        "controller",
        "",
        "runpp ignores controllers too; profiles and set points are the scenario's; one of a tap "
        "is replaced by an oltc boundary or refused",
    ),
    *no_effect("trafo_characteristic_table", "", "used through the transformers that name one"),
    *no_effect("shunt_characteristic_table", "", "used through the shunts that name one"),
    *BRANCHES,
)
