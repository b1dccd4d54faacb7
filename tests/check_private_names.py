"""Find private names of the product in tests: imports, attributes and patches of `_name`."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PRODUCT = "stackelgrid"
# of the standard library, which documents them, and the queue of a SimPy environment, whose length
# has no public name
ALLOWED = frozenset({"_asdict", "_exit", "_fields", "_make", "_queue", "_replace"})
# functions that read or replace an attribute by its name
BY_NAME = frozenset({"delattr", "getattr", "hasattr", "setattr"})


def findings(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and name of every use of a private name that no class of the module defines."""
    tree = ast.parse(source)
    own = ALLOWED | set(_members(tree))
    for node in ast.walk(tree):
        for name in _used(node):
            if name.startswith("_") and not name.startswith("__") and name not in own:
                yield node.lineno, name


def _members(tree: ast.Module) -> Iterator[str]:
    """Yield methods, class attributes and attributes of `self` of the classes of a module."""
    for outer in ast.walk(tree):
        if not isinstance(outer, ast.ClassDef):
            continue
        for node in ast.walk(outer):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node.name
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                yield node.id
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                yield node.attr


def _used(node: ast.AST) -> list[str]:
    """Return the names that a node takes from another module or object."""
    if isinstance(node, ast.Attribute):
        return [node.attr]
    if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PRODUCT:
        return [alias.name for alias in node.names] + (node.module or "").split(".")
    if isinstance(node, ast.Call):
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        texts = [a.value for a in node.args if isinstance(a, ast.Constant)]
        if name in BY_NAME:
            return [part for text in texts if isinstance(text, str) for part in text.split(".")]
    return []


def main() -> int:
    """Print the findings in the tests; return 1 if there are any."""
    found = 0
    for path in sorted((ROOT / "tests").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        for line, private in sorted(findings(path.read_text(encoding="utf-8"))):
            print(f"{name}:{line}: {private!r} is private; test public behaviour", file=sys.stderr)
            found += 1
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())
