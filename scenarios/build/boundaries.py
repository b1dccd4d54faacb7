"""Write boundaries of a scenario into the nets; values of the scenario replace the net's."""

import numpy as np
import pandas as pd
from pandapower.auxiliary import pandapowerNet

from stackelgrid.controllers.networks.boundary import (
    TransformerData,
    attach_transformer,
    boundary_trafo,
    boundary_trafos,
    follow_upstream_voltage,
    tap_changer,
)
from stackelgrid.controllers.networks.cells import flag, number, text
from stackelgrid.controllers.networks.net_record import NetRecord, replace_values
from stackelgrid.controllers.networks.taps import TapChanger, replace_tap_controllers
from stackelgrid.controllers.networks.transformer_checks import check_transformers
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.schema.boundary import BoundarySection
from stackelgrid.scenarios.schema.grid import GridSection

# p.u.: rounding of a tap step
_ROUNDING = 1e-9


def apply_boundary(net: pandapowerNet, section: GridSection, record: NetRecord) -> None:
    """Add the boundary transformer, or write the scenario's values into the net's own, in place.

    The record notes each replaced value of the net. Raises ScenarioError, and NetworkError for a
    transformer that does not suit the boundary.
    """
    boundary, name = section.boundary, section.name
    regulated = boundary_trafos(net) if boundary.kind == "oltc" else []
    replace_tap_controllers(net, name, regulated, record)
    if boundary.adds_transformer:
        assert boundary.sn_mva is not None
        assert boundary.vk_percent is not None
        assert boundary.vkr_percent is not None
        plate = (boundary.sn_mva, boundary.vk_percent, boundary.vkr_percent)
        data = TransformerData(*plate, **boundary.stated)
        attach_transformer(net, data, name)
        record.note("added", "trafo", boundary_trafos(net), "from boundary", key="boundary")
        _check_range(net, boundary_trafos(net)[0], boundary, name)
        return
    if boundary.kind == "ideal":
        return
    if not boundary_trafos(net):
        raise ScenarioError(
            f"grids.{name}.boundary: kind {boundary.kind!r} needs a transformer and "
            f"{section.case} has none at its slack bus; give sn_mva, vk_percent and vkr_percent"
        )
    trafo = boundary_trafo(net, name)
    _state(net, trafo, section, record)
    check_transformers(net, name)
    _check_range(net, trafo, boundary, name)


def boundary_taps(net: pandapowerNet, section: GridSection) -> tuple[int | None, TapChanger | None]:
    """Return the position of the boundary transformer in `net.trafo` and its tap changer.

    Both are None for an ideal boundary. Raises NetworkError as `tap_changer` does, and
    ScenarioError for a deadband below a tap step.
    """
    boundary = section.boundary
    if boundary.kind == "ideal":
        return None, None
    trafo, taps = tap_changer(net, section.name, boundary.kind)
    if boundary.deadband_pu is not None and boundary.deadband_pu < taps.step * (1.0 - _ROUNDING):
        raise ScenarioError(
            f"grids.{section.name}.boundary: deadband_pu must be at least one step of the tap "
            f"({taps.step:g}), or it hunts"
        )
    return trafo, taps


def follow_parent(net: pandapowerNet, parent: pandapowerNet, bus: int, record: NetRecord) -> None:
    """Set the nominal voltage of the upstream side to that of the parent's bus."""
    follow_upstream_voltage(net, float(parent.bus.vn_kv.at[bus]), record)


def _state(net: pandapowerNet, trafo: int, section: GridSection, record: NetRecord) -> None:
    """Write the scenario's tap data and shift; a tap changer without type becomes a ratio one."""
    stated, row = section.boundary.stated, net.trafo.loc[trafo]
    if "tap_step_percent" in stated:
        if flag(row, "tap_dependency_table"):
            raise ScenarioError(
                f"grids.{section.name}.boundary.tap_step_percent: trafo {trafo} takes its ratios "
                "from net.trafo_characteristic_table; leave tap_step_percent out"
            )
        for column, value in (("tap_changer_type", "Ratio"), ("tap_side", "hv")):
            if not text(row, column):
                stated[column] = value
        if np.isnan(number(row, "tap_neutral")):
            stated["tap_neutral"] = 0
    for column, value in stated.items():
        kind = object if isinstance(value, str) else float
        values = net.trafo.get(column, pd.Series(np.nan, net.trafo.index))
        net.trafo[column] = values.astype(kind)
        replace_values(net, record, "trafo", column, value, f"boundary.{column}", [trafo])


def _check_range(net: pandapowerNet, trafo: int, boundary: BoundarySection, name: str) -> None:
    """Refuse a tap position outside the transformer's range, where that range is known."""
    row = net.trafo.loc[trafo]
    low, high = number(row, "tap_min"), number(row, "tap_max")
    if boundary.tap_pos is not None and (boundary.tap_pos < low or boundary.tap_pos > high):
        raise ScenarioError(
            f"grids.{name}.boundary: tap_pos must lie in [{low:g}, {high:g}], found "
            f"{boundary.tap_pos}"
        )
