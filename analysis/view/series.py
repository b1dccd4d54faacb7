"""Series of one element over the run, shown after a click on the map."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from stackelgrid.analysis import style
from stackelgrid.analysis.view.data import LiveRun
from stackelgrid.controllers.devices.registry import kind_named, kinds
from stackelgrid.profiles.arrays import Floats

# smaller powers are rounding of a power flow
_NOTHING_MW = 1e-7


@dataclass(frozen=True)
class Element:
    """A selected element: kind (bus, line, trafo, agent, or a device's), grid, index.

    `index` is pandapower's; -1 for an agent. `element` is the pandapower table of a device, as a
    unit may be a sgen, gen or ext_grid.
    """

    kind: str
    grid: str
    index: int = -1
    element: str = ""

    @classmethod
    def from_text(cls, text: str) -> "Element":
        """Parse the text form kind|grid|index|element."""
        kind, grid, index, element = text.split("|")
        return cls(kind, grid, int(index), element)

    @property
    def text(self) -> str:
        """Text form, KIND|GRID|INDEX|TABLE."""
        return f"{self.kind}|{self.grid}|{self.index}|{self.element}"


@dataclass(frozen=True)
class Line:
    """A line of a panel: values of the recorded intervals."""

    name: str
    values: Floats
    color: str
    dash: str = "solid"


@dataclass(frozen=True)
class Panel:
    """Lines over one axis; `limits` are drawn dashed."""

    title: str
    unit: str
    lines: tuple[Line, ...]
    limits: tuple[float, ...] = ()
    digits: int = 3

    @property
    def shown(self) -> bool:
        """True if the panel has a value."""
        return any(np.isfinite(line.values).any() for line in self.lines)


@dataclass(frozen=True)
class Series:
    """Title and panels of an element."""

    title: str
    panels: tuple[Panel, ...]


def series(run: LiveRun, element: Element) -> Series:
    """Return the recorded series of an element; no panels if nothing is recorded."""
    if element.kind == "agent":
        found = _agent(run, element)
    elif element.kind == "bus":
        found = _bus(run, element)
    elif element.kind in ("line", "trafo"):
        found = _branch(run, element)
    else:
        found = _device(run, element)
    return Series(found.title, tuple(p for p in found.panels if p.shown))


def _bus(run: LiveRun, element: Element) -> Series:
    rows = _rows(run, "bus", element, bus=element.index)
    geometry = run.grid(element.grid)
    limits: tuple[float, ...] = ()
    if element.index in geometry.bus:
        at = geometry.bus.index(element.index)
        own = (geometry.low_pu[at], geometry.high_pu[at])
        limits = tuple(float(v) for v in own if 0.5 < v < 1.5)  # nets use 0 and 2 for no limit
    lines = [Line("plan", rows("vm_planned_pu"), style.GREY, "dot")]
    phases = _rows(run, "phase", element, bus=element.index)
    lines += [
        Line(f"plan, phase {p}", phases(f"vm_{p}_pu"), color, "dash")
        for p, color in zip("abc", (style.ORANGE, style.GREEN, style.PURPLE), strict=True)
    ]
    lines = [line for line in lines if np.isfinite(line.values).any()]
    real = Line("AC power flow", rows("vm_pu"), style.BLUE)
    p, q = (rows(c) for c in ("p_mw", "q_mvar"))
    scale, prefix = _scale(p, q)
    return Series(
        f"Bus {element.index} of {element.grid}",
        (
            Panel("voltage", "p.u.", (*lines, real), limits, 4),
            Panel("consumption", f"{prefix}W, {prefix}VAr", (
                Line("P", p * scale, style.BLACK), Line("Q", q * scale, style.SKY, "dash"),
            )),
            Panel("nodal price", "EUR/MWh", (
                Line("price", rows("price_eur_per_mwh"), style.PURPLE),
            ), digits=2),
        ),
    )  # fmt: skip


def _branch(run: LiveRun, element: Element) -> Series:
    rows = _rows(run, "branch", element, element=element.kind, index=element.index)
    p, q = rows("p_from_mw"), rows("q_from_mvar")
    scale, prefix = _scale(p, q)
    loading, limit = rows("loading_percent"), _loading_limit(run, element)
    full = (limit,) if np.nanmax(loading, initial=0.0) > 0.6 * limit else ()
    if np.isnan(limit):  # a branch without a rating has no loading
        loading = np.full_like(loading, np.nan)
    current, current_prefix = _scale(rows("i_ka"))
    amps = {"M": "kA", "k": "A"}[current_prefix]
    words = {"line": "Line", "trafo": "Transformer"}
    return Series(
        f"{words[element.kind]} {element.index} of {element.grid}",
        (
            Panel("loading", "%", (Line("loading", loading, style.VERMILION),), full, 2),
            Panel("flow", f"{prefix}W, {prefix}VAr", (
                Line("P from", p * scale, style.BLACK),
                Line("Q from", q * scale, style.SKY, "dash"),
            )),
            Panel("current", amps, (
                Line("current", rows("i_ka") * current, style.BLUE),
            )),
        ),
    )  # fmt: skip


def _loading_limit(run: LiveRun, element: Element) -> float:
    grid = run.grid(element.grid)
    limits = dict(zip(grid.branch, grid.max_loading_percent, strict=True))
    return float(limits.get((element.kind, element.index), np.nan))


def _device(run: LiveRun, element: Element) -> Series:
    rows = _rows(run, "device", element, element=element.element, index=element.index)
    p, q, asked = rows("p_mw"), rows("q_mvar"), rows("asked_mw")
    scale, prefix = _scale(p, q, asked)
    kind = kind_named(element.kind)
    sign = "charging is positive" if kind.filling("e_mwh") else "consumption"
    sign, plan = "feed-in" if kind.injects else sign, kind.filling("available_mw")
    name, bus = rows.first("name"), rows.first("bus")
    reactive = q if np.nanmax(np.abs(q), initial=0.0) > _NOTHING_MW else np.full_like(q, np.nan)
    energy, energy_prefix = _scale(rows("e_mwh"))
    return Series(
        f"{name or element.kind} at bus {bus} of {element.grid}",
        (
            Panel(sign, f"{prefix}W", (
                Line("available", rows("available_mw") * scale, style.GREY, "dot"),
                Line("planned" if plan else "set point", asked * scale, style.BLACK, "dash"),
                Line("P", p * scale, kind.colour),
            )),
            Panel("state of charge", "%", (
                Line("state of charge", rows("soc_percent"), kind.colour),
            ), digits=1),
            Panel("energy", f"{energy_prefix}Wh", (
                Line("energy", rows("e_mwh") * energy, style.BLUE),
            )),
            Panel("reactive power", f"{prefix}VAr", (Line("Q", reactive * scale, style.SKY),)),
        ),
    )  # fmt: skip


def _agent(run: LiveRun, element: Element) -> Series:
    rows = _rows(run, "interval", element)
    boundary = _rows(run, "boundary", element)
    transmission = run.grid(element.grid).level == "transmission"
    real, planned = rows("p_import_mw"), rows("p_import_planned_mw")
    if transmission:  # its exchange is the power of its units
        real = np.full_like(real, np.nan)
    powers = {kind.label: (rows(kind.filling("p_mw")), kind.colour) for kind in kinds()}
    powers["grids below"] = rows("lower_p_mw"), style.LOWER
    shown = {n: v for n, v in powers.items() if np.nanmax(np.abs(v[0]), initial=0.0) > _NOTHING_MW}
    scale, prefix = _scale(real, planned, *(v for v, _ in shown.values()))
    return Series(
        f"Agent of {run.grid(element.grid).title}",
        (
            Panel("import", f"{prefix}W", (
                Line("plan", planned * scale, style.GREY, "dot"),
                Line("AC power flow", real * scale, style.IMPORT),
            )),
            Panel("own devices", f"{prefix}W", tuple(
                Line(name, values * scale, color, "dash" if name == "grids below" else "solid")
                for name, (values, color) in shown.items()
            )),
            Panel("boundary price", "EUR/MWh", (
                Line("import", boundary("import_eur_per_mwh"), style.VERMILION),
                Line("export", boundary("export_eur_per_mwh"), style.SKY, "dash"),
                Line("nodal", boundary("nodal_price_eur_per_mwh"), style.PURPLE, "dot"),
            ), digits=2),
            Panel("voltage extremes", "p.u.", (
                Line("lowest", rows("min_vm_pu"), style.BLUE),
                Line("highest", rows("max_vm_pu"), style.VERMILION),
            ), digits=4),
        ),
    )  # fmt: skip


class _Rows:
    """Rows of one element, by interval."""

    def __init__(self, frame: pd.DataFrame, done: int) -> None:
        self._frame, self._done = frame, done

    def __call__(self, column: str) -> Floats:
        """Return the values of a column (recorded intervals,); NaN where missing."""
        values = np.full(self._done, np.nan)
        if column not in self._frame:
            return values
        at = self._frame["interval"].to_numpy()
        values[at[at < self._done]] = self._frame[column].to_numpy()[at < self._done]
        return values

    def first(self, column: str) -> str:
        """Return the first value of a column as text."""
        return str(self._frame[column].iloc[0]) if len(self._frame) else ""


def _rows(run: LiveRun, table: str, chosen: Element, **keys: Any) -> _Rows:
    frame, done = run.table(table), run.done
    frame = frame[frame["grid"] == chosen.grid]
    for column, value in keys.items():
        frame = frame[frame[column] == value]
    return _Rows(frame, done)


def _scale(*values: Floats) -> tuple[float, str]:
    """Return factor and prefix (M or k) that make MW, MWh, MVAr or kA readable."""
    largest = max((float(np.nanmax(np.abs(v), initial=0.0)) for v in values), default=0.0)
    return (1.0, "M") if largest >= 1.0 else (1e3, "k")


# px: height of a panel, and of titles and time axis together
_PANEL, _MARGIN = 150, 100


def series_figure(run: LiveRun, found: Series) -> dict[str, Any]:
    """Return the figure of an element's series as Plotly's JSON."""
    times = run.times[: run.done]
    edges = [*times, times[-1] + run.step] if len(times) else []
    x = [t.isoformat() for t in edges]
    height = _MARGIN + _PANEL * max(1, len(found.panels))
    figure: dict[str, Any] = {
        "data": [],
        "layout": style.layout(
            height=height,
            margin={"l": 56, "r": 12, "t": 30, "b": 60},
            showlegend=False,
            annotations=[],
            shapes=[],
            uirevision=found.title,
        ),
    }
    layout, count = figure["layout"], len(found.panels)
    share = 1.0 / max(count, 1)
    gap = 34.0 / max(height - 90, 1)
    for k, panel in enumerate(found.panels):
        top, bottom = 1.0 - k * share, 1.0 - (k + 1) * share + (gap if k < count - 1 else 0.0)
        axis = "" if k == 0 else str(k + 1)
        layout[f"yaxis{axis}"] = {
            "domain": [bottom, top], "title": {"text": panel.unit, "standoff": 4},
            "anchor": "x", "nticks": 5, "zeroline": True,
        }  # fmt: skip
        layout["annotations"].append(_heading(panel, top))
        layout["shapes"] += [_limit(v, axis) for v in panel.limits]
        for line in panel.lines:
            if np.isfinite(line.values).any():
                figure["data"].append(_trace(x, line, panel, axis))
    anchor = "y" if count < 2 else f"y{count}"
    layout["xaxis"] = {
        "type": "date", "anchor": anchor, "nticks": 6, "showspikes": True, "spikemode": "across",
        "spikethickness": 1, "spikedash": "dot", "title": time_title(run),
    }  # fmt: skip
    if x:
        layout["xaxis"]["range"] = [x[0], x[-1]]
    return figure


def _trace(x: list[str], line: Line, panel: Panel, axis: str) -> dict[str, Any]:
    y = [None if np.isnan(v) else float(v) for v in line.values]
    return {
        "type": "scatter", "mode": "lines", "name": line.name, "x": x, "y": [*y, *y[-1:]],
        "yaxis": f"y{axis}",
        "line": {"color": line.color, "dash": line.dash, "shape": "hv", "width": 2},
        "hovertemplate": f"{line.name} %{{y:.{panel.digits}f}} {panel.unit}<extra></extra>",
    }  # fmt: skip


def _heading(panel: Panel, top: float) -> dict[str, Any]:
    """Return the title of a panel with the names of its lines in their colours, as a legend."""
    dashes = {"solid": "━", "dash": "╍", "dot": "┄"}
    shown = [line for line in panel.lines if np.isfinite(line.values).any()]
    names = "  ".join(
        f'<span style="color:{line.color}">{dashes[line.dash]}</span> {line.name}' for line in shown
    )
    text = f"<b>{panel.title}</b>" + (f"  {names}" if len(shown) > 1 else "")
    return {
        "text": text, "x": 0.0, "xref": "paper", "xanchor": "left", "y": top, "yref": "paper",
        "yanchor": "bottom", "showarrow": False, "xshift": -50, "font": {"size": 11},
    }  # fmt: skip


def _limit(value: float, axis: str) -> dict[str, Any]:
    return {
        "type": "line", "x0": 0.0, "x1": 1.0, "xref": "paper", "y0": value, "y1": value,
        "yref": f"y{axis}", "line": {"color": style.VERMILION, "dash": "dash", "width": 1},
    }  # fmt: skip


def time_title(run: LiveRun) -> dict[str, Any]:
    """Return the title of a time axis, with its time zone."""
    zone = run.run.scenario["time"].get("timezone", "UTC")
    return {"text": f"time ({zone})", "standoff": 4}
