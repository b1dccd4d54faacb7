"""States as bytes, and back: plain data only, whoever has written them."""

import builtins
import io
import pickle
from collections import Counter
from dataclasses import is_dataclass
from typing import Any

from msgspec import Struct

from stackelgrid.profiles.errors import StackelgridError

__all__ = ["StateError", "bytes_of_state", "state_of_bytes"]

_CONTAINERS = ("set", "frozenset", "complex", "slice")
_NOT_PLAIN = (pickle.UnpicklingError, ValueError, EOFError, AttributeError, ImportError)
_ARRAYS = ("_reconstruct", "ndarray", "dtype", "scalar", "_frombuffer")


class StateError(StackelgridError):
    """What should be a state is none."""


def bytes_of_state(state: Any) -> bytes:
    """Bytes of a state; every number keeps all its bits.

    Raises StateError for whatever could not be read back: it is not plain data.
    """
    try:
        data = pickle.dumps(state, protocol=5)
        _PlainUnpickler(io.BytesIO(data)).load()
    except (*_NOT_PLAIN, pickle.PicklingError, TypeError, RecursionError) as error:
        raise StateError(str(error)) from error
    return data


def state_of_bytes(data: bytes) -> Any:
    """State of bytes; raises StateError for whatever is not plain data."""
    try:
        return _PlainUnpickler(io.BytesIO(data)).load()
    except _NOT_PLAIN as error:
        raise StateError(f"no state ({error})") from error


class _PlainUnpickler(pickle.Unpickler):
    """Reads numbers, texts, arrays, containers, dataclasses and messages of the project."""

    def find_class(self, module: str, name: str) -> Any:
        """Refuse whatever is not plain data."""
        if "." in name:  # the way from a module to what it imports
            raise pickle.UnpicklingError(f"{module}.{name} is no plain data")
        if module == "builtins" and name in _CONTAINERS:
            return getattr(builtins, name)
        if module == "collections" and name == "Counter":
            return Counter
        if (module, name) == ("msgspec._utils", "rebuild"):  # of a message
            return super().find_class(module, name)
        if module.split(".")[0] == "numpy" and name in _ARRAYS:
            return super().find_class(module, name)
        if module.startswith("stackelgrid."):
            found = super().find_class(module, name)
            if is_dataclass(found) or (isinstance(found, type) and issubclass(found, Struct)):
                return found
        raise pickle.UnpicklingError(f"{module}.{name} is no plain data")
