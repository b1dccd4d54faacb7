"""How messages name elements of a net."""

from collections.abc import Iterable


def named(name: str, table: str, index: Iterable[object], limit: int = 6) -> str:
    """Return `grid mv1: line 3, 4, ...`, the way every message names elements."""
    items = [str(i) for i in index]
    shown = ", ".join(items[:limit]) + (f" and {len(items) - limit} more" if items[limit:] else "")
    return f"grid {name}: {table} {shown}"
