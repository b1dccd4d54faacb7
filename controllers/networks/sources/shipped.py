"""Shipped test grids.

Sources: MATPOWER case30; Baran and Wu 1989 (doi 10.1109/61.25627, MATPOWER case33bw); the IEEE
European Low Voltage Test Feeder. All are built from pandapower's data, none from copied numbers.
"""

import copy
import functools
import warnings
from collections.abc import Callable

import pandapower.networks as pn
from pandapower.auxiliary import pandapowerNet

from stackelgrid.controllers.networks.conversion.normalise import normalise
from stackelgrid.controllers.networks.conversion.series import merge_series_lines

# the day time snapshot whose loads pandapower ships with the feeder
_EUROPEAN_SNAPSHOT = "on_peak_566"


def available_cases() -> tuple[str, ...]:
    """Return the names of the shipped grids."""
    return tuple(sorted(_BUILDERS))


def shipped_case(case: str) -> pandapowerNet:
    """Return a shipped grid, as pandapower has it."""
    return copy.deepcopy(_shipped(case))


@functools.cache
def _shipped(case: str) -> pandapowerNet:
    """Return a test grid as built, read once a process (0.4 to 1 s each); not to be changed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandapower warns about dtypes of its own data
        return _BUILDERS[case]()


def _case30() -> pandapowerNet:
    return pn.case30()


def _case33bw() -> pandapowerNet:
    net = pn.case33bw()
    # MATPOWER fixes the slack voltage by a band of zero width, which is not a limit of the network
    net.bus.loc[net.ext_grid.bus, ["min_vm_pu", "max_vm_pu"]] = (0.9, 1.1)
    net.sn_mva = 1.0
    return net


def _european_lv_906() -> pandapowerNet:
    net = pn.ieee_european_lv_asymmetric(_EUROPEAN_SNAPSHOT)
    # MVA: with pandapower's 100 its convergence tolerance would exceed a customer's load
    net.sn_mva = 0.1
    return net


def _european_lv_206() -> pandapowerNet:
    return merge_series_lines(normalise(_shipped("european_lv_906"), "european_lv_206"))


_BUILDERS: dict[str, Callable[[], pandapowerNet]] = {
    "case30": _case30,
    "case33bw": _case33bw,
    "european_lv_206": _european_lv_206,
    "european_lv_906": _european_lv_906,
}
