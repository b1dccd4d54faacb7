"""Negotiations of a finished run: tables and indicators."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from stackelgrid.analysis.results.held import check_held
from stackelgrid.profiles.errors import StackelgridError
from stackelgrid.simulators.results.manifest import Manifest

TOTAL = "total"
# columns of round.parquet that must become small before agents commit
RESIDUALS = {
    "open_share": "trade that does not clear, share of volume",
    "price_apart": "agents apart, share of the price range",
    "price_moved": "price moved, share of the price range",
}
# sums of columns of negotiation.parquet, by the name of the indicator
_SUMS = {
    "attempts": "attempts",
    "messages": "sent",
    "delivered": "delivered",
    "lost": "lost",
    "in_outage": "in_outage",
    "bytes": "bytes_sent",
    "in_doubt": "in_doubt",
    "settled": "settled",
    "refused": "refused",
    "ignored": "ignored",
}


@dataclass(frozen=True)
class NegotiationTables:
    """Tables of the negotiations of one run (docs/results.md).

    `negotiation` and `commitment` have no rows if a scheme negotiated without messages.
    """

    round: pd.DataFrame
    negotiation: pd.DataFrame
    commitment: pd.DataFrame


def read_negotiations(directory: Path) -> NegotiationTables:
    """Read the tables of a finished run; raises StackelgridError for a directory without them."""
    tables = ("round", "negotiation", "commitment")
    check_held(Manifest(directory), {}, tables, 0)
    try:
        return NegotiationTables(*(pd.read_parquet(directory / f"{n}.parquet") for n in tables))
    except OSError as error:
        raise StackelgridError(
            f"{directory}: no finished run ({error.filename or error} cannot be read)"
        ) from error


def negotiation_kpis(tables: NegotiationTables) -> pd.DataFrame:
    """Return indicators of negotiations, one row for each follower (index `grid`) and `total`.

    Counts: negotiations, agreements and fallbacks (agents times intervals on an old schedule). Mean
    and maximum: rounds, and time to agreement (simulated seconds; NaN without agreement).
    """
    told, held = tables.negotiation, tables.commitment
    followers = list(tables.round["grid"].unique())
    followers += [g for g in told["grid"].unique() if g not in followers]
    rows = {
        name: _kpis(
            tables.round[tables.round["grid"] == name],
            told[told["grid"] == name],
            held[held["follower"] == name],
        )
        for name in followers
    }
    rows[TOTAL] = _kpis(tables.round, told, held)
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("grid")


def _kpis(rounds: pd.DataFrame, told: pd.DataFrame, held: pd.DataFrame) -> dict[str, float]:
    if len(told):
        counts, negotiations = told["rounds"], len(told)
    else:  # without messages every negotiation has rounds
        counts = rounds.groupby(["grid", "interval"]).size()
        negotiations = len(counts)
    seconds = told["agreement_after_sec"]
    return {
        "negotiations": float(negotiations),
        "agreements": float((told["committed"] != "").sum()),
        "rounds_mean": float(counts.mean()),
        "rounds_max": float(counts.max()),
        "agreement_mean_sec": float(seconds.mean()),
        "agreement_max_sec": float(seconds.max()),
        **{name: float(told[column].sum()) for name, column in _SUMS.items()},
        "fallbacks": float((~held["on_new"].astype(bool)).sum()),
    }


def cold_and_warm(tables: NegotiationTables, grid: str) -> tuple[int, int | None]:
    """Return the interval of a follower's first negotiation with rounds, and a typical later one.

    The typical one has the median number of rounds of all later ones (the lower of two medians, the
    first of equal ones); None if there is no later one.
    """
    own = tables.round[tables.round["grid"] == grid]
    intervals, counts = np.unique(own["interval"].to_numpy(dtype=np.int64), return_counts=True)
    first, later = int(intervals[0]), counts[1:]
    if not len(later):
        return first, None
    median = np.quantile(later, 0.5, method="lower")
    return first, int(intervals[1:][later == median][0])


def rounds_of(tables: NegotiationTables, grid: str, interval: int) -> pd.DataFrame:
    """Return the rounds of one negotiation in their order."""
    own = tables.round[(tables.round["grid"] == grid) & (tables.round["interval"] == interval)]
    return own.sort_values("round")


def held_states(tables: NegotiationTables) -> pd.DataFrame:
    """Return the state's number in `style.HELD` by agent (rows, by follower) and interval."""
    held = tables.commitment
    order = held.drop_duplicates("grid").sort_values("follower", kind="stable")["grid"]
    new, doubt, silent = (held[c].astype(bool) for c in ("on_new", "in_doubt", "silent"))
    state = np.select([new & ~doubt, new, ~doubt & ~silent, doubt], [0, 1, 2, 3], default=4)
    wide = held.assign(state=state).pivot_table(index="grid", columns="interval", values="state")
    every = range(int(held["interval"].min()), int(held["interval"].max()) + 1)
    return wide.reindex(index=list(order), columns=list(every))
