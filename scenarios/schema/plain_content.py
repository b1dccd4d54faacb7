"""Checks of a scenario's plain content: depth, keys, texts and whole numbers."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from stackelgrid.profiles.errors import shown
from stackelgrid.profiles.size_limits import SCENARIO_DEPTH
from stackelgrid.scenarios.errors import ScenarioError

_LARGEST = 2**63 - 1


def check_content(data: Mapping[str, Any], name: str) -> None:
    """Refuse content that no key of a scenario accepts; raises ScenarioError with the key.

    Refused: sections nested deeper than `SCENARIO_DEPTH`, keys that are not text, text with control
    characters, and whole numbers beyond 64 bits.
    """
    left: list[tuple[tuple[str, ...], Any]] = [((), data)]
    while left:
        at, value = left.pop()
        if isinstance(value, str):
            _check_text(value, at, name)
        elif isinstance(value, int) and not isinstance(value, bool):
            if not -_LARGEST <= value <= _LARGEST:
                raise ScenarioError(
                    f"{name}: {_key(at)}: {shown(value)}; whole numbers of 64 bits are accepted"
                )
        elif isinstance(value, Mapping | list | tuple):
            if len(at) >= SCENARIO_DEPTH:
                raise ScenarioError(
                    f"{name}: {_key(at)}: is nested {len(at)} deep; less than {SCENARIO_DEPTH} "
                    "is accepted"
                )
            items = value.items() if isinstance(value, Mapping) else enumerate(value)
            for key, entry in items:
                if not isinstance(key, str | int):
                    raise ScenarioError(f"{name}: {_key(at)}: the key {shown(key)} is not text")
                _check_text(str(key), at, name)
                left.append(((*at, str(key)), entry))
        elif isinstance(value, date) and not 1 <= value.year <= 9999:
            raise ScenarioError(f"{name}: {_key(at)}: {shown(value)} is not a date")


def _check_text(text: str, at: tuple[str, ...], name: str) -> None:
    bad = next((c for c in text if (c < " " and c not in "\t\n\r") or c == "\x7f"), None)
    if bad is not None:
        raise ScenarioError(
            f"{name}: {_key(at)}: {shown(text)} holds the control character {bad!r}; text is "
            "accepted"
        )


def _key(at: tuple[str, ...]) -> str:
    parts = [shown(part)[1:-1] for part in at]
    return ".".join(parts if len(parts) <= 8 else [*parts[:7], "..."]) or "scenario"
