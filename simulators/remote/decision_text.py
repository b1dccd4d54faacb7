"""Decisions as text, to transfer them from the deciding process to the one that applies them."""

import base64
from typing import Any

import msgspec
import numpy as np

from stackelgrid.controllers.decision import Decision
from stackelgrid.controllers.errors import StackelgridError


class DecisionError(StackelgridError):
    """Raised when a text does not decode to a decision."""


def decision_text(decision: Decision) -> str:
    """Encode a decision as text; every number keeps all its bits."""
    return base64.b64encode(msgspec.msgpack.encode(decision, enc_hook=_plain)).decode("ascii")


def decision_of(text: object) -> Decision:
    """Decode a decision from text; raises DecisionError."""
    try:
        if not isinstance(text, str):
            raise TypeError(f"{type(text).__name__} is not text")
        data = base64.b64decode(text, validate=True)
        return msgspec.msgpack.decode(data, type=Decision, dec_hook=_array)
    except (ValueError, TypeError, msgspec.MsgspecError) as error:
        raise DecisionError(f"not a decision ({error})") from error


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return (value.dtype.str, value.shape, value.tobytes())
    if isinstance(value, np.generic):
        return value.item()
    raise NotImplementedError(f"{type(value).__name__} cannot be part of a decision")


def _array(kind: Any, value: Any) -> Any:
    dtype, shape, data = value
    if np.dtype(dtype).kind not in "biuf":
        raise ValueError(f"an array of {dtype}")
    return np.frombuffer(data, dtype=dtype).reshape(shape)
