"""Series of one element over the run: reality, the plan, and the run without control."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from stackelgrid.analysis import style
from stackelgrid.analysis.results.needs import lacked_quantities
from stackelgrid.analysis.view.beside import PLANNED
from stackelgrid.analysis.view.data import LiveRun
from stackelgrid.analysis.view.source import Ahead, Element, Rows, Source, scaled, summed
from stackelgrid.controllers.devices.kind import DeviceKind
from stackelgrid.controllers.devices.registry import kind_named, kinds
from stackelgrid.profiles.arrays import Floats

_PHASES = (style.ORANGE, style.GREEN, style.PURPLE)
# smaller powers are rounding of a power flow
_NOTHING_MW = 1e-7


@dataclass(frozen=True)
class Line:
    """A line of a panel: values of the recorded intervals, and the plan of the coming steps."""

    name: str
    values: Floats
    color: str
    dash: str = "solid"
    ahead: Ahead | None = None

    @property
    def recorded(self) -> bool:
        """True if a recorded interval has a value."""
        return bool(np.isfinite(self.values).any())


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
        """True if the panel has a value of the run itself."""
        return any(line.recorded for line in self.lines if line.name != BASELINE)


@dataclass(frozen=True)
class Series:
    """Title and panels of an element."""

    title: str
    panels: tuple[Panel, ...]


# names of lines, the same in all panels
REALITY, PLAN, SET_POINT, BASELINE = "reality", "plan", "set point", "baseline"


def series(run: LiveRun, element: Element, interval: int | None = None) -> Series:
    """Return the recorded series of an element; no panels if nothing is recorded.

    run: run to show.
    element: selected element.
    interval: interval whose plan of the coming steps is added; None for none.

    Lines without a value are left out. Raises ResultsError for a baseline or plan that cannot be
    read.
    """
    source = Source(run, element, interval)
    if element.kind == "agent":
        title, panels = _agent(source)
    elif element.kind == "bus":
        title, panels = _bus(source)
    elif element.kind in ("line", "trafo"):
        title, panels = _branch(source)
    else:
        title, panels = _device(source)
    kept = (replace(p, lines=tuple(n for n in p.lines if n.recorded or n.ahead)) for p in panels)
    return Series(title, tuple(p for p in kept if p.shown))


def series_note(found: Series) -> str:
    """Return a text on the lines that are drawn beside reality; empty if there are none."""
    lines = [line for panel in found.panels for line in panel.lines]
    texts = []
    if any(line.name in (PLAN, SET_POINT) or line.ahead for line in lines):
        texts.append("Dashed: the plan")
    if any(line.ahead for line in lines):
        texts.append("paler: that of the coming hours, from the interval shown on")
    if any(BASELINE in line.name for line in lines):
        texts.append("grey dots: the same run without control")
    return "; ".join(texts) + "." if texts else ""


def _bus(source: Source) -> tuple[str, tuple[Panel, ...]]:
    run, element = source.run, source.element
    rows = source.rows("bus", bus=element.index)
    rest = source.baseline("bus", bus=element.index)
    geometry = run.grid(element.grid)
    limits: tuple[float, ...] = ()
    if element.index in geometry.bus:
        at = geometry.bus.index(element.index)
        own = (geometry.low_pu[at], geometry.high_pu[at])
        limits = tuple(float(v) for v in own if 0.5 < v < 1.5)  # nets use 0 and 2 for no limit
    certified, relaxed = rows("vm_certified_pu"), rows("vm_planned_pu")
    phases = source.rows("phase", bus=element.index)
    p, q, p_rest = rows("p_mw"), rows("q_mvar"), rest("p_mw")
    scale, prefix = _scale(p, q, p_rest)
    return (
        f"Bus {element.index} of {element.grid}",
        (
            Panel("voltage", "p.u.", (
                _baseline(rest("vm_pu")),
                *(
                    Line(f"plan, phase {p}", phases(f"vm_{p}_pu"), color, "dash")
                    for p, color in zip("abc", _PHASES, strict=True)
                ),
                Line(REALITY, rows("vm_pu"), style.BLUE),
                # AC at the planned injections; a held schedule may have the relaxation's only
                _plan(np.where(np.isfinite(certified), certified, relaxed)),
            ), limits, 4),
            Panel("consumption", f"{prefix}W, {prefix}VAr", (
                Line("P, baseline", p_rest * scale, style.GREY, "dot"),
                Line("P", p * scale, style.BLACK), Line("Q", q * scale, style.SKY, "dash"),
            )),
            Panel("nodal price", "EUR/MWh", (
                Line("price", rows("price_eur_per_mwh"), style.PURPLE),
            ), digits=2),
        ),
    )  # fmt: skip


def _branch(source: Source) -> tuple[str, tuple[Panel, ...]]:
    element = source.element
    keys = {"element": element.kind, "index": element.index}
    rows, rest = source.rows("branch", **keys), source.baseline("branch", **keys)
    p, q = rows("p_from_mw"), rows("q_from_mvar")
    scale, prefix = _scale(p, q)
    loading, limit = rows("loading_percent"), _loading_limit(source.run, element)
    full = (limit,) if np.nanmax(loading, initial=0.0) > 0.6 * limit else ()
    rated = 1.0 if np.isfinite(limit) else np.nan  # a branch without a rating has no loading
    current, current_prefix = _scale(rows("i_ka"), rest("i_ka"))
    amps = {"M": "kA", "k": "A"}[current_prefix]
    words = {"line": "Line", "trafo": "Transformer"}
    return (
        f"{words[element.kind]} {element.index} of {element.grid}",
        (
            Panel("loading", "%", (
                _baseline(rest("loading_percent") * rated),
                Line(REALITY, loading * rated, style.VERMILION),
                _plan(rows("loading_certified_percent") * rated),
            ), full, 2),
            Panel("flow", f"{prefix}W, {prefix}VAr", (
                Line("P from", p * scale, style.BLACK),
                Line("Q from", q * scale, style.SKY, "dash"),
            )),
            Panel("current", amps, (
                _baseline(rest("i_ka") * current),
                Line(REALITY, rows("i_ka") * current, style.BLUE),
            )),
        ),
    )  # fmt: skip


def _loading_limit(run: LiveRun, element: Element) -> float:
    grid = run.grid(element.grid)
    limits = dict(zip(grid.branch, grid.max_loading_percent, strict=True))
    return float(limits.get((element.kind, element.index), np.nan))


def _device(source: Source) -> tuple[str, tuple[Panel, ...]]:
    element = source.element
    keys = {"element": element.element, "index": element.index}
    rows, rest = source.rows("device", **keys), source.baseline("device", **keys)
    own = source.ahead(element.grid)
    own = own[(own["element"] == element.element) & (own["index"] == element.index)]
    p, q, asked, p_rest = rows("p_mw"), rows("q_mvar"), rows("asked_mw"), rest("p_mw")
    scale, prefix = _scale(p, q, asked, p_rest)
    kind = kind_named(element.kind)
    sign = "charging is positive" if element.element == "storage" else "consumption"
    sign, planned = "feed-in" if kind.injects else sign, kind.filling("available_mw")
    most = np.full_like(p, np.nan) if kind.injects else rows("limit_mw")
    unmet = rows("unmet_mw")
    lacked = np.where(np.nanmax(unmet, initial=0.0) > _NOTHING_MW, unmet, np.nan)
    name, bus = rows.first("name"), rows.first("bus")
    reactive = q if np.nanmax(np.abs(q), initial=0.0) > _NOTHING_MW else np.full_like(q, np.nan)
    energy, energy_prefix = _scale(rows("e_mwh"))
    return (
        f"{name or element.kind} at bus {bus} of {element.grid}",
        (
            Panel(sign, f"{prefix}W", (
                Line("available", rows("available_mw") * scale, style.SKY),
                Line("at most", most * scale, style.SKY, "dot"),
                _baseline(p_rest * scale),
                Line(REALITY, p * scale, kind.colour),
                Line(PLAN if planned else SET_POINT, asked * scale, style.INK, "dash",
                     summed(own, "p_mw", scale)),
            )),
            Panel("not met", f"{prefix}W", (Line("not met", lacked * scale, style.VERMILION),)),
            *_parts(kind, rows, scale, prefix),
            *(_condition(kind, column, rows, rest, own) for column in kind.bands),
            Panel(kind.presence, "%", (
                Line(kind.presence, 100.0 * rows(kind.presence), kind.colour),
            ), digits=0),
            Panel("state of charge", "%", (
                _baseline(rest("soc_percent")),
                Line(REALITY, rows("soc_percent"), kind.colour),
            ), digits=1),
            Panel("energy", f"{energy_prefix}Wh", (
                _baseline(rest("e_mwh") * energy),
                Line(REALITY, rows("e_mwh") * energy, style.BLUE),
                Line("needed", rows("required_mwh") * energy, style.VERMILION, "dot"),
                _plan(np.full(source.run.done, np.nan), summed(own, "e_mwh", energy)),
            )),
            Panel("reactive power", f"{prefix}VAr", (
                Line(REALITY, reactive * scale, style.SKY),
            )),
        ),
    )  # fmt: skip


def _parts(kind: type[DeviceKind], rows: Rows, scale: float, prefix: str) -> Iterator[Panel]:
    """Yield a panel with the parts of a device's power; none for a kind without parts."""
    named = ((q, rows(q.column)) for q in kind.quantities if q.column in kind.parts)
    lines = tuple(
        Line(q.meaning, values * scale, style.CYCLE[n])
        for n, (q, values) in enumerate(named)
        if np.nanmax(values, initial=0.0) > _NOTHING_MW
    )
    if lines:
        yield Panel("parts of the power", f"{prefix}W", lines)


def _condition(
    kind: type[DeviceKind], column: str, rows: Rows, rest: Rows, own: pd.DataFrame
) -> Panel:
    """Return the panel of a condition of a device with the wanted range and the plan."""
    quantity = next(q for q in kind.quantities if q.column == column)
    ahead = summed(own, column) if column in PLANNED else None
    unit = style.UNIT_TEXTS.get(quantity.unit, quantity.unit)
    return Panel(quantity.meaning, "" if unit == "1" else unit, (
        *(Line("wanted range", rows(name), style.VERMILION, "dot") for name in quantity.between),
        _baseline(rest(column)),
        Line(REALITY, rows(column), kind.colour),
        _plan(np.full_like(rows(column), np.nan), ahead),
    ), digits=2)  # fmt: skip


def _agent(source: Source) -> tuple[str, tuple[Panel, ...]]:
    run, element = source.run, source.element
    grid = run.grid(element.grid)
    rows, boundary = source.rows("interval"), source.rows("boundary")
    rest = source.baseline("interval")
    powers = {kind.label: (rows(kind.filling("p_mw")), kind.colour) for kind in kinds()}
    powers["grids below"] = rows("lower_p_mw"), style.LOWER
    if grid.level == "transmission":  # its exchange is that with the grids below
        del powers["grids below"]
        title, real, planned, ahead = "power to the grids below", *source.below()
        at_rest = rest("lower_p_mw")
    else:
        title, real, planned = "import", rows("p_import_mw"), rows("p_import_planned_mw")
        ahead, at_rest = source.imports(element.grid), rest("p_import_mw")
    shown = {n: v for n, v in powers.items() if np.nanmax(np.abs(v[0]), initial=0.0) > _NOTHING_MW}
    scale, prefix = _scale(real, planned, at_rest, *(v for v, _ in shown.values()))
    coming = source.of_kinds(element.grid)
    lacking = {
        quantity.lacked: (rows(quantity.name), kind.colour)
        for kind, quantity in lacked_quantities()
        if quantity.unit == "MW" and np.nanmax(rows(quantity.name), initial=0.0) > _NOTHING_MW
    }
    return (
        f"Agent of {grid.title}",
        (
            Panel(title, f"{prefix}W", (
                _baseline(at_rest * scale),
                Line(REALITY, real * scale, style.IMPORT),
                _plan(planned * scale, scaled(ahead, scale)),
            )),
            Panel("own devices", f"{prefix}W", tuple(
                Line(name, values * scale, color, "dot" if name == "grids below" else "solid",
                     scaled(coming.get(name), scale))
                for name, (values, color) in shown.items()
            )),
            Panel("needs that were not met", f"{prefix}W", tuple(
                Line(name, values * scale, color) for name, (values, color) in lacking.items()
            )),
            Panel("boundary price", "EUR/MWh", (
                Line("import", boundary("import_eur_per_mwh"), style.VERMILION),
                Line("export", boundary("export_eur_per_mwh"), style.SKY, "dash"),
                Line("nodal", boundary("nodal_price_eur_per_mwh"), style.PURPLE, "dot"),
            ), digits=2),
            Panel("voltage extremes", "p.u.", (
                Line("lowest, baseline", rest("min_vm_pu"), style.GREY, "dot"),
                Line("highest, baseline", rest("max_vm_pu"), style.GREY, "dot"),
                Line("lowest", rows("min_vm_pu"), style.BLUE),
                Line("highest", rows("max_vm_pu"), style.VERMILION),
            ), digits=4),
        ),
    )  # fmt: skip


def _plan(values: Floats, ahead: Ahead | None = None) -> Line:
    return Line(PLAN, values, style.INK, "dash", ahead)


def _baseline(values: Floats) -> Line:
    return Line(BASELINE, values, style.GREY, "dot")


def _scale(*values: Floats) -> tuple[float, str]:
    """Return factor and prefix (M or k) that make MW, MWh, MVAr or kA readable."""
    largest = max((float(np.nanmax(np.abs(v), initial=0.0)) for v in values), default=0.0)
    return (1.0, "M") if largest >= 1.0 else (1e3, "k")
