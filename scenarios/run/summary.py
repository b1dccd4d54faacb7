"""Content of a run's summary.json, with the value of stored energy."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from stackelgrid.scenarios.build.system import BuiltScenario
from stackelgrid.scenarios.run.directory import finite
from stackelgrid.simulators.results.manifest import FILE
from stackelgrid.simulators.results.tables import RunTables
from stackelgrid.simulators.results.totals import (
    Rows,
    certificate_section,
    intervals_fallback,
    largest_known,
    negotiation_section,
    run_costs,
)
from stackelgrid.simulators.timings import Timings

_ENERGIES = ("start_mwh", "end_mwh")


def summary(
    built: BuiltScenario,
    folder: Path,
    tables: RunTables,
    timings: Timings,
    status: str,
    wall_s: float,
) -> dict[str, Any]:
    """Return the content of summary.json; quantities that the run does not have are null.

    `folder` is the folder of the scenario file, which is searched for users' modules.
    """
    scenario = built.scenario
    parents = {name: grid.section.parent or "" for name, grid in built.grids.items()}
    rows, boundary = tables.kept["interval"], tables.kept["boundary"]
    costs, stored = run_costs(rows, parents), stored_energy(built, rows)
    audits = tables.kept["stage"]["follower_gap"]
    audited = audits[~np.isnan(audits)]
    content = {
        "scenario": scenario.name,
        "seed": scenario.seed,
        "folder": str(folder),
        "version": version("stackelgrid"),
        "manifest": FILE,
        "status": status,
        "intervals_planned": scenario.time.intervals,
        "intervals_done": tables.intervals_done,
        "intervals_fallback": intervals_fallback(rows),
        "wall_s": wall_s,
        "timings": timings.breakdown(wall_s),
        "certificate_s": getattr(built.controller, "certificate_s", None),  # part of solve_s
        "solver": solver_section(built),
        "cost_eur": {
            "total": costs.system,
            "leader": costs.leaders,
            "follower": costs.follower,
            "total_corrected": costs.system - stored["value_eur"],
        },
        "stored_energy": stored,
        "bilevel": {
            "scheme": scenario.controller,
            "pricing": scenario.pricing,
            "max_relative_gap": largest_known(rows["gap"]),
            "max_gap_eur": largest_known(rows["gap_eur"]),
            "max_gap_of_flexible_cost": largest_known(rows["flexible_gap"]),
            "max_follower_gap": largest_known(audited) if len(audited) else None,
            "big_m_active": False,  # no scheme of a run uses a big M
        },
        "certificate": certificate_section(rows),
        "negotiation": negotiation_section(tables.kept),
        "interface": {
            "max_mismatch_mva": largest_known(boundary["mismatch_mva"]),
            "max_mismatch_pu": largest_known(boundary["mismatch_pu"]),
            "max_rounds": int(rows["rounds"].max(initial=0)),
        },
        "max_simultaneous_charge_discharge_mw": largest_known(rows["simultaneous_mw"]),
        "max_balance_error_mw": largest_known(np.abs(rows["balance_error_mw"])),
        "energy_handover_max_error_mwh": largest_known(rows["energy_handover_error_mwh"]),
    }
    plain: dict[str, Any] = finite(content)
    return plain


def solver_section(built: BuiltScenario) -> dict[str, Any]:
    """Return the section `solver` of a summary."""
    conic, mixed_integer = built.solvers.conic, built.solvers.mixed_integer
    return {
        "conic": conic.name,
        "mixed_integer": mixed_integer.name,
        "version": mixed_integer.version,
        "fallback_reason": mixed_integer.fallback_reason,
    }


def stored_energy_prices(built: BuiltScenario) -> dict[str, float]:
    """Return the value of stored energy by feeder, EUR/MWh: as given or the mean import price."""
    names = [f.name for f in built.system.feeders]
    stated = built.scenario.costs.stored_energy_eur_per_mwh
    if stated is not None:
        return dict.fromkeys(names, stated)
    n = built.scenario.time.intervals
    return {name: float(built.series[name].import_eur_per_mwh[:n].mean()) for name in names}


def stored_energy(built: BuiltScenario, rows: Rows) -> dict[str, Any]:
    """Return the section `stored_energy` of summary.json: MWh at the start and the end of the run.

    Energies are of all copies, by feeder and in total; `value_eur` is the value of the increase,
    `kinds` splits the energies of a feeder by kind of device. `rows` are those of the table
    `interval`.
    """
    grids: dict[str, dict[str, Any]] = {}
    for name, price in stored_energy_prices(built).items():
        mine, copies, series = rows["grid"] == name, built.system.copies(name), built.series[name]
        found = {}
        for member in built.devices[name]:
            if member.stored():
                start = float(member.stored_mwh(member.initial, series.row(0)).sum())
                end = rows[member.stored()][mine]
                last = float(end[-1]) if len(end) else start
                found[member.kind] = {"start_mwh": copies * start, "end_mwh": copies * last}
        first, last = (sum((f[key] for f in found.values()), 0.0) for key in _ENERGIES)
        grids[name] = {
            "start_mwh": first,
            "end_mwh": last,
            "eur_per_mwh": price,
            "value_eur": (last - first) * price,
            "kinds": found,
        }
    total = {key: sum(g[key] for g in grids.values()) for key in _ENERGIES}
    return {**total, "value_eur": sum(g["value_eur"] for g in grids.values()), "grids": grids}
