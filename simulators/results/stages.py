"""Tables of the stages of a decision, and of the followers' dispatch."""

from typing import Any

import numpy as np
import pandas as pd

from stackelgrid.controllers.decision import Decision, Outcome
from stackelgrid.controllers.devices.devices import Devices
from stackelgrid.simulators.results.tables import TableWriter


class StageRecorder:
    """Writes the decisions of a controller's stages; a controller without stages leaves no rows.

    `devices` of all grids by name give the dispatch its elements.
    """

    def __init__(
        self, writer: TableWriter, times: pd.DatetimeIndex, devices: dict[str, Devices]
    ) -> None:
        self._writer, self._devices = writer, devices
        self._times = times.tz_convert("UTC").as_unit("ms")

    def write(self, interval: int, decision: Decision) -> None:
        """Write the rows of one decision."""
        if not decision.outcomes:
            return
        stages = [_stage_row(outcome) for outcome in decision.outcomes]
        columns = {key: np.array([row[key] for row in stages]) for key in stages[0]}
        self._write("stage", interval, columns)
        parts = [_dispatch_rows(o, self._devices[o.follower]) for o in decision.outcomes]
        joined = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
        if len(joined["grid"]):
            self._write("dispatch", interval, joined)

    def _write(self, table: str, interval: int, columns: dict[str, Any]) -> None:
        count = len(columns["grid"])
        columns["interval"] = np.full(count, interval, dtype=np.int32)
        columns["time"] = np.full(count, self._times[interval].to_datetime64())
        self._writer.write_part(table, interval, columns)


def _stage_row(outcome: Outcome) -> dict[str, Any]:
    return {
        "grid": outcome.follower,
        "scheme": outcome.scheme,
        "pricing": outcome.pricing,
        "objective_eur": outcome.objective,
        "bound_eur": outcome.bound,
        "gap": outcome.gap,
        "leader_eur": outcome.leader_eur,
        "payment_eur": sum(outcome.payment_eur.values()),
        "follower_eur": outcome.follower_cost_eur,
        "total_eur": outcome.total_eur,
        "follower_returned_eur": outcome.follower_returned_eur,
        "follower_min_eur": outcome.follower_min_eur,
        "follower_max_eur": outcome.follower_max_eur,
        "follower_gap": outcome.follower_gap,
        "rounds": outcome.rounds,
        "message": "; ".join(outcome.messages),
        "solve_s": outcome.solve_s,
    }


def _dispatch_rows(outcome: Outcome, devices: Devices) -> dict[str, Any]:
    """Return units, PV and import of a follower over the horizon, as its stage decided them."""
    schedule = outcome.plans[outcome.follower].schedule
    units, pv = devices.units, devices.photovoltaics
    tables = [*units.table, *("sgen" for _ in pv.index)]
    index = [*units.index, *pv.index]
    power = [*schedule.unit_p_mw, *schedule.pv_p_mw]
    if "ext_grid" not in units.table:  # a feeder's import comes from the grid above
        tables, index, power = ["ext_grid", *tables], [0, *index], [schedule.p_import_mw, *power]
    steps, count = len(schedule.dt_h), len(tables)
    return {
        "grid": np.full(count * steps, outcome.follower, dtype=object),
        "step": np.tile(np.arange(steps), count),
        "dt_h": np.tile(schedule.dt_h, count),
        "element": np.repeat(np.array(tables, dtype=object), steps),
        "index": np.repeat(np.array(index), steps),
        "p_mw": np.concatenate(power) if power else np.zeros(0),
    }
