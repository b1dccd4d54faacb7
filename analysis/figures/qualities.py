"""Figures of a comparison of qualities of communication, one for each kind of difference."""

import numpy as np
import plotly.graph_objects as go

from stackelgrid.analysis import style
from stackelgrid.analysis.comparison.qualities import PANELS, Panel
from stackelgrid.analysis.comparison.schemes import CLOSED_LOOP, Comparison, value_text
from stackelgrid.analysis.figures.bars import Part, bar_figure
from stackelgrid.analysis.kpis.indicators import UNITS

_COLORS = (style.BLUE, style.VERMILION)


def qualities(comparison: Comparison) -> dict[str, go.Figure]:
    """Figures by title: extra cost, messages, rounds, time to agreement, schedules, trade.

    A figure of which no run has a value is left out.
    """
    first = comparison.schemes(CLOSED_LOOP)[0]
    return {
        panel.title.format(first=first): quality(comparison, panel)
        for panel in PANELS
        if any(comparison.totals(CLOSED_LOOP, i).notna().any() for i in panel.parts)
    }


def quality(comparison: Comparison, panel: Panel) -> go.Figure:
    """Bars of one kind of difference by quality, with their values."""
    parts = []
    for (indicator, label), color in zip(panel.parts.items(), _COLORS, strict=False):
        values = np.asarray(comparison.totals(CLOSED_LOOP, indicator), dtype=np.float64)
        texts = [_text(comparison, indicator, float(v), k) for k, v in enumerate(values)]
        parts.append(Part(values, texts, [color] * len(values), label))
    return bar_figure(comparison.done(CLOSED_LOOP), parts, f"{panel.unit}")


def _text(comparison: Comparison, indicator: str, value: float, number: int) -> str:
    """Text of a value; a cost with its share."""
    if np.isnan(value):
        return "none"
    text = value_text(value, UNITS[indicator], indicator)
    if indicator != "extra_cost":
        return text
    share = float(comparison.totals(CLOSED_LOOP, "extra_cost_percent").iloc[number])
    return f"{value:+,.2f} EUR ({share:+.3f} %)"
