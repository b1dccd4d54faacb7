"""Stored energy at the start and end of a run, and the value of the difference."""

from typing import Any

from stackelgrid.scenarios.build.system import BuiltScenario
from stackelgrid.simulators.results.totals import Totals


def stored_energy_prices(built: BuiltScenario) -> dict[str, float]:
    """Return the value of stored energy by feeder, EUR/MWh: as given or the mean import price."""
    names = [f.name for f in built.system.feeders]
    stated = built.scenario.costs.stored_energy_eur_per_mwh
    if stated is not None:
        return dict.fromkeys(names, stated)
    n = built.scenario.time.intervals
    return {name: float(built.series[name].import_eur_per_mwh[:n].mean()) for name in names}


def stored_energy(built: BuiltScenario, totals: Totals) -> dict[str, Any]:
    """Return the section `stored_energy` of summary.json: MWh at the start and the end of the run.

    Energies are of all copies, by feeder and in total; `value_eur` is the value of the increase.
    """
    grids = {}
    for name, price in stored_energy_prices(built).items():
        start = built.devices[name].batteries.e_initial_mwh
        end = totals.battery_e_mwh.get(name, start)
        copies = built.system.copies(name)
        first, last = copies * float(start.sum()), copies * float(end.sum())
        grids[name] = {
            "start_mwh": first,
            "end_mwh": last,
            "eur_per_mwh": price,
            "value_eur": (last - first) * price,
        }
    total = {key: sum(g[key] for g in grids.values()) for key in ("start_mwh", "end_mwh")}
    return {**total, "value_eur": sum(g["value_eur"] for g in grids.values()), "grids": grids}
