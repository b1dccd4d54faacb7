"""Traces of Plotly drawn into the axes of matplotlib."""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize
from matplotlib.dates import date2num

from stackelgrid.analysis import style
from stackelgrid.profiles.arrays import Floats

POINTS = 0.72  # points a pixel of Plotly, of which 100 are an inch
KINDS = ("scatter", "bar", "heatmap")  # of traces that are drawn
_MS_PER_DAY = 86_400_000.0
_BAR_GAP = 0.2  # Plotly's share of the spacing between bars
_MOST_MARKS = 150  # cells of a heat map up to which numbers are written in them


class Canvas:
    """Axes that take traces; `categories` are the labels of x and y by place, if these are texts.

    `dates` states whether x is time.
    """

    def __init__(self, axes: Axes, layout: Any, traces: Sequence[Any]) -> None:
        self.categories: dict[str, dict[str, int]] = {"x": {}, "y": {}}
        self._axes, self._layout, self._traces = axes, layout, traces
        for trace in traces:
            for name, known in self.categories.items():
                for value in () if trace[name] is None else trace[name]:
                    if isinstance(value, str) and not is_date(value):
                        known.setdefault(value, len(known))
        self.dates = any(
            trace.x is not None and len(trace.x) and is_date(trace.x[0]) for trace in traces
        ) or any(is_date(getattr(trace, "x0", None)) for trace in traces if trace.type == "heatmap")
        self._bars = [trace for trace in traces if trace.type == "bar"]
        self._piles: dict[tuple[float, bool], float] = defaultdict(float)
        self._stacks: dict[str, Floats] = {}
        self._below: Floats | None = None  # line that an area may reach down to

    def draw(self) -> dict[str, Artist]:
        """Draw all traces; returns their symbols in a legend by name."""
        kinds = {"scatter": self._scatter, "bar": self._bar, "heatmap": self._heatmap}
        found: dict[str, Artist] = {}
        for trace in self._traces:
            artist = kinds[trace.type](trace)
            if artist is not None and trace.name and trace.showlegend is not False:
                found.setdefault(trace.name, artist)
        return found if self._layout.showlegend is not False else {}

    def _place(self, trace: Any, name: str) -> Floats:
        return positions(trace[name], self.categories[name])

    def _scatter(self, trace: Any) -> Artist | None:
        x, y = self._place(trace, "x"), self._place(trace, "y")
        stepped = trace.line.shape == "hv"
        if trace.stackgroup or trace.fill == "tonexty":
            base = self._stacks.get(trace.stackgroup, np.zeros(len(y)))
            if trace.stackgroup:
                y = self._stacks[trace.stackgroup] = base + np.nan_to_num(y)
            elif self._below is not None:
                base = self._below
            area = self._axes.fill_between(
                x, base, y, step="post" if stepped else None, linewidth=0.0,
                color=color_of(trace.fillcolor),
            )  # fmt: skip
            if trace.stackgroup or not trace.line.width:
                return area
        self._below = y
        mode = trace.mode or "lines"
        artist: Artist | None = None
        if "lines" in mode and trace.line.width != 0:
            (artist,) = self._axes.plot(
                x, y, drawstyle="steps-post" if stepped else "default", **line_of(trace.line),
                **(_marker(trace.marker) if "markers" in mode else {}),
            )  # fmt: skip
        elif "markers" in mode:
            artist = self._markers(trace, x, y)
        if trace.error_y.array is not None:
            self._axes.errorbar(
                x, y, yerr=np.asarray(trace.error_y.array), fmt="none", capsize=3,
                ecolor=color_of(trace.line.color), elinewidth=1.2,
            )  # fmt: skip
        if "text" in mode:
            for at_x, at_y, text in zip(x, y, trace.text, strict=True):
                self._axes.text(at_x, at_y, str(text), ha="center", va="center", fontsize=7)
        return artist

    def _markers(self, trace: Any, x: Floats, y: Floats) -> Artist | None:
        """Draw marks alike, or each in the colour of its number."""
        marker = trace.marker
        if isinstance(marker.color, str) or marker.color is None:
            (line,) = self._axes.plot(x, y, linestyle="none", **_marker(marker))
            return line
        norm, colors = Normalize(marker.cmin, marker.cmax), _colormap(marker.colorscale)
        if marker.showscale or marker.colorbar.title.text:
            self._color_bar(marker.colorbar, norm, colors)
        if not np.isfinite(x).any():  # only for its colours
            return None
        edges = marker.line.color
        dots = self._axes.scatter(
            x, y, s=(POINTS * float(marker.size)) ** 2, zorder=3,
            c=np.asarray(marker.color, dtype=np.float64), norm=norm, cmap=colors,
            edgecolors=edges if edges is None or isinstance(edges, str) else list(edges),
            linewidths=[POINTS * float(w) for w in np.atleast_1d(marker.line.width or 0.0)],
        )  # fmt: skip
        return dots

    def _bar(self, trace: Any) -> Artist:
        lying = trace.orientation == "h"
        at, values = (
            self._place(trace, "y" if lying else "x"),
            self._place(trace, "x" if lying else "y"),
        )
        number, layout = self._bars.index(trace), self._layout
        if trace.width is not None:  # from the start of an interval to its end
            breadth: Any = np.asarray(trace.width) / (_MS_PER_DAY if self.dates else 1.0)
            at = at + breadth / 2.0
        else:
            spacing = float(np.diff(np.unique(at)).min()) if len(np.unique(at)) > 1 else 1.0
            gap = _BAR_GAP if layout.bargap is None else float(layout.bargap)
            breadth = spacing * (1.0 - gap)
        if layout.barmode in (None, "group"):
            breadth = breadth / len(self._bars)
            at = at + (number - (len(self._bars) - 1) / 2.0) * breadth
        if layout.barmode in ("stack", "relative"):
            base = self._piled(at, values)
        else:
            base = np.zeros(len(at)) if trace.base is None else np.asarray(trace.base, np.float64)
        colors = trace.marker.color
        colors = color_of(colors) if isinstance(colors, str) else [color_of(c) for c in colors]
        error: dict[str, Any] = {}
        if trace.error_y.array is not None:
            error = {"yerr": np.asarray(trace.error_y.array), "capsize": 3}
        draw = self._axes.barh if lying else self._axes.bar
        bars = draw(
            at, values, breadth, base, color=colors,
            **error,
        )  # fmt: skip
        if trace.text is not None:
            self._axes.bar_label(bars, [str(text) for text in trace.text], fontsize=8, padding=3)
        return bars  # type: ignore[return-value]  # a container is as good in a legend

    def _piled(self, at: Floats, values: Floats) -> Floats:
        """Return the bases of stacked bars, separately above and below zero."""
        base = np.zeros(len(at))
        for k, (place, value) in enumerate(zip(at, np.nan_to_num(values), strict=True)):
            key = (float(place), bool(value < 0.0))
            base[k] = self._piles[key]
            self._piles[key] += value
        return base

    def _heatmap(self, trace: Any) -> None:
        z = np.asarray(trace.z, dtype=np.float64)
        x = _edges(self._place(trace, "x")) if trace.x is not None else _even(trace, z.shape[1])
        y = _edges(self._place(trace, "y"))
        norm, colors = Normalize(trace.zmin, trace.zmax), _colormap(trace.colorscale)
        self._axes.pcolormesh(x, y, z, norm=norm, cmap=colors)
        background = self._layout.plot_bgcolor or style.PAPER
        for gap, edges, line in (
            (trace.xgap, x, self._axes.axvline), (trace.ygap, y, self._axes.axhline)
        ):  # fmt: skip
            for edge in edges[1:-1] if (gap or 0) >= 1 else ():
                line(edge, color=background, linewidth=POINTS * gap)
        if trace.texttemplate and z.size <= _MOST_MARKS:
            self._numbers(trace, z, norm, colors)
        if trace.showscale is not False:
            self._color_bar(trace.colorbar, norm, colors)

    def _numbers(self, trace: Any, z: Floats, norm: Normalize, colors: Colormap) -> None:
        """Write numbers into cells, light on dark."""
        form = re.sub(r"%\{z:(.+)\}", r"{:\1}", trace.texttemplate)
        x, y = self._place(trace, "x"), self._place(trace, "y")
        for i, j in np.argwhere(np.isfinite(z)):
            red, green, blue, _ = colors(norm(z[i, j]))
            dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
            self._axes.text(
                x[j], y[i], form.format(z[i, j] + 0.0), ha="center", va="center", fontsize=8,
                color=style.PAPER if dark else style.INK,
            )  # fmt: skip

    def _color_bar(self, bar: Any, norm: Normalize, colors: Colormap) -> None:
        drawn = self._axes.figure.colorbar(
            ScalarMappable(norm, colors), ax=self._axes, pad=0.02, aspect=30,
            location="bottom" if bar.orientation == "h" else "right",
        )  # fmt: skip
        drawn.set_label(bar.title.text or "", fontsize=9)
        drawn.ax.tick_params(labelsize=8)
        if bar.tickvals is not None:
            drawn.set_ticks(list(bar.tickvals))


def positions(values: Sequence[Any], labels: Mapping[str, int] | None = None) -> Floats:
    """Places along an axis (values,): of labels, days of dates, numbers; NaN for None."""
    if labels:
        return np.array([labels.get(value, np.nan) for value in values], dtype=np.float64)
    known = next((value for value in values if value is not None), None)
    if is_date(known):
        times = np.array(list(values), dtype="datetime64[ms]")
        days: Floats = date2num(times)  # type: ignore[no-untyped-call]
        return days
    return np.array(list(values), dtype=np.float64)


def is_date(value: Any) -> bool:
    """Return whether a value of Plotly is a time."""
    return isinstance(value, datetime | np.datetime64)


def color_of(text: str | None) -> Any:
    """Colour of matplotlib for one of Plotly: #rrggbb, a name, rgb(...) or rgba(...)."""
    found = re.fullmatch(r"rgba?\((.+)\)", text or "")
    if found is None:
        return text
    red, green, blue, *opacity = (float(part) for part in found[1].split(","))
    return (red / 255.0, green / 255.0, blue / 255.0, *opacity)


def line_of(line: Any) -> dict[str, Any]:
    """Keywords of matplotlib for a line of Plotly."""
    width = 2.0 if line.width is None else float(line.width)
    look = {"linestyle": style.LINE_STYLES[line.dash or "solid"], "linewidth": POINTS * width}
    return look if line.color is None else {"color": color_of(line.color), **look}


def _marker(marker: Any) -> dict[str, Any]:
    """Keywords of matplotlib for marks that are all alike."""
    symbol, hollow, _ = (marker.symbol or "circle").partition("-open")
    color, edge = color_of(marker.color), color_of(marker.line.color)
    look = {
        "marker": style.MARKERS[symbol],
        "markersize": POINTS * float(6 if marker.size is None else marker.size),
        "markerfacecolor": style.PAPER if hollow else color,
        "markeredgecolor": edge or color,
    }
    if marker.line.width is not None:
        look["markeredgewidth"] = POINTS * float(marker.line.width)
    return {key: value for key, value in look.items() if value is not None}


def _colormap(scale: Sequence[tuple[float, str]]) -> Colormap:
    return LinearSegmentedColormap.from_list("plotly", [(at, color_of(c)) for at, c in scale])


def _edges(middles: Floats) -> Floats:
    """Edges of cells around their middles, one unit wide."""
    return np.append(middles - 0.5, middles[-1:] + 0.5)


def _even(trace: Any, cells: int) -> Floats:
    """Edges of cells of equal length in time."""
    days = float(trace.dx) / _MS_PER_DAY
    (first,) = positions([trace.x0])
    edges: Floats = first + days * (np.arange(cells + 1) - 0.5)
    return edges
