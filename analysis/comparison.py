"""Comparisons of schemes or of qualities of communication: tables of indicators, their texts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from stackelgrid.analysis.kpis.indicators import TOTAL, UNITS
from stackelgrid.analysis.study_columns import COMPARE, COMPARE_EXCHANGE, QUALITIES
from stackelgrid.controllers import tolerances
from stackelgrid.controllers.words import heading, words
from stackelgrid.simulators.results.columns import Table, arrow_table
from stackelgrid.simulators.results.whole_file import whole_file

# basis of a comparison: the plan at interval 0, or a whole run in closed loop
PLAN = "plan"
CLOSED_LOOP = "closed_loop"
TITLES = {PLAN: "Plan", CLOSED_LOOP: "Closed loop"}
DONE = "done"
# costs compared on each basis; those of runs are corrected for the change in stored energy
COSTS: dict[str, dict[str, str]] = {
    PLAN: {
        "total_cost": "Total cost",
        "leader_cost": "Cost of the leaders",
        "follower_cost": "Cost of the follower",
    },
    CLOSED_LOOP: {
        "total_cost_corrected": "Total cost",
        "leader_cost_corrected": "Cost of the leaders",
        "follower_cost": "Cost of the follower",
    },
}

# digits after the point by unit
_DIGITS = {"EUR": 2, "MWh": 3, "MW": 3, "s": 2, "B": 0, "p.u.": 5}
_COUNTS = {
    "rounds", "fallbacks", "intervals_beyond_limits", "agreements", "rounds_max", "messages",
    "messages_lost", "agents_fallback", "agents_in_doubt",
}  # fmt: skip


@dataclass
class Comparison:
    """Indicators and exchanges of all schemes, filled scheme by scheme.

    `status` maps (basis, scheme), in the order added, to `done` or the reason of a failure.
    """

    pricing: str
    status: dict[tuple[str, str], str] = field(default_factory=dict)
    _indicators: list[pd.DataFrame] = field(default_factory=list)
    _exchange: list[pd.DataFrame] = field(default_factory=list)

    def add(
        self, basis: str, scheme: str, indicators: pd.DataFrame, exchange: pd.DataFrame
    ) -> None:
        """Add a finished scheme."""
        self.status[basis, scheme] = DONE
        self._indicators.append(indicators.assign(basis=basis, status=DONE))
        self._exchange.append(exchange.assign(basis=basis))

    def fail(self, basis: str, scheme: str, reason: str) -> None:
        """Add a failed scheme as one row without a value that gives the reason."""
        status = f"failed: {' '.join(reason.split())}"
        self.status[basis, scheme] = status
        row = {"basis": basis, "scheme": scheme, "pricing": self.pricing, "status": status}
        row |= {"grid": TOTAL, "indicator": "total_cost", "unit": "EUR"}
        self._indicators.append(pd.DataFrame([{**row, "value": np.nan}]))

    @classmethod
    def of_tables(
        cls, pricing: str, indicators: pd.DataFrame, exchange: pd.DataFrame
    ) -> "Comparison":
        """Build a comparison from its written tables."""
        pairs = indicators[["basis", "scheme", "status"]].drop_duplicates()
        status = {(str(b), str(s)): str(v) for b, s, v in pairs.itertuples(index=False)}
        return cls(pricing, status, [indicators], [exchange])

    @property
    def indicators(self) -> pd.DataFrame:
        """Tidy table with the columns of compare.parquet."""
        if not self._indicators:
            return pd.DataFrame({c: pd.Series(dtype=object) for c in COMPARE.names})
        table = pd.concat([f[list(COMPARE.names)] for f in self._indicators], ignore_index=True)
        return table

    @property
    def exchange(self) -> pd.DataFrame:
        """Exchange of the active networks: basis, scheme, grid, start_h, dt_h, p_mw."""
        columns = list(COMPARE_EXCHANGE.names)
        if not self._exchange:
            return pd.DataFrame({c: pd.Series(dtype=object) for c in columns})
        return pd.concat([f[columns] for f in self._exchange], ignore_index=True)

    @property
    def bases(self) -> tuple[str, ...]:
        """Bases with at least one scheme, the plan first."""
        return tuple(b for b in TITLES if any(basis == b for basis, _ in self.status))

    def schemes(self, basis: str) -> tuple[str, ...]:
        """Return the schemes of a basis, failed ones included, in the order added."""
        return tuple(s for b, s in self.status if b == basis)

    def done(self, basis: str) -> tuple[str, ...]:
        """Return the finished schemes of a basis in the order added."""
        return tuple(s for s in self.schemes(basis) if self.status[basis, s] == DONE)

    def totals(self, basis: str, indicator: str) -> "pd.Series[float]":
        """Return the totals of an indicator by finished scheme; NaN where undefined."""
        t = self.indicators
        own = t[(t["basis"] == basis) & (t["grid"] == TOTAL) & (t["indicator"] == indicator)]
        by_scheme = own.set_index("scheme")["value"].astype(np.float64)
        return by_scheme.reindex(list(self.done(basis))).rename(indicator)

    def failed(self) -> tuple[str, ...]:
        """Schemes that failed on any basis."""
        return tuple(dict.fromkeys(s for (_, s), v in self.status.items() if v != DONE))


def total_table(comparison: Comparison, basis: str) -> pd.DataFrame:
    """Return the total indicators as text: one column for each scheme, its status first.

    Rows without a value for any scheme are left out.
    """
    schemes = comparison.schemes(basis)
    table = _texts(comparison, basis, [TOTAL])
    table.index = pd.Index([label for _, label in table.index], name="indicator")
    names = [words(s) for s in schemes]
    status = pd.DataFrame([[comparison.status[basis, s] for s in schemes]], ["status"], names)
    return pd.concat([status, table]).rename_axis("indicator")


def grid_table(comparison: Comparison, basis: str) -> pd.DataFrame:
    """Return the indicators as text: index grid and indicator, one column for each scheme."""
    t = comparison.indicators
    grids = [g for g in t[t["basis"] == basis]["grid"].unique() if g != TOTAL]
    return _texts(comparison, basis, grids)


def follower_ranges(comparison: Comparison, basis: str) -> pd.DataFrame:
    """Return the range of the follower's cost under feasibility only, EUR; index grid.

    Columns follower_min, follower_max, follower_returned, follower_cost (the optimum at the same
    exchange; NaN if unknown). No rows if every scheme optimises the follower.
    """
    columns = ["follower_min", "follower_max", "follower_returned", "follower_cost"]
    t = comparison.indicators
    t = t[(t["basis"] == basis) & (t["scheme"] == "feasibility_only") & (t["grid"] != TOTAL)]
    wide = t.pivot_table(index="grid", columns="indicator", values="value", sort=False)
    return wide.reindex(columns=columns).dropna(subset=columns[:2])


def proven_bound(comparison: Comparison, basis: str) -> float:
    """Return a proven lower bound of every plan's cost in EUR; NaN without one.

    It is the bound of `integrated`, whose objective is the total cost; NaN where the two differ.
    """
    if basis != PLAN or "integrated" not in comparison.done(basis):
        return float("nan")
    cost, objective, bound = (
        float(comparison.totals(basis, name)["integrated"])
        for name in ("total_cost", "objective", "bound")
    )
    alike = abs(cost - objective) <= tolerances.COST_ALIKE * max(abs(cost), 1.0)
    return bound if alike else float("nan")


def markdown(comparison: Comparison, title: str) -> str:
    """Return the content of compare.md: totals, then grids, for every basis."""
    lines = [f"# {title}", "", f"Pricing at the boundary: {words(comparison.pricing)}."]
    for basis in comparison.bases:
        totals, grids = total_table(comparison, basis), grid_table(comparison, basis)
        lines += ["", f"## {TITLES[basis]}", "", *_markdown_table(totals.reset_index())]
        if len(grids):
            lines += ["", f"### {TITLES[basis]}, by grid", ""]
            lines += _markdown_table(grids.reset_index())
    return "\n".join(lines) + "\n"


def write_tables(comparison: Comparison, directory: Path, title: str) -> None:
    """Write compare.parquet, compare.csv, compare_exchange.parquet and compare.md."""
    write_whole(comparison.indicators, COMPARE, directory)
    with whole_file(directory / "compare_exchange.parquet") as path:
        pq.write_table(arrow_table(comparison.exchange, COMPARE_EXCHANGE), path)
    with whole_file(directory / "compare.md") as path:
        path.write_text(markdown(comparison, title), encoding="utf-8")


def write_whole(table: pd.DataFrame, declared: Table, directory: Path) -> None:
    """Write a declared table as Parquet and CSV atomically, for concurrent readers."""
    with whole_file(directory / f"{declared.name}.parquet") as path:
        pq.write_table(arrow_table(table, declared), path)
    with whole_file(directory / f"{declared.name}.csv") as path:
        table.to_csv(path, index=False)


def value_text(value: float, unit: str, indicator: str = "") -> str:
    """Format a value: costs with two decimals, energies with three, `-` where undefined."""
    if np.isnan(value):
        return "-"
    if "gap" in indicator and unit == "1":
        return f"{value:.1e}"
    if indicator in _COUNTS:
        return f"{value:.0f}"
    digits = _DIGITS.get(unit, 3)
    return f"{round(value, digits) + 0.0:.{digits}f}"  # no minus sign before a zero


def _texts(comparison: Comparison, basis: str, grids: Sequence[str]) -> pd.DataFrame:
    schemes = comparison.schemes(basis)
    t = comparison.indicators
    t = t[(t["basis"] == basis) & t["grid"].isin(grids) & t["value"].notna()]
    values: Mapping[tuple[str, str, str], float] = {
        (str(g), str(i), str(s)): float(v)
        for g, i, s, v in zip(t["grid"], t["indicator"], t["scheme"], t["value"], strict=True)
    }
    found = {(g, i) for g, i, _ in values}
    keys = [(g, i) for g in grids for i in UNITS if (g, i) in found]
    rows = [
        [value_text(values.get((g, i, s), np.nan), UNITS[i], i) for s in schemes] for g, i in keys
    ]
    labels = [(g, heading(i, UNITS[i])) for g, i in keys]
    index = pd.MultiIndex.from_tuples(labels or [], names=["grid", "indicator"])
    return pd.DataFrame(rows, index=index, columns=[words(s) for s in schemes])


def _markdown_table(table: pd.DataFrame) -> list[str]:
    header = [str(c) for c in table.columns]
    texts = [[str(v).replace("|", "\\|") for v in row] for row in table.itertuples(index=False)]
    named = [str(c) in ("grid", "indicator") for c in table.columns]
    rule = ["---" if n else "---:" for n in named]
    return ["| " + " | ".join(cells) + " |" for cells in (header, rule, *texts)]


def extra_costs(comparison: Comparison) -> pd.DataFrame:
    """Return the cost of each quality above the first one's, corrected by stored energy.

    Index quality; columns `extra_cost` (EUR) and `extra_cost_percent` (of the first quality's
    cost); NaN if the run of this quality or of the first failed.
    """
    names = list(comparison.schemes(CLOSED_LOOP))
    totals = comparison.totals(CLOSED_LOOP, "total_cost_corrected")
    cost = totals.reindex(names).to_numpy(dtype=np.float64)
    extra = cost - cost[0]
    index = pd.Index(names, name="quality")
    columns = {"extra_cost": extra, "extra_cost_percent": 100.0 * extra / abs(cost[0])}
    return pd.DataFrame(columns, index)


def with_extra_costs(comparison: Comparison) -> Comparison:
    """Return the comparison with the rows of `extra_costs` added."""
    extra = extra_costs(comparison)
    found = Comparison(comparison.pricing)
    table, flows = comparison.indicators, comparison.exchange
    for quality, status in ((s, comparison.status[CLOSED_LOOP, s]) for s in extra.index):
        if status != DONE:
            found.fail(CLOSED_LOOP, quality, status.removeprefix("failed: "))
            continue
        rows = [
            {"scheme": quality, "pricing": comparison.pricing, "grid": TOTAL, "indicator": name,
             "unit": UNITS[name], "value": float(extra[name][quality])}
            for name in extra.columns
        ]  # fmt: skip
        own = pd.concat([table[table["scheme"] == quality], pd.DataFrame(rows)])
        found.add(CLOSED_LOOP, quality, own, flows[flows["scheme"] == quality])
    return found


def write_quality_tables(comparison: Comparison, directory: Path, title: str) -> None:
    """Write qualities.parquet, qualities.csv and qualities.md."""
    table = comparison.indicators.rename(columns={"scheme": "quality"})[list(QUALITIES.names)]
    write_whole(table, QUALITIES, directory)
    with whole_file(directory / "qualities.md") as path:
        path.write_text(markdown(comparison, title), encoding="utf-8")
