"""Table and lines that the command line prints on a file of profiles."""

from collections.abc import Iterator

from rich.table import Table

from stackelgrid.controllers.networks.naming import counted
from stackelgrid.profiles.tables.description import TableDescription
from stackelgrid.scenarios.cli.tables import result_table

_MOST_COLUMNS = 40


def profile_texts(found: TableDescription) -> Iterator[Table | str]:
    """Yield how a file of time series is understood, its columns, and its problems."""
    ends = f" (the row ends {found.end})" if found.end else ""
    step = f" every {found.step_min:g} min" if found.step_min else ""
    yield f"{found.file}: {found.kind}, {counted(found.rows, 'row')}{step}"
    yield f"from {found.first} to {found.last}{ends}"
    zone = f", local time of {found.timezone}" if found.timezone else ""
    edges = f", {found.edges} edges of rows" if found.edges else ""
    yield f"stamps: {found.stamps}{zone}{edges}"
    if found.separator:
        yield f"text: {found.separator} between columns, decimal sign {found.decimal!r}"
    rows = [
        (c.column, c.unit or "-", *map(_number, (c.min, c.mean, c.max, c.energy_mwh)), c.use)
        for c in found.columns[:_MOST_COLUMNS]
    ]
    more = len(found.columns) - len(rows)
    headings = ("column", "unit", "min", "mean", "max", "energy\nMWh", "use in a scenario")
    note = f"and {counted(more, 'further column')}; --json lists all" if more else ""
    yield result_table("", headings, rows, (0, 6), note)
    for kind, lines in (("used by", found.used_by), ("note", found.notes)):
        for line in lines:
            yield f"{kind}: {line}"
    for line in found.problems:
        yield f"problem: {line}"
    if not found.problems:
        yield "no problems found"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.5g}"
