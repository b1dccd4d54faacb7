"""Content of a run's summary.json."""

from importlib.metadata import version
from pathlib import Path
from typing import Any

from stackelgrid.scenarios.build.system import BuiltScenario
from stackelgrid.scenarios.run.json_text import finite
from stackelgrid.scenarios.run.stored_energy import stored_energy
from stackelgrid.simulators.results.manifest import FILE
from stackelgrid.simulators.results.totals import Totals
from stackelgrid.simulators.timings import Timings


def summary(
    built: BuiltScenario,
    folder: Path,
    totals: Totals,
    timings: Timings,
    status: str,
    wall_s: float,
) -> dict[str, Any]:
    """Return the content of summary.json; quantities that the run does not have are null.

    `folder` is the folder of the scenario file, which is searched for users' modules.
    """
    scenario, solvers = built.scenario, built.solvers
    costs, stored = totals.costs, stored_energy(built, totals)
    content = {
        "scenario": scenario.name,
        "seed": scenario.seed,
        "folder": str(folder),
        "version": version("stackelgrid"),
        "manifest": FILE,
        "status": status,
        "intervals_planned": scenario.time.intervals,
        "intervals_done": totals.intervals_done,
        "intervals_fallback": len(totals.fallback_intervals),
        "wall_s": wall_s,
        "timings": timings.breakdown(wall_s),
        "certificate_s": getattr(built.controller, "certificate_s", None),  # part of solve_s
        "solver": {
            "conic": solvers.conic.name,
            "mixed_integer": solvers.mixed_integer.name,
            "version": solvers.mixed_integer.version,
            "fallback_reason": solvers.mixed_integer.fallback_reason,
        },
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
            "max_relative_gap": totals.max_gap,
            "max_gap_eur": totals.max_gap_eur,
            "max_gap_of_flexible_cost": totals.max_flexible_gap,
            "max_follower_gap": totals.max_follower_gap,
            "big_m_active": False,  # no scheme of a run uses a big M
        },
        "certificate": totals.certificate.summary(),
        "negotiation": totals.negotiation.summary(),
        "interface": {
            "max_mismatch_mva": totals.max_mismatch_mva,
            "max_mismatch_pu": totals.max_mismatch_pu,
            "max_rounds": totals.max_rounds,
        },
        "max_simultaneous_charge_discharge_mw": totals.max_simultaneous_mw,
        "max_balance_error_mw": totals.max_balance_error_mw,
        "energy_handover_max_error_mwh": totals.max_handover_error_mwh,
    }
    told: dict[str, Any] = finite(content)
    return told
