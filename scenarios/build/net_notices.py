"""Notices about a user's net: constant powers, and costs and limits that are not used."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from pandapower.auxiliary import pandapowerNet

from stackelgrid.controllers.devices.elements import controllable
from stackelgrid.controllers.devices.sunlight import is_photovoltaic
from stackelgrid.controllers.networks.naming import listed, named
from stackelgrid.controllers.networks.sources.shipped import available_cases
from stackelgrid.scenarios.build.grids import BuiltGrid
from stackelgrid.scenarios.build.placement import has_profile
from stackelgrid.scenarios.build.system import BuiltScenario

_COSTS = ("poly_cost", "pwl_cost")
_LIMITS = ("min_p_mw", "max_p_mw", "min_q_mvar", "max_q_mvar")


def net_lines(built: BuiltScenario) -> list[str]:
    """Return a line for each element of users' nets that is treated in an unexpected way."""
    lines = list(_changes(built))
    for name, grid in built.grids.items():
        if grid.section.case not in available_cases():
            own = [*_profiles(grid), *_constant(grid), *_solar(grid.net), *_costs(grid.net)]
            own += _controllers(grid.net)
            if grid.section.level != "transmission":
                own += _slack(grid)
            lines += [f"grids.{name}: {line}" for line in own]
    return lines


def _profiles(grid: BuiltGrid) -> Iterator[str]:
    """Count the elements that have the profiles of the net."""
    stated = {
        "load": grid.section.loads.sources > 0,
        "sgen": grid.section.net_sgen is not None,
        "storage": False,
    }
    used = []
    for table, elsewhere in stated.items():
        if not elsewhere:
            at = has_profile(grid.net, table, grid.profiles)
            fixed = at & ~controllable(grid.net[table], table)
            used += [f"{int(fixed.sum())} {table}"] if fixed.any() else []
    if used:
        yield f"{', '.join(used)} elements have the profiles that came with the net"


def _changes(built: BuiltScenario) -> Iterator[str]:
    """Describe unexpected changes to users' nets."""
    for name, grid in built.grids.items():
        yield from (f"grid {name}: {text}" for text in grid.record.notices)
        for note in grid.record.notes:
            if note.surprising:
                fate = f"{note.fate}, as " if note.fate == "dropped" else ""
                yield f"{named(name, note.table, note.index)} {fate}{note.text}"


def _constant(grid: BuiltGrid) -> Iterator[str]:
    """Describe the static generators of constant power, by type."""
    net = grid.net
    if grid.section.net_sgen is not None:
        return
    known = has_profile(net, "sgen", grid.profiles)
    fixed = net.sgen[~is_photovoltaic(net.sgen) & ~controllable(net.sgen, "sgen") & ~known]
    fixed = fixed[fixed.scaling.fillna(1.0) != 0.0]  # switched off
    for kind, group in fixed.groupby(fixed["type"].fillna("").astype(str)):
        of_type = f" of type {kind}" if kind else " without type"
        total = float((group.p_mw * group.scaling.fillna(1.0)).sum())
        yield (
            f"sgen {listed(group.index)}{of_type} has no profile: {total:.4g} MW in all intervals"
        )


def _solar(net: pandapowerNet) -> Iterator[str]:
    solar = net.sgen[is_photovoltaic(net.sgen) & ~controllable(net.sgen, "sgen")]
    if len(solar):
        yield (
            f"sgen {listed(solar.index)} is PV that is not controllable: it feeds in the "
            "available power and is never curtailed (controllable = True allows curtailment)"
        )


def _costs(net: pandapowerNet) -> Iterator[str]:
    for table in ("gen", "sgen"):
        fixed = set(net[table].index[~controllable(net[table], table)])
        for costs in _COSTS:
            priced = net[costs].element[net[costs].et == table]
            found = sorted(int(i) for i in priced if i in fixed)
            if found:
                yield (
                    f"{table} {listed(found)} is not controllable: fixed at its p_mw, and its "
                    f"{costs} is counted at that power"
                )


def _controllers(net: pandapowerNet) -> Iterator[str]:
    """Describe pandapower controllers in service; tap controllers were replaced or refused."""
    for i, row in net.controller.iterrows():
        kinds = [kind.__name__ for kind in type(row.object).__mro__]
        if bool(row.in_service) and "TrafoController" not in kinds:
            yield f"controller {i} ({kinds[0]}) is not run, as in runpp without run_control"


def _slack(grid: BuiltGrid) -> Iterator[str]:
    """Describe limits and costs of a feeder's external grid: limits hold without a grid above."""
    source = grid.net.ext_grid
    costs = [table for table in _COSTS if (grid.net[table].et == "ext_grid").any()]
    limits = [c for c in _LIMITS if c in source and _finite(source[c])]
    unused = costs if grid.section.parent is None else [*limits, *costs]
    if unused:
        why = "the tariff or the grid above has the price"
        if set(unused) & set(limits):
            why += ", and ratings limit the exchange"
        yield f"ext_grid {listed(source.index)}: {', '.join(unused)} not used: {why}"
    if limits and grid.section.parent is None:
        held = ", ".join(f"{c} = {float(source[c].iloc[0]):g}" for c in limits)
        yield f"ext_grid {listed(source.index)}: the exchange is limited by {held}"


def _finite(values: pd.Series) -> bool:
    return bool(np.isfinite(values.to_numpy(dtype=float)).any())
