"""Tables of a run as labelled arrays (xarray), with units and CF attributes; netCDF files.

The rows of a table are keyed by interval, grid and the dimensions in SHAPES; every other column
becomes a variable over these dimensions. Missing rows are NaN or empty text. Devices and branches
are labelled `load 3`, `line 12`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stackelgrid.analysis.results.errors import ResultsError
from stackelgrid.analysis.results.record import NETWORK, RunRecord, check_table
from stackelgrid.controllers.devices.registry import kinds
from stackelgrid.profiles.extras import install_command
from stackelgrid.simulators.results.grid_tables import NETWORK as NETWORK_COLUMNS
from stackelgrid.simulators.results.tables import TABLES as RESULT_TABLES

try:
    import h5netcdf  # noqa: F401  # xarray finds it by name
    import xarray as xr
except ImportError as error:
    raise ResultsError(
        f"xarray and netCDF: {error.name} is not installed; {install_command('netcdf')}"
    ) from error

CONVENTIONS = "CF-1.11"
# compression of netCDF variables
_ENCODING = {"zlib": True, "complevel": 4}


@dataclass(frozen=True)
class Shape:
    """Dimensions of a table besides interval and grid, and columns that depend on fewer.

    `label` names the dimension whose labels are `element index`. `fewer` are (column, dimensions).
    """

    own: tuple[str, ...] = ()
    label: str | None = None
    fewer: tuple[tuple[str, tuple[str, ...]], ...] = ()


_STEP = ("dt_h", ("interval", "step"))
_GRID = ("grid",)
SHAPES: dict[str, Shape] = {
    "interval": Shape(fewer=(("level", _GRID), ("copies", _GRID))),
    "bus": Shape(("bus",)),
    "branch": Shape(label="branch"),
    "device": Shape(
        label="device",
        fewer=tuple((c, ("grid", "device")) for c in ("name", "kind", "bus", "phase")),
    ),
    "boundary": Shape(
        fewer=tuple((c, _GRID) for c in ("parent", "parent_bus", "multiplicity", "kind"))
    ),
    "trade": Shape(("bus", "market", "side")),
    "stage": Shape(fewer=(("scheme", _GRID), ("pricing", _GRID))),
    "dispatch": Shape(("step",), "device", (_STEP,)),
    "certificate": Shape(("step",), fewer=(_STEP,)),
    "phase": Shape(("bus",)),
    "schedule": Shape(("step",), "device", (_STEP,)),
    "round": Shape(("round",)),
    "negotiation": Shape(),
    "commitment": Shape(),
    NETWORK: Shape(label="component", fewer=(("level", _GRID),)),
}

# units as UDUNITS writes them, by those of the tables
_UDUNITS = {
    "%": "percent", "p.u.": "1", "MVAr": "Mvar", "MWh": "MW h", "EUR/MWh": "EUR MW-1 h-1",
    "EUR/MW^2": "EUR MW-2",
}  # fmt: skip
# endings of columns that give only a unit
_ENDS = (
    "_eur_per_mwh", "_mwh", "_mvar", "_mva", "_mw", "_kv", "_ka", "_km", "_pu", "_percent",
    "_degree", "_eur", "_sec", "_s", "_h",
)  # fmt: skip
_WORDS = {
    "p": "active power", "q": "reactive power", "vm": "voltage magnitude", "va": "voltage angle",
    "pl": "active power loss", "i": "current", "e": "stored energy", "soc": "state of charge",
    "vn": "nominal voltage", "pos": "position", "dt": "length of the step", "sn": "rated power",
    "min": "least", "max": "largest",
}  # fmt: skip
_WORDS |= {kind.kind: kind.label for kind in kinds() if kind.label.isupper()}  # abbreviations
_SIGNS = {
    "bus": "consumption positive",
    "device": "loads and storages positive when consuming, generators when injecting",
    "branch": "positive into the branch",
    "boundary": "positive into the lower grid",
}


def long_name(column: str) -> str:
    """Return the long name of a column, derived from its name, for axis labels."""
    end = next((e for e in _ENDS if column.endswith(e)), "")
    text = " ".join(_WORDS.get(word, word) for word in column.removesuffix(end).split("_"))
    return f"{text} per unit" if end == "_pu" else text


def _declared(table: str) -> dict[str, dict[str, str]]:
    """Return attributes of a table's variables from the declarations of its columns."""
    declared = NETWORK_COLUMNS if table == NETWORK else RESULT_TABLES[table]
    told = {}
    for column in declared.columns:
        told[column.name] = {"long_name": long_name(column.name), "description": column.text}
        if column.unit:
            told[column.name]["units"] = _UDUNITS.get(column.unit, column.unit)
    return told


def dataset(run: RunRecord, table: str) -> xr.Dataset:
    """Return a table as labelled arrays; raises ResultsError.

    Dimensions `interval` (with the coordinate `time`, UTC), `grid` (in the scenario's order) and
    those of SHAPES; `network` has no interval.
    """
    check_table(table)
    frame = run.table(table)
    shape = SHAPES[table]
    first = ("grid",) if table == NETWORK else ("interval", "grid")
    frame, labels = _labelled(frame, shape.label)
    dims = (*first, *shape.own, *((shape.label,) if shape.label else ()))
    if frame.duplicated(list(dims)).any():
        raise ResultsError(f"{run.directory}: table {table} has two rows of one key {dims}")
    axes = {d: _axis(frame[d], tuple(run.grids) if d == "grid" else ()) for d in dims}
    fewer, declared = dict(shape.fewer), _declared(table)
    left_out = {*dims, "time", *(("element", "index") if shape.label else ())}
    variables = {
        column: (*_spread(frame, column, fewer.get(column, dims), axes), declared.get(column, {}))
        for column in frame.columns
        if column not in left_out
    }
    coordinates: dict[str, Any] = {d: (d, *_coordinate(axis, d)) for d, axis in axes.items()}
    if shape.label:
        own = labels.loc[axes[shape.label]]
        coordinates["element"] = (shape.label, own["element"].to_numpy(dtype=object))
        coordinates["index"] = (shape.label, own["index"].to_numpy(dtype=np.int32))
    if "interval" in dims:
        coordinates["time"] = ("interval", _times(frame, axes["interval"]), {
            "standard_name": "time", "long_name": "start of the interval, UTC",
        })  # fmt: skip
    return xr.Dataset(variables, coordinates, _attributes(run, table))


def write_netcdf(run: RunRecord, tables: Sequence[str], path: Path) -> None:
    """Write tables into one netCDF file, one group for each table; raises ResultsError.

    Read a group with `xarray.open_dataset(path, group="bus")`, all with `xarray.open_datatree`.
    """
    unfinished = path.with_name(f"{path.name}.tmp")
    try:
        xr.Dataset(attrs=_attributes(run, "")).to_netcdf(unfinished, engine="h5netcdf")
        for table in tables:
            data = dataset(run, table)
            packed = [n for n, v in data.data_vars.items() if v.dtype.kind in "fi" and v.size]
            data.to_netcdf(
                unfinished, mode="a", group=table, engine="h5netcdf",
                encoding=dict.fromkeys(packed, _ENCODING),
            )  # fmt: skip
        unfinished.rename(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _labelled(frame: pd.DataFrame, label: str | None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return rows with a label `element index`, and element and index by label."""
    if label is None:
        return frame, pd.DataFrame()
    texts = frame["element"].astype(str) + " " + frame["index"].astype(str)
    frame = frame.assign(**{label: texts.to_numpy(dtype=object)})
    parts = frame.drop_duplicates(label).set_index(label)[["element", "index"]]
    return frame, parts.sort_values(["element", "index"])


def _axis(column: pd.Series, order: tuple[str, ...]) -> pd.Index:
    """Return values along a dimension: in the given order, by number, or as they first appear."""
    found = column.drop_duplicates()
    if order:
        return pd.Index([g for g in order if g in set(found)], dtype=object)
    ordered = found.sort_values() if found.dtype.kind == "i" else found
    axis: pd.Index = pd.Index(ordered.to_numpy())
    return axis


def _coordinate(axis: pd.Index, name: str) -> tuple[Any, dict[str, str]]:
    return axis.to_numpy(), {"long_name": name}


def _spread(
    frame: pd.DataFrame, column: str, dims: tuple[str, ...], axes: dict[str, pd.Index]
) -> tuple[tuple[str, ...], Any]:
    """Spread a column over its dimensions; missing rows are NaN or empty text."""
    values = frame[column]
    positions = tuple(axes[d].get_indexer(pd.Index(frame[d])) for d in dims)
    shape = tuple(len(axes[d]) for d in dims)
    filled = np.zeros(shape, dtype=bool)
    filled[positions] = True
    kind = values.dtype.kind
    if kind == "O":
        spread = np.full(shape, "", dtype=object)
        spread[positions] = values.fillna("").to_numpy()
    elif kind in "ib" and filled.all():
        told_values = values.to_numpy()
        spread = np.zeros(shape, dtype=told_values.dtype)
        spread[positions] = told_values
    else:
        spread = np.full(shape, np.nan)
        spread[positions] = values.to_numpy(dtype=np.float64)
    return dims, spread


def _times(frame: pd.DataFrame, intervals: pd.Index) -> Any:
    first = frame.drop_duplicates("interval").set_index("interval")["time"]
    return first.loc[intervals].dt.tz_convert(None).to_numpy(dtype="datetime64[ns]")


def _attributes(run: RunRecord, table: str) -> dict[str, str]:
    what = f", table {table}" if table else ""
    attributes = {
        "Conventions": CONVENTIONS,
        "title": f"{run.name}{what}",
        "source": f"stackelgrid {run.summary.get('version', '')}".strip(),
        "comment": "powers are means over the interval",
    }
    if table in _SIGNS:
        attributes["sign"] = _SIGNS[table]
    return attributes
