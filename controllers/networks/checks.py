"""Requirements on a pandapower net before anything is computed with it."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from pandapower.auxiliary import pandapowerNet
from pandapower.topology import create_nxgraph, unsupplied_buses

from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.naming import named
from stackelgrid.controllers.networks.net_columns import declared, refused_tables, refused_values
from stackelgrid.controllers.networks.net_elements import (
    BRANCH_ENDS,
    BUS_COLUMNS,
    CONVERTED_TABLES,
    SUPPORTED_TABLES,
    SWITCHED,
)
from stackelgrid.controllers.networks.transformer_checks import check_transformers
from stackelgrid.profiles.errors import shown

# tables whose elements pandapower gives a cost
_WITH_COST = ("ext_grid", "gen", "sgen", "load", "storage", "dcline")
# pandapower allocates arrays up to the largest index of a bus
_LARGEST_INDEX = 10_000_000


def check_net(net: pandapowerNet, name: str) -> None:
    """Raise NetworkError for a net that cannot be simulated, naming the elements.

    Refused are unsupported elements, no or several slack buses, isolated buses, NaN or negative
    impedances, impossible transformers, ratings <= 0 and elements on buses that do not exist.
    Elements out of service must have been removed before (see `conversion.normalise`).
    """
    _check_supported(net, name)
    check_indices(net, name)
    _check_buses(net, name)
    _check_slack(net, name)
    _check_impedances(net, name)
    check_transformers(net, name)
    _check_ratings(net, name)
    _check_devices(net, name)
    _check_voltage_set_points(net, name)
    _check_options(net, name)
    isolated = unsupplied_buses(net)
    if isolated:
        raise NetworkError(
            f"{named(name, 'bus', sorted(isolated))} isolated from the slack bus; "
            "every bus with loads or generators must be supplied (close a switch, or set "
            "in_service = False)"
        )


def check_radial(net: pandapowerNet, name: str) -> None:
    """Raise NetworkError for loops or parallel branches, naming their buses.

    A net that passes may still have isolated buses (see `check_net`).
    """
    branches = len(net.line) + len(net.trafo)
    if branches <= len(net.bus) - 1:
        return
    graph = create_nxgraph(net, multi=False)
    import networkx as nx  # only needed to name the offenders

    loops = nx.cycle_basis(graph)
    if loops:
        raise NetworkError(
            f"{named(name, 'bus', loops[0], limit=12)} form a loop; a radial network is required "
            '(open a line of the loop, or state open_loops = "minimum_loss")'
        )
    pairs = pd.concat(
        [
            net.line[["from_bus", "to_bus"]].set_axis(["a", "b"], axis=1),
            net.trafo[["hv_bus", "lv_bus"]].set_axis(["a", "b"], axis=1),
        ],
        ignore_index=True,
    )
    pairs = pd.DataFrame(np.sort(pairs.to_numpy(), axis=1), columns=["a", "b"])
    twice = pairs[pairs.duplicated()].drop_duplicates()
    text = "; ".join(f"{a}-{b}" for a, b in twice.to_numpy())
    raise NetworkError(
        f"grid {name}: parallel branches between buses {text}; a radial network is required"
    )


def _check_supported(net: pandapowerNet, name: str) -> None:
    for table in refused_tables():
        if table in net and len(net[table]):
            row = declared(table, "", transmission=True)
            instead = f" ({row.reason})" if row is not None and row.reason else ""
            raise NetworkError(
                f"{named(name, table, net[table].index)} not supported; accepted elements: "
                f"{', '.join(sorted(SUPPORTED_TABLES | CONVERTED_TABLES))}{instead}"
            )
    for table in sorted(CONVERTED_TABLES):
        if table in net and len(net[table]):
            raise NetworkError(f"{named(name, table, net[table].index)} not converted yet")
    for table, index, text in refused_values(net):
        raise NetworkError(f"{named(name, table, index)} {text}")
    if len(net.load):
        exponents = [c for c in net.load.columns if c.startswith(("const_z", "const_i"))]
        dependent = net.load[(net.load[exponents].fillna(0.0) != 0.0).any(axis=1)]
        if len(dependent):
            raise NetworkError(
                f"{named(name, 'load', dependent.index)} voltage dependent (const_z/const_i); "
                "constant-power loads are accepted"
            )


def check_indices(net: pandapowerNet, name: str) -> None:
    """Raise NetworkError for invalid or repeated indices, and for references to missing elements.

    Indices are whole numbers >= 0. References are the buses of elements, the elements of switches
    and those of costs. Elements can be looked up only in a net that passes.
    """
    for table in ("bus", *BUS_COLUMNS):
        if table in net and len(net[table]):
            check_index(net[table].index, name, table)
    known = set(net.bus.index)
    for table, columns in BUS_COLUMNS.items():
        if table not in net or not len(net[table]):
            continue
        for column in columns:
            lost = net[table].index[~net[table][column].isin(known)]
            if len(lost):
                bus = net[table].at[lost[0], column]
                raise NetworkError(
                    f"{named(name, table, lost)} sits on {column} {bus}, which does not exist"
                )
    _check_kind(net, name, "switch", tuple(SWITCHED))
    for costs in ("poly_cost", "pwl_cost"):
        _check_kind(net, name, costs, _WITH_COST)
    for switched, table in SWITCHED.items():
        switches = net.switch[(net.switch.et == switched).to_numpy()]
        lost = switches.index[~switches.element.isin(net[table].index)]
        if len(lost):
            element = switches.element.at[lost[0]]
            raise NetworkError(
                f"{named(name, 'switch', lost)} switches {table} {element}, which does not exist"
            )


def _check_kind(net: pandapowerNet, name: str, table: str, accepted: tuple[str, ...]) -> None:
    """Raise NetworkError for elements whose `et` pandapower does not define."""
    bad = net[table].index[~net[table].et.isin(accepted).to_numpy()]
    if len(bad):
        raise NetworkError(
            f"{named(name, table, bad)} has et = {shown(net[table].et.at[bad[0]])}; "
            f"{', '.join(accepted)} are accepted"
        )


def check_index(index: pd.Index, name: str, table: str) -> None:
    """Raise NetworkError unless all indices of a table are whole numbers >= 0 that occur once."""
    whole = [
        isinstance(i, int | np.integer) and not isinstance(i, bool) and 0 <= i <= _LARGEST_INDEX
        for i in index
    ]
    bad = [i for i, good in zip(index, whole, strict=True) if not good]
    if bad:
        raise NetworkError(
            f"grid {name}: {table} has the index {bad[0]!r:.60}; whole numbers from 0 to "
            f"{_LARGEST_INDEX} are accepted (pandapower.toolbox.create_continuous_bus_index)"
        )
    if index.has_duplicates:
        twice = index[index.duplicated()].unique()
        raise NetworkError(f"{named(name, table, twice)} defined twice")


def _check_buses(net: pandapowerNet, name: str) -> None:
    if not len(net.bus):
        raise NetworkError(f"grid {name}: has no bus")
    bad = net.bus.index[~(net.bus.vn_kv.to_numpy(dtype=float) > 0.0)]
    if len(bad):
        raise NetworkError(f"{named(name, 'bus', bad)} has vn_kv NaN or <= 0; kV > 0 is accepted")
    for table in ("line", "trafo"):
        one, other = (net[table][column] for column in BRANCH_ENDS[table])
        loops = net[table].index[(one == other).to_numpy()]
        if len(loops):
            raise NetworkError(
                f"{named(name, table, loops)} begins and ends at bus {one.at[loops[0]]} (one bus, "
                "or buses that closed switches join); two buses are accepted"
            )


def _check_slack(net: pandapowerNet, name: str) -> None:
    slacks = list(net.ext_grid.bus)
    if len(net.gen):
        slacks += list(net.gen.bus[net.gen.slack.astype(bool)])
    if len(slacks) != 1:
        found = "none" if not slacks else "buses " + ", ".join(str(b) for b in slacks)
        raise NetworkError(
            f"grid {name}: exactly one slack bus is accepted, found {found}"
            + (f"; {_part(net)} selects the part that it supplies" if len(slacks) > 1 else "")
        )
    if not len(net.ext_grid):
        raise NetworkError(
            f"grid {name}: the slack must be an ext_grid, found a gen with slack=True"
        )


def _part(net: pandapowerNet) -> str:
    """Return the key of a scenario that selects a part with a slack of its own."""
    number = net.ext_grid.index[0] if len(net.ext_grid) else "N"
    return f'part = "ext_grid {number}"'


def _check_impedances(net: pandapowerNet, name: str) -> None:
    line = net.line
    if len(line):
        r = (line.r_ohm_per_km * line.length_km).to_numpy(dtype=float)
        x = (line.x_ohm_per_km * line.length_km).to_numpy(dtype=float)
        # a negative one occurs in equivalents of larger networks
        good = ((r >= 0.0) | (-r < x)) & ((r != 0.0) | (x != 0.0)) & np.isfinite(r + x)
        bad = line.index[~good]
        if len(bad):
            i = line.index.get_loc(bad[0])
            raise NetworkError(
                f"{named(name, 'line', bad)} has r = {r[i]:g}, x = {x[i]:g} ohm; r >= 0, or "
                "smaller than x, and not both 0 are accepted (a closed bus-bus switch has none)"
            )
        for column in ("length_km", "g_us_per_km", "parallel"):
            if column in line:
                values = line[column].to_numpy(dtype=float)
                lowest = 1.0 if column == "parallel" else 0.0
                bad = line.index[~((values >= lowest) & np.isfinite(values))]
                if len(bad):
                    raise NetworkError(
                        f"{named(name, 'line', bad)} has {column} = {line.at[bad[0], column]:g}; "
                        f"a finite value >= {lowest:g} is accepted"
                    )
        charging = line.c_nf_per_km.to_numpy(dtype=float)
        bad = line.index[~((charging >= 0.0) & np.isfinite(charging))]
        if len(bad):
            raise NetworkError(f"{named(name, 'line', bad)} has c_nf_per_km NaN or negative")


def _check_ratings(net: pandapowerNet, name: str) -> None:
    for table, column in (
        ("line", "max_i_ka"),
        ("line", "max_loading_percent"),
        ("trafo", "max_loading_percent"),
        ("line", "df"),
        ("trafo", "df"),
    ):
        if column not in net[table] or not len(net[table]):
            continue
        values = net[table][column].to_numpy(dtype=float)
        bad = net[table].index[values <= 0.0]
        if len(bad):
            value = net[table].at[bad[0], column]
            raise NetworkError(
                f"{named(name, table, bad)} has {column} = {value:g}; a rating > 0 is accepted "
                "(leave it empty for no limit)"
            )


# options of a power flow stored in a net that change its result, and the value used here
_OPTIONS: dict[str, tuple[object, ...]] = {
    "trafo_model": ("t",),
    "trafo_loading": ("current",),
    "calculate_voltage_angles": (True, "auto"),
    "enforce_q_lims": (False,),
    "distributed_slack": (False,),
    "consider_line_temperature": (False,),
    "tdpf": (False,),
}


def _check_options(net: pandapowerNet, name: str) -> None:
    options = net.get("user_pf_options") or {}
    if not isinstance(options, Mapping):
        raise NetworkError(
            f"grid {name}: user_pf_options is {shown(options)}; options by name are accepted"
        )
    for key, value in options.items():
        accepted = _OPTIONS.get(key, (value,))
        if value not in accepted:
            raise NetworkError(
                f"grid {name}: user_pf_options has {key} = {value!r}; {accepted[0]!r} is accepted "
                "(power flows are run so)"
            )


def _check_voltage_set_points(net: pandapowerNet, name: str) -> None:
    """Check for one set point at a bus: the slack's, and inside the limits of each generator."""
    slack = net.ext_grid
    for i, vm in slack.vm_pu.items():
        if not vm > 0.0:
            raise NetworkError(
                f"{named(name, 'ext_grid', [i])} has vm_pu = {vm:g}; > 0 is accepted"
            )
    held = {
        int(bus): (f"ext_grid {i}", float(vm))
        for i, bus, vm in zip(slack.index, slack.bus, slack.vm_pu, strict=True)
    }
    for i, row in net.gen.iterrows():
        bus, vm = int(row.bus), float(row.vm_pu)
        if not (np.isfinite(vm) and vm > 0.0):
            raise NetworkError(f"{named(name, 'gen', [i])} has vm_pu = {vm:g}; > 0 is accepted")
        first, other = held.setdefault(bus, (f"gen {i}", vm))
        if vm != other:
            raise NetworkError(
                f"{named(name, 'gen', [i])} holds {vm:g} p.u. at bus {bus}, where {first} holds "
                f"{other:g}; one set point at a bus is accepted"
            )
        low, high = (float(row.get(c, np.nan)) for c in ("min_vm_pu", "max_vm_pu"))
        if vm < low or vm > high:
            raise NetworkError(
                f"{named(name, 'gen', [i])} holds {vm:g} p.u., outside its limits [{low:g}, "
                f"{high:g}]; vm_pu inside them is accepted"
            )


def _check_devices(net: pandapowerNet, name: str) -> None:
    for table in ("load", "sgen", "storage", "gen"):
        frame = net[table]
        for column in ("p_mw", "q_mvar"):
            if column in frame and len(frame):
                values = frame[column].to_numpy(dtype=float)
                bad = frame.index[~np.isfinite(values)]
                if len(bad):
                    raise NetworkError(f"{named(name, table, bad)} has {column} NaN or infinite")
    if {"min_vm_pu", "max_vm_pu"} <= set(net.bus.columns):
        low = net.bus.min_vm_pu.to_numpy(dtype=float)
        high = net.bus.max_vm_pu.to_numpy(dtype=float)
        bad = net.bus.index[low > high]
        if len(bad):
            i = net.bus.index.get_loc(bad[0])
            raise NetworkError(
                f"{named(name, 'bus', bad)} has the empty voltage band [{low[i]:g}, {high[i]:g}] "
                "p.u.; min_vm_pu <= max_vm_pu is accepted"
            )
