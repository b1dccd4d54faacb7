"""Columns of the tables of a run about its grids: one declaration for code and documentation."""

from stackelgrid.simulators.results.columns import (
    INT,
    UTC_TIME,
    Column,
    Table,
    count,
    flag,
    group,
    label,
    number,
    table,
)

KEY = (
    Column("interval", INT, "", "number of the interval, from 0"),
    Column("time", UTC_TIME, "", "its start, UTC"),
    label("grid", "name of the grid"),
)
STEP = (
    count("step", "step of the horizon, from 0"),
    number("dt_h", "h", "its length"),
)

# results of the certificate for a step: the applied one in `interval`, all in `certificate`
_JUDGED = (
    label("verdict", "`exact`, `feasible` or `infeasible`; empty where a controller gives no "
          "certificate"),
    number("cone_gap_pu", "p.u.", "largest abs(l v - P^2 - Q^2) of a branch; empty for a schedule "
           "without flows (a fallback) and a transmission grid"),
    number("fictitious_loss_mw", "MW", "r (l - (P^2 + Q^2) / v), positive parts summed over the "
           "branches"),
    number("fictitious_loss_share", "1", "the same relative to the load: the sum of absolute "
           "consumption at the buses, grids below included"),
    number("voltage_error_pu", "p.u.", "largest difference between planned and AC voltage"),
    number("loss_error_mw", "MW", "planned losses against those of AC; transmission: the losses "
           "that DC neglects"),
    number("import_error_mw", "MW", "planned import against that of AC; transmission: what the "
           "slack unit gives more or less than dispatched"),
    number("violation_pu", "p.u.", "largest violation of a voltage limit (p.u.) or rating (share) "
           "by the AC solution; transmission: of units' limits too (powers in p.u. of the base)"),
    label("worst", "its bus or branch, or where the power flow collapses"),
)  # fmt: skip
_JUDGED_BY_PHASE = (
    label("verdict_three_phase", "`feasible` or `infeasible`"),
    number("violation_three_phase_pu", "p.u.", "largest violation of a voltage limit by any phase, "
           "or of a rating (share) by any conductor"),
    label("worst_three_phase", "its bus or branch"),
)  # fmt: skip
_UNBALANCE = (
    number("unbalance_pu", "p.u.", "largest difference between a phase's voltage and the balanced "
           "AC voltage"),
    number("unbalance_percent", "%", "largest unbalance factor: negative over positive sequence "
           "voltage"),
)  # fmt: skip

INTERVAL = table(
    "interval",
    "One row for each grid. Values are of one copy; `copies` is the number of identical grids it "
    "stands for in the whole system.",
    *KEY,
    label("level", "transmission, mv or lv"),
    count("copies", "identical grids that the row stands for"),
    group(
        "decision", "solver of the plan and its result",
        label("solver", "name of the solver"),
        label("status", "result: optimal, or the reason why not"),
        count("iterations", "iterations of the solver"),
        number("gap", "1", "relative gap between objective and proven bound, of the whole group "
               "where grids decide together"),
        number("solver_violation", "1", "largest violation of a row by the returned point, "
               "relative to its terms, checked independently"),
        number("objective_eur", "EUR", "cost of the plan over the whole horizon"),
        number("gap_eur", "EUR", "the gap in EUR"),
        number("flexible_gap", "1", "the gap relative to the cost without the uncontrolled load"),
        count("nodes", "nodes of the search"),
        count("conic_solves", "conic programs solved; 1: the snapped relaxed point satisfied "
              "everything"),
        flag("fallback", "whether the plan is the last schedule, kept inside the limits"),
        label("fallback_reason", "reason for the fallback"),
        number("solve_s", "s", "wall-clock time of the solve"),
        number("simultaneous_mw", "MW", "largest power a battery would charge and discharge at "
               "once anywhere in the plan"),
    ),
    group(
        "plan", "applied step, AC power flow at the injections of the plan and the forecast",
        *_JUDGED,
    ),
    group(
        "plan, whole horizon",
        "in the interval of the decision (a day-ahead plan: the first); 0 or empty in the others",
        count("horizon_exact", "number of steps whose balanced verdict is exact"),
        count("horizon_feasible", "number of steps whose balanced verdict is feasible"),
        count("horizon_infeasible", "number of steps whose balanced verdict is infeasible"),
        number("horizon_cone_gap_pu", "p.u.", "largest cone gap of all steps"),
        number("horizon_fictitious_loss_share", "1", "largest share of all steps"),
        number("horizon_violation_pu", "p.u.", "largest violation of all steps"),
    ),
    group(
        "plan, phase by phase",
        "applied step; empty without `certificate.three_phase` and for grids other than lv",
        *_JUDGED_BY_PHASE,
        count("horizon_infeasible_three_phase", "number of steps at which a phase or conductor is "
              "beyond its limit"),
        *_UNBALANCE,
        *(
            number(f"{extreme}_vm_{phase}_pu", "p.u.", f"{word} voltage of phase {phase}, over the "
                   "buses")
            for extreme, word in (("min", "lowest"), ("max", "highest"))
            for phase in "abc"
        ),
    ),
    group(
        "recovery",
        "empty for plans accepted without recovery; rungs tried and cost in the interval of the "
        "decision",
        label("recovery", "rung whose schedule is applied; empty with `recovery_tried` where none "
              "was better"),
        label("recovery_tried", "rungs in their order with the decisions each took"),
        count("recovery_decisions", "number of decisions taken anew"),
        label("verdict_before", "verdict of the first schedule at this step, in either view; where "
              "there was a recovery"),
        number("violation_before_pu", "p.u.", "its violation"),
        number("recovery_eur", "EUR", "cost of the plan over the horizon less that of the first "
               "one, one copy: an upper bound of what exactness costs"),
    ),
    group(
        "reality", "at realised load and PV",
        number("realised_violation_pu", "p.u.", "as `violation_pu`, in reality (balanced)"),
        label("realised_worst", "its bus or branch"),
        number("realised_voltage_change_pu", "p.u.", "largest difference between reality and "
               "AC at the planned injections: forecast errors, moved taps, the real head voltage"),
        number("p_import_mw", "MW", "exchange at the boundary; 0 for a transmission grid"),
        number("q_import_mvar", "MVAr", "the same, reactive"),
        number("p_import_planned_mw", "MW", "planned exchange"),
        number("load_p_mw", "MW", "own uncontrolled loads less generators of constant power"),
        number("load_q_mvar", "MVAr", "the same, reactive"),
        number("lower_p_mw", "MW", "grids connected below, all their copies"),
        number("pv_p_mw", "MW", "feed-in of PV"),
        number("pv_available_mw", "MW", "power available from the sun"),
        number("battery_p_mw", "MW", "net charging"),
        number("battery_e_mwh", "MWh", "energy at the end of the interval"),
        number("unit_p_mw", "MW", "dispatchable units; in a transmission grid the slack unit "
               "delivers what the power flow leaves to it"),
        number("loss_mw", "MW", "losses of lines and transformers"),
        number("balance_error_mw", "MW", "supply less demand and losses: rounding of the power "
               "flow"),
        number("min_vm_pu", "p.u.", "lowest voltage over the buses"),
        number("max_vm_pu", "p.u.", "highest voltage over the buses"),
        number("max_loading_percent", "%", "highest loading over the rated branches"),
        count("tap_pos", "tap of the boundary transformer; 0 if ideal, where the net's tap stays"),
        count("rounds", "power flows of this grid until the interfaces had converged"),
        number("energy_handover_error_mwh", "MWh", "energy the plan started from less energy the "
               "devices had"),
    ),
    group(
        "money", "of the interval, one copy",
        number("boundary_eur", "EUR", 'payment at the boundary: the import (export) price times '
               'the exchange that no trade across has paid for; with `pricing = "lmp"` the nodal '
               'price times the exchange, empty before the first nodal price'),
        number("retail_eur", "EUR", "retail margin of the prosumers"),
        number("fee_eur", "EUR", "trade fees of the prosumers"),
        number("wear_eur", "EUR", "battery wear"),
        number("curtailment_eur", "EUR", "price of curtailed PV"),
        number("generation_eur", "EUR", "cost of dispatchable units"),
    ),
)  # fmt: skip

BUS = table(
    "bus",
    "One row for each bus.",
    *KEY,
    count("bus", "pandapower's index"),
    number("vm_pu", "p.u.", "realised voltage"),
    number("va_degree", "degree", "angle, of the whole system's reference"),
    number("p_mw", "MW", "consumption of devices and lower grids; voltage-controlling generators "
           "are in the device table"),
    number("q_mvar", "MVAr", "the same, reactive"),
    number("price_eur_per_mwh", "EUR/MWh", "nodal price that the grid's own dispatch as a follower "
           "found: of the DC-OPF in a transmission network, of the MV dispatch in a feeder with "
           "grids below; of the last one where the dispatch is held; empty elsewhere"),
    number("vm_planned_pu", "p.u.", "voltage of the relaxation at the plan's applied step; empty "
           "in a transmission network"),
    number("vm_certified_pu", "p.u.", "voltage of AC at the planned injections of that step"),
)  # fmt: skip

BRANCH = table(
    "branch",
    "One row for each line and transformer; powers are positive into the branch.",
    *KEY,
    label("element", "line or trafo"),
    count("index", "pandapower's index"),
    number("p_from_mw", "MW", "into the from end: a transformer's upper side"),
    number("q_from_mvar", "MVAr", "the same, reactive"),
    number("p_to_mw", "MW", "into the to end"),
    number("q_to_mvar", "MVAr", "the same, reactive"),
    number("pl_mw", "MW", "losses"),
    number("i_ka", "kA", "current at the larger end"),
    number("loading_percent", "%", "of the rating; 0 where there is none"),
    number("cone_gap_pu", "p.u.", "abs(l v - P^2 - Q^2) at the plan's applied step"),
    number("fictitious_loss_mw", "MW", "r (l - (P^2 + Q^2) / v) at that step; an interior point "
           "leaves it a rounding above or below zero"),
    number("loading_certified_percent", "%", "by AC at the planned injections; empty without a "
           "rating"),
)  # fmt: skip

DEVICE = table(
    "device",
    "One row for each load, PV system, battery and unit.",
    *KEY,
    label("element", "pandapower's table"),
    count("index", "pandapower's index"),
    label("name", "pandapower's name"),
    label("kind", "load (generators of constant power too), pv, battery or unit"),
    count("bus", "pandapower's index of its bus"),
    label("phase", "a, b, c or abc; empty where none is stated"),
    number("p_mw", "MW", "delivered: loads and batteries positive when consuming, PV and units "
           "when injecting"),
    number("q_mvar", "MVAr", "the same, reactive"),
    number("asked_mw", "MW", "set point; of PV what the plan expects (`limit_mw` binds)"),
    number("available_mw", "MW", "power available from the sun, or a unit's limit"),
    number("limit_mw", "MW", "most that PV may feed in: its inverter's rating where the plan does "
           "not curtail"),
    number("e_mwh", "MWh", "energy at the end of the interval"),
    number("soc_percent", "%", "state of charge at the end of the interval"),
)  # fmt: skip

BOUNDARY = table(
    "boundary",
    "One row for each grid with a parent; powers are of one copy, into the lower grid.",
    *KEY,
    label("parent", "grid above"),
    count("parent_bus", "its bus"),
    count("multiplicity", "copies of the grid at that bus"),
    label("kind", "oltc, fixed_tap or ideal"),
    number("p_mw", "MW", "exchange"),
    number("q_mvar", "MVAr", "the same, reactive"),
    number("p_planned_mw", "MW", "planned exchange"),
    number("vm_pu", "p.u.", "voltage on the upstream side"),
    count("tap_pos", "position of the tap; 0 if ideal, where the net's tap stays"),
    number("mismatch_mva", "MVA", "power the upper grid used less power the lower grid drew, when "
           "the loop had ended"),
    number("mismatch_pu", "p.u.", "the larger of that on the lower grid's base and the voltage "
           "mismatch"),
    number("import_eur_per_mwh", "EUR/MWh", "price of imports"),
    number("export_eur_per_mwh", "EUR/MWh", "price of exports"),
    number("nodal_price_eur_per_mwh", "EUR/MWh", "nodal price at the parent's bus"),
)  # fmt: skip

TRADE = table(
    "trade",
    "One row for each prosumer, market and side in which it traded in the applied step (under a "
    "held schedule everything with the grid).",
    *KEY,
    count("bus", "bus of the prosumer"),
    label("market", "grid, inside (its feeder) or across (feeders)"),
    label("side", "buy or sell"),
    number("p_mw", "MW", "traded power"),
    number("price_eur_per_mwh", "EUR/MWh", "with the grid the tariff plus (less) the retail "
           "margin, inside a feeder midway between import and export price, across feeders the "
           "mean of that over the feeders of the group"),
    number("fee_eur_per_mwh", "EUR/MWh", "fee of the buyer"),
)  # fmt: skip

CERTIFICATE = table(
    "certificate",
    "The certificate of every step of a plan, in the interval of the decision; `interval` holds "
    "that of the applied step. Plans are checked on forecasts; reality: the `realised_` columns "
    "of `interval`.",
    *KEY,
    *STEP,
    *_JUDGED,
    *_JUDGED_BY_PHASE,
    *_UNBALANCE,
)

PHASE = table(
    "phase",
    "One row for each bus of a grid with a three-phase view: its plan at the applied step.",
    *KEY,
    count("bus", "pandapower's index"),
    *(number(f"vm_{p}_pu", "p.u.", f"voltage of phase {p}, line to neutral") for p in "abc"),
    number("unbalance_percent", "%", "unbalance factor"),
)

SCHEDULE = table(
    "schedule",
    "The plan made in that interval: one row for each device and step.",
    *KEY,
    *STEP,
    label("element", "pandapower's table; `boundary`: the import"),
    count("index", "pandapower's index"),
    number("p_mw", "MW", "planned power, signs as in `device`"),
    number("q_mvar", "MVAr", "the same, reactive; empty where it is not planned"),
    number("e_mwh", "MWh", "energy of a battery at the end of the step"),
)

NETWORK = table(
    "network",
    "Static, one row for each bus, branch and device of a grid; empty where an element has no such "
    "quantity.",
    label("grid", "name of the grid"),
    label("level", "transmission, mv or lv"),
    label("element", "pandapower's table: bus, line, trafo, load, sgen, storage, gen or ext_grid"),
    count("index", "pandapower's index"),
    label("name", "pandapower's name"),
    count("bus", "the bus itself, a device's bus, or a branch's first bus (upper side)"),
    count("to_bus", "a branch's second bus; -1 elsewhere"),
    number("x", "", "coordinate of a bus, in the unit of the net (degrees, metres)"),
    number("y", "", "the same"),
    number("vn_kv", "kV", "rated voltage of a bus"),
    number("min_vm_pu", "p.u.", "lower voltage limit of a bus"),
    number("max_vm_pu", "p.u.", "upper voltage limit of a bus"),
    number("length_km", "km", "length of a line"),
    number("max_i_ka", "kA", "rating of a line"),
    number("sn_mva", "MVA", "rating of a transformer or device"),
    number("p_mw", "MW", "power of a device as the net states it"),
    number("max_p_mw", "MW", "largest power of a device"),
    number("max_e_mwh", "MWh", "capacity of a battery"),
    number("max_loading_percent", "%", "loading limit of a branch; empty without a rating"),
)  # fmt: skip

GRID_TABLES: tuple[Table, ...] = (
    INTERVAL, BUS, BRANCH, DEVICE, BOUNDARY, TRADE, CERTIFICATE, PHASE, SCHEDULE,
)  # fmt: skip
