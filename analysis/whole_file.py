"""Files that appear whole or not at all, to a reader and after a loss of power."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stackelgrid.simulators.tables import sync


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give the path to write to; it replaces `path` where the block ends without an error."""
    unfinished = path.with_name(f"{path.name}.tmp")
    yield unfinished
    sync(unfinished)
    unfinished.rename(path)
