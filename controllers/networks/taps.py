"""Tap changers of boundary transformers, and controllers of a net that would move taps.

Ratio and angle at every position are pandapower's.
"""

import copy
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pandapower.auxiliary import pandapowerNet

from stackelgrid.controllers import tolerances
from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.cells import flag, number, text
from stackelgrid.controllers.networks.naming import named
from stackelgrid.controllers.networks.net_elements import SUPPORTED_TABLES
from stackelgrid.controllers.networks.net_record import NetRecord
from stackelgrid.controllers.networks.per_unit import per_unit_branches
from stackelgrid.controllers.networks.transformer_checks import characteristic_steps
from stackelgrid.profiles.arrays import Floats

# a larger range is taken as a mistake: real changers have up to 35 positions
_MOST_POSITIONS = 1000


@dataclass(frozen=True)
class TapChanger:
    """Ratio and phase shift of a boundary transformer at each position from `tap_min` on.

    `ratios` are per-unit turns ratios on the upstream side (1 when nominal), `shifts` phase shifts
    in degrees, both with a second tap changer and the vector group's shift. A fixed tap has one
    position. `step` is the largest change of the ratio between neighbours, relative to the ratio
    at the neutral position.
    """

    tap_min: int
    ratios: tuple[float, ...]
    shifts: tuple[float, ...]
    step: float = 0.0

    @property
    def tap_max(self) -> int:
        """Highest position."""
        return self.tap_min + len(self.ratios) - 1

    @property
    def lowering(self) -> int:
        """Direction (1 or -1) in which the tap lowers the voltage of the lower side."""
        return 1 if self.ratios[-1] >= self.ratios[0] else -1

    def ratio(self, tap_pos: int) -> float:
        """Per-unit turns ratio at a tap position."""
        return self.ratios[self._at(tap_pos)]

    def shift_degree(self, tap_pos: int) -> float:
        """Phase shift at a tap position, degrees."""
        return self.shifts[self._at(tap_pos)]

    def _at(self, tap_pos: int) -> int:
        if not self.tap_min <= tap_pos <= self.tap_max:
            raise ValueError(f"tap_pos {tap_pos} lies outside [{self.tap_min}, {self.tap_max}]")
        return tap_pos - self.tap_min


def fixed_tap(net: pandapowerNet, trafo: int, name: str) -> TapChanger:
    """Read the present tap position of a transformer, 0 if the net has none.

    Any kind of changer on either side. Raises NetworkError for a position between two taps.
    """
    position = tap_position(net, trafo, name)
    ratio, shift = _converted(net, trafo, None)[:2, 0]
    return TapChanger(position, (float(ratio),), (float(shift),))


def tap_position(net: pandapowerNet, trafo: int, name: str) -> int:
    """Return the tap position of one transformer, 0 if the net has none."""
    position = number(net.trafo.loc[trafo], "tap_pos")
    if np.isnan(position):
        return 0
    if position != round(position):
        raise NetworkError(
            f"{named(name, 'trafo', [trafo])} has tap_pos = {position:g}; a whole number is "
            "accepted at the boundary"
        )
    return int(position)


def on_load_taps(net: pandapowerNet, trafo: int, name: str) -> TapChanger:
    """Read the whole range of an on-load tap changer.

    Raises NetworkError where its data are not complete, its position lies outside the range, the
    impedance changes with the position (a changer on the lower side, most characteristic tables),
    or the ratio does not rise or fall throughout (an ideal phase shifter).
    """
    row, label = net.trafo.loc[trafo], named(name, "trafo", [trafo])
    fixed = "kind fixed_tap accepts any"
    side = text(row, "tap_side")
    if not side:
        raise NetworkError(
            f"{label} has no tap_side; a transformer without taps is accepted with kind "
            "fixed_tap, an oltc needs tap_side 'hv'"
        )
    if side != "hv":
        raise NetworkError(
            f"{label} has tap_side {side!r}; 'hv' is accepted for an oltc, because taps on the "
            f"other side change the impedance too ({fixed})"
        )
    columns = ["tap_min", "tap_max", "tap_pos"]
    if not flag(row, "tap_dependency_table"):
        columns += ["tap_neutral", "tap_step_percent"]
    for column in columns:
        if not np.isfinite(number(row, column)):
            raise NetworkError(
                f"{label} has {column} NaN; an oltc needs it, in the net or under boundary "
                "(a transformer without taps is accepted with kind fixed_tap)"
            )
    position = tap_position(net, trafo, name)
    low, high = (_whole(row, column, label) for column in ("tap_min", "tap_max"))
    if not low <= position <= high:
        raise NetworkError(
            f"{label} has tap_pos = {position}; {low} to {high} (tap_min to tap_max) are accepted"
        )
    if high - low >= _MOST_POSITIONS:
        raise NetworkError(
            f"{label} has tap_min = {low}, tap_max = {high}; at most {_MOST_POSITIONS} positions "
            "are accepted"
        )
    if flag(row, "tap_dependency_table"):
        missing = sorted(set(range(low, high + 1)) - characteristic_steps(net, row))
        if missing:
            raise NetworkError(
                f"{label} has tap_min = {low}, tap_max = {high}, and its characteristic does not "
                f"hold tap {missing[0]}; positions that it holds are accepted"
            )
    table = _at_positions(net, trafo, range(low, high + 1))
    ratio, shift = table[0], table[1]
    for values in table[2:]:
        if np.ptp(values) > tolerances.SAME_IMPEDANCE * np.max(np.abs(values)):
            raise NetworkError(
                f"{label} changes its impedance with the tap; an oltc accepts a constant one "
                f"({fixed})"
            )
    change = np.diff(ratio)
    if len(change) and not (np.all(change > 0.0) or np.all(change < 0.0)):
        kind = text(row, "tap_changer_type") or "empty"
        raise NetworkError(
            f"{label} has tap_changer_type {kind}, whose ratio does not rise or fall throughout "
            f"from tap {low} to {high}, so it cannot regulate a voltage; an oltc accepts 'Ratio' "
            f"with a tap_step_percent ({fixed})"
        )
    neutral = number(row, "tap_neutral")
    at = int(np.clip(0.0 if np.isnan(neutral) else neutral, low, high)) - low
    step = float(np.max(np.abs(change), initial=0.0)) / float(ratio[at])
    return TapChanger(low, tuple(ratio.tolist()), tuple(shift.tolist()), step)


def _at_positions(net: pandapowerNet, trafo: int, positions: Sequence[int]) -> Floats:
    """Ratio, shift, r, x, g and b (rows) of one transformer at tap positions (columns)."""
    if not flag(net.trafo.loc[trafo], "tap_dependency_table"):
        return _converted(net, trafo, positions)
    # pandapower takes one position for all transformers of a characteristic
    return np.concatenate([_converted(net, trafo, [k]) for k in positions], axis=1)


def _converted(net: pandapowerNet, trafo: int, positions: Sequence[int] | None) -> Floats:
    """Convert copies of one slack transformer by pandapower, at the net's position if None."""
    rows = net.trafo.loc[[trafo] * len(positions or [0])].reset_index(drop=True)
    if positions is not None:
        rows["tap_pos"] = np.array(positions, dtype=float)
    alone = copy.copy(net)  # tables are replaced, none is changed
    for table in SUPPORTED_TABLES - {"bus", "trafo", "ext_grid"}:
        alone[table] = net[table].iloc[:0]
    alone["bus"] = net.bus.loc[[int(rows.hv_bus.iloc[0]), int(rows.lv_bus.iloc[0])]]
    alone["trafo"] = rows
    data = per_unit_branches(alone)
    return np.array([data.ratio, data.shift_degree, data.r, data.x, data.g_from, data.b_from])


def _whole(row: pd.Series, column: str, label: str) -> int:
    value = number(row, column)
    if value != round(value):
        raise NetworkError(f"{label} has {column} = {value:g}; a whole number is accepted")
    return int(value)


def replace_tap_controllers(
    net: pandapowerNet, name: str, regulated: Collection[int], record: NetRecord
) -> None:
    """Note the controllers of transformers that the scenario regulates; refuse the others.

    net: net of the user.
    name: name of the grid, for messages.
    regulated: indices of `net.trafo`.
    record: receives the changes.

    Raises NetworkError for a tap controller in service of another transformer, which pandapower
    moves with run_control=True and a run does not.
    """
    if not len(net.controller):
        return
    from pandapower.control import TrafoController  # takes a second to import

    for index, row in net.controller.iterrows():
        if not row.in_service or not isinstance(row.object, TrafoController):
            continue
        kind = type(row.object).__name__
        try:
            element = row.object.element
            trafos = [int(i) for i in np.atleast_1d(row.object.element_index)]
        except (AttributeError, TypeError, ValueError) as error:
            raise NetworkError(
                f"grid {name}: controller {index} ({kind}) does not say which transformers it "
                "moves; element and element_index are needed"
            ) from error
        free = [i for i in trafos if i not in regulated]
        if free:
            raise NetworkError(
                f"grid {name}: controller {index} ({kind}) moves the tap of {element} "
                f"{free[0]}; a boundary of kind oltc regulates the transformer at the slack bus in "
                "its place, any other tap is fixed: take the controller out of service"
            )
        record.note(
            "replaced", "controller", [index], f"{kind} -> oltc of the scenario", key="boundary"
        )
