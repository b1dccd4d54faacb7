"""Names in words: keys of files, tables and options as they are shown to people.

Console, reports, pictures and pages show words; files, options and the values listed by error
messages keep keys.
"""

from functools import cache

_LEVELS = {"transmission": "transmission", "mv": "medium voltage", "lv": "low voltage"}

_DECISIONS = {
    # schemes, orders of decision
    "bottom_up": "bottom-up",
    "top_down": "top-down",
    "ldd_admm": "LDD-ADMM",
    # pricing, horizon
    "lmp": "nodal prices",
    "day_ahead": "day-ahead",
    # basis of a comparison, design of a sweep
    "closed_loop": "closed loop",
    "latin_hypercube": "Latin hypercube",
    # rungs of recovery
    "convex_concave": "convex-concave",
}

_STATES = {
    # verdict of a certificate, status of a run, status of a solution
    "": "no certificate",
    "running": "going on",
    "limit": "stopped at a limit",
    "held": "earlier schedule",
}

_SOLVERS = {
    "clarabel": "Clarabel",
    "highs": "HiGHS",
    "misocp": "Clarabel with HiGHS",
    "mosek": "MOSEK",
    "scip": "SCIP",
    "gurobi": "Gurobi",
    "xpress": "Xpress",
    "copt": "COPT",
}

_INDICATORS = {
    "total": "all grids",
    "total_cost": "cost of the system",
    "leader_cost": "cost of the leaders",
    "follower_cost": "cost of the follower",
    "boundary_payment": "payments at the boundary",
    "stored_energy": "increase in stored energy",
    "stored_energy_value": "value of the increase in stored energy",
    "leader_cost_corrected": "cost of the leaders corrected by stored energy",
    "total_cost_corrected": "cost corrected by stored energy",
    "extra_cost_percent": "extra cost",
    "follower_returned": "follower's cost as returned",
    "follower_min": "follower's lowest possible cost",
    "follower_max": "follower's highest possible cost",
    "remaining_gain": "gain left by another decision",
    "peak_exchange": "peak exchange",
    "self_consumption": "self-consumption",
    "self_sufficiency": "self-sufficiency",
    "p2p_inside": "trade inside networks",
    "p2p_across": "trade across networks",
    "generation": "generation of the networks",
    "follower_generation": "generation of the follower",
    "bound": "proven bound of the objective",
    "gap": "relative gap",
    "gap_eur": "gap",
    "follower_gap": "relative gap of the follower",
    "fallbacks": "fallbacks",
    "intervals_beyond_limits": "intervals beyond limits",
    "max_violation": "largest violation",
    "max_loading": "highest loading",
    "agreements": "negotiations agreed",
    "rounds_mean": "rounds on average",
    "rounds_max": "rounds at most",
    "messages_lost": "messages lost",
    "bytes": "volume of messages",
    "agreement_mean": "time to agreement on average",
    "agreement_max": "time to agreement at most",
    "agents_fallback": "agents on an old schedule",
    "agents_in_doubt": "agents in doubt at the gate",
    "solve_s": "solve time",
    # key figures of ensembles
    "cost": "cost corrected by stored energy",
    "regret_percent": "regret",
    "horizon_cost": "extra cost of the horizon",
    "imbalance_mean": "mean imbalance",
    "imbalance_max": "largest imbalance",
    "imbalance_bias": "mean signed imbalance",
}

_SWEEPS = {
    "export_price_eur_per_mwh": "export price, EUR/MWh",
    "vm_max_pu": "voltage ceiling, p.u.",
}


def words(key: str) -> str:
    """Return a name in words; an unknown one as it is, with spaces for underscores.

    An import path of a user's class (`package.module:Class`) stays as it is.
    """
    known = _known().get(key)
    if known is not None:
        return known
    return key if ":" in key else key.replace("_", " ")


def heading(key: str, unit: str) -> str:
    """Return a name in words with its unit, for heads of tables; unit "1" and "" have none."""
    name = words(key)
    return name if unit in ("", "1") else f"{name}, {unit}"


def counted_label(number: int, label: str) -> str:
    """Return "1 battery", "4 batteries", "2 PV" from the label of a kind of device, a plural."""
    if number == 1 and label.endswith("ies"):
        label = f"{label.removesuffix('ies')}y"
    return f"{number} {label.removesuffix('s') if number == 1 else label}"


@cache
def _known() -> dict[str, str]:
    """Return all names with words of their own."""
    # loads numpy and Pyomo, which the start of the command line does without
    from stackelgrid.controllers.devices.registry import kinds

    known = {**_LEVELS, **_DECISIONS, **_STATES, **_SOLVERS, **_INDICATORS, **_SWEEPS}
    for kind in kinds():
        name, label = kind.kind, kind.label
        known |= {
            f"{name}_available": f"available energy of {label}",
            f"{name}_generation": f"generation of {label}",
            f"{name}_curtailed": f"curtailed energy of {label}",
            f"{name}_curtailment": f"{label} curtailment",
            f"{name}_throughput": f"throughput of {label}",
        }
        known |= {f"{name}_unmet": q.lacked for q in kind.quantities if q.lacked}
        if kind.sweep:
            known[f"{name}_scale"] = kind.sweep
    return known
