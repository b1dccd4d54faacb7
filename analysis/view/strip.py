"""The certificate as a strip: one row a grid, one cell an interval, coloured by verdict."""

from typing import Any

import pandas as pd

from stackelgrid.analysis import style
from stackelgrid.analysis.view.data import LiveRun
from stackelgrid.analysis.view.series_figure import time_title

# verdicts from worst to best; a cell's number is its place here
_ORDER = ("infeasible", "feasible", "exact", "")
_WORDS = {"": "none"}
# what tells verdicts apart without colour, where the cells are wide enough
_MARKS = {"infeasible": "✕", "feasible": "", "exact": "", "": ""}
_ROW, _MARGIN = 22, 90
_GAPS_MOST = 48  # intervals that have a gap between their cells


def verdict_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """Verdict (the worse of both views), mark and reason of each row of the interval table."""
    three, verdict = frame["verdict_three_phase"], frame["verdict"].astype(object)
    worse = verdict.mask(three == "infeasible", "infeasible")
    place = frame["worst"].mask(
        (three == "infeasible") & (verdict != "infeasible"), frame["worst_three_phase"]
    )
    size = frame["violation_pu"].mask(
        (three == "infeasible") & (verdict != "infeasible"), frame["violation_three_phase_pu"]
    )
    mark = worse.map(_MARKS).mask(frame["realised_worst"] != "", "!")
    mark = mark.mask(frame["fallback"].astype(bool), "F").mask(frame["recovery"] != "", "R")
    reason = (size.map("{:.4f} p.u. beyond a limit at ".format) + place).where(
        worse == "infeasible", ""
    )
    return pd.DataFrame(
        {"grid": frame["grid"], "interval": frame["interval"], "verdict": worse, "mark": mark,
         "reason": reason}
    )  # fmt: skip


def strip_figure(run: LiveRun) -> dict[str, Any]:
    """Figure of the verdicts as Plotly's JSON; customdata of a cell is (interval, reason)."""
    names = [g.name for g in run.grids] or list(run.run.grids)
    cells = verdict_columns(run.table("interval"))
    # a label for every category of the strip: what the colours mean
    wide = {
        column: cells.pivot_table(
            column, "grid", "interval", aggfunc="first", observed=False
        ).reindex(index=names, columns=range(run.done))
        if len(cells)
        else pd.DataFrame(index=names)
        for column in ("verdict", "mark", "reason")
    }
    verdicts = wide["verdict"]
    figure: dict[str, Any] = {
        "data": [{
            "type": "heatmap",
            "x": [(t + run.step / 2).isoformat() for t in run.times[: run.done]],
            "y": names,
            "z": [[_ORDER.index(v) if v in _ORDER else None for v in row]
                  for row in verdicts.to_numpy().tolist()],
            "zmin": -0.5, "zmax": len(_ORDER) - 0.5,
            "colorscale": _scale(), "showscale": False, "ygap": 2,
            "xgap": 1 if run.planned <= _GAPS_MOST else 0,
            "text": wide["mark"].fillna("").to_numpy().tolist(),
            "texttemplate": "%{text}",
            "customdata": [
                [[k, _WORDS.get(v, v), r] for k, (v, r) in enumerate(zip(a, b, strict=True))]
                for a, b in zip(verdicts.to_numpy().tolist(),
                                wide["reason"].to_numpy().tolist(), strict=True)
            ],
            "hovertemplate": "%{y}, %{x|%d %b %H:%M}: %{customdata[1]} %{customdata[2]}"
                             "<extra></extra>",
        }],
        "layout": style.layout(
            height=_MARGIN + _ROW * len(names),
            margin={"l": 44, "r": 12, "t": 8, "b": 60},
            hovermode="closest",
            uirevision="strip",
        ),
    }  # fmt: skip
    figure["layout"]["yaxis"] = {"autorange": "reversed", "type": "category", "showgrid": False}
    figure["layout"]["xaxis"] = {
        "type": "date", "nticks": 8, "showgrid": False, "title": time_title(run),
        "range": [run.times[0].isoformat(), (run.times[-1] + run.step).isoformat()],
    }  # fmt: skip
    return figure


def _scale() -> list[list[Any]]:
    """Colours of _ORDER as a scale of steps."""
    count = len(_ORDER)
    steps = []
    for k, verdict in enumerate(_ORDER):
        color = style.VERDICTS[verdict]
        steps += [[k / count, color], [(k + 1) / count, color]]
    return steps
