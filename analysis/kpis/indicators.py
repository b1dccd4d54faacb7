"""Indicators for comparisons of schemes: names, units, and formulas shared by plans and runs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd

from stackelgrid.analysis.results.needs import lacked_quantities, unit_of
from stackelgrid.controllers.devices.quantities import Role
from stackelgrid.controllers.devices.registry import kinds
from stackelgrid.profiles.arrays import Floats
from stackelgrid.simulators.results.totals import cost_sides

TOTAL = "total"
# kinds of devices whose feed-in can be curtailed, that store energy, and whose power is consumption
CURTAILED = [k for k in kinds() if k.filling("available_mw")]
STORES = [k for k in kinds() if k.filling("e_mwh") and not k.consumes]
CONSUMERS = [k for k in kinds() if not k.injects and k not in STORES]
# kinds whose feed-in is generation of their own
GENERATORS = [k for k in kinds() if k.injects and k not in CURTAILED]
# consumers with set points: what they give back, or give up, counts as less consumption; negative
# power of the others is that of constant generators
CONTROLLED = [k for k in CONSUMERS if k.names(Role.SET_POINT)]

# name and unit, in the order of the tables; docs/results.md defines each
UNITS: dict[str, str] = {
    "total_cost": "EUR",
    "leader_cost": "EUR",
    "follower_cost": "EUR",
    "boundary_payment": "EUR",
    "stored_energy": "MWh",
    "stored_energy_value": "EUR",
    "leader_cost_corrected": "EUR",
    "total_cost_corrected": "EUR",
    "extra_cost": "EUR",
    "extra_cost_percent": "%",
    "follower_returned": "EUR",
    "follower_min": "EUR",
    "follower_max": "EUR",
    "remaining_gain": "EUR",
    "import": "MWh",
    "export": "MWh",
    "peak_exchange": "MW",
    "consumption": "MWh",
    "self_consumption": "1",
    "self_sufficiency": "1",
    **{f"{k.kind}_{w}": "MWh" for k in CURTAILED for w in ("available", "generation", "curtailed")},
    **{f"{k.kind}_throughput": "MWh" for k in STORES},
    "p2p_inside": "MWh",
    "p2p_across": "MWh",
    "losses": "MWh",
    **{f"{kind.kind}_unmet": unit_of(quantity) for kind, quantity in lacked_quantities()},
    "max_loading": "%",
    "generation": "MWh",
    "follower_generation": "MWh",
    "objective": "EUR",
    "bound": "EUR",
    "gap": "1",
    "gap_eur": "EUR",
    "follower_gap": "1",
    "rounds": "1",
    "fallbacks": "1",
    "intervals_beyond_limits": "1",
    "max_violation": "p.u.",
    "agreements": "1",
    "rounds_mean": "1",
    "rounds_max": "1",
    "messages": "1",
    "messages_lost": "1",
    "bytes": "B",
    "agreement_mean": "s",
    "agreement_max": "s",
    "agents_fallback": "1",
    "agents_in_doubt": "1",
    "solve_s": "s",
}


class Row(NamedTuple):
    """Value of one indicator of one grid, or of the total."""

    grid: str
    indicator: str
    value: float


@dataclass(frozen=True)
class GridRecord:
    """Powers of one grid over the steps, all copies together; arrays (steps,) in MW.

    `parent` is empty for the root. `exchange_mw` is positive into the grid, None for a
    transmission network; `consumption_mw` is the power of CONSUMERS, `generation_mw` that of
    GENERATORS; by kind, `fed_in_mw` and `available_mw` are those of CURTAILED and `throughput_mw`,
    charging plus discharging, that of STORES (a kind that the grid lacks may be left out).
    `inside_mw` and `across_mw` are the purchases of prosumers. Quantities that the grid does not
    have are NaN.
    """

    grid: str
    parent: str
    exchange_mw: Floats | None
    consumption_mw: Floats
    generation_mw: Floats
    loss_mw: Floats
    inside_mw: Floats
    across_mw: Floats
    fed_in_mw: Mapping[str, Floats] = field(default_factory=dict)
    available_mw: Mapping[str, Floats] = field(default_factory=dict)
    throughput_mw: Mapping[str, Floats] = field(default_factory=dict)


def frame_of(rows: Iterable[Row], scheme: str, pricing: str) -> pd.DataFrame:
    """Return a tidy table: scheme, pricing, grid, indicator, unit, value."""
    rows = list(rows)
    return pd.DataFrame({
        "scheme": [scheme] * len(rows),
        "pricing": [pricing] * len(rows),
        "grid": [r.grid for r in rows],
        "indicator": [r.indicator for r in rows],
        "unit": [UNITS[r.indicator] for r in rows],
        "value": np.array([r.value for r in rows], dtype=np.float64),
    })  # fmt: skip


def energy_rows(records: Mapping[str, GridRecord], dt_h: Floats) -> list[Row]:
    """Return energies, shares and peaks of every grid, and of all grids with a parent together.

    `dt_h` (steps,) in hours. The shares of a grid include the grids below it, as its exchange does;
    the total uses the exchange of the networks directly below the root.
    """
    rows: list[Row] = []
    below = {name: _below(records, name) for name in records}
    for name, r in records.items():
        rows += [Row(name, k, v) for k, v in _own_energies(r, dt_h).items()]
        if r.exchange_mw is not None:
            rows += [Row(name, k, v) for k, v in _exchange(below, [name], dt_h).items()]
        if not r.parent:
            energy = float(dt_h @ r.generation_mw)
            rows += [Row(name, "follower_generation", energy)]
            rows += [Row(TOTAL, "follower_generation", energy)]
    active = [r for r in records.values() if r.parent]
    summed = [_own_energies(r, dt_h) for r in active]
    for indicator in summed[0] if summed else ():
        values = np.array([s[indicator] for s in summed])
        if indicator.startswith("p2p"):  # grids without trade have none to add
            values = values[~np.isnan(values)]
        rows.append(Row(TOTAL, indicator, float(values.sum()) if len(values) else np.nan))
    outer = [r.grid for r in active if not records[r.parent].parent]
    rows += [Row(TOTAL, k, v) for k, v in _exchange(below, outer, dt_h).items()]
    return rows


def cost_rows(
    parents: Mapping[str, str],
    own_eur: Mapping[str, float],
    payment_eur: Mapping[str, float],
    follower_eur: Mapping[str, float],
) -> list[Row]:
    """Return costs by grid and in total, EUR, all copies. Arguments as for `cost_sides`.

    `follower_eur` holds the cost of the root and of further followers; without the root's cost the
    total is NaN.
    """
    rows = [Row(n, "leader_cost", v + payment_eur[n]) for n, v in own_eur.items()]
    rows += [Row(n, "boundary_payment", v) for n, v in payment_eur.items()]
    rows += [Row(n, "follower_cost", v) for n, v in follower_eur.items()]
    root = next(n for n, parent in parents.items() if not parent)
    sides = cost_sides(parents, own_eur, payment_eur, follower_eur.get(root, np.nan))
    return [
        *rows,
        Row(TOTAL, "total_cost", sides.system),
        Row(TOTAL, "leader_cost", sides.leaders),
        Row(TOTAL, "follower_cost", sides.follower),
        Row(TOTAL, "boundary_payment", sides.paid_to_root),
    ]


def _own_energies(r: GridRecord, dt_h: Floats) -> dict[str, float]:
    nothing = np.zeros(len(dt_h))
    by_kind = {}
    for name in (kind.kind for kind in CURTAILED):
        fed, available = r.fed_in_mw.get(name, nothing), r.available_mw.get(name, nothing)
        by_kind[f"{name}_available"] = float(dt_h @ available)
        by_kind[f"{name}_generation"] = float(dt_h @ fed)
        by_kind[f"{name}_curtailed"] = float(dt_h @ (available - fed))
    for name in (kind.kind for kind in STORES):
        by_kind[f"{name}_throughput"] = float(dt_h @ r.throughput_mw.get(name, nothing))
    return {
        "consumption": float(dt_h @ r.consumption_mw),
        **by_kind,
        "p2p_inside": float(dt_h @ r.inside_mw),
        "p2p_across": float(dt_h @ r.across_mw),
        "losses": float(dt_h @ r.loss_mw),
        "generation": float(dt_h @ r.generation_mw),
    }


def _below(records: Mapping[str, GridRecord], name: str) -> list[GridRecord]:
    """Return a grid and all grids below it."""
    found = [records[name]]
    for r in found:  # the list grows during the loop
        found += [other for other in records.values() if other.parent == r.grid]
    return found


def _feed_in(powers: Mapping[str, Floats]) -> list[Floats]:
    """Return the powers of the kinds that inject; others that can be curtailed are consumers."""
    return [powers[k.kind] for k in CURTAILED if k.injects and k.kind in powers]


def _exchange(
    below: Mapping[str, list[GridRecord]], heads: list[str], dt_h: Floats
) -> dict[str, float]:
    """Return the indicators of the exchange of the subtrees under `heads` with the grid above."""
    bought = sold = used = available = consumed = 0.0
    net = np.zeros(len(dt_h))
    for head in heads:
        tree = below[head]
        x = tree[0].exchange_mw
        assert x is not None
        out, nothing = np.maximum(-x, 0.0), [np.zeros(len(dt_h))]
        fed = np.sum(nothing + [p for r in tree for p in _feed_in(r.fed_in_mw)], axis=0)
        offered = np.sum(nothing + [p for r in tree for p in _feed_in(r.available_mw)], axis=0)
        net += x
        bought += float(dt_h @ np.maximum(x, 0.0))
        sold += float(dt_h @ out)
        used += float(dt_h @ (fed - np.minimum(fed, out)))
        available += float(dt_h @ offered)
        consumed += float(dt_h @ np.sum([r.consumption_mw for r in tree], axis=0))
    return {
        "import": bought,
        "export": sold,
        "peak_exchange": float(np.abs(net).max()) if heads else np.nan,
        "self_consumption": used / available if available > 0.0 else np.nan,
        "self_sufficiency": 1.0 - bought / consumed if consumed > 0.0 else np.nan,
    }
