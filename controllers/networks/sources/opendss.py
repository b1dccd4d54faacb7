"""Nets of OpenDSS: a master file `.dss` through pandapower's converter (optional package)."""

import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandapower as pp
from pandapower.auxiliary import pandapowerNet

from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.naming import counted
from stackelgrid.controllers.networks.net_record import NetRecord
from stackelgrid.controllers.networks.sources.texts import require_file
from stackelgrid.profiles.extras import install_command

# classes of OpenDSS that pandapower's converter does not read
_NOT_CONVERTED = (
    "Generator", "PVSystem", "Storage", "RegControl", "CapControl", "Fault", "VCCS", "UPFC",
    "IndMach012", "WindGen",
)  # fmt: skip
_CONSTANT_POWER = 1
_MOST_WARNINGS = 5
# kV: rounding of the voltage bases of one level
_DECIMALS = 9


def read_opendss(path: Path, name: str, record: NetRecord) -> pandapowerNet:
    """Return the balanced (positive-sequence) net of an OpenDSS feeder.

    Lines of fewer phases become lines of three; loads of one phase become balanced. The notices of
    the record list what the conversion changes or leaves out. Raises NetworkError for a file that
    OpenDSS does not read or solve, and if OpenDSSDirect.py is not installed.
    """
    where = f"grid {name}: file {path}"
    require_file(path, where)
    try:
        import opendssdirect as dss
    except ImportError as error:
        raise NetworkError(
            f"{where} needs the package OpenDSSDirect.py; {install_command('opendss')} provides it"
        ) from error
    from pandapower.converter.opendss import from_dss

    log = logging.getLogger(from_dss.__name__)
    level, folder = log.level, Path.cwd()
    log.setLevel(logging.CRITICAL)  # its warnings become notices
    try:
        dss.Basic.AllowForms(False)
        dss.Basic.AllowEditor(False)
        net = from_dss.from_opendss(str(path))
        if not dss.Solution.Converged():
            raise NetworkError(f"{where}: OpenDSS does not solve its power flow")
        if dss.Vsources.Count() > 1:
            number = dss.Vsources.Count()
            raise NetworkError(f"{where}: has {number} voltage sources; one is accepted")
        net.f_hz = float(dss.Solution.Frequency())
        _open_lines(dss, net)
        record.notices += [f"OpenDSS: {text}" for text in _losses(dss, net["opendss_import"])]
    except NetworkError:
        raise
    except Exception as error:  # of OpenDSS, for any fault of the file
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise NetworkError(f"{where}: OpenDSS refuses it ({reason})") from error
    finally:
        log.setLevel(level)
        os.chdir(folder)  # OpenDSS moves to the folder of its file
    # one voltage level differs in the last digits from bus to bus
    net.bus["vn_kv"] = net.bus.vn_kv.round(_DECIMALS)
    return net


def _open_lines(dss: Any, net: pandapowerNet) -> None:
    """Add open switches at the open ends of lines, which the converter leaves closed."""
    index = {str(name): int(i) for i, name in net.line["name"].items()}
    more = dss.Lines.First()
    while more:
        line = index.get(dss.Lines.Name())
        if line is not None:
            for terminal, end in ((1, "from_bus"), (2, "to_bus")):
                if dss.CktElement.IsOpen(terminal, 0):
                    bus = int(net.line.at[line, end])
                    pp.create_switch(net, bus, line, et="l", closed=False)
        more = dss.Lines.Next()


def _losses(dss: Any, report: Mapping[str, Any]) -> Iterator[str]:
    """Yield the data that the balanced net does not have."""
    few, two = report["single_phase_lines"], report["two_phase_lines"]
    if few or two:
        yield (
            f"{counted(few, 'line')} of one phase and {two} of two became balanced with three "
            "phases; voltages and losses there are not those of OpenDSS"
        )
    if report["n_split_phase_transformers"]:
        number = int(report["n_split_phase_transformers"])
        yield f"{counted(number, 'split-phase transformer')} became balanced"
    single, dependent, shaped = 0, 0, 0
    more = dss.Loads.First()
    while more:
        single += dss.Loads.Phases() < 3
        dependent += dss.Loads.Model() != _CONSTANT_POWER
        shaped += bool(dss.Loads.Daily() or dss.Loads.Yearly())
        more = dss.Loads.Next()
    if single:
        yield f"{counted(single, 'load')} of one or two phases became balanced"
    if dependent:
        yield f"{counted(dependent, 'voltage-dependent load')} became constant in power"
    if shaped:
        yield (
            f"load shapes of {counted(shaped, 'load')} are not read: state profiles in the "
            "section loads"
        )
    yield "the impedance of the source and no-load losses of transformers are left out"
    left, known = [], set(dss.Basic.Classes())
    for kind in (kind for kind in _NOT_CONVERTED if kind in known):
        if dss.Circuit.SetActiveClass(kind) > 0 and dss.ActiveClass.Count():
            left.append(f"{dss.ActiveClass.Count()} {kind}")
    if left:
        yield f"not converted: {', '.join(left)} (taps are those of its solution)"
    warnings = [" ".join(str(text).split()) for text in report["warnings"]]
    yield from warnings[:_MOST_WARNINGS]
    if len(warnings) > _MOST_WARNINGS:
        yield f"{counted(len(warnings) - _MOST_WARNINGS, 'more remark')} of the converter"
