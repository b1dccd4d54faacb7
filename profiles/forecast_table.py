"""Forecasts from the user's own files: scenario sets with an issue time and a valid time."""

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from stackelgrid.profiles.arrays import Floats, Ints
from stackelgrid.profiles.errors import ProfileError
from stackelgrid.profiles.forecast import Updates
from stackelgrid.profiles.forecast_correlation import Label
from stackelgrid.profiles.forecast_predictors import Tabulated
from stackelgrid.profiles.size_limits import QUANTITY
from stackelgrid.profiles.tables.reading import read_columns
from stackelgrid.profiles.tables.stamps import parse_stamps
from stackelgrid.profiles.tables.units import declared_unit
from stackelgrid.profiles.time_axis import TimeAxis

QUANTITIES = ("load", "pv", "price")
# tolerance for a capacity that a file gives with a few digits less
_ROUNDING = 1e-6
# ten years
_LONGEST_LEAD_MIN = 5_256_000.0


@dataclass(frozen=True)
class ForecastTable:
    """One member of a file: values (issues, n) by grid and quantity, NaN where it has none.

    `issued` (issues,) are the intervals at whose start each forecast of any grid and quantity is
    available, increasing and negative before the start of `axis`; `factors` states whether values
    multiply the outlook. `spans` are the first and last valid time of the rows of the file.
    """

    path: Path
    axis: TimeAxis
    issued: Ints
    factors: bool
    values: dict[Label, Floats] = field(repr=False)
    spans: dict[Label, tuple[pd.Timestamp, pd.Timestamp]] = field(repr=False)

    def tabulated(
        self,
        label: Label,
        outlook: Floats,
        total: Floats,
        upper: Floats | None,
        updates: Updates,
        covered: int,
    ) -> Tabulated:
        """Return the predictor of one quantity of a grid.

        label: quantity and grid.
        outlook: outlook (n, columns).
        total: quantity (n,) that a value of the table gives: the sum of the columns in MW, or the
            import price in EUR/MWh; its difference is added to the export price, too.
        upper: upper limits (n, columns) of the values.
        updates: intervals at which forecasts are renewed.
        covered: intervals that a forecast in use must cover from the last interval before the next
            one that replaces it.

        Raises ProfileError naming the missing or impossible value.
        """
        if label in self.spans and label not in self.values:
            first, last = (t.tz_convert(self.axis.start.tzinfo) for t in self.spans[label])
            raise ProfileError(
                f"{self.path}: {label.quantity} of grid {label.site} is valid from "
                f"{first.isoformat()} to {last.isoformat()}, outside the run; intervals from "
                f"{self.axis.start.isoformat()} to {self.axis.index[-1].isoformat()} are needed"
            )
        if label not in self.values:
            known = ", ".join(known.text for known in self.values) or "none"
            raise ProfileError(
                f"{self.path}: no rows for {label.quantity} of grid {label.site}; it has {known}"
            )
        given = ~np.isnan(self.values[label]).all(axis=1)  # other quantities have other issue times
        issued, values = self.issued[given], self.values[label][given]
        self._require_complete(label, issued, values, updates, covered)
        if label.quantity == "price":
            shifts = total * (values - 1.0) if self.factors else values - total
            return Tabulated(outlook, issued, shifts, relative=False)
        factors = values if self.factors else self._as_factors(label, values, total)
        self._require_possible(label, factors, outlook, upper)
        return Tabulated(outlook, issued, factors - 1.0, relative=True)

    def _require_complete(
        self, label: Label, issued: Ints, values: Floats, updates: Updates, covered: int
    ) -> None:
        last = self.axis.length - covered  # last interval for which a forecast is requested
        if not len(issued) or issued[0] > 0:
            raise ProfileError(
                f"{self.path}: {label.quantity} of grid {label.site}: no forecast issued by the "
                f"start {self.axis.start.isoformat()}; one that covers it is needed"
            )
        starts = np.array([u for u in updates.intervals if u <= last])
        latest = np.searchsorted(issued, starts, side="right") - 1
        # a forecast is in use from its update until the next one
        taken, position = np.unique(latest, return_index=True)
        ends = [*(starts[position[1:]] - 1), last]
        for m, first, final in zip(taken, starts[position], ends, strict=True):
            gaps = np.flatnonzero(np.isnan(values[m, first : final + covered]))
            if len(gaps):
                missing = self.axis.index[first + int(gaps[0])].isoformat()
                raise ProfileError(
                    f"{self.path}: {label.quantity} of grid {label.site}: the forecast available "
                    f"at {self._moment(int(issued[m]))} has no value for {missing}; every interval "
                    f"to {self.axis.index[final + covered - 1].isoformat()} is needed"
                )

    def _as_factors(self, label: Label, values: Floats, total: Floats) -> Floats:
        nothing = (total == 0.0) & np.isfinite(values) & (values != 0.0)
        if nothing.any():
            m, k = np.argwhere(nothing)[0]
            raise ProfileError(
                f"{self.path}: {label.quantity} of grid {label.site} is {values[m, k]:g} at "
                f"{self.axis.index[k].isoformat()}, where its profile is 0; 0 is accepted there"
            )
        safe = np.where(total == 0.0, 1.0, total)
        return np.where(total == 0.0, np.where(np.isnan(values), np.nan, 1.0), values / safe)

    def _require_possible(
        self, label: Label, factors: Floats, outlook: Floats, upper: Floats | None
    ) -> None:
        high = np.full(len(outlook), np.inf)
        if upper is not None and outlook.shape[1]:
            lit = outlook > 0.0
            room = np.divide(upper, outlook, out=np.full(outlook.shape, np.inf), where=lit)
            high = room.min(axis=1) * (1.0 + _ROUNDING)
        bad = np.argwhere((factors < 0.0) | (factors > high))
        if len(bad):
            m, k = bad[0]
            accepted = f"0 to {high[k]:.4g}" if np.isfinite(high[k]) else "at least 0"
            raise ProfileError(
                f"{self.path}: {label.quantity} of grid {label.site} at "
                f"{self.axis.index[k].isoformat()} is {factors[m, k]:.4g} times its profile; "
                f"{accepted} is accepted"
            )

    def _moment(self, interval: int) -> str:
        first = self.axis.start.tz_convert("UTC") + self.axis.step * interval
        return str(first.tz_convert(self.axis.start.tzinfo).isoformat())


def read_forecast_table(
    path: Path, axis: TimeAxis, grids: Collection[str], member: int | None
) -> ForecastTable:
    """Read a CSV or Parquet file of forecasts, one row for each value.

    path: the file.
    axis: time axis of the run; rows beyond it are left out.
    grids: names of the grids.
    member: forecast scenario to read, if the file has the column `member`.

    Columns: `issue_time` and `valid_time` (ISO stamps; without an offset local time of `axis`;
    `valid_time` is the left edge of an interval of `axis`) or `lead_min` instead of it, `grid`,
    `quantity` (load, pv or price) and either `factor`, of the profile, or `value`: the grid's total
    in MW, or its import price in EUR/MWh; of one kind of quantity also in the unit of a suffix, as
    `value_kw`. Where all valid times of a quantity are several intervals apart, values are held. A
    forecast is available from the first interval that starts at or after its issue time.

    Raises ProfileError naming the file and the fault.
    """
    frame = read_columns(path)
    _require_columns(path, frame)
    frame = _one_member(path, frame, member)
    for column, accepted in (("grid", tuple(grids)), ("quantity", QUANTITIES)):
        unknown = sorted(set(frame[column].astype(str)) - set(accepted))
        if unknown:
            raise ProfileError(
                f"{path}: {column} {unknown[0]!r} unknown; accepted: {', '.join(accepted)}"
            )
    zone = axis.start.tzinfo
    issue = parse_stamps(path, frame["issue_time"], zone)
    if "lead_min" in frame:
        valid = issue + pd.to_timedelta(_numbers(path, frame, "lead_min"), unit="min")
    else:
        valid = parse_stamps(path, frame["valid_time"], zone)
    start = axis.start.tz_convert("UTC")
    off_grid = np.flatnonzero((valid - start) % axis.step != pd.Timedelta(0))
    if len(off_grid):
        raise ProfileError(
            f"{path}: {valid[off_grid[0]].isoformat()} starts no interval; times every {axis.step} "
            f"from {start.isoformat()} are accepted"
        )
    kind, scale = _value_column(path, frame)
    rows = pd.DataFrame(
        {
            "issue": -((start - issue) // axis.step),  # start of the next interval
            "issue_time": issue,
            "valid": (valid - start) // axis.step,
            "valid_time": valid,
            "grid": frame["grid"].astype(str).to_numpy(),
            "quantity": frame["quantity"].astype(str).to_numpy(),
            "value": scale * _numbers(path, frame, kind),
        }
    )
    # the last of several forecasts issued within one interval counts
    newest = rows.groupby(["grid", "quantity", "issue"])["issue_time"].transform("max")
    rows = rows[rows["issue_time"] == newest]
    spans = {
        Label(str(grid), str(quantity)): (part.min(), part.max())
        for (grid, quantity), part in rows.groupby(["grid", "quantity"])["valid_time"]
    }
    rows = _held(rows, axis.length)
    rows = rows[(rows["valid"] >= 0) & (rows["valid"] < axis.length)]
    repeated = rows.duplicated(["issue", "valid", "grid", "quantity"])
    if repeated.any():
        row = rows[repeated].iloc[0]
        raise ProfileError(
            f"{path}: two values for {row['quantity']} of grid {row['grid']} at "
            f"{axis.index[row['valid']].isoformat()}, issued {row['issue_time'].isoformat()}; one "
            "is accepted"
        )
    issued, position = np.unique(rows["issue"].to_numpy(dtype=np.int64), return_inverse=True)
    rows = rows.assign(position=position)
    values: dict[Label, Floats] = {}
    for (grid, quantity), part in rows.groupby(["grid", "quantity"], sort=True):
        table = np.full((len(issued), axis.length), np.nan)
        table[part["position"], part["valid"]] = part["value"]
        values[Label(str(grid), str(quantity))] = table
    return ForecastTable(path, axis, issued, kind == "factor", values, spans)


def _require_columns(path: Path, frame: pd.DataFrame) -> None:
    columns = [str(c) for c in frame.columns]
    for column in ("issue_time", "grid", "quantity"):
        if column not in columns:
            raise ProfileError(
                f"{path}: column {column!r} is missing; {', '.join(columns)[:300]} present"
            )
    if sum(name in columns for name in ("valid_time", "lead_min")) != 1:
        raise ProfileError(f"{path}: exactly one of the columns valid_time and lead_min is needed")
    if frame.empty:
        raise ProfileError(f"{path}: has no rows; at least one forecast is needed")


def _value_column(path: Path, frame: pd.DataFrame) -> tuple[str, float]:
    """Return the column of factors or values, and the factor to MW or EUR/MWh."""
    split = {str(c): declared_unit(str(c)) for c in frame.columns}
    found = [c for c, s in split.items() if c in ("factor", "value") or (s and s[0] == "value")]
    if len(found) != 1:
        raise ProfileError(f"{path}: exactly one of the columns factor and value is needed")
    unit = split[found[0]]
    if unit is None:
        return found[0], 1.0
    series, factor = unit[1].series, unit[1].factor
    fitting = {"mw": ("load", "pv"), "eur_per_mwh": ("price",)}.get(series, ())
    other = sorted(set(frame["quantity"].astype(str)) - set(fitting))
    if other or unit[1].energy:
        raise ProfileError(
            f"{path}: column {found[0]!r} does not hold {other[0] if other else 'powers'}; value "
            "(in MW and EUR/MWh), or a file with powers or prices alone, is accepted"
        )
    return found[0], factor


def _held(rows: pd.DataFrame, most: int) -> pd.DataFrame:
    """Repeat values in all intervals of their step, the least distance of a quantity's times."""
    label = ["grid", "quantity"]
    ordered = rows.sort_values([*label, "issue", "valid"])
    apart = ordered.groupby([*label, "issue"])["valid"].diff()
    least = apart.where(apart > 0).groupby([ordered[k] for k in label]).transform("min")
    count = least.fillna(1).clip(1, most).astype(np.int64).reindex(rows.index)
    if (count == 1).all():
        return rows
    held = rows.loc[rows.index.repeat(count)]
    return held.assign(valid=held["valid"] + held.groupby(level=0).cumcount())


def _one_member(path: Path, frame: pd.DataFrame, member: int | None) -> pd.DataFrame:
    if "member" not in frame:
        if member is not None:
            raise ProfileError(
                f"{path}: has no column 'member'; member {member} is requested; none is accepted"
            )
        return frame
    members = _numbers(path, frame, "member")
    if member is None:
        raise ProfileError(f"{path}: holds several members; the key member must name one")
    chosen: pd.DataFrame = frame[members == member].reset_index(drop=True)
    if chosen.empty:
        known = ", ".join(f"{m:g}" for m in np.unique(members)[:10])
        raise ProfileError(f"{path}: no member {member}; it has {known}")
    return chosen


def _numbers(path: Path, frame: pd.DataFrame, column: str) -> Floats:
    held = frame[column]
    if pd.api.types.is_bool_dtype(held.dtype) or pd.api.types.is_timedelta64_dtype(held.dtype):
        raise ProfileError(f"{path}: column {column!r} holds {held.dtype}; numbers are accepted")
    values = pd.to_numeric(held, errors="coerce").to_numpy(dtype=np.float64)
    most = _LONGEST_LEAD_MIN if column == "lead_min" else QUANTITY
    bad = np.flatnonzero(~(np.abs(values) <= most))
    if len(bad):
        raise ProfileError(
            f"{path}: column {column!r} is {str(frame[column].iloc[bad[0]])!r} in data row "
            f"{bad[0] + 1}; finite numbers (at most {most:g} in size) are accepted"
        )
    return values
