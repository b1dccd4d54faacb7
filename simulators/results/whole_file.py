"""Files that are written completely or not at all, also after a loss of power.

Nothing is written through a symbolic link: a link in place of a file is replaced, one in place of
a folder is refused, so that nothing outside the named directory is changed.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from stackelgrid.profiles.errors import StackelgridError

__all__ = ["appending", "own_folder", "refuse_links", "sync", "whole_file"]


@contextmanager
def whole_file(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Yield the path to write to; it replaces `path` if the block ends without an error.

    A `durable` file is complete after a loss of power, too. Raises OSError.
    """
    unfinished = path.with_name(f"{path.name}.tmp")
    unfinished.unlink(missing_ok=True)  # of a process that was killed, or a link
    try:
        yield unfinished
        if durable:
            sync(unfinished)
        unfinished.rename(path)
    except BaseException:  # a full disk, Ctrl-C
        unfinished.unlink(missing_ok=True)
        raise


def own_folder(path: Path) -> Path:
    """Make a folder inside a directory of results; raises StackelgridError if it is a link."""
    if path.is_symlink():
        raise StackelgridError(f"{path}: is a symbolic link; nothing is written through one")
    path.mkdir(parents=True, exist_ok=True)
    return path


def refuse_links(directory: Path) -> None:
    """Raise StackelgridError if a directory of results contains a symbolic link.

    Called before anything is written there; the message names the first link.
    """
    for folder, folders, files in os.walk(directory):
        for name in sorted([*folders, *files]):
            path = Path(folder, name)
            if path.is_symlink():
                raise StackelgridError(
                    f"{path}: is a symbolic link; nothing is written through one"
                )


@contextmanager
def appending(path: Path) -> Iterator[BinaryIO]:
    """Open a file to append to; raises OSError, also for a symbolic link."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
    with os.fdopen(os.open(path, flags, 0o666), "ab") as file:
        yield file


def sync(path: Path) -> None:
    """Flush a file, or the names in a folder, to disk; raises OSError."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
