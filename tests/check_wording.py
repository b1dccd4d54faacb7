"""Find wording that CONTRIBUTING.md excludes, in docstrings, comments, messages and pages.

To exclude more, add a word to OPENINGS or a regular expression to BANNED, with an example in
tests/docs/test_wording.py.
"""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("profiles", "controllers", "simulators", "scenarios", "analysis")
PAGES = ("README.md", "CONTRIBUTING.md", "docs/**/*.md")
# a docstring opens with a verb (functions) or a noun (classes, modules, attributes)
OPENINGS = (
    *("What", "Whatever", "Who", "Whoever", "Whom", "Whose", "How", "Where", "When"),
    *("Whether", "Which", "That", "Why", "If", "Of", "From"),
)
# expressions that no text contains, as regular expressions
BANNED = (
    r"what is no(ne)?\b",
    r"makes? do\b",
    r"nobody\b",
    r"who(m)?ever\b",
    r"(told|heard)\b",
    r"tells? (of|that|what|how|why|whether|which|who)\b",
)
# reasons that tables of negotiations record; they stay as they are
KEPT = ("nobody answers", "nobody is left to agree with", "heard of no commit")
EXEMPT = ("docs/benchmarks.md",)  # a record of measurements
_OPENING = re.compile(rf"({'|'.join(OPENINGS)})\b")
_BANNED = [re.compile(rf"\b{pattern}", re.IGNORECASE) for pattern in BANNED]
# a sentence with a clause as its subject; questions are accepted
_CLAUSE = re.compile(r"(?:^|(?<=[.!?:] ))(?:What|Whatever|Who|Whose) [^.!?]*[.!]")
_CODE = re.compile(r"^(```|~~~).*?^\1|`[^`\n]+`|\]\([^)\n]+\)", re.MULTILINE | re.DOTALL)
_PART = re.compile(r"\n[ \t]*\n|\n(?=[ \t]*(?:\||[-*] |\d+\. |#))")
_SCRIPT_COMMENT = re.compile(r"/\*.*?\*/|(?:^|(?<=\s))//[^\n]*", re.MULTILINE | re.DOTALL)
_DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef

Findings = Iterator[tuple[int, str]]


def findings(source: str) -> Findings:
    """Yield line and fault of the docstrings, messages and comments of a module."""
    tree = ast.parse(source)
    docstrings = set()
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and (text := ast.get_docstring(node)) is not None:
            statement = node.body[0]
            docstrings.add(statement.value)  # type: ignore[attr-defined]
            if match := _OPENING.match(text):
                fault = f"docstring opens with {match[0]!r}; a verb or a noun is accepted"
                yield statement.lineno, fault
            yield from ((statement.lineno, f"docstring {fault}") for fault in _faults(text))
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            continue
        if node not in docstrings and " " in node.value and node.value not in KEPT:
            yield from ((node.lineno, f"text {fault}") for fault in _faults(node.value))
    for line, text in _comments(source):
        yield from ((line, f"comment {fault}") for fault in _faults(text))


def script_findings(source: str) -> Findings:
    """Yield line and fault of the comments of a script or style sheet."""
    for match in _SCRIPT_COMMENT.finditer(source):
        line = source.count("\n", 0, match.start()) + 1
        yield from ((line, f"comment {fault}") for fault in _faults(match[0]))


def page_findings(source: str) -> Findings:
    """Yield line and fault of the paragraphs, items and rows of a page in Markdown."""
    text = _CODE.sub(lambda match: "x" + "\n" * match[0].count("\n"), source)
    start = 0
    for end in [*(match.start() for match in _PART.finditer(text)), len(text)]:
        part = text[start:end]
        line = text.count("\n", 0, start + len(part) - len(part.lstrip())) + 1
        plain = " ".join(part.split()).lstrip("-*#| ")
        yield from ((line, f"page {fault}") for fault in _faults(plain))
        if match := _CLAUSE.search(plain):
            yield line, f"page has a clause as subject: {match[0]!r}"
        start = end


def _faults(text: str) -> Iterator[str]:
    for pattern in _BANNED:
        if match := pattern.search(text):
            yield f"contains {' '.join(match[0].split())!r}"


def _comments(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of every comment; lines that follow each other are one."""
    first, last, block = 0, -1, [""]
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            if token.start[0] != last + 1:
                yield first, " ".join(block)
                first, block = token.start[0], []
            last = token.start[0]
            block.append(token.string.lstrip("# "))
    yield first, " ".join(block)


def main() -> int:
    """Print the findings in the product packages and pages; return 1 if there are any."""
    checks = [(page_findings, path) for pattern in PAGES for path in sorted(ROOT.glob(pattern))]
    for package in PACKAGES:
        checks += [(findings, path) for path in sorted((ROOT / package).rglob("*.py"))]
        for suffix in ("js", "css"):
            found = sorted((ROOT / package).rglob(f"*.{suffix}"))
            checks += [(script_findings, path) for path in found]
    bad = 0
    for check, path in checks:
        name = path.relative_to(ROOT).as_posix()
        if name in EXEMPT:
            continue
        for line, fault in sorted(check(path.read_text(encoding="utf-8"))):
            print(f"{name}:{line}: {fault}", file=sys.stderr)
            bad += 1
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
