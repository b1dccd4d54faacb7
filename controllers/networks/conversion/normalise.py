"""Conversion of a user's net: the sequence of all steps."""

import copy

from pandapower.auxiliary import pandapowerNet

from stackelgrid.controllers.networks.checks import check_indices
from stackelgrid.controllers.networks.conversion.equivalents import (
    convert_extended_wards,
    convert_motors,
    convert_wards,
)
from stackelgrid.controllers.networks.conversion.impedances import (
    impedances_as_lines,
    switches_as_lines,
)
from stackelgrid.controllers.networks.conversion.islands import drop_islands
from stackelgrid.controllers.networks.conversion.rows import drop_orphaned_costs
from stackelgrid.controllers.networks.conversion.single_phase import balance_single_phases
from stackelgrid.controllers.networks.conversion.slack import merge_slacks, slack_generator
from stackelgrid.controllers.networks.conversion.storages import fix_bare_storages
from stackelgrid.controllers.networks.conversion.three_windings import star_transformers
from stackelgrid.controllers.networks.conversion.topology import (
    apply_topology,
    drop_out_of_service,
)
from stackelgrid.controllers.networks.net_columns import explained
from stackelgrid.controllers.networks.net_record import NetRecord
from stackelgrid.controllers.networks.net_tables import conform_tables

# each replaces the elements of its table by others with the same power flow
_CONVERSIONS = (
    switches_as_lines,
    impedances_as_lines,
    convert_wards,
    convert_extended_wards,
    convert_motors,
    balance_single_phases,
    slack_generator,
    fix_bare_storages,
)


def normalise(net: pandapowerNet, name: str, record: NetRecord | None = None) -> pandapowerNet:
    """Return a copy of buses, lines, two-winding transformers and devices, all supplied.

    Switches and elements out of service are applied as pandapower does; other elements become
    equivalents with the same power flow, parts without supply are dropped. An element of one phase
    becomes a balanced one whose phase is kept in the column `phase` (empty for one between two
    phases, type delta). `record` takes the changes. Raises NetworkError where that is impossible.
    """
    record = NetRecord() if record is None else record
    net = copy.deepcopy(net)
    conform_tables(net, name)
    check_indices(net, name)
    record.columns = tuple(explained(net, transmission=record.transmission))
    star_transformers(net, name, record)  # a winding may be out of service
    drop_out_of_service(net, record)
    for convert in _CONVERSIONS:
        convert(net, name, record)
    apply_topology(net, name, record)
    merge_slacks(net, record)
    drop_islands(net, record)
    drop_orphaned_costs(net)
    return net
