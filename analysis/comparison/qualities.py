"""Cost of imperfect communication: comparison of runs over links of several qualities."""

from pathlib import Path

import numpy as np
import pandas as pd

from stackelgrid.analysis.comparison.schemes import (
    CLOSED_LOOP,
    DONE,
    Comparison,
    markdown,
    write_whole,
)
from stackelgrid.analysis.kpis.indicators import TOTAL, UNITS
from stackelgrid.analysis.study_columns import QUALITIES
from stackelgrid.simulators.results.whole_file import whole_file

COLUMNS = QUALITIES.names
_COST = "total_cost_corrected"


def extra_costs(comparison: Comparison) -> pd.DataFrame:
    """Return the cost of each quality above the first one's, corrected by stored energy.

    Index quality; columns `extra_cost` (EUR) and `extra_cost_percent` (of the first quality's
    cost); NaN if the run of this quality or of the first failed.
    """
    t = comparison.indicators
    own = t[(t["grid"] == TOTAL) & (t["indicator"] == _COST) & (t["status"] == DONE)]
    names = list(comparison.schemes(CLOSED_LOOP))
    cost = own.set_index("scheme")["value"].reindex(names).to_numpy(dtype=np.float64)
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


def write_tables(comparison: Comparison, directory: Path, title: str) -> None:
    """Write qualities.parquet, qualities.csv and qualities.md."""
    table = comparison.indicators.rename(columns={"scheme": "quality"})[list(COLUMNS)]
    write_whole(table, QUALITIES, directory)
    with whole_file(directory / "qualities.md") as path:
        path.write_text(markdown(comparison, title), encoding="utf-8")
