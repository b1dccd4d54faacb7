"""Write the tables of columns in the documentation: `make schema`, between the markers of a page.

The columns are declared in the `*_tables` modules of stackelgrid.simulators.results and in
stackelgrid.analysis.study_columns; a page holds `<!-- columns: NAME -->` and
`<!-- end of columns -->` around the tables that this script rewrites.
"""

import re
import sys
from pathlib import Path

from stackelgrid.analysis.study_columns import COMPARE_TABLES, ENSEMBLE_TABLES, SWEEP_TABLES
from stackelgrid.simulators.results.columns import KEY, Column, Table
from stackelgrid.simulators.results.grid_tables import NETWORK
from stackelgrid.simulators.results.tables import TABLES

DOCS = Path(__file__).resolve().parents[1]
PAGES = {
    "results.md": (*TABLES.values(), NETWORK, *COMPARE_TABLES),
    "exactness.md": SWEEP_TABLES,
    "ensemble.md": ENSEMBLE_TABLES,
}
_END = "<!-- end of columns -->"


def rendered(table: Table) -> str:
    """Markdown of a table: what a row is, then one line a column; the common key is left out."""
    lines = [table.row, "", "| column | unit | meaning |", "|---|---|---|"]
    for group in table.groups:
        if group.title:
            text = f", {_cell(group.text)}" if group.text else ""
            lines.append(f"| **{group.title}**{text} | | |")
        lines += [_line(column) for column in group.columns if column not in KEY]
    return "\n".join(lines)


def generated(page: str, tables: tuple[Table, ...]) -> str:
    """Return a page with the columns of all its tables as the code declares them."""
    for table in tables:
        begin = f"<!-- columns: {table.name} -->"
        pattern = re.compile(re.escape(begin) + r"\n.*?" + re.escape(_END), re.DOTALL)
        if len(pattern.findall(page)) != 1:
            raise ValueError(f"{begin} ... {_END}: one such pair is accepted")
        page = pattern.sub(lambda _, t=table, b=begin: f"{b}\n{rendered(t)}\n{_END}", page)
    return page


def _line(column: Column) -> str:
    return f"| `{column.name}` | {column.unit} | {_cell(column.text)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> int:
    """Rewrite the pages; with --check only say which are not as generated."""
    check, old = "--check" in sys.argv[1:], []
    for name, tables in PAGES.items():
        path = DOCS / name
        before = path.read_text(encoding="utf-8")
        after = generated(before, tables)
        if after != before:
            old.append(name)
            if not check:
                path.write_text(after, encoding="utf-8")
    for name in old:
        print(f"docs/{name}: {'is not as generated; run make schema' if check else 'written'}")
    return 1 if check and old else 0


if __name__ == "__main__":
    sys.exit(main())
