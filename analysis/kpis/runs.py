"""Realised indicators of a finished run."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from stackelgrid.analysis.kpis.indicators import (
    CONTROLLED,
    CURTAILED,
    GENERATORS,
    STORES,
    TOTAL,
    GridRecord,
    Row,
    cost_rows,
    energy_rows,
    frame_of,
)
from stackelgrid.analysis.results.needs import lacked_quantities
from stackelgrid.analysis.results.record import RunRecord
from stackelgrid.controllers.devices.kind import DeviceKind
from stackelgrid.profiles.arrays import Floats
from stackelgrid.simulators.results.totals import OWN_EUR

# indicators by the key of summary.json that they are read from
_OF_REALISED = {
    "intervals_beyond_limits": "intervals_beyond_limits",
    "max_violation_pu": "max_violation",
}
_OF_NEGOTIATION = {
    "agreements": "agreements",
    "rounds_mean": "rounds_mean",
    "rounds_max": "rounds_max",
    "messages": "messages",
    "bytes": "bytes",
    "agreement_mean_sec": "agreement_mean",
    "agreement_max_sec": "agreement_max",
    "fallbacks": "agents_fallback",
    "in_doubt": "agents_in_doubt",
}


def run_indicators(run: RunRecord, scheme: str, pricing: str) -> pd.DataFrame:
    """Return the realised indicators of a run, with the columns of plans (docs/results.md).

    The increase in stored energy is valued at the price in section `stored_energy` of the summary.
    """
    parents = _parents(run)
    copies = run.interval.drop_duplicates("grid").set_index("grid")["copies"].astype(float)
    records = _records(run, copies)
    own: dict[str, float] = {}
    payment: dict[str, float] = {}
    follower: dict[str, float] = {}
    costly = [column for column in run.interval if column in OWN_EUR]
    for name, rows in run.interval.groupby("grid", sort=False):
        grid = str(name)
        # numpy sums: an unknown price (NaN) makes the sum NaN
        cost = float(copies[grid] * rows[costly].to_numpy().sum())
        paid = float(copies[grid] * rows["boundary_eur"].to_numpy().sum())
        if parents[grid]:
            own[grid], payment[grid] = cost, paid
        else:
            follower[grid] = cost + paid
    costs = cost_rows(parents, own, payment, follower)
    dt_h = np.full(run.interval["interval"].nunique(), run.dt_h)
    energies = run.summary["stored_energy"]["grids"]
    stored = {n: float(g["end_mwh"] - g["start_mwh"]) for n, g in energies.items()}
    value = {n: float(g["value_eur"]) for n, g in energies.items()}
    rows_out = [
        *costs,
        *_correction(costs, parents, stored, value),
        *energy_rows(records, dt_h),
        *_need_rows(run, copies),
        *_loading_rows(run),
        *_solver_rows(run),
        *_summary_rows(run),
    ]
    return frame_of(rows_out, scheme, pricing)


def against_baseline(run: RunRecord) -> pd.DataFrame | None:
    """Return the realised indicators of a run beside those of its baseline.

    Columns: grid, indicator, unit, value, baseline, difference (value less baseline). None without
    a baseline, and where it does not cover the same intervals: of an unfinished run, or of a
    baseline that ended early.
    """
    baseline = run.baseline
    # some indicators are from the summaries, which are of all intervals
    if baseline is None or baseline.intervals_done != run.intervals_done:
        return None
    chosen = run.summary["bilevel"]
    key = ["grid", "indicator", "unit"]
    own, other = (
        run_indicators(r, chosen["scheme"], chosen["pricing"])[[*key, "value"]]
        for r in (run, baseline)
    )
    found = own.merge(other.rename(columns={"value": "baseline"}), on=key)
    return found.assign(difference=found["value"] - found["baseline"])


def run_exchange(run: RunRecord, scheme: str) -> pd.DataFrame:
    """Return the realised exchange of active networks: scheme, grid, start_h, dt_h, p_mw."""
    parents = _parents(run)
    rows = run.interval[run.interval["grid"].map(lambda n: bool(parents[n]))]
    return pd.DataFrame({
        "scheme": scheme,
        "grid": rows["grid"].to_numpy(),
        "start_h": run.dt_h * rows["interval"].to_numpy(),
        "dt_h": run.dt_h,
        "p_mw": (rows["copies"] * rows["p_import_mw"]).to_numpy(),
    })  # fmt: skip


def _parents(run: RunRecord) -> dict[str, str]:
    """Return the parent of every grid with rows, empty for the root."""
    return {str(n): run.grids[n].parent or "" for n in run.interval["grid"].unique()}


def _records(run: RunRecord, copies: "pd.Series[float]") -> dict[str, GridRecord]:
    records = {}
    parents = _parents(run)
    power, kind = run.device["p_mw"].to_numpy(), run.device["kind"].to_numpy()
    controlled = np.isin(kind, [k.kind for k in CONTROLLED])
    constant = np.where(run.device["element"] == "load", np.maximum(power, 0.0), 0.0)
    wanted_powers = {"consumption": np.where(controlled, power, constant)} | {
        k.kind: np.where(kind == k.kind, np.abs(power), 0.0) for k in STORES
    }
    device = run.device.assign(**wanted_powers)
    sums = device.groupby(["grid", "interval"])[list(wanted_powers)].sum()
    for name, rows in run.interval.groupby("grid", sort=False):
        grid, n = str(name), float(copies[str(name)])
        rows = rows.sort_values("interval")
        wanted = pd.MultiIndex.from_product([[grid], rows["interval"]])
        own = sums.reindex(wanted, fill_value=0.0)  # a grid may have no devices
        transmission = (rows["level"] == "transmission").any()
        records[grid] = GridRecord(
            grid=grid,
            parent=parents[grid],
            exchange_mw=None if transmission else n * rows["p_import_mw"].to_numpy(),
            consumption_mw=n * own["consumption"].to_numpy(),
            generation_mw=n * np.sum([_of(rows, k, "p_mw") for k in GENERATORS], axis=0),
            loss_mw=n * rows["loss_mw"].to_numpy(),
            inside_mw=n * _traded(run, grid, "inside", "buy"),
            across_mw=n * _traded(run, grid, "across", "buy"),
            fed_in_mw={k.kind: n * _of(rows, k, "p_mw") for k in CURTAILED},
            available_mw={k.kind: n * _of(rows, k, "available_mw") for k in CURTAILED},
            throughput_mw={k.kind: n * own[k.kind].to_numpy() for k in STORES},
        )
    return records


def _of(rows: pd.DataFrame, kind: type[DeviceKind], column: str) -> Floats:
    """Return the sum (intervals,) of a column over the devices of a kind, as recorded by grid."""
    name = kind.filling(column)
    return rows[name].to_numpy(np.float64) if name in rows else np.zeros(len(rows))


def _traded(run: RunRecord, grid: str, market: str, side: str) -> Floats:
    """Return the traded power (intervals,) of one copy in MW; NaN for a grid without trade."""
    intervals = np.sort(run.interval["interval"].unique())
    if not any(g["name"] == grid and "trade" in g for g in run.scenario["grids"]):
        return np.full(len(intervals), np.nan)
    t = run.trade
    rows = t[(t["grid"] == grid) & (t["market"] == market) & (t["side"] == side)]
    power = rows.groupby("interval")["p_mw"].sum().reindex(intervals, fill_value=0.0)
    return power.to_numpy(dtype=np.float64)


def _correction(
    costs: list[Row],
    parents: Mapping[str, str],
    stored: Mapping[str, float],
    value: Mapping[str, float],
) -> Iterator[Row]:
    """Yield costs less the value of the increase in stored energy."""
    for name, energy in stored.items():
        yield Row(name, "stored_energy", energy)
        yield Row(name, "stored_energy_value", value[name])
    leading = [n for n in stored if parents[n]]
    yield Row(TOTAL, "stored_energy", sum(stored.values()))
    yield Row(TOTAL, "stored_energy_value", sum(value.values()))
    for grid, indicator, cost in costs:
        if indicator == "leader_cost":
            less = sum(value[n] for n in leading) if grid == TOTAL else value.get(grid, 0.0)
            yield Row(grid, "leader_cost_corrected", cost - less)
        elif indicator == "total_cost":
            yield Row(grid, "total_cost_corrected", cost - sum(value.values()))


def _need_rows(run: RunRecord, copies: "pd.Series[float]") -> Iterator[Row]:
    """Yield what consumers did not get by grid and in total, for the kinds that a run has."""
    present = set(run.device["kind"].unique())
    for kind, quantity in lacked_quantities():
        if kind.kind in present:
            summed = run.interval.groupby("grid", sort=False)[quantity.name].sum()
            amounts = run.dt_h * summed * copies
            name = f"{kind.kind}_unmet"
            yield from (Row(str(grid), name, float(v)) for grid, v in amounts.items())
            yield Row(TOTAL, name, float(amounts.sum()))


def _loading_rows(run: RunRecord) -> Iterator[Row]:
    """Yield the highest loading of rated branches by grid and of all."""
    if "max_loading_percent" in run.interval:
        highest = run.interval.groupby("grid", sort=False)["max_loading_percent"].max()
        yield from (Row(str(grid), "max_loading", float(v)) for grid, v in highest.items())
        yield Row(TOTAL, "max_loading", float(highest.max()))


def _solver_rows(run: RunRecord) -> Iterator[Row]:
    yield Row(TOTAL, "gap", float(run.interval["gap"].max()))
    yield Row(TOTAL, "gap_eur", float(run.interval["gap_eur"].max()))
    yield Row(TOTAL, "fallbacks", float(run.summary["intervals_fallback"]))
    yield Row(TOTAL, "solve_s", float(run.summary["timings"]["solve_s"]))


def _summary_rows(run: RunRecord) -> Iterator[Row]:
    """Yield indicators of limits and negotiations from the summary, where the run has them."""
    summary: Mapping[str, Any] = run.summary
    realised = summary.get("certificate", {}).get("realised", {})
    section = summary.get("negotiation") or {}
    for source, names in ((realised, _OF_REALISED), (section, _OF_NEGOTIATION)):
        for key, indicator in names.items():
            if source.get(key) is not None:
                yield Row(TOTAL, indicator, float(source[key]))
    if section.get("messages") is not None:
        yield Row(TOTAL, "messages_lost", float(section["lost"] + section["in_outage"]))
