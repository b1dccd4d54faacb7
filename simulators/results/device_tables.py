"""Tables of a grid's devices in an interval, of their plans, and of their owners' trade."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stackelgrid.controllers.devices.devices import Devices
from stackelgrid.controllers.devices.kind import DeviceKind
from stackelgrid.controllers.devices.quantities import Role
from stackelgrid.controllers.devices.registry import kinds
from stackelgrid.controllers.schedule import Schedule
from stackelgrid.profiles.arrays import Floats
from stackelgrid.simulators.results.columns import KEY, Column, Table, count, label, number, table
from stackelgrid.simulators.results.grid_interval import GENERATOR, NAN, SLACK, GridInterval

# trades up to this size are numerical noise of a solver
_LEAST_TRADE_MW = 1e-9

STEP = (
    count("step", "step of the horizon, from 0"),
    number("dt_h", "h", "its length"),
)


def _of_devices(name: str, dtype: type) -> Callable[[GridInterval], NDArray[Any]]:
    """Return the function that joins static data of all devices."""
    return lambda s: np.array([v for m in s.grid.devices for v in getattr(m, name)], dtype=dtype)


def _kinds(s: GridInterval) -> NDArray[np.object_]:
    return np.array([m.kind for m in s.grid.devices for _ in m.index], dtype=object)


def _column(name: str) -> Callable[[GridInterval], Floats]:
    return lambda s: s.grid.devices.column(s.outputs, name)


def _reactive_power(s: GridInterval) -> Floats:
    devices = s.grid.devices
    power = devices.column(s.outputs, "q_mvar", missing=0.0)
    power[devices.tables == GENERATOR] = s.seen["gen_q_mvar"]
    power[devices.tables == SLACK] = s.seen["slack_q_mvar"]
    return power


_COMMON = (
    "p_mw", "q_mvar", "asked_mw", "available_mw", "limit_mw", "e_mwh", "soc_percent", "unmet_mw",
)  # fmt: skip


def _own_columns() -> Iterator[Column[GridInterval]]:
    """Yield the columns that a kind of device adds, empty for other kinds."""
    for kind in kinds():
        for q in kind.quantities:
            if q.column and q.column not in _COMMON:
                text = f"{kind.label}: {q.meaning}"
                yield number(q.column, q.unit, text, _column(q.column), missing=NAN)


def _unmet() -> str:
    found = ((k.label, q.meaning) for k in kinds() for q in k.quantities if q.column == "unmet_mw")
    return "; ".join(f"{label}: {meaning}" for label, meaning in found)


def planned_columns() -> tuple[Column[Any], ...]:
    """Return the columns of plans that only some kinds have: those that plots show."""
    return tuple(
        number(q.column, q.unit, f"{kind.label}: {q.meaning} of the step", missing=NAN)
        for kind in kinds()
        for q in kind.quantities
        if q.column in kind.bands and Role.PLAN in q.roles
    )


DEVICE: Table[GridInterval] = table(
    "device",
    "One row for each device.",
    *KEY,
    label("element", "pandapower's table", lambda s: s.grid.devices.tables),
    count("index", "pandapower's index", _of_devices("index", int)),
    label("name", "pandapower's name", _of_devices("name", object)),
    label("kind", f"kind of device: {', '.join(kind.kind for kind in kinds())} (generators of "
          "constant power are loads)", _kinds),
    count("bus", "pandapower's index of its bus", _of_devices("bus", int)),
    label("phase", "a, b, c or abc; empty where none is stated", _of_devices("phase", object)),
    number("p_mw", "MW", "delivered, in the sign of pandapower: loads and storages positive when "
           "consuming, generators when injecting", _column("p_mw")),
    number("q_mvar", "MVAr", "the same, reactive", _reactive_power),
    number("asked_mw", "MW", "set point; what the plan expects where `limit_mw` binds",
           _column("asked_mw")),
    number("available_mw", "MW", "available power, or the upper limit of a dispatched one",
           _column("available_mw")),
    number("limit_mw", "MW", "most that may be fed in of available power: the inverter's rating "
           "where the plan does not curtail; most that a consumer may draw, or shed",
           _column("limit_mw"), missing=NAN),
    number("e_mwh", "MWh", "energy at the end of the interval; heat in a hot-water store",
           _column("e_mwh")),
    number("soc_percent", "%", "stored energy at the end of the interval, of the largest",
           _column("soc_percent")),
    number("unmet_mw", "MW", f"need that is not met, as power over the interval ({_unmet()})",
           _column("unmet_mw"), missing=NAN),
    *_own_columns(),
)  # fmt: skip

SCHEDULE = table(
    "schedule",
    "The plan made in that interval: one row for each device and step.",
    *KEY,
    *STEP,
    label("element", "pandapower's table; `boundary`: the import"),
    count("index", "pandapower's index"),
    number("p_mw", "MW", "planned power, signs as in `device`"),
    number("q_mvar", "MVAr", "the same, reactive; empty where it is not planned"),
    number("e_mwh", "MWh", "stored energy at the end of the step"),
    *planned_columns(),
)  # fmt: skip

DISPATCH = table(
    "dispatch",
    "Dispatch of the followers in their stages. A feeder that was a follower decides again as a "
    "leader of the grid above; the applied dispatch is in `schedule` and `device`.",
    *KEY,
    *STEP,
    label("element", "pandapower's table; `ext_grid`: the import from above, too"),
    count("index", "pandapower's index"),
    number("p_mw", "MW", "of generation, positive when injecting, and of the import"),
)  # fmt: skip

TRADE = table(
    "trade",
    "One row for each prosumer, market and side in which it traded in the applied step (under a "
    "held schedule everything with the grid).",
    *KEY,
    count("bus", "bus of the prosumer"),
    label("market", "grid, inside (its feeder) or across (feeders)"),
    label("side", "buy or sell"),
    number("p_mw", "MW", "traded power"),
    number("price_eur_per_mwh", "EUR/MWh", "with the grid the tariff plus (less) the retail "
           "margin, inside a feeder midway between import and export price, across feeders the "
           "mean of that over the feeders of the group"),
    number("fee_eur_per_mwh", "EUR/MWh", "fee of the buyer"),
)  # fmt: skip


def planned_rows(schedule: Schedule, devices: Devices, level: str) -> SimpleNamespace:
    """Return the whole plan of a grid, steps within devices; the import as element `boundary`."""
    parts = _plans(schedule, devices.consumers_first)
    if level != "transmission":
        exchange = {"p_mw": schedule.p_import_mw, "q_mvar": schedule.q_import_mvar}
        parts.append((["boundary"], [0], exchange))
    columns = ("p_mw", "q_mvar", "e_mwh", *(column.name for column in planned_columns()))
    return _steps(schedule.dt_h, parts, columns)


def dispatch_rows(schedule: Schedule, devices: Devices) -> SimpleNamespace:
    """Return generation and import of a follower over the horizon, as its stage decided them."""
    parts = _plans(schedule, [m for m in reversed(devices.consumers_first) if m.injects])
    if SLACK not in devices.tables:  # a feeder's import comes from the grid above
        parts.insert(0, ([SLACK], [0], {"p_mw": schedule.p_import_mw}))
    return _steps(schedule.dt_h, parts, ("p_mw",))


_Part = tuple[Sequence[str], Sequence[int], Mapping[str, Floats]]  # tables, indices, columns


def _plans(schedule: Schedule, members: Iterable[DeviceKind]) -> list[_Part]:
    """Return elements and columns of the kinds with a plan."""
    parts: list[_Part] = []
    for member in members:
        planned = [q for q in member.quantities if q.column and Role.PLAN in q.roles]
        columns = {
            q.column: schedule.devices[q.name] for q in planned if q.name in schedule.devices
        }
        if columns:
            parts.append((member.table, member.index, columns))
    return parts


def _steps(dt_h: Floats, parts: Sequence[_Part], columns: Sequence[str]) -> SimpleNamespace:
    """Return rows of parts, steps within elements; NaN in columns that a part does not have."""
    steps = len(dt_h)
    element = [table for tables, _, _ in parts for table in tables]
    values = {
        name: [own[name].ravel() if name in own else np.full(len(index) * steps, np.nan)
               for _, index, own in parts]
        for name in columns
    }  # fmt: skip
    return SimpleNamespace(
        step=np.tile(np.arange(steps), len(element)),
        dt_h=np.tile(dt_h, len(element)),
        element=np.repeat(np.array(element, dtype=object), steps),
        index=np.repeat(np.array([i for _, index, _ in parts for i in index], dtype=int), steps),
        **{name: np.concatenate([np.zeros(0), *found]) for name, found in values.items()},
    )


def trade_rows(s: GridInterval) -> SimpleNamespace:
    """Return each prosumer's purchases and sales in the applied step, nonzero trades only."""
    trade = s.plan.schedule.trade if s.plan is not None else None
    options, series, k = s.grid.trade, s.grid.series, s.step
    assert trade is not None
    assert options is not None
    bought = series.import_eur_per_mwh[s.interval] + options.retail_margin
    sold = series.export_eur_per_mwh[s.interval] - options.retail_margin
    inside, across = trade.inside_price_eur_per_mwh[k], trade.across_price_eur_per_mwh[k]
    parts = (
        ("grid", "buy", trade.grid_buy_mw, bought, 0.0),
        ("grid", "sell", trade.grid_sell_mw, sold, 0.0),
        ("inside", "buy", trade.inside_buy_mw, inside, options.fee_inside),
        ("inside", "sell", trade.inside_sell_mw, inside, 0.0),
        ("across", "buy", trade.across_buy_mw, across, options.fee_across),
        ("across", "sell", trade.across_sell_mw, across, 0.0),
    )
    market, side, power, price, fee = zip(*parts, strict=True)
    traded = np.stack([p[:, k] for p in power])  # (markets and sides, prosumers)
    at, prosumer = np.nonzero(traded > _LEAST_TRADE_MW)
    return SimpleNamespace(
        bus=np.array(trade.bus, dtype=np.int64)[prosumer],
        market=np.array(market, dtype=object)[at],
        side=np.array(side, dtype=object)[at],
        p_mw=traded[at, prosumer],
        price_eur_per_mwh=np.array(price)[at],
        fee_eur_per_mwh=np.array(fee)[at],
    )
