"""Waterfalls of costs: from the run without control to the result, or of the parts alone."""

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from stackelgrid.analysis import style
from stackelgrid.analysis.figures.costs import NOTHING_EUR, cost_parts
from stackelgrid.analysis.results.baseline import compared_with
from stackelgrid.analysis.run import Run

SYSTEM, LEADERS, FOLLOWER = "system", "leaders", "follower"
STORED = "stored energy"
_COLORS = {
    FOLLOWER: style.BLUE, LEADERS: style.ORANGE, STORED: style.GREEN, SYSTEM: style.GREY,
}  # fmt: skip
_LARGE_EUR = 1000.0  # from here without cents
_ROW, _FRAME = 44, 96  # px of a step, and of everything around them


@dataclass(frozen=True)
class Step:
    """A step of a waterfall: who pays, kind of cost, and its change in EUR."""

    payer: str
    kind: str
    eur: float


def waterfall_steps(run: Run, side: str = SYSTEM) -> list[Step]:
    """Return the steps from the cost without control, or from 0, to that of a run, in EUR.

    run: the run.
    side: whose costs: system, leaders (with their payments at the boundary), or follower.

    The sum is `cost_eur.total_corrected` of the system less that without control. Costs of leaders
    and system are corrected by stored energy. NaN where a payment is not known.
    """
    own, other = _parts(run, side), compared_with(run)
    before = _parts(other, side) if other else {}
    steps = [
        Step(payer, kind, own.get((payer, kind), 0.0) - before.get((payer, kind), 0.0))
        for payer, kind in dict.fromkeys([*own, *before])
    ]
    return [step for step in steps if not abs(step.eur) <= NOTHING_EUR]


def waterfall(run: Run, side: str = SYSTEM) -> go.Figure:
    """Change of costs by kind from the run without control to the result, EUR.

    Without such a run: the parts of the cost, from 0.
    """
    steps, other = waterfall_steps(run, side), compared_with(run)
    total = sum(_parts(run, side).values())
    change = sum(step.eur for step in steps)
    end = Step(SYSTEM, "this run" if other else f"cost of the {side}", change)
    places = 0 if abs(total) >= _LARGE_EUR else 2
    sign = "+" if other else ""
    names = [_label(step.kind, f"{step.eur:{sign},.{places}f}") for step in steps]
    names.append(_label(end.kind, f"{total:,.{places}f} EUR"))
    if other:
        names.insert(0, _label("without control", f"{total - change:,.{places}f} EUR"))
    first = 1 if other else 0  # row of the first step
    levels = np.cumsum([0.0, *(step.eur for step in steps)])
    figure = go.Figure(
        layout=style.layout(height=_FRAME + _ROW * len(names), hovermode="closest", bargap=0.3)
    )
    for payer, color in _COLORS.items():
        rows = [k for k, step in enumerate([*steps, end]) if step.payer == payer]
        if not rows:
            continue
        last = [row == len(steps) for row in rows]
        figure.add_trace(
            go.Bar(
                x=[
                    change if at_end else steps[k].eur for k, at_end in zip(rows, last, strict=True)
                ],
                base=[0.0 if at_end else levels[k] for k, at_end in zip(rows, last, strict=True)],
                y=[k + first for k in rows],
                orientation="h",
                marker={"color": color},
                name="altogether" if payer == SYSTEM else payer,
                hovertemplate="%{x:,.2f} EUR<extra></extra>",
            )
        )
    for k, level in enumerate(levels):
        if k or other:
            line = {"color": style.GREY, "width": 1}
            ends = {"y0": k + first - 1, "y1": k + first}
            figure.add_shape(type="line", x0=level, x1=level, **ends, line=line, layer="below")
    at = np.arange(len(names))
    figure.update_yaxes(
        tickvals=at, ticktext=names, range=[len(names) - 0.5, -0.5], showgrid=False, ticks="",
        title={"text": "kind of cost", "standoff": 6},
    )  # fmt: skip
    title = "change in EUR" if other else "cost in EUR"
    figure.update_xaxes(title_text=title, tickformat=",", zeroline=True)
    return figure


def _parts(run: Run, side: str) -> dict[tuple[str, str], float]:
    """Return costs in EUR by payer and kind; stored energy is the value of its decrease."""
    parts = cost_parts(run)
    if side == SYSTEM:  # payments between grids are transfers
        shown = {(p, k): v for p in (FOLLOWER, LEADERS) for k, v in parts.own[p].items()}
    elif side == LEADERS:
        shown = {(side, k): v for k, v in parts.own[side].items()}
        shown = {(side, f"payments to {parts.root}"): parts.paid_to_root} | shown
    else:
        return {(side, k): v for k, v in parts.own[side].items()}
    stored = run.summary.get("stored_energy")
    if stored is None:  # version 0.1 wrote none
        return shown
    grids = (
        stored["grids"]
        if side == SYSTEM
        else {g: v for g, v in stored["grids"].items() if g != parts.root}
    )
    return shown | {(STORED, STORED): -sum(v["value_eur"] for v in grids.values())}


def _label(name: str, value: str) -> str:
    return f"<b>{name}</b><br>{value}"
