"""Names and numbers of net elements and other things in messages."""

from collections.abc import Iterable


def listed(index: Iterable[object], limit: int = 6) -> str:
    """Return `3, 4 and 2 more`: the first indices and the number of the others."""
    items = [str(i) for i in index]
    return ", ".join(items[:limit]) + (f" and {len(items) - limit} more" if items[limit:] else "")


def counted(number: int, noun: str) -> str:
    """Return "1 interval", "4 intervals"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def named(name: str, table: str, index: Iterable[object], limit: int = 6) -> str:
    """Return `grid mv1: line 3, 4, ...`, the form in which every message names elements.

    name: name of the grid.
    table: table of pandapower.
    index: indices of the elements.
    limit: number of indices to list; the others are counted.
    """
    return f"grid {name}: {table} {listed(index, limit)}"
