"""Find wording that CONTRIBUTING.md excludes: docstrings that open with a clause, banned words."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("profiles", "controllers", "simulators", "scenarios", "analysis")
# a docstring opens with a verb (functions) or a noun (classes, modules, attributes)
OPENINGS = (
    *("What", "Whatever", "Who", "Whoever", "Whom", "Whose", "How", "Where", "When"),
    *("Whether", "Which", "That", "Why", "If", "Of", "From"),
)
# expressions that no docstring contains, as regular expressions
BANNED = (
    r"what is no(ne)?\b",
    r"makes? do\b",
    r"nobody knows",
    r"(is|are|was|were) told\b",
)
_OPENING = re.compile(rf"({'|'.join(OPENINGS)})\b")
_BANNED = [re.compile(pattern, re.IGNORECASE) for pattern in BANNED]


def findings(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and fault of every docstring of a module that is to be reworded."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        text = ast.get_docstring(node)
        if text is None:
            continue
        line = node.body[0].lineno
        if match := _OPENING.match(text):
            yield line, f"docstring opens with {match[0]!r}; a verb or a noun is accepted"
        for pattern in _BANNED:
            if match := pattern.search(text):
                yield line, f"docstring contains {' '.join(match[0].split())!r}"


def main() -> int:
    """Print the findings in the product packages; return 1 if there are any."""
    found = 0
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            for line, fault in sorted(findings(path.read_text(encoding="utf-8"))):
                print(f"{name}:{line}: {fault}", file=sys.stderr)
                found += 1
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main())
