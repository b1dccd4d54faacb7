"""Plotly figures as pictures for papers, drawn by matplotlib without display, browser or network.

    picture(power.balance(run, "mv"), "Balance of the MV level").savefig("balance.pdf")

Draws the elements of this project's figures: lines, steps, areas, markers, bars, heat maps,
limits, spans, texts, subplots and a second axis; another kind of trace raises ValueError.
"""

import re
from collections.abc import Sequence
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, MultipleLocator

from stackelgrid.analysis import style
from stackelgrid.analysis.pictures.traces import KINDS, POINTS, Canvas, color_of, line_of, positions
from stackelgrid.profiles.file_names import check_file_name
from stackelgrid.simulators.results.whole_file import whole_file

_WIDTH = 8.0  # inches of a picture; a column of a journal is about half as wide
_PX_PER_INCH = 100.0  # of a Plotly figure's height
_LEAST = 2.2  # inches of a panel's height, and of the space above and below it
_TITLE, _LEGEND_ROW, _CHARACTER, _HANDLE = 0.3, 0.22, 0.068, 0.6


def picture(figure: Any, title: str = "") -> Figure:
    """Draw one Plotly figure; raises ValueError for a kind of trace that is not drawn."""
    return panels([(title, figure)])


def panels(
    figures: Sequence[tuple[str, Any]],
    title: str = "",
    *,
    columns: int = 1,
    width: float = _WIDTH,
    same_y: bool = False,
    own_legends: bool = False,
) -> Figure:
    """Draw Plotly figures beside and below one another.

    figures: pairs (title, Plotly figure), row by row.
    title: title above all panels.
    columns: number of panels in a row.
    width: width in inches.
    same_y: whether all panels have the same range of y.
    own_legends: whether each panel has a legend if its names differ from those of the others.

    Raises ValueError for a kind of trace that is not drawn.
    """
    columns = min(columns, len(figures))
    rows = -(-len(figures) // columns)
    tall = [_height(figure) for _, figure in figures]
    heights = [max(tall[r * columns : (r + 1) * columns]) for r in range(rows)]
    size = (width, sum(heights) + (_TITLE if title else 0.0))
    drawing = Figure(figsize=size, layout="constrained", dpi=style.DPI)
    grid = drawing.add_gridspec(rows, columns, height_ratios=heights)
    entries: dict[str, Artist] = {}
    for k, (name, figure) in enumerate(figures):
        first, names = _draw(drawing, grid[k // columns, k % columns], figure)
        first.set_title(name, fontsize=11 if len(figures) == 1 else 10)
        if own_legends and names:
            first.legend(list(names.values()), list(names), fontsize=8)
        else:
            entries.update(names)
    if title:
        drawing.suptitle(title, fontsize=12)
    if same_y:
        limits = np.array([axes.get_ylim() for axes in drawing.axes])
        for axes in drawing.axes:
            axes.set_ylim(limits[:, 0].min(), limits[:, 1].max())
    _legend(drawing, entries)
    return drawing


def save(drawing: Figure, directory: Path, name: str) -> Path:
    """Write NAME.png and return its path; raises ValueError for a name that cannot be a file's."""
    path = directory / f"{check_file_name(name, 'picture')}.png"
    with whole_file(path, durable=False) as unfinished:
        drawing.savefig(unfinished, format="png", dpi=style.DPI)
    return path


def plain(text: str) -> str:
    """Text of Plotly without its marks: lines broken, nothing bold or coloured."""
    return unescape(re.sub(r"<[^>]+>", "", text.replace("<br>", "\n")))


def _height(figure: Any) -> float:
    return max(float(figure.layout.height or 360) / _PX_PER_INCH, _LEAST)


def _draw(drawing: Figure, place: SubplotSpec, figure: Any) -> tuple[Axes, dict[str, Artist]]:
    """Draw a Plotly figure with all its subplots; returns its first axes and its legend."""
    for kind in {trace.type for trace in figure.data} - set(KINDS):
        raise ValueError(f"trace of type {kind!r} is not drawn; accepted: {', '.join(KINDS)}")
    traces = [(trace, (trace.xaxis or "x", trace.yaxis or "y")) for trace in figure.data]
    pairs = list(dict.fromkeys([("x", "y"), *(pair for _, pair in traces)]))
    all_axes = _all_axes(drawing, place, figure.layout, pairs)
    names: dict[str, Artist] = {}
    for pair, axes in all_axes.items():
        if figure.layout.annotations:
            axes.margins(y=0.09)  # room for texts at limits
        canvas = Canvas(axes, figure.layout, [trace for trace, own in traces if own == pair])
        names.update(canvas.draw())
        _finish(axes, canvas, *(_axis(figure.layout, name) for name in pair))
    _add_shapes(figure.layout, all_axes)
    _add_texts(figure.layout, all_axes)
    return next(iter(all_axes.values())), names


def _axis(layout: Any, name: str) -> Any:
    """Plotly's axis behind a reference: x2 is layout.xaxis2."""
    return layout[f"{name[0]}axis{name[1:]}"]


def _all_axes(
    drawing: Figure, place: SubplotSpec, layout: Any, pairs: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], Axes]:
    """Axes by Plotly's pair of axes, where their domains are; one over another is its twin."""
    spans = {
        pair: tuple(_axis(layout, name).domain or (0.0, 1.0) for name in pair)
        for pair in pairs
        if not _axis(layout, pair[1]).overlaying
    }
    across = sorted({x for x, _ in spans.values()})
    down = sorted({y for _, y in spans.values()}, reverse=True)
    cells: Any = [[place]]
    if len(across) * len(down) > 1:
        grid = place.subgridspec(
            len(down), len(across),
            width_ratios=[b - a for a, b in across], height_ratios=[b - a for a, b in down],
        )  # fmt: skip
        cells = [[grid[r, c] for c in range(len(across))] for r in range(len(down))]
    found: dict[tuple[str, str], Axes] = {}
    for pair in pairs:
        over = _axis(layout, pair[1]).overlaying
        if over:
            found[pair] = found[pair[0], over].twinx()
        else:
            x, y = spans[pair]
            found[pair] = drawing.add_subplot(cells[down.index(y)][across.index(x)])
    return found


def _finish(axes: Axes, canvas: Canvas, x: Any, y: Any) -> None:
    """Give axes their titles, scales, ticks and ranges."""
    for name, axis in (("x", x), ("y", y)):
        of = getattr(axes, f"{name}axis")
        of.label.set_text(plain(axis.title.text or ""))
        if axis.visible is False:
            of.set_visible(False)
        if axis.type == "log":
            getattr(axes, f"set_{name}scale")("log")
        _set_ticks(axes, name, axis, canvas)
        _set_range(axes, name, axis, canvas)
        if axis.showgrid is not False:
            of.grid(color=style.RULE)
        if axis.showticklabels is False:
            of.set_tick_params(labelbottom=False, labelleft=False)
    if y.scaleanchor:
        axes.set_aspect("equal")
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=9)
    axes.spines["top"].set_visible(False)
    axes.spines["right"].set_visible(bool(y.overlaying))
    for side, axis in (("left", y), ("bottom", x)):
        axes.spines[side].set_visible(axis.visible is not False)


def _set_ticks(axes: Axes, name: str, axis: Any, canvas: Canvas) -> None:
    of = getattr(axes, f"{name}axis")
    labels = canvas.categories[name]
    if axis.ticktext is not None:
        of.set_ticks([float(v) for v in axis.tickvals], [plain(t) for t in axis.ticktext])
    elif labels:
        of.set_ticks(range(len(labels)), [plain(label) for label in labels])
        if name == "x" and max(map(len, labels)) > 6 and len(labels) > 3:
            axes.tick_params(axis="x", rotation=30)
    elif canvas.dates and name == "x":
        locator = AutoDateLocator(minticks=4, maxticks=9)  # type: ignore[no-untyped-call]
        of.set_major_locator(locator)
        of.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    elif axis.type == "log":
        of.set_major_locator(LogLocator(numticks=12))
    elif axis.dtick:
        of.set_major_locator(MultipleLocator(float(axis.dtick)))
    elif axis.tickformat == "d":
        of.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if axis.tickformat == ",":
        of.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def _set_range(axes: Axes, name: str, axis: Any, canvas: Canvas) -> None:
    set_limits, get_limits = (getattr(axes, f"{way}_{name}lim") for way in ("set", "get"))
    if axis.range is not None:
        low, high = positions(axis.range)
        set_limits(*((10.0**low, 10.0**high) if axis.type == "log" else (low, high)))
    elif canvas.categories[name]:
        set_limits(-0.5, len(canvas.categories[name]) - 0.5)
    elif axis.rangemode == "tozero":
        least = axes.dataLim.get_points()[0, "xy".index(name)]  # infinite without data
        low, high = get_limits()
        set_limits(low if least < 0.0 else 0.0, max(high, 0.0))
    if axis.autorange == "reversed":
        getattr(axes, f"invert_{name}axis")()


def _add_shapes(layout: Any, all_axes: dict[tuple[str, str], Axes]) -> None:
    """Draw limits across the axes as lines, and spans from top to bottom."""
    for shape in layout.shapes:
        axes = _of_reference(all_axes, shape.xref, shape.yref)
        (x0, x1), (y0, y1) = positions([shape.x0, shape.x1]), positions([shape.y0, shape.y1])
        if shape.type == "rect":
            axes.axvspan(x0, x1, color=color_of(shape.fillcolor), linewidth=0.0, zorder=0)
            continue
        look = line_of(shape.line)
        if y0 == y1:
            axes.axhline(y0, **look)
        else:
            axes.axvline(x0, **look)


def _add_texts(layout: Any, all_axes: dict[tuple[str, str], Axes]) -> None:
    """Write annotations; a place may be a share of the axes (paper)."""
    for note in layout.annotations:
        axes = _of_reference(all_axes, note.xref, note.yref)
        inside = (_of_paper(note.xref), _of_paper(note.yref))
        (x,), (y,) = positions([note.x]), positions([note.y])
        if inside[1] == "data" and axes.get_yscale() == "log":
            y = 10.0**y  # Plotly places texts by the exponent
        axes.annotate(
            plain(note.text), (x, y), xycoords=inside,
            xytext=(0, (-2 if note.yanchor == "top" else 2) + POINTS * (note.yshift or 0)),
            textcoords="offset points", fontsize=8, color=note.font.color or style.INK,
            ha={"left": "left", "right": "right"}.get(note.xanchor, "center"),
            va={"bottom": "bottom", "top": "top"}.get(note.yanchor, "center"),
        )  # fmt: skip


def _of_paper(reference: str | None) -> str:
    """Coordinates of matplotlib that a reference of Plotly means."""
    shares = reference is not None and (reference == "paper" or reference.endswith("domain"))
    return "axes fraction" if shares else "data"


def _of_reference(all_axes: dict[tuple[str, str], Axes], x: str, y: str) -> Axes:
    """Axes that a shape or text refers to; those of the paper are the first."""
    wanted = {ref.split()[0] for ref in (x, y) if ref and ref != "paper"}
    return next((a for pair, a in all_axes.items() if wanted <= set(pair)),
                next(iter(all_axes.values())))  # fmt: skip


def _legend(drawing: Figure, entries: dict[str, Artist]) -> None:
    """Write one legend below, in as many columns as there is room; the picture grows by it."""
    if not entries:
        return
    width, height = drawing.get_size_inches()
    count, lengths = len(entries), [len(name) for name in entries]
    needed = _CHARACTER * max(lengths) + _HANDLE
    in_a_row = _CHARACTER * sum(lengths) + _HANDLE * count <= width
    columns = count if in_a_row else max(1, min(count, int(width / needed)))
    drawing.set_size_inches(width, height + _LEGEND_ROW * -(-count // columns))
    drawing.legend(
        list(entries.values()), list(entries), loc="outside lower center", ncols=columns,
        fontsize=9, frameon=False,
    )  # fmt: skip
