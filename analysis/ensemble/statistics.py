"""Key figures of an ensemble with confidence intervals against the error level (docs/ensemble.md).

Regret and the cost of another horizon are differences between runs of the same member with the same
realised series; their confidence intervals are those of the differences.
"""

import glob
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from scipy.stats import t as student

from stackelgrid.analysis.ensemble.variants import OWN, PERFECT, variant_words
from stackelgrid.analysis.kpis.indicators import CURTAILED, STORES, TOTAL
from stackelgrid.analysis.results.significant import significant
from stackelgrid.analysis.study_columns import KPIS, STATISTICS
from stackelgrid.controllers import tolerances
from stackelgrid.controllers.devices.kind import DeviceKind
from stackelgrid.controllers.words import heading, words
from stackelgrid.profiles.errors import StackelgridError
from stackelgrid.simulators.results.columns import arrow_table
from stackelgrid.simulators.results.whole_file import whole_file

KEYS = ("error_level", "scheme", "variant", "member")
_HIVE = "{'error_level': DOUBLE, 'scheme': VARCHAR, 'variant': VARCHAR, 'member': BIGINT}"

# key figures of an ensemble by the name of the run's indicator (docs/results.md)
_INDICATORS = {
    "total_cost_corrected": "cost",
    "leader_cost_corrected": "leader_cost",
    **{f"{k.kind}_throughput": f"{k.kind}_throughput" for k in STORES},
    "import": "import",
    "export": "export",
    **{f"{k.kind}_curtailed": f"{k.kind}_curtailed" for k in CURTAILED},
    "losses": "losses",
    "peak_exchange": "peak_exchange",
    "fallbacks": "fallbacks",
    "intervals_beyond_limits": "intervals_beyond_limits",
    "max_violation": "max_violation",
}


class Dataset:
    """An ensemble's directory of runs as tables of an in-memory database."""

    def __init__(self, directory: Path) -> None:
        """Open the dataset; raises StackelgridError if it holds no run."""
        self._directory = directory
        self._connection = duckdb.connect()
        self._connection.execute("SET threads = 1")  # sums in a fixed order: bitwise equal results
        for table in ("indicators", "interval"):
            self._open(table)

    def _open(self, table: str) -> None:
        files = sorted(self._directory.glob(f"*/*/*/*/{table}.parquet"))
        if not files:
            raise StackelgridError(f"{self._directory}: holds no run of an ensemble")
        names = ", ".join("'" + glob.escape(str(f)).replace("'", "''") + "'" for f in files)
        self._connection.execute(
            f"CREATE VIEW {table} AS SELECT * FROM read_parquet([{names}], "
            f"hive_partitioning = true, hive_types = {_HIVE}, union_by_name = true)"
        )

    def query(self, sql: str) -> pd.DataFrame:
        """Run a query over the views `interval` and `indicators` of all runs."""
        return self._connection.execute(sql).df()

    def kpis(self, step_h: float) -> pd.DataFrame:
        """Return key figures of all runs: keys, grid, kpi, unit, value; intervals of `step_h`."""
        queries = (self._from_indicators(), _imbalance(step_h), *map(_wear, STORES), _VIOLATIONS)
        keys = ", ".join(KEYS)
        order = f"{keys}, grid, kpi"
        union = " UNION ALL ".join(f"SELECT {order}, unit, value FROM ({q})" for q in queries)
        return self.query(f"SELECT * FROM ({union}) ORDER BY {order}")

    @staticmethod
    def _from_indicators() -> str:
        cases = " ".join(f"WHEN '{name}' THEN '{kpi}'" for name, kpi in _INDICATORS.items())
        names = ", ".join(f"'{name}'" for name in _INDICATORS)
        return f"""
            SELECT {", ".join(KEYS)}, grid, CASE indicator {cases} END AS kpi, unit, value
            FROM indicators WHERE indicator IN ({names})
        """


def _imbalance(step_h: float) -> str:
    """Return the query of the imbalance: the exchange above the plan in force at each boundary.

    Energy of the absolute difference of all copies, its mean and its maximum, and the signed mean
    (positive: more import than planned). The total is the sum of the energies.
    """
    keys = ", ".join(KEYS)
    return f"""
        WITH off AS (
            SELECT {keys}, grid, copies * (p_import_mw - p_import_planned_mw) AS mw
            FROM interval
            WHERE level <> 'transmission' AND isfinite(p_import_planned_mw)
        ), by_grid AS (
            SELECT {keys}, grid, sum(abs(mw)) * {step_h} AS energy, avg(abs(mw)) AS mean,
                max(abs(mw)) AS most, avg(mw) AS bias
            FROM off GROUP BY ALL
        )
        SELECT {keys}, grid, 'imbalance' AS kpi, 'MWh' AS unit, energy AS value FROM by_grid
        UNION ALL SELECT {keys}, grid, 'imbalance_mean', 'MW', mean FROM by_grid
        UNION ALL SELECT {keys}, grid, 'imbalance_max', 'MW', most FROM by_grid
        UNION ALL SELECT {keys}, grid, 'imbalance_bias', 'MW', bias FROM by_grid
        UNION ALL
        SELECT {keys}, 'total', 'imbalance', 'MWh', sum(energy) FROM by_grid GROUP BY ALL
    """


def wear_kpi(kind: type[DeviceKind]) -> str:
    """Return the name of the key figure of a store's wear."""
    return kind.cost_label.replace(" ", "_")


def _wear(kind: type[DeviceKind]) -> str:
    keys, kpi = ", ".join(KEYS), wear_kpi(kind)
    return f"""
        WITH by_grid AS (
            SELECT {keys}, grid, sum(copies * {kind.cost_column}) AS eur
            FROM interval WHERE level <> 'transmission' GROUP BY ALL
        )
        SELECT {keys}, grid, '{kpi}' AS kpi, 'EUR' AS unit, eur AS value FROM by_grid
        UNION ALL
        SELECT {keys}, 'total', '{kpi}', 'EUR', sum(eur) FROM by_grid GROUP BY ALL
    """


_VIOLATIONS = f"""
    SELECT {", ".join(KEYS)}, grid, 'intervals_beyond_limits' AS kpi, '1' AS unit,
        count(*) FILTER (WHERE realised_violation_pu > {tolerances.AC_LIMIT_PU!r})::DOUBLE AS value
    FROM interval GROUP BY ALL
"""


CONFIDENCE = 0.95
_MOST_PLACES = 3  # of a mean in a text
_GROUP = ["error_level", "scheme", "variant", "grid", "kpi", "unit"]
_OVERVIEW = (
    "cost", "regret", "horizon_cost", "imbalance", "intervals_beyond_limits", "fallbacks",
    *map(wear_kpi, STORES),
)  # fmt: skip


_HEADLINES = {
    "cost": "cost\nEUR",
    "regret": "regret\nEUR",
    "imbalance": "imbalance\nMWh",
    "intervals_beyond_limits": "intervals\nbeyond\nlimits",
}


@dataclass(frozen=True)
class KeyFigure:
    """A key figure shown against the error level; `perfect`: also for perfect foresight."""

    kpi: str
    title: str
    unit: str
    perfect: bool = True


KEY_FIGURES = (
    KeyFigure("cost", "Cost", "EUR"),
    KeyFigure("regret", "Regret against perfect foresight", "EUR", perfect=False),
    KeyFigure("imbalance", "Imbalance, all boundaries", "MWh"),
    KeyFigure("intervals_beyond_limits", "Intervals beyond limits", "number"),
    KeyFigure("fallbacks", "Intervals by fallback", "number"),
    *(KeyFigure(wear_kpi(kind), kind.cost_label.capitalize(), "EUR") for kind in STORES),
)


@dataclass(frozen=True)
class EnsembleTables:
    """Key figures of every run, and their means over members with confidence intervals.

    `kpis`: error_level, scheme, variant, member, grid, kpi, unit, value. `statistics`: the same
    without member and value, and members, mean, std, low, high.
    """

    kpis: pd.DataFrame
    statistics: pd.DataFrame

    @property
    def schemes(self) -> tuple[str, ...]:
        """Schemes with at least one run, by name."""
        return tuple(str(s) for s in self.statistics["scheme"].unique())

    @property
    def horizons(self) -> tuple[str, ...]:
        """Variants other than the scenario's own horizon and perfect foresight."""
        found = self.statistics["variant"].unique()
        return tuple(str(v) for v in found if v not in (OWN, PERFECT))

    @property
    def boundaries(self) -> tuple[str, ...]:
        """Grids with an imbalance."""
        s = self.statistics
        grids = s.loc[s["kpi"] == "imbalance", "grid"].unique()
        return tuple(str(g) for g in grids if g != TOTAL)

    def of(self, kpi: str, grid: str = TOTAL) -> pd.DataFrame:
        """Return the statistics of a key figure by error level."""
        s = self.statistics
        return s[(s["kpi"] == kpi) & (s["grid"] == grid)].sort_values("error_level")


def analyse(dataset: Path, step_h: float) -> EnsembleTables:
    """Analyse the runs of an ensemble; `step_h` is the length of an interval in hours.

    Raises StackelgridError for a dataset without runs.
    """
    own = Dataset(dataset).kpis(step_h)
    kpis = pd.concat([own, _regret(own), _horizon_cost(own)])
    kpis = kpis.sort_values([*KEYS, "grid", "kpi"], ignore_index=True)
    return EnsembleTables(kpis, statistics_of(kpis))


def statistics_of(kpis: pd.DataFrame) -> pd.DataFrame:
    """Return means over members and two-sided 95 % intervals of Student's t (NaN for one member).

    Undefined values (NaN) do not count as members.
    """
    grouped = kpis.groupby(_GROUP, sort=True)["value"]
    table = grouped.agg(members="count", mean="mean", std="std").reset_index()
    n = table["members"].to_numpy(dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        reach = student.ppf(0.5 + CONFIDENCE / 2.0, n - 1.0) * table["std"] / np.sqrt(n)
    table["low"], table["high"] = table["mean"] - reach, table["mean"] + reach
    return table


def _cost(kpis: pd.DataFrame) -> pd.DataFrame:
    rows = kpis[(kpis["kpi"] == "cost") & (kpis["grid"] == TOTAL)]
    return rows[[*KEYS, "value"]]


def _against(kpis: pd.DataFrame, variant: str) -> pd.DataFrame:
    """Join costs with those of the same member, level and scheme in another variant (`base`)."""
    cost, shared = _cost(kpis), [k for k in KEYS if k != "variant"]
    base = cost[cost["variant"] == variant].rename(columns={"value": "base"})
    return cost[cost["variant"] != variant].merge(base[[*shared, "base"]], on=shared)


def _regret(kpis: pd.DataFrame) -> pd.DataFrame:
    """Return the cost above that of perfect foresight, same realised series, EUR and percent."""
    both = _against(kpis, PERFECT)
    regret = both["value"] - both["base"]
    share = 100.0 * regret / both["base"].abs()
    return pd.concat([
        _rows(both, "regret", "EUR", regret), _rows(both, "regret_percent", "%", share)
    ])  # fmt: skip


def _horizon_cost(kpis: pd.DataFrame) -> pd.DataFrame:
    """Return the cost of other horizons above that of the scenario's, same errors, EUR."""
    both = _against(kpis[kpis["variant"] != PERFECT], OWN)
    return _rows(both, "horizon_cost", "EUR", both["value"] - both["base"])


def _rows(keys: pd.DataFrame, kpi: str, unit: str, value: "pd.Series[float]") -> pd.DataFrame:
    return keys[list(KEYS)].assign(grid=TOTAL, kpi=kpi, unit=unit, value=value)


def overview(tables: EnsembleTables) -> pd.DataFrame:
    """Return the totals as text, one row for each error level, scheme and variant."""
    s = tables.statistics[tables.statistics["grid"] == TOTAL]
    rows = []
    for keys, own in s.groupby(["error_level", "scheme", "variant"], sort=True):
        level, scheme, variant = keys
        row = {"error level": f"{level:g}", "scheme": words(str(scheme))}
        row["horizon"] = variant_words(str(variant))
        row["members"] = str(int(own["members"].max()))
        for kpi in _OVERVIEW:
            at = own[own["kpi"] == kpi]
            row[kpi] = _text(at.iloc[0]) if len(at) else ""
        rows.append(row)
    units = dict(zip(s["kpi"], s["unit"], strict=True))
    names = {k: heading(k, units.get(k, "1")) for k in _OVERVIEW}
    frame = pd.DataFrame(rows).rename(columns=names)
    return frame.loc[:, (frame != "").any()]


def headline_overview(tables: EnsembleTables, scheme: str) -> pd.DataFrame:
    """Return the headlines of a scheme as text, one row for each error level and horizon."""
    s = tables.statistics
    s = s[(s["grid"] == TOTAL) & (s["scheme"] == scheme)]
    rows = []
    for (level, variant), own in s.groupby(["error_level", "variant"], sort=True):
        row = {"error\nlevel": f"{level:g}", "horizon": variant_words(str(variant))}
        for kpi, head in _HEADLINES.items():
            at = own[own["kpi"] == kpi]
            row[head] = _text(at.iloc[0]) if len(at) else "-"
        rows.append(row)
    return pd.DataFrame(rows)


def _text(row: "pd.Series[float]") -> str:
    mean, reach = float(row["mean"]), float(row["high"] - row["mean"])
    if np.isnan(mean):
        return "-"
    if np.isnan(reach):
        return significant(mean, 4)
    if reach <= tolerances.COST_ALIKE * abs(mean):  # all members have equal values
        return f"{significant(mean, 4)} ± 0"
    # as many decimals as show two digits of the interval, up to a limit
    places = min(max(0, 1 - int(np.floor(np.log10(reach)))), _MOST_PLACES)
    return f"{mean:,.{places}f} ± {reach:,.{places}f}"


def write_tables(tables: EnsembleTables, directory: Path, name: str) -> None:
    """Write kpis.parquet, statistics.parquet, statistics.csv and statistics.md."""
    for frame, declared in ((tables.kpis, KPIS), (tables.statistics, STATISTICS)):
        with whole_file(directory / f"{declared.name}.parquet") as path:
            pq.write_table(arrow_table(frame, declared), path)
    with whole_file(directory / "statistics.csv") as path:
        tables.statistics.to_csv(path, index=False)
    texts = overview(tables)
    lines = [
        f"# {name}: mean and 95 % confidence interval of the members",
        "",
        "| " + " | ".join(texts.columns) + " |",
        "|" + "---|" * len(texts.columns),
        *("| " + " | ".join(row) + " |" for row in texts.itertuples(index=False)),
    ]
    with whole_file(directory / "statistics.md") as path:
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
