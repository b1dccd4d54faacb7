"""Reader of pandapower JSON files that builds only tables and pandapower's own objects.

pandapower's reader imports every module that a file names, so that a module of that name beside a
net would be run. This reader decodes tables itself and accepts objects of pandapower classes only.
"""

import copy
import importlib
import importlib.util
import json
import sys
import warnings
from collections.abc import Callable
from enum import Enum
from functools import cache
from inspect import isclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandapower as pp
import pandas as pd
from pandapower.auxiliary import pandapowerNet
from pandapower.convert_format import convert_format
from pandapower.file_io import from_json_dict
from pandapower.io_utils import JSONSerializableClass

from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.net_tables import check_kinds, conform_tables
from stackelgrid.controllers.networks.sources.texts import read_text
from stackelgrid.profiles.errors import shown

_BUILTINS = {"tuple": tuple, "set": set, "frozenset": frozenset}
# drawings and graphs, whose data is kept as it is
_DATA_ONLY = ("networkx", "shapely", "geopandas")
_ACCEPTED = "pandapower, pandas, numpy, networkx, shapely and geopandas"
_DTYPES = frozenset({"float64", "int64", "bool"})
# results
_LEFT_OUT = ("res_", "_")


def read_net(path: Path, name: str) -> pandapowerNet:
    """Read a pandapower JSON file of any version as a net of checked tables, without results.

    Raises NetworkError for a missing or too large file, another content than a pandapower net, a
    class that is not pandapower's, or a table with wrong values (table, column and row are named).
    """
    where = f"grid {name}: {path}"
    document = _document(path, name)
    try:
        net = _net(document, where)
        _convert(net, name, where)
    except NetworkError:
        raise
    except RecursionError as error:
        raise NetworkError(f"{where} is nested too deeply for a pandapower net") from error
    except Exception as error:  # errors of pandas or pandapower on a damaged file
        raise NetworkError(f"{where} is not a pandapower JSON file ({_reason(error)})") from error
    conform_tables(net, name)
    return net


def _document(path: Path, name: str) -> Any:
    advice = " (save the net without results and profiles)"
    text = read_text(path, f"grid {name}: file {path}", advice=advice)
    return _parsed(text, f"grid {name}: {path}")


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except RecursionError as error:
        raise NetworkError(f"{where} is nested too deeply for a pandapower net") from error
    except ValueError as error:
        raise NetworkError(f"{where} is not a pandapower JSON file ({_reason(error)})") from error


def _net(document: Any, where: str) -> pandapowerNet:
    if not isinstance(document, dict):
        raise NetworkError(f"{where} does not hold a pandapower net")
    if "_module" not in document:  # pandapower before 2.0
        if not isinstance(document.get("bus"), dict):
            raise NetworkError(f"{where} does not hold a pandapower net")
        return from_json_dict(_decoded(document, where))
    named = (document.get("_module"), document.get("_class"))
    if named != ("pandapower.auxiliary", "pandapowerNet"):
        raise NetworkError(f"{where} holds {_class_name(document)}; a pandapowerNet is accepted")
    content = document.get("_object")
    if isinstance(content, str):
        content = _parsed(content, where)
        if isinstance(content, dict) and "_module" in content:
            content = content.get("_object")
    if not isinstance(content, dict):
        raise NetworkError(f"{where} does not hold a pandapower net")
    net = copy.deepcopy(_empty_net())
    for key, value in content.items():
        if not key.startswith(_LEFT_OUT):
            net[key] = _decoded(value, f"{where}: {key}")
    return net


@cache
def _empty_net() -> pandapowerNet:
    return pp.create_empty_network(add_stdtypes=False)


def _convert(net: pandapowerNet, name: str, where: str) -> None:
    """Convert a net of an older version to the tables of this one."""
    net.converged = False
    written = net.get("version")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            convert_format(net)
    except Exception as error:  # errors on old or damaged nets
        check_kinds(net, name)
        raise NetworkError(
            f"{where}: its format (version {shown(written)}) cannot be converted to that of "
            f"pandapower {pp.__version__} ({_reason(error)})"
        ) from error


def _decoded(value: Any, where: str) -> Any:
    """Decode plain JSON, tables and pandapower's objects; raises NetworkError for other classes."""
    if isinstance(value, list):
        return [_decoded(v, where) for v in value] if _nested(value) else value
    if not isinstance(value, dict):
        return value
    if "_module" in value or "_class" in value:
        return _typed(value, where)
    return {key: _decoded(v, where) for key, v in value.items()}


def _nested(values: list[Any]) -> bool:
    return any(isinstance(v, dict | list) for v in values)


def _typed(value: dict[str, Any], where: str) -> Any:
    module, kind = value.get("_module"), value.get("_class")
    if not (isinstance(module, str) and isinstance(kind, str)):
        raise NetworkError(f"{where} names {_class_name(value)}; the name of a class is accepted")
    content = value.get("_object")
    package = module.partition(".")[0]
    if package == "pandas" and kind == "DataFrame":
        return _frame(value, where)
    if package == "pandas" and kind == "Series":
        return _series(content, where)
    if package == "pandas" and kind.endswith("Index"):
        return pd.Index(_decoded(content, where))
    if package == "numpy":
        found = _numpy_value(kind, content, where)
        if found is not None:
            return found
    if module == "builtins" and kind in _BUILTINS and isinstance(content, list):
        return _BUILTINS[kind](_decoded(content, where))
    if module == "builtins" and kind == "complex" and isinstance(content, str):
        return complex(content)
    if package in _DATA_ONLY:
        return _decoded(content, where)
    if package == "pandapower":
        if kind in ("function", "method"):
            return content
        return _pandapower_object(module, kind, content, where)
    raise NetworkError(
        f"{where} names {_class_name(value)}; classes of {_ACCEPTED} are accepted in a grid file"
    )


def _numpy_value(kind: str, content: Any, where: str) -> Any:
    if kind in ("array", "ndarray") and isinstance(content, list):
        return np.array(_decoded(content, where))
    scalar: Any = getattr(np, kind, None)
    if isinstance(scalar, type) and issubclass(scalar, np.number):
        make: Callable[[object], np.number] = scalar
        return make(content).item() if isinstance(content, str | int | float) else None
    if kind in ("bool", "bool_"):
        return content in (True, "true")
    return None


def _pandapower_object(module: str, kind: str, content: Any, where: str) -> Any:
    """Build an object of a class of pandapower with the attributes of the file."""
    found: Any = None
    if module in sys.modules or importlib.util.find_spec(module) is not None:
        found = getattr(importlib.import_module(module), kind, None)
    if isclass(found) and issubclass(found, Enum):
        return found(content)
    if not (isclass(found) and issubclass(found, cast(type, JSONSerializableClass))):
        raise NetworkError(f"{where} names {module}.{kind}, which pandapower does not save")
    attributes = _parsed(content, where) if isinstance(content, str) else content
    attributes = _decoded(attributes, where)
    if not isinstance(attributes, dict):
        raise NetworkError(
            f"{where}: {module}.{kind} holds {shown(content)}; attributes are needed"
        )
    return cast(Any, found).from_dict({k: v for k, v in attributes.items() if k != "net"})


def _frame(value: dict[str, Any], where: str) -> pd.DataFrame:
    """Build a table from the cells of the file, with its dtypes where the values have them."""
    content = value.get("_object")
    if isinstance(content, str):
        content = _parsed(content, where)
    if not isinstance(content, dict):
        raise NetworkError(f"{where} holds {shown(content)}; a table is accepted")
    if value.get("orient", "split") == "columns":
        frame = pd.DataFrame(_decoded(content, where), dtype=object)
        frame.index = _numbered(frame.index)
    else:
        columns, index, data = (content.get(k) for k in ("columns", "index", "data"))
        if not (isinstance(columns, list) and isinstance(index, list) and isinstance(data, list)):
            raise NetworkError(f"{where}: a table has columns, index and data, each a list")
        wrong = next(
            (k for k, r in enumerate(data) if not isinstance(r, list) or len(r) != len(columns)),
            None,
        )
        if wrong is not None or len(data) != len(index):
            row = len(index) if wrong is None else wrong
            raise NetworkError(
                f"{where}: row {row} of the table does not have a value for each of "
                f"{len(columns)} columns"
            )
        frame = pd.DataFrame(
            [_decoded(row, where) for row in data],
            columns=[_label(c) for c in columns],
            index=_numbered(pd.Index([_label(i) for i in index], dtype=object)),
            dtype=object,
        )
    _restore(frame, value.get("dtype"))
    return frame


def _series(content: Any, where: str) -> pd.Series:
    held = _parsed(content, where) if isinstance(content, str) else content
    if isinstance(held, dict) and isinstance(held.get("data"), list):
        return pd.Series(_decoded(held["data"], where), index=held.get("index"), dtype=object)
    return pd.Series(_decoded(held, where), dtype=object)


def _label(value: Any) -> Any:
    """Return the label of a row or column; a list is one of a table with several levels."""
    return tuple(value) if isinstance(value, list) else value


def _numbered(index: pd.Index) -> pd.Index:
    """Return an index as whole numbers if all are, also as texts (older files)."""
    values = [int(v) if isinstance(v, str) and v.isdecimal() and len(v) < 12 else v for v in index]
    whole = all(isinstance(v, int) and not isinstance(v, bool) and abs(v) < 2**63 for v in values)
    return pd.Index(values, dtype=np.int64 if whole else object)


def _restore(frame: pd.DataFrame, dtypes: Any) -> None:
    """Convert columns to the dtype that the file states, where every value is of it."""
    if not isinstance(dtypes, dict) or frame.columns.has_duplicates:
        return
    for column in frame.columns:
        values, dtype = frame[column], dtypes.get(column) if isinstance(column, str) else None
        if not isinstance(dtype, str) or dtype not in _DTYPES or not len(frame):
            continue
        found = pd.api.types.infer_dtype(values, skipna=dtype == "float64")
        kinds = {
            "float64": ("floating", "integer", "mixed-integer-float", "empty"),
            "int64": ("integer",),
            "bool": ("boolean",),
        }[dtype]
        if found in kinds and _fits(values):
            frame[column] = values.astype(np.dtype(dtype))


def _fits(values: pd.Series) -> bool:
    """Return whether all finite numbers of a column have 64 bits."""
    try:
        size = np.abs(values.to_numpy(dtype=np.float64, na_value=np.nan))
    except OverflowError:  # a whole number beyond the largest float
        return False
    return bool((~np.isfinite(size) | (size < 2.0**63)).all())


def _class_name(value: dict[str, Any]) -> str:
    module, kind = (value.get(key) for key in ("_module", "_class"))
    named = isinstance(module, str) and isinstance(kind, str)
    return shown(f"{module}.{kind}").strip("'") if named else shown(f"{module!r}.{kind!r}")


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else f"{text[:197]}..."
