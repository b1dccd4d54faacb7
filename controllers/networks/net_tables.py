"""Tables of a pandapower net: required columns, and the kind of every value."""

import json
import math
import numbers
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pandapower as pp
import pandas as pd
from pandapower.auxiliary import pandapowerNet

from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.checks import check_index
from stackelgrid.profiles.errors import shown
from stackelgrid.profiles.size_limits import NET_BUSES, QUANTITY

# columns required by pandapower or by a run; in_service, too, of every table that has it
_REQUIRED = {
    "bus": "name vn_kv",
    "line": "name from_bus to_bus length_km r_ohm_per_km x_ohm_per_km c_nf_per_km g_us_per_km "
    "max_i_ka df parallel",
    "trafo": "name hv_bus lv_bus sn_mva vn_hv_kv vn_lv_kv vk_percent vkr_percent pfe_kw i0_percent "
    "shift_degree tap_side tap_neutral tap_min tap_max tap_step_percent tap_step_degree tap_pos "
    "tap_changer_type parallel df",
    "ext_grid": "name bus vm_pu va_degree",
    "gen": "name bus p_mw vm_pu scaling slack",
    "load": "name bus p_mw q_mvar scaling",
    "sgen": "name bus p_mw q_mvar scaling type",
    "storage": "name bus p_mw q_mvar soc_percent min_e_mwh max_e_mwh scaling",
    "shunt": "bus p_mw q_mvar vn_kv step",
    "switch": "bus element et closed",
    "asymmetric_load": "name bus p_a_mw q_a_mvar p_b_mw q_b_mvar p_c_mw q_c_mvar scaling type",
    "asymmetric_sgen": "name bus p_a_mw q_a_mvar p_b_mw q_b_mvar p_c_mw q_c_mvar scaling type",
    "trafo3w": "name hv_bus mv_bus lv_bus sn_hv_mva sn_mv_mva sn_lv_mva vn_hv_kv vn_mv_kv "
    "vn_lv_kv vk_hv_percent vk_mv_percent vk_lv_percent vkr_hv_percent vkr_mv_percent "
    "vkr_lv_percent pfe_kw i0_percent shift_mv_degree shift_lv_degree tap_at_star_point",
    "impedance": "name from_bus to_bus rft_pu xft_pu rtf_pu xtf_pu sn_mva",
    "ward": "bus ps_mw qs_mvar pz_mw qz_mvar",
    "xward": "bus ps_mw qs_mvar pz_mw qz_mvar r_ohm x_ohm vm_pu",
    "motor": "name bus pn_mech_mw loading_percent efficiency_percent cos_phi scaling",
    "poly_cost": "element et cp0_eur cp1_eur_per_mw cp2_eur_per_mw2",
    "pwl_cost": "element et points",
}
# required columns that may be empty: no limit, no tap changer, a default
_MAY_BE_EMPTY = frozenset(
    {"name", "max_i_ka", "type", "tap_side", "tap_changer_type", "scaling"}
    | {"tap_neutral", "tap_min", "tap_max", "tap_pos", "tap_step_percent", "tap_step_degree"}
    | {"soc_percent", "min_e_mwh", "max_e_mwh"}
)
# quantities by unit, beyond the columns that every pandapower net has
_QUANTITY = re.compile(
    r"(_(mw|mvar|mva|kw|kv|ka|km|pu|percent|degree|mwh|ohm|ohm_per_km|nf_per_km|us_per_km|eur"
    r"|eur_per_mwh|eur_per_mw2?|eur_per_mvar2?)|^tap2_(pos|min|max|neutral)|^efficiency_\w+"
    r"|^(min_)?power_factor|_(mw_per_k|mwh_per_k|eur_per_k_h)|^(set|coldest)_c|^(below|above)_k"
    r"|^(task|cap)_(from|to)_h|^task_whole|^window_m2|^store_loss_per_h|^kwh_per_km)$"
)
_FLAGS = frozenset({"controllable", "oltc"})
_TEXTS = frozenset(
    {"tap2_side", "tap2_changer_type", "vector_group", "phase", "heat_source", "heating"}
)
# columns whose infinite limit counts as none
_LIMIT = re.compile(r"^(min|max)_")


@cache
def empty_tables() -> dict[str, pd.DataFrame]:
    """Return the tables of an empty net, which take 50 ms to build; not to be changed."""
    net = pp.create_empty_network(add_stdtypes=False)
    return {t: f for t, f in net.items() if isinstance(f, pd.DataFrame) and t[0] != "_"}


@cache
def _standard() -> dict[str, dict[str, str]]:
    """Return the tables of every pandapower net, with the kind of each of their columns."""
    kinds = {"f": "number", "i": "whole", "u": "whole", "b": "flag"}
    return {
        table: {str(c): kinds.get(getattr(d, "kind", "O"), "text") for c, d in frame.dtypes.items()}
        for table, frame in empty_tables().items()
        if not table.startswith("res_")
    }


def conform_tables(net: pandapowerNet, name: str) -> None:
    """Check every value that pandapower or a run reads, and convert columns to pandapower's dtypes.

    Missing optional columns and tables are added empty. Raises NetworkError naming table, column
    and row for a missing required column or a value of another kind: numbers are not texts, flags
    or infinite (except limits), indices are whole numbers.
    """
    empty = empty_tables()
    for key, low in (("sn_mva", 0.0), ("f_hz", 0.0)):
        value = net.get(key)
        if not _is_number(value) or not low < value <= QUANTITY:
            raise NetworkError(
                f"grid {name}: {key} is {shown(value)}; a number above 0 is accepted"
            )
    for table in _standard():
        found = net.get(table)
        if found is None:
            net[table] = empty[table].copy()
        elif not isinstance(found, pd.DataFrame):
            raise NetworkError(f"grid {name}: {table} is {shown(found)}; a table is accepted")
        elif len(found):
            net[table] = _conformed(found, empty[table], table, name)
        elif not found.dtypes.equals(empty[table].dtypes):
            net[table] = empty[table].copy()
    if len(net.bus) > NET_BUSES:
        raise NetworkError(
            f"grid {name}: has {len(net.bus):,} buses; at most {NET_BUSES:,} are accepted"
        )


def check_kinds(net: pandapowerNet, name: str) -> None:
    """Raise NetworkError for values of another kind in the columns that are present."""
    for table in _standard():
        found = net.get(table)
        if isinstance(found, pd.DataFrame) and len(found):
            _conformed(found, found.iloc[:0], table, name, required=False)


def _conformed(
    frame: pd.DataFrame, empty: pd.DataFrame, table: str, name: str, *, required: bool = True
) -> pd.DataFrame:
    where = f"grid {name}: {table}"
    wanted = _REQUIRED.get(table, "").split()
    if "in_service" in _standard()[table]:
        wanted.append("in_service")
    columns = list(frame.columns)
    if required:
        for column in wanted:
            if column not in columns:
                raise NetworkError(f"{where}: column {column!r} is missing; pandapower requires it")
    unnamed = [c for c in columns if not isinstance(c, str)]
    if unnamed:
        raise NetworkError(f"{where}: column {shown(unnamed[0])} has no name; a text is accepted")
    twice = frame.columns[frame.columns.duplicated()]
    if len(twice):
        raise NetworkError(f"{where}: column {shown(twice[0])} occurs twice; once is accepted")
    check_index(frame.index, name, table)
    index = pd.Index(frame.index.astype(np.int64), name=frame.index.name)
    data: dict[str, pd.Series] = {}
    for column in columns:
        kind = _kind(table, column)
        if kind == "number" and _are_good(frame[column], column, column in wanted):
            data[column] = frame[column].set_axis(index)
            continue
        values = frame[column].astype(object).set_axis(index)
        dtype = empty[column].dtype if column in empty else None
        what = f"{where} {{}} has {column}"
        data[column] = _column(values, kind, dtype, what, column, column in wanted)
    for column in empty.columns:
        if column not in data:
            data[column] = _nothing(empty[column].dtype, index)
    return pd.DataFrame(data, index=index)


def _kind(table: str, column: str) -> str:
    if column == "geo" and table == "bus":
        return "geo"
    if column in ("points", "object", "level", "order", "element_index", "recycle"):
        return "any"  # checked where it is used
    known = _standard()[table].get(column)
    if known is not None:
        return known
    if column in _FLAGS:
        return "flag"
    if column in _TEXTS:
        return "text"
    return "number" if _QUANTITY.search(column) else "any"


def _are_good(values: pd.Series, column: str, required: bool) -> bool:
    """Return whether all values of a column of floats are good, checked at once."""
    if values.dtype != np.float64:
        return False
    size = np.abs(values.to_numpy())
    good = size <= QUANTITY
    if column in _MAY_BE_EMPTY or not required:
        good |= np.isnan(size)
    if _LIMIT.match(column):
        good |= np.isinf(size)
    return bool(good.all())


def _column(
    values: pd.Series, kind: str, dtype: Any, where: str, column: str, required: bool
) -> pd.Series:
    """Convert the values of one column to pandapower's dtype."""
    if kind == "any":
        return values.infer_objects()
    accepts, accepted = _KINDS[kind]
    missing = np.array([_is_missing(v) for v in values], dtype=bool)
    may_miss = column in _MAY_BE_EMPTY or not required
    for row, value, absent in zip(values.index, values, missing, strict=True):
        if absent and not may_miss:
            raise NetworkError(f"{where.format(row)} empty; {accepted} is accepted")
        infinite = kind == "number" and _is_infinite(value)
        if absent or (infinite and _LIMIT.match(column)):
            continue
        if infinite or not accepts(value):
            raise NetworkError(f"{where.format(row)} = {shown(value)}; {accepted} is accepted")
    if kind == "number":
        return values.where(~missing, np.nan).astype(np.float64)
    if kind == "whole" and isinstance(dtype, pd.Int64Dtype):
        return values.where(~missing, pd.NA).astype(dtype)
    if missing.any():
        return values.where(~missing, None)
    if kind == "whole":
        return values.astype(np.int64 if dtype is None else dtype)
    if kind == "flag":
        return values.astype(bool)
    return values.map(_geo_text) if kind == "geo" else values


def _nothing(dtype: Any, index: pd.Index) -> pd.Series:
    if isinstance(dtype, pd.Int64Dtype):
        return pd.Series(pd.NA, index=index, dtype=dtype)
    kind = getattr(dtype, "kind", "O")
    if kind == "f":
        return pd.Series(np.nan, index=index, dtype=np.float64)
    if kind == "b":
        return pd.Series(False, index=index, dtype=bool)
    return pd.Series([None] * len(index), index=index, dtype=object)


def _is_missing(value: object) -> bool:
    if value is None or value is pd.NA or value is pd.NaT:
        return True
    return isinstance(value, float | np.floating) and math.isnan(value)


def _is_flag(value: object) -> bool:
    return isinstance(value, bool | np.bool_) or (_is_number(value) and value in (0, 1))


def _is_number(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool | np.bool_)


def _is_infinite(value: object) -> bool:
    return isinstance(value, float | np.floating) and math.isinf(value)


def _is_quantity(value: object) -> bool:
    return _is_number(value) and bool(abs(value) <= QUANTITY)  # type: ignore[arg-type]


def _is_whole(value: object) -> bool:
    return _is_quantity(value) and value == int(value)  # type: ignore[call-overload]


def _is_index(value: object) -> bool:
    return _is_whole(value) and 0 <= value < 2**31  # type: ignore[operator]


def _is_text(value: object) -> bool:
    return isinstance(value, str | numbers.Real)  # names of buses are often numbers


def _is_point(value: object) -> bool:
    """Return whether a value is a GeoJSON point, as text or as an object."""
    try:
        point = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        return False
    at = point.get("coordinates") if isinstance(point, dict) else None
    return (
        isinstance(at, list | tuple)
        and len(at) >= 2
        and all(_is_quantity(v) or (_is_missing(v) and v is not None) for v in at[:2])
    )


def _geo_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


_KINDS: dict[str, tuple[Callable[[object], bool], str]] = {
    "number": (_is_quantity, f"a number (at most {QUANTITY:g} in size)"),
    "whole": (_is_index, "a whole number of at least 0"),
    "flag": (_is_flag, "true or false"),
    "text": (_is_text, "a text"),
    "geo": (lambda v: v == "" or _is_point(v), "a GeoJSON point"),
}
