"""Text of a MATPOWER case file: its tables, and the statements below them.

Distribution cases state loads in kW and impedances in ohm and convert them in code at the end. The
accepted statements are assignments of arithmetic over numbers, names and columns of tables, such as
`mpc.bus(:, [PD, QD]) = mpc.bus(:, [PD, QD]) / 1e3`; any other is refused, never skipped.
"""

import ast
import math
import operator
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from pandapower.pypower import idx_brch, idx_bus, idx_cost, idx_gen

from stackelgrid.controllers.errors import NetworkError
from stackelgrid.profiles.errors import shown

# MATPOWER's names of columns, which its functions idx_bus, idx_brch, ... return
_COLUMNS = {
    name: value
    for module in (idx_cost, idx_gen, idx_brch, idx_bus)
    for name, value in vars(module).items()
    if name.isupper() and isinstance(value, int)
}
_UNPACKED = re.compile(r"^\[[\w\s,]*\]\s*=\s*idx_(bus|brch|gen|cost|dcline|ct)$")
_FIELD = re.compile(r"^mpc\.([\w.]+)\s*=\s*(.*)$", re.DOTALL)
_TEXT = re.compile(r"'((?:[^']|'')*)'|\"([^\"]*)\"")
_LABELS = re.compile(r"^(function\b.*|end|endfunction|return|define_constants)$")
_OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "sin": np.sin, "cos": np.cos, "tan": np.tan, "acos": np.arccos, "asin": np.arcsin,
    "atan": np.arctan, "sqrt": np.sqrt, "abs": np.abs, "exp": np.exp,
}  # fmt: skip
_ALL = "ALL_ROWS"


def read_case_text(text: str, where: str) -> dict[str, Any]:
    """Return the fields of a case by name: tables (arrays), numbers and texts, units converted.

    `where` begins the messages. Raises NetworkError for a statement that is not an assignment of
    arithmetic or of a table of numbers.
    """
    with np.errstate(all="ignore"):  # values that are not finite are refused by the caller
        return _read(text, where)


def _read(text: str, where: str) -> dict[str, Any]:
    case: dict[str, Any] = {}
    names: dict[str, Any] = {"pi": math.pi, **_COLUMNS}
    for line, statement in _split(text):
        if _UNPACKED.match(_one_line(statement)) or _LABELS.match(_one_line(statement)):
            continue
        field = _FIELD.match(statement)
        try:
            if field is not None:
                case[field[1]] = _field(field[2], case, names)
            else:
                _assign(statement, case, names)
        except (_NotArithmeticError, SyntaxError, TypeError, ValueError, LookupError) as error:
            raise NetworkError(
                f"{where}: line {line}: {shown(_one_line(statement))} cannot be read; tables and "
                "arithmetic on their columns are accepted (savecase of MATPOWER writes a case "
                "without code)"
            ) from error
    return case


class _NotArithmeticError(Exception):
    """Raised for an expression beyond arithmetic."""


def _split(text: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of each statement, without comments and continuations."""
    depth, parts, begun, block = 0, list[str](), 0, False
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() in ("%{", "%}"):
            block = line.strip() == "%{"
        if block:
            continue
        quoted, continued = "", False
        for at, char in enumerate(line):
            if quoted:
                quoted = "" if char == quoted else quoted
            elif char in "%#":
                break
            elif line.startswith("...", at):
                continued = True
                break
            elif char == '"' or (char == "'" and not _transposes(line, at)):
                quoted = char
            elif char in "[{(":
                depth += 1
            elif char in "]})":
                depth -= 1
            elif char == ";" and depth <= 0:
                yield from _statement(begun, parts)
                parts = []
                continue
            if not parts:
                begun = number
            parts.append(char)
        if depth <= 0 and not continued:
            yield from _statement(begun, parts)
            depth, parts = 0, []
        else:
            parts.append(" " if continued else "\n")
    yield from _statement(begun, parts)


def _statement(line: int, parts: list[str]) -> Iterator[tuple[int, str]]:
    text = "".join(parts).strip()
    if text:
        yield line, text


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _transposes(line: str, at: int) -> bool:
    """Return whether a quote is MATLAB's transpose: it follows a value."""
    return at > 0 and (line[at - 1].isalnum() or line[at - 1] in ")]}'_.")


def _field(text: str, case: dict[str, Any], names: dict[str, Any]) -> Any:
    """Return the value of a field: a table as array, a list of texts, a text or a number."""
    if text.startswith("{"):
        return [first or second for first, second in _TEXT.findall(text)]
    if text.startswith("["):
        rows = [r.strip() for r in re.split(r"[;\n]", text.strip()[1:-1])]
        cells = [re.split(r"[,\s]+", row) for row in rows if row]
        return np.array([[_cell(c, case, names) for c in row] for row in cells], dtype=np.float64)
    if quoted := _TEXT.fullmatch(text):
        return quoted[1] or quoted[2]
    return _value(_parsed(text), case, names)


def _cell(text: str, case: dict[str, Any], names: dict[str, Any]) -> float:
    try:
        return float(text)
    except ValueError:
        return float(_value(_parsed(text), case, names))


def _assign(statement: str, case: dict[str, Any], names: dict[str, Any]) -> None:
    target, equals, value = statement.partition("=")
    if not equals or value.startswith("="):
        raise _NotArithmeticError
    result = _value(_parsed(value), case, names)
    place = _parsed(target)
    if isinstance(place, ast.Name) and place.id not in _COLUMNS:
        names[place.id] = result
        return
    table, rows, columns = _cells(place, case, names)
    table[rows, columns] = result


def _parsed(text: str) -> ast.expr:
    """Parse an expression of MATLAB as one of Python."""
    text = re.sub(r"\[([^\[\]]*)\]", _with_commas, text)
    text = re.sub(r"([(,]\s*):(?=\s*[,)])", rf"\1{_ALL}", text)
    text = text.replace(".*", "*").replace("./", "/").replace(".^", "^").replace("^", "**")
    return ast.parse(text.strip(), mode="eval").body


def _with_commas(match: re.Match[str]) -> str:
    return "[" + ", ".join(re.split(r"[,\s]+", match[1].strip())) + "]"


def _value(node: ast.expr, case: dict[str, Any], names: dict[str, Any]) -> Any:
    """Return the value of an expression; raises _NotArithmeticError for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return float(node.value)
    if isinstance(node, ast.Name) and node.id in names:
        return names[node.id]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand, case, names)
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        left, right = _value(node.left, case, names), _value(node.right, case, names)
        return _OPERATORS[type(node.op)](left, right)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        if node.func.id in _FUNCTIONS and len(node.args) == 1 and not node.keywords:
            return _FUNCTIONS[node.func.id](_value(node.args[0], case, names))
        raise _NotArithmeticError
    if isinstance(node, ast.Attribute):
        if _is_case(node.value) and isinstance(case.get(node.attr), float):
            return case[node.attr]
        raise _NotArithmeticError
    table, rows, columns = _cells(node, case, names)
    return table[rows, columns]


def _cells(node: ast.expr, case: dict[str, Any], names: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Return table, rows and columns of `mpc.TABLE(rows, columns)`."""
    if not (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and _is_case(node.func.value)
        and isinstance(case.get(node.func.attr), np.ndarray)
        and len(node.args) == 2
    ):
        raise _NotArithmeticError
    first, second = node.args
    if isinstance(first, ast.Name) and first.id == _ALL:
        rows: Any = slice(None)
    else:
        rows = round(_value(first, case, names)) - 1  # MATLAB counts from 1
    columns = second.elts if isinstance(second, ast.List) else [second]
    at = [_column(column, names) for column in columns]
    return case[node.func.attr], rows, at if isinstance(second, ast.List) else at[0]


def _column(node: ast.expr, names: dict[str, Any]) -> int:
    if isinstance(node, ast.Name) and node.id in _COLUMNS:
        return _COLUMNS[node.id]
    if isinstance(node, ast.Constant) and isinstance(node.value, int) and node.value > 0:
        return node.value - 1
    raise _NotArithmeticError


def _is_case(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "mpc"
