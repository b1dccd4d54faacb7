"""States of grids by interval: certificate with its mark and reason, and exchange of power."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from stackelgrid.analysis.figures.verdict_states import NONE, STATES, state_of
from stackelgrid.analysis.results.findings import beyond_in_reality
from stackelgrid.controllers.explanation import violated, violations_text
from stackelgrid.controllers.verdict import INFEASIBLE, exactness_asked
from stackelgrid.profiles.arrays import Floats

# mark of infeasible cells in addition to their colour, if cells are wide enough
_INFEASIBLE_MARK = "✕"


def state_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """Return state (of the worse view), mark and reason for each row of the interval table."""
    three, verdict = frame["verdict_three_phase"], frame["verdict"].astype(object)
    worse = verdict.mask(three == INFEASIBLE, INFEASIBLE)
    state = pd.Series(
        [
            state_of(v, exactness_asked(level))
            for v, level in zip(worse, frame["level"], strict=True)
        ],
        index=frame.index,
        dtype=object,
    )
    mark = pd.Series("", index=frame.index).mask(worse == INFEASIBLE, _INFEASIBLE_MARK)
    mark = mark.mask(beyond_in_reality(frame), "!")
    mark = mark.mask(frame["fallback"].astype(bool), "F").mask(frame["recovery"] != "", "R")
    violating = frame[(worse == INFEASIBLE) | beyond_in_reality(frame)]
    texts = [violations_text(violated(row)) for row in violating.to_dict("records")]
    reason = pd.Series(texts, index=violating.index, dtype=object)
    reason = reason.reindex(frame.index, fill_value="")
    return pd.DataFrame(
        {"grid": frame["grid"], "interval": frame["interval"], "state": state, "mark": mark,
         "reason": reason}
    )  # fmt: skip


@dataclass(frozen=True)
class GridStates:
    """States of all grids from one interval on, in the order of the grids.

    `states` and `marks` have a text for each interval, with one character for each grid: the
    number of the state in STATES, and its mark or a space. `exchange_mw` (intervals, grids) is the
    import of one copy, on a transmission network the power into the grids below; NaN if missing.
    """

    states: list[str]
    marks: list[str]
    exchange_mw: Floats


def grid_states(frame: pd.DataFrame, grids: Sequence[str], first: int, done: int) -> GridStates:
    """Return the states of the intervals `first` ... `done` - 1.

    frame: rows of the table `interval`.
    grids: names of the grids.
    first: first interval.
    done: end of the intervals, exclusive.
    """
    own = frame[frame["interval"].between(first, done - 1)]
    row = own["interval"].to_numpy() - first
    column = pd.Index(grids).get_indexer(pd.Index(own["grid"].astype(str)))
    shape = (done - first, len(grids))
    states, marks = np.full(shape, STATES.index(NONE)), np.full(shape, " ", dtype=object)
    exchange = np.full(shape, np.nan)
    found = state_columns(own)
    states[row, column] = [STATES.index(s) for s in found["state"]]
    marks[row, column] = [mark or " " for mark in found["mark"]]
    transmission = (own["level"] == "transmission").to_numpy()
    exchange[row, column] = own["p_import_mw"].mask(transmission, own["lower_p_mw"]).to_numpy()
    return GridStates(
        ["".join(map(str, line)) for line in states], ["".join(line) for line in marks], exchange
    )
