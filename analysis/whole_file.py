"""Files that appear whole or not at all: a reader never sees half of one."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give the path to write to; it replaces `path` where the block ends without an error."""
    unfinished = path.with_name(f"{path.name}.tmp")
    yield unfinished
    unfinished.rename(path)
