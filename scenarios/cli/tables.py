"""Tables on the console."""

from collections.abc import Collection, Iterable
from typing import Literal

from rich import box
from rich.table import Table


def result_table(
    title: str,
    headings: Iterable[str],
    rows: Iterable[Iterable[object]],
    texts: Collection[int],
    note: str = "",
) -> Table:
    """Return a table of the console, in which nothing is cut off.

    title, headings, rows: its texts.
    texts: positions of the columns of text, which are wrapped between words.
    note: text below it.
    """
    table = Table(
        title=title, title_justify="left", caption=note or None, caption_justify="left",
        box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0),
    )  # fmt: skip
    cells = [[str(cell) for cell in row] for row in rows]
    for k, heading in enumerate(headings):
        kept = [word for row in cells for word in (row[k].split() if k in texts else [row[k]])]
        widest = max(map(len, kept), default=0)
        justify: Literal["left", "right"] = "left" if k in texts else "right"
        table.add_column(heading, justify=justify, min_width=widest, overflow="fold")
    for row in cells:
        table.add_row(*row)
    return table
