"""Attributes of every simulated model, declared once: name, unit, direction, shape.

META, the wiring of a world and the columns of the results derive from these tables. Units and
signs are pandapower's: loads and storages positive when consuming, generators when injecting.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Flow(Enum):
    """Treatment of an attribute by mosaik.

    A persistent value holds until it is replaced; a triggering input starts a step within the same
    time, and an event output is sent only when it has changed by more than the tolerance.
    """

    INPUT = "input"
    TRIGGER = "triggering input"
    OUTPUT = "output"
    EVENT = "event output"


@dataclass(frozen=True)
class Attribute:
    """One attribute of a model; `shape` names the axis of an array, empty for a single value."""

    name: str
    unit: str
    flow: Flow
    shape: str = ""


GRID = (
    # slack side, from the grid above
    Attribute("vm_pu", "p.u.", Flow.TRIGGER),
    Attribute("va_degree", "degree", Flow.TRIGGER),
    # consumption of the devices at each bus, set points of voltage-controlling generators
    Attribute("bus_p_mw", "MW", Flow.INPUT, "bus"),
    Attribute("bus_q_mvar", "MVAr", Flow.INPUT, "bus"),
    Attribute("gen_p_mw", "MW", Flow.INPUT, "gen"),
    # power drawn at the slack bus, to the grid above
    Attribute("p_mw", "MW", Flow.EVENT),
    Attribute("q_mvar", "MVAr", Flow.EVENT),
    # results
    Attribute("slack_p_mw", "MW", Flow.OUTPUT),
    Attribute("slack_q_mvar", "MVAr", Flow.OUTPUT),
    Attribute("slack_vm_pu", "p.u.", Flow.OUTPUT),
    Attribute("bus_vm_pu", "p.u.", Flow.OUTPUT, "bus"),
    Attribute("bus_va_degree", "degree", Flow.OUTPUT, "bus"),
    Attribute("bus_p_total_mw", "MW", Flow.OUTPUT, "bus"),
    Attribute("bus_q_total_mvar", "MVAr", Flow.OUTPUT, "bus"),
    Attribute("branch_p_from_mw", "MW", Flow.OUTPUT, "branch"),
    Attribute("branch_q_from_mvar", "MVAr", Flow.OUTPUT, "branch"),
    Attribute("branch_p_to_mw", "MW", Flow.OUTPUT, "branch"),
    Attribute("branch_q_to_mvar", "MVAr", Flow.OUTPUT, "branch"),
    Attribute("branch_i_ka", "kA", Flow.OUTPUT, "branch"),
    Attribute("branch_loading_percent", "%", Flow.OUTPUT, "branch"),
    Attribute("gen_q_mvar", "MVAr", Flow.OUTPUT, "gen"),
    Attribute("loss_mw", "MW", Flow.OUTPUT),
    Attribute("tap_pos", "1", Flow.OUTPUT),
    Attribute("rounds", "1", Flow.OUTPUT),
)

BOUNDARY = (
    Attribute("p_mw", "MW", Flow.TRIGGER),
    Attribute("q_mvar", "MVAr", Flow.TRIGGER),
    Attribute("vm_pu", "p.u.", Flow.EVENT),
    Attribute("va_degree", "degree", Flow.EVENT),
    Attribute("p_used_mw", "MW", Flow.OUTPUT),
    Attribute("q_used_mvar", "MVAr", Flow.OUTPUT),
    Attribute("vm_solved_pu", "p.u.", Flow.OUTPUT),
)

FLEET = (
    Attribute("battery_p_set_mw", "MW", Flow.INPUT, "battery"),
    Attribute("pv_p_set_mw", "MW", Flow.INPUT, "pv"),
    Attribute("pv_p_max_mw", "MW", Flow.INPUT, "pv"),
    Attribute("pv_q_set_mvar", "MVAr", Flow.INPUT, "pv"),
    Attribute("unit_p_set_mw", "MW", Flow.INPUT, "unit"),
    Attribute("bus_p_mw", "MW", Flow.OUTPUT, "bus"),
    Attribute("bus_q_mvar", "MVAr", Flow.OUTPUT, "bus"),
    Attribute("gen_p_mw", "MW", Flow.OUTPUT, "gen"),
    Attribute("load_p_mw", "MW", Flow.OUTPUT, "load"),
    Attribute("load_q_mvar", "MVAr", Flow.OUTPUT, "load"),
    Attribute("battery_asked_mw", "MW", Flow.OUTPUT, "battery"),
    Attribute("battery_p_mw", "MW", Flow.OUTPUT, "battery"),
    Attribute("battery_e_start_mwh", "MWh", Flow.OUTPUT, "battery"),
    Attribute("battery_e_mwh", "MWh", Flow.OUTPUT, "battery"),
    Attribute("pv_available_mw", "MW", Flow.OUTPUT, "pv"),
    Attribute("pv_asked_mw", "MW", Flow.OUTPUT, "pv"),
    Attribute("pv_limit_mw", "MW", Flow.OUTPUT, "pv"),
    Attribute("pv_p_mw", "MW", Flow.OUTPUT, "pv"),
    Attribute("pv_q_mvar", "MVAr", Flow.OUTPUT, "pv"),
    Attribute("unit_asked_mw", "MW", Flow.OUTPUT, "unit"),
    Attribute("unit_p_mw", "MW", Flow.OUTPUT, "unit"),
)

AGENT = (
    # measurements of the interval before
    Attribute("vm_pu", "p.u.", Flow.INPUT),
    Attribute("tap_pos", "1", Flow.INPUT),
    Attribute("battery_e_mwh", "MWh", Flow.INPUT, "battery"),
    # number of recorded intervals: the next one begins when the one before is recorded
    Attribute("recorded", "1", Flow.INPUT),
    # set points for the interval that begins
    Attribute("battery_p_set_mw", "MW", Flow.OUTPUT, "battery"),
    Attribute("pv_p_set_mw", "MW", Flow.OUTPUT, "pv"),
    Attribute("pv_p_max_mw", "MW", Flow.OUTPUT, "pv"),
    Attribute("pv_q_set_mvar", "MVAr", Flow.OUTPUT, "pv"),
    Attribute("unit_p_set_mw", "MW", Flow.OUTPUT, "unit"),
    # for the record: the whole plan, and the energies it started from
    Attribute("plan", "", Flow.OUTPUT),
    Attribute("energy_used_mwh", "MWh", Flow.OUTPUT, "battery"),
)


LOG = (Attribute("recorded", "1", Flow.OUTPUT),)


def names(attributes: Sequence[Attribute], *flows: Flow) -> list[str]:
    """Return the names of the attributes with one of the given flows, in order."""
    return [a.name for a in attributes if a.flow in flows]


def model_meta(attributes: Sequence[Attribute], params: Sequence[str], public: bool = True) -> Any:
    """Return the entry of mosaik's META for a model."""
    return {
        "public": public,
        "params": list(params),
        "attrs": [a.name for a in attributes],
        "trigger": names(attributes, Flow.TRIGGER),
        "non-persistent": names(attributes, Flow.EVENT),
    }


def time_based_model_meta(
    attributes: Sequence[Attribute], params: Sequence[str], any_inputs: bool = False
) -> Any:
    """Return the entry of META for a model of a time-based simulator, without triggers."""
    return {
        "public": True,
        "params": list(params),
        "attrs": [a.name for a in attributes],
        "any_inputs": any_inputs,
    }


def only_value(sources: dict[str, Any]) -> Any:
    """Return the value of an input that has exactly one source; None where it has none yet."""
    value = None
    for value in sources.values():  # noqa: B007
        pass
    return value
