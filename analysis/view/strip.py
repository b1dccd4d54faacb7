"""Strip of verdicts: one row for each grid, one cell for each interval, coloured by verdict."""

from typing import Any

import pandas as pd

from stackelgrid.analysis import style
from stackelgrid.analysis.figures.frame import state_cells
from stackelgrid.analysis.figures.verdict_states import COLORS, LABELS, NONE, STATES
from stackelgrid.analysis.view.data import LiveRun
from stackelgrid.analysis.view.series_figure import time_title
from stackelgrid.analysis.view.states import state_columns

_ROW, _MARGIN = 22, 90
_GAPS_MOST = 48  # largest number of intervals with gaps between their cells


def strip_figure(run: LiveRun) -> dict[str, Any]:
    """Return the strip as Plotly's JSON; customdata of a cell is (interval, reason)."""
    names = [g.name for g in run.grids] or list(run.run.grids)
    cells = state_columns(run.table("interval"))
    wide = {
        column: cells.pivot_table(
            column, "grid", "interval", aggfunc="first", observed=False
        ).reindex(index=names, columns=range(run.done))
        if len(cells)
        else pd.DataFrame(index=names)
        for column in ("state", "mark", "reason")
    }
    states = wide["state"]
    numbers = [
        [STATES.index(s) if s in STATES else None for s in row]
        for row in states.to_numpy().tolist()
    ]
    figure: dict[str, Any] = {
        "data": [state_cells(names, numbers, COLORS, **{
            # one cell alone has its width from dx only
            "x0": (run.times[0] + run.step / 2).isoformat(), "dx": run.step / pd.Timedelta("1ms"),
            "ygap": 2,
            "xgap": 1 if run.planned <= _GAPS_MOST else 0,
            "text": wide["mark"].fillna("").to_numpy().tolist(),
            "texttemplate": "%{text}",
            "customdata": [
                [[k, s or LABELS[NONE], r] for k, (s, r) in enumerate(zip(a, b, strict=True))]
                for a, b in zip(states.to_numpy().tolist(),
                                wide["reason"].to_numpy().tolist(), strict=True)
            ],
            "hovertemplate": "%{y}, %{x|%d %b %H:%M}: %{customdata[1]} %{customdata[2]}"
                             "<extra></extra>",
        })],
        "layout": style.layout(
            height=_MARGIN + _ROW * len(names),
            margin={"l": 44, "r": 12, "t": 8, "b": 60},
            hovermode="closest",
            uirevision="strip",
        ),
    }  # fmt: skip
    figure["layout"]["yaxis"] = {"autorange": "reversed", "type": "category", "showgrid": False}
    figure["layout"]["xaxis"] = {
        "type": "date", "nticks": 8, "tickangle": 0, "showgrid": False, "title": time_title(run),
        "range": [run.times[0].isoformat(), (run.times[-1] + run.step).isoformat()],
    }  # fmt: skip
    return figure
