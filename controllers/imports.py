"""Objects of users by reference, `package.module:name`."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stackelgrid.controllers.errors import ImportReferenceError


def imported(reference: str, folder: Path | str) -> Any:
    """Return the object that `package.module:name` names.

    reference: the module and the name in it.
    folder: searched for the module after installed ones.

    Raises ImportReferenceError for a module that cannot be imported and a name that it lacks.
    """
    module_name, _, name = reference.partition(":")
    try:
        with _importable(folder):
            module = importlib.import_module(module_name)
    except Exception as error:  # a module of a user may raise anything
        kind = "" if isinstance(error, ImportError) else f"{type(error).__name__}: "
        text = " ".join(f"{kind}{error}".split())
        raise ImportReferenceError(f"{module_name!r} cannot be imported ({text})") from error
    if not hasattr(module, name):
        raise ImportReferenceError(f"module {module_name!r} has no {name!r}")
    return getattr(module, name)


@contextmanager
def _importable(folder: Path | str) -> Iterator[None]:
    """Make modules in a folder importable; installed ones come first."""
    sys.path.append(str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
