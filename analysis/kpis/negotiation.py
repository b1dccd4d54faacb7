"""Negotiations of a run: residuals, rounds, schedules held."""

import numpy as np
import pandas as pd

from stackelgrid.analysis.results.record import RunRecord

# columns of round.parquet that must become small before agents commit
RESIDUALS = {
    "open_share": "trade that does not clear, share of volume",
    "price_apart": "agents apart, share of the price range",
    "price_moved": "price moved, share of the price range",
}


def cold_and_warm(run: RunRecord, grid: str) -> tuple[int, int | None]:
    """Return the interval of a follower's first negotiation with rounds, and a typical later one.

    The typical one has the median number of rounds of all later ones (the lower of two medians, the
    first of equal ones); None if there is no later one.
    """
    own = run.round[run.round["grid"] == grid]
    intervals, counts = np.unique(own["interval"].to_numpy(dtype=np.int64), return_counts=True)
    first, later = int(intervals[0]), counts[1:]
    if not len(later):
        return first, None
    median = np.quantile(later, 0.5, method="lower")
    return first, int(intervals[1:][later == median][0])


def rounds_of(run: RunRecord, grid: str, interval: int) -> pd.DataFrame:
    """Return the rounds of one negotiation in their order."""
    own = run.round[(run.round["grid"] == grid) & (run.round["interval"] == interval)]
    return own.sort_values("round")


def held_states(run: RunRecord) -> pd.DataFrame:
    """Return the state's number in `style.HELD` by agent (rows, by follower) and interval."""
    held = run.commitment
    order = held.drop_duplicates("grid").sort_values("follower", kind="stable")["grid"]
    new, doubt, silent = (held[c].astype(bool) for c in ("on_new", "in_doubt", "silent"))
    state = np.select([new & ~doubt, new, ~doubt & ~silent, doubt], [0, 1, 2, 3], default=4)
    wide = held.assign(state=state).pivot_table(index="grid", columns="interval", values="state")
    every = range(int(held["interval"].min()), int(held["interval"].max()) + 1)
    return wide.reindex(index=list(order), columns=list(every))
