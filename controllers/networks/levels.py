"""Voltage levels of grids, and names of parts of a net."""

from typing import Literal

Level = Literal["transmission", "mv", "lv"]
# kV: highest nominal voltage of a level; above is transmission
_HIGHEST_KV: dict[Level, float] = {"lv": 1.0, "mv": 60.0}
PART = r"^(ext_grid|trafo) (0|[1-9]\d{0,8})$"


def level_of(vn_kv: float) -> Level:
    """Return the level of a nominal voltage: up to 1 kV, up to 60 kV, or above."""
    return next((level for level, kv in _HIGHEST_KV.items() if vn_kv <= kv), "transmission")


def lower_limit_kv(level: Level) -> float:
    """Return the highest nominal voltage of the grids below one of a level."""
    return _HIGHEST_KV["mv" if level == "transmission" else "lv"]
