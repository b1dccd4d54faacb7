"""Power flow of a run against pandapower's of the net as its authors wrote it."""

import copy
from typing import Any

import numpy as np
import pandapower as pp
import pandas as pd

from stackelgrid.controllers.networks.sources.cases import read_case

# elements whose power a run records at their bus
POWERS = ("load", "sgen", "storage", "asymmetric_load", "asymmetric_sgen", "motor")
OPTIONS = {"numba": False, "calculate_voltage_angles": True, "init": "dc"}
BRANCHES = ("line", "trafo", "trafo3w", "impedance")


def differences(run: Any, case: str, part: str = "") -> tuple[float, float, float]:
    """Return the largest difference of voltages, in p.u., and losses of a run and of pandapower.

    run: a finished run whose grids are parts of one net.
    case: the net, as in the scenario.
    part: `ext_grid 1` if only what this slack supplies is simulated.

    Voltages are compared as complex numbers relative to the slack, losses are means over the
    intervals, in MW.
    """
    original = copy.deepcopy(read_case(case, "grid").net)
    if part.startswith("ext_grid"):
        others = original.ext_grid.index != int(part.split()[1])
        original.ext_grid.loc[others, "in_service"] = False
    tables = {name: getattr(run, name) for name in ("bus", "boundary", "interval", "device")}
    static = run.network
    added = static["name"].str.startswith("open end of") | ~static["bus"].isin(original.bus.index)
    buses = static[(static["element"] == "bus") & ~added]
    heads = static[static["element"] == "ext_grid"].set_index("grid")["bus"]
    results = [
        _difference(
            original, buses[["grid", "bus"]], heads,
            {name: t[t["interval"] == k] for name, t in tables.items()},
        )
        for k in sorted(tables["interval"]["interval"].unique())
    ]  # fmt: skip
    worst, ours, theirs = np.array(results).T
    return float(worst.max()), float(ours.mean()), float(theirs.mean())


def _difference(
    original: Any, buses: pd.DataFrame, heads: pd.Series, tables: dict[str, pd.DataFrame]
) -> tuple[float, float, float]:
    net = copy.deepcopy(original)
    own = tables["bus"].merge(buses, on=["grid", "bus"])
    _set_powers(net, own, tables["boundary"])
    gens = tables["device"][tables["device"]["element"] == "gen"].set_index("index")
    for index in net.gen.index.intersection(gens.index):
        net.gen.loc[index, ["p_mw", "scaling"]] = [gens.at[index, "p_mw"], 1.0]
    _solve(net)
    theirs = _phasors(net.res_bus.loc[own["bus"]])
    ours = _phasors(own)
    root = own["grid"].iloc[0]
    head = np.flatnonzero((own["grid"] == root) & (own["bus"] == heads[root]))[0]
    turn = theirs[head] / ours[head]
    worst = np.abs(theirs - ours * turn / abs(turn)).max()
    lost = sum(net[f"res_{b}"]["pl_mw"].sum() for b in BRANCHES if len(net[b]))
    return float(worst), float(tables["interval"]["loss_mw"].sum()), float(lost)


def _solve(net: Any) -> None:
    """Solve with the least tolerance that pandapower reaches.

    Below 1e-6 ohm it reaches none: such lines are closed switches then.
    """
    for tolerance_mva in (1e-10, 1e-9, 1e-8):
        try:
            pp.runpp(net, tolerance_mva=tolerance_mva, **OPTIONS)
            return
        except pp.LoadflowNotConverged:
            continue
    ohm = np.hypot(net.line["r_ohm_per_km"], net.line["x_ohm_per_km"]) * net.line["length_km"]
    for index in net.line.index[ohm < 1e-6]:
        net.line.loc[index, "in_service"] = False
        pp.create_switch(net, *net.line.loc[index, ["from_bus", "to_bus"]], et="b")
    pp.runpp(net, tolerance_mva=1e-10, **OPTIONS)


def _set_powers(net: Any, bus: pd.DataFrame, boundary: pd.DataFrame) -> None:
    """Replace all powers of a net by those of a run at its buses."""
    for table in POWERS:
        net[table] = net[table].iloc[:0]
    for table in ("ward", "xward"):
        net[table][["ps_mw", "qs_mvar"]] = 0.0
    power = bus.groupby("bus")[["p_mw", "q_mvar"]].sum()
    for _, lower in boundary.iterrows():  # a lower grid is part of the same net
        power.loc[lower["parent_bus"]] -= lower[["p_mw", "q_mvar"]].to_numpy(float)
    pp.create_loads(net, power.index, p_mw=power["p_mw"], q_mvar=power["q_mvar"])


def _phasors(bus: pd.DataFrame) -> Any:
    return bus["vm_pu"].to_numpy() * np.exp(1j * np.deg2rad(bus["va_degree"].to_numpy()))
