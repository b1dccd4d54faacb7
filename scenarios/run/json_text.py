"""JSON text without NaN and infinity, which the JSON standard does not have."""

import json
from collections.abc import Mapping
from math import isfinite
from typing import Any


def json_text(content: Any, indent: int | None = None) -> str:
    """Return plain data as JSON; numbers that are not finite become null."""
    return json.dumps(finite(content), indent=indent, allow_nan=False)


def finite(content: Any) -> Any:
    """Return plain data with None in place of numbers that are not finite."""
    if isinstance(content, float):
        return content if isfinite(content) else None
    if isinstance(content, Mapping):
        return {key: finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [finite(value) for value in content]
    return content
