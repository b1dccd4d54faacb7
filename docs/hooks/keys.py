"""Tables of keys of a scenario's sections, and of quantities of kinds of devices, from the code."""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from datetime import date, datetime
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from stackelgrid.controllers.devices.kind import DeviceKind
from stackelgrid.controllers.devices.quantities import Role
from stackelgrid.profiles.size_limits import QUANTITY

# ends of keys and their units
_UNITS = {
    "eur_per_mwh": "EUR/MWh", "eur_per_mw2h": "EUR/MW²h", "eur_per_mw": "EUR/MW",
    "eur_per_t": "EUR/t", "eur_per_k_h": "EUR/K h", "kg_per_mwh": "kg/MWh", "kwh_per_km": "kWh/km",
    "kwh_per_k": "kWh/K", "kw_per_k": "kW/K", "_mwh": "MWh", "_kwh": "kWh", "_mvar": "MVAr",
    "_mva": "MVA", "_mw": "MW", "_kw": "kW", "_pu": "p.u.", "_ka": "kA", "percent": "%",
    "_degree": "degree", "_min_sigma": "min", "_per_h": "1/h", "_h": "h", "_bit_per_s": "bit/s",
    "_s": "s", "altitude_m": "m", "_m2": "m²", "_c": "°C", "_k": "K",
}  # fmt: skip
_PRICES = ("import", "export")
_MINUTES = ("interval_min", "update_min", "spread_min", "minutes")
_TYPES = {str: "text", date: "date", datetime: "date and time"}
_BOUNDS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
_ROLES = {
    Role.SERIES: "forecast",
    Role.STATE: "state",
    Role.PLAN: "plan",
    Role.SET_POINT: "set point",
    Role.OUTPUT: "result",
    Role.GIVEN: "given by the simulator",
}


def keys_table(section: type[BaseModel]) -> str:
    """Markdown of the keys of a section, in the order of the code."""
    lines = ["| key | meaning | unit | accepted | default |", "|---|---|---|---|---|"]
    meanings = meanings_of(section)
    for name, field in section.model_fields.items():
        key = field.alias or name
        cells = (f"`{key}`", meanings[name], unit_of(key), accepted(field), default(field))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(["", *lines, ""])


def quantities_table(kind: type[DeviceKind]) -> str:
    """Markdown of the quantities of a kind, with their columns in the tables of a run."""
    lines = ["| quantity | meaning | unit | use | in `device` | in `interval` |"]
    lines.append("|---|---|---|---|---|---|")
    for q in kind.quantities:
        uses = ", ".join(word for role, word in _ROLES.items() if role in q.roles)
        column = f"`{q.column}`" if q.column else ""
        total = f"`{q.name}`: {q.total}" if q.total else ""
        cells = (f"`{q.name}`", q.meaning, q.unit, uses, column, total)
        lines.append("| " + " | ".join(cells) + " |")
    if kind.cost_column:
        lines.append(f"| cost | {kind.cost_meaning} | EUR | result |  | `{kind.cost_column}` |")
    return "\n".join(["", *lines, ""])


def meanings_of(section: type[BaseModel]) -> dict[str, str]:
    """Texts below the fields of a section and of its bases; raises ValueError if one is missing."""
    found: dict[str, str] = {}
    for base in section.__mro__:
        if issubclass(base, BaseModel) and base.__module__.startswith("stackelgrid."):
            found = dict(_texts(base)) | found
    missing = [name for name in section.model_fields if name not in found]
    if missing:
        raise ValueError(f"{section.__name__}.{missing[0]}: has no text below it")
    return found


def _texts(section: type[BaseModel]) -> Iterator[tuple[str, str]]:
    """Yield the fields of a class that have a text below them."""
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(section))).body
    assert isinstance(tree, ast.ClassDef)
    for field, text in zip(tree.body, tree.body[1:], strict=False):
        match field, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=value)):
                yield name, str(value)


def unit_of(key: str) -> str:
    """Unit of a key by its end."""
    if key in _PRICES:
        return "EUR/MWh"
    if key in _MINUTES:
        return "min"
    return next((unit for end, unit in _UNITS.items() if key.endswith(end)), "")


def accepted(field: FieldInfo) -> str:
    """Accepted values of a field, in words."""
    return _words(field.annotation, field.metadata)


def _words(annotation: Any, metadata: Any = ()) -> str:
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return ", ".join(_words(part, metadata) for part in parts if part is not type(None))
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in parts)
    if origin is tuple:
        few = "two" if len(parts) == 2 and parts[1] is parts[0] else "list of"
        return f"{few} {_plural(_words(parts[0]))}"
    if origin is dict:
        return f"names and {_plural(_words(parts[1]))}"
    if hasattr(annotation, "__metadata__"):  # Annotated
        return _words(annotation.__origin__, (*annotation.__metadata__, *metadata))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    if annotation is Any:
        return "value"
    if annotation is bool:
        return "`true`, `false`"
    if annotation in _TYPES:
        return _TYPES[annotation]
    word = "whole number" if annotation is int else "number"
    bounds = {sign: f"{value:,}".removesuffix(".0") for sign, value in _bounds(metadata)}
    if set(bounds) == {"≥", "≤"}:
        return f"{word} {bounds['≥']} to {bounds['≤']}"
    return " ".join(
        [word, ", ".join(f"{sign}\u00a0{value}" for sign, value in bounds.items())]
    ).strip()


def _plural(words: str) -> str:
    """Return "whole numbers ≥ 0" for "whole number ≥ 0"."""
    if words.startswith("list of "):
        return words.replace("list", "lists", 1)
    return re.sub(r"number|section|text|value|date", r"\g<0>s", words, count=1)


def _bounds(metadata: Any) -> Iterator[tuple[str, float]]:
    """Yield the bounds of a number; limits of size are stated elsewhere."""
    for constraint in metadata:
        for part in getattr(constraint, "metadata", [constraint]):
            for name, sign in _BOUNDS.items():
                value = getattr(part, name, None)
                if value is not None and abs(value) < min(QUANTITY, 2**31 - 1):
                    yield sign, value


def default(field: FieldInfo) -> str:
    """Default of a field in TOML; `required` without one, empty where nothing is set."""
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return "required"
    if value is None or value == () or value == {} or isinstance(value, BaseModel):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value:g}`"
