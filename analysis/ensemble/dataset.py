"""DuckDB queries over the Parquet dataset of an ensemble."""

import glob
from pathlib import Path

import duckdb
import pandas as pd

from stackelgrid.analysis.kpis.indicators import CURTAILED, STORES
from stackelgrid.controllers import tolerances
from stackelgrid.controllers.devices.kind import DeviceKind
from stackelgrid.profiles.errors import StackelgridError

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
