"""Checks of transformers: impossible data, and tap data that pandapower would ignore."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from pandapower.auxiliary import pandapowerNet

from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.cells import column_of, flag, number, text
from stackelgrid.controllers.networks.naming import named

_TYPES = ("Ratio", "Symmetrical", "Ideal", "Tabular")


def check_transformers(net: pandapowerNet, name: str) -> None:
    """Raise NetworkError for transformers with impossible data, naming them and the column.

    pandapower ignores a tap position whose changer it cannot determine (no `tap_changer_type`, side
    or step) and characteristics that do not contain the position; such a position is refused.
    """
    if not len(net.trafo):
        return
    _check_plates(net, name)
    _check_leakage(net, name)
    for prefix in ("tap", "tap2"):
        for index, row in net.trafo.iterrows():
            for fault in _tap_faults(net, row, prefix):
                raise NetworkError(f"{named(name, 'trafo', [index])} has {fault}")
    _check_characteristics(net, name)


def _check_plates(net: pandapowerNet, name: str) -> None:
    trafo = net.trafo
    good = (
        (trafo.sn_mva > 0.0)
        & (trafo.vk_percent != 0.0)
        & (trafo.vkr_percent.abs() <= trafo.vk_percent.abs())
    ).to_numpy()
    if not good.all():
        raise NetworkError(
            f"{named(name, 'trafo', trafo.index[~good])} has an impossible impedance; sn_mva > 0 "
            "and vk_percent of at least the size of vkr_percent are accepted (negative ones occur "
            "in the star of a three-winding transformer)"
        )
    for column, low in (
        ("vn_hv_kv", 0.0), ("vn_lv_kv", 0.0), ("parallel", 0.0), ("shift_degree", None),
        ("pfe_kw", None), ("i0_percent", None),
    ):  # fmt: skip
        values = column_of(trafo, column, 1.0)
        bad = ~np.isfinite(values) if low is None else ~((values > low) & np.isfinite(values))
        if bad.any():
            accepted = "a finite number" if low is None else "a finite number > 0"
            raise NetworkError(
                f"{named(name, 'trafo', trafo.index[bad])} has {column} = {values[bad][0]:g}; "
                f"{accepted} is accepted"
            )


def _check_leakage(net: pandapowerNet, name: str) -> None:
    trafo = net.trafo
    iron = (trafo.pfe_kw != 0.0) | (trafo.i0_percent != 0.0)
    for column in ("leakage_resistance_ratio_hv", "leakage_reactance_ratio_hv"):
        if column in trafo:
            bad = trafo.index[iron & (trafo[column].fillna(0.5) != 0.5)]
            if len(bad):  # lightsim2grid models symmetric transformers only
                raise NetworkError(
                    f"{named(name, 'trafo', bad)} has {column} = {trafo.at[bad[0], column]:g}; "
                    "0.5 is accepted where there are iron losses"
                )


def _tap_faults(net: pandapowerNet, row: pd.Series, tap: str) -> Iterator[str]:
    """Yield the faults of the first (tap) or second (tap2) changer of a transformer."""
    kind = text(row, f"{tap}_changer_type")
    legacy = f"{tap}_changer_type" not in net.trafo and f"{tap}_phase_shifter" in net.trafo
    if kind and kind not in _TYPES:
        yield f"{tap}_changer_type {kind!r}; accepted: {', '.join(_TYPES)}"
    if flag(row, "tap_dependent_impedance"):
        yield (
            "tap_dependent_impedance, which pandapower 3 replaced; tap_dependency_table with "
            "net.trafo_characteristic_table is accepted"
        )
    if flag(row, f"{tap}_phase_shifter") and not legacy and kind != "Ideal":
        yield (
            f"{tap}_phase_shifter beside {tap}_changer_type {kind or 'empty'}, which pandapower 3 "
            f"passes over; {tap}_changer_type 'Ideal' is accepted"
        )
    if tap == "tap2" and flag(row, "tap2_dependency_table"):
        yield "tap2_dependency_table; a characteristic of the first changer is accepted"
    if tap == "tap" and flag(row, "tap_dependency_table"):
        return  # see _check_characteristics
    if kind == "Tabular":
        yield f"{tap}_changer_type 'Tabular'; tap_dependency_table must be True with it"
    position, neutral = number(row, f"{tap}_pos"), number(row, f"{tap}_neutral")
    percent, degree = (number(row, f"{tap}_step_{unit}") for unit in ("percent", "degree"))
    ideal = flag(row, f"{tap}_phase_shifter") if legacy else kind == "Ideal"
    stepped = (np.isfinite(percent) and percent != 0.0, np.isfinite(degree) and degree != 0.0)
    if ideal and all(stepped):
        yield (
            f"an ideal changer with {tap}_step_percent = {percent:g} and {tap}_step_degree = "
            f"{degree:g}; one of the two is accepted (the other 0 or empty)"
        )
    if not np.isfinite(position) or position == neutral:
        return
    side = text(row, f"{tap}_side")
    untapped = not (kind or side) and np.isnan([neutral, percent, degree]).all()
    if untapped and position == 0.0:
        return  # a transformer without changer, with pandapower's default position
    at = f"{tap}_pos = {position:g}"
    if not kind and not legacy:
        yield (
            f"{at} and no {tap}_changer_type, without which pandapower 3 passes over the tap; "
            f"state 'Ratio' (or {', '.join(_TYPES[1:])}), or set {tap}_pos to {tap}_neutral"
        )
    if not np.isfinite(neutral):
        yield f"{at} and {tap}_neutral NaN; a number is accepted"
    if side not in ("hv", "lv"):
        yield f"{at} and {tap}_side {side or 'empty'!r}; 'hv' and 'lv' are accepted"
    if not (np.isfinite(percent) or (ideal and np.isfinite(degree))):
        yield f"{at} and {tap}_step_percent NaN; a number is accepted"
    if ideal and stepped[0] and abs((position - neutral) * percent) > 200.0:
        yield f"{at}, more than an ideal changer of {tap}_step_percent = {percent:g} can turn"


def characteristic_steps(net: pandapowerNet, row: pd.Series) -> set[float]:
    """Tap positions that the characteristic of a transformer holds."""
    table = net.get("trafo_characteristic_table")
    if table is None or not len(table):
        return set()
    own = table.id_characteristic == number(row, "id_characteristic_table")
    return {float(step) for step in table.step[own]}


def _check_characteristics(net: pandapowerNet, name: str) -> None:
    """Check that characteristics contain the position; transformers sharing one, one position."""
    positions: dict[float, float] = {}
    for index, row in net.trafo.iterrows():
        if not flag(row, "tap_dependency_table"):
            continue
        label, steps = named(name, "trafo", [index]), characteristic_steps(net, row)
        position, own = number(row, "tap_pos"), number(row, "id_characteristic_table")
        if not steps:
            raise NetworkError(
                f"{label} has tap_dependency_table and no characteristic; an "
                "id_characteristic_table of net.trafo_characteristic_table is accepted"
            )
        if position not in steps:
            held = ", ".join(f"{step:g}" for step in sorted(steps))
            raise NetworkError(
                f"{label} has tap_pos = {position:g}, which characteristic {own:g} of "
                f"net.trafo_characteristic_table does not hold; accepted: {held}"
            )
        if positions.setdefault(own, position) != position:
            raise NetworkError(
                f"{label} shares characteristic {own:g} with a transformer at another tap_pos, of "
                "which pandapower reads one only; a characteristic for each is accepted"
            )
