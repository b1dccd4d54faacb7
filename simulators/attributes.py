"""Attributes of every simulated model, declared once: name, unit, direction, shape.

META, the wiring of a world and the columns of the results derive from these tables. Units and
signs are pandapower's: loads and storages positive when consuming, generators when injecting.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from stackelgrid.controllers.devices.quantities import Role
from stackelgrid.controllers.devices.registry import quantities


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

# quantities of the devices, by role; every array is over the devices of its kind
SET_POINTS = tuple(q for q in quantities() if Role.SET_POINT in q.roles)
STATES = tuple(q for q in quantities() if Role.STATE in q.roles)
GIVEN = tuple(q for q in quantities() if Role.GIVEN in q.roles)
OUTPUTS = tuple(q for q in quantities() if Role.OUTPUT in q.roles)

FLEET = (
    *(Attribute(q.attribute, q.unit, Flow.INPUT, "device") for q in SET_POINTS),
    *(Attribute(q.name, q.unit, Flow.INPUT, "device") for q in GIVEN),
    Attribute("bus_p_mw", "MW", Flow.OUTPUT, "bus"),
    Attribute("bus_q_mvar", "MVAr", Flow.OUTPUT, "bus"),
    Attribute("gen_p_mw", "MW", Flow.OUTPUT, "gen"),
    *(Attribute(q.name, q.unit, Flow.OUTPUT, "device") for q in OUTPUTS),
    # for the record: the states at the start of the interval
    Attribute("states_before", "", Flow.OUTPUT),
)

AGENT = (
    # measurements of the interval before
    Attribute("vm_pu", "p.u.", Flow.INPUT),
    Attribute("tap_pos", "1", Flow.INPUT),
    Attribute("p_import_mw", "MW", Flow.INPUT),
    *(Attribute(q.name, q.unit, Flow.INPUT, "device") for q in STATES),
    # number of recorded intervals: the next one begins when the one before is recorded
    Attribute("recorded", "1", Flow.INPUT),
    # set points for the interval that begins
    *(Attribute(q.attribute, q.unit, Flow.OUTPUT, "device") for q in SET_POINTS),
    # nodal prices of the interval, for users' simulators at the grids below
    Attribute("node_price_eur_per_mwh", "EUR/MWh", Flow.OUTPUT, "bus"),
    # for the record: the whole plan, and the states that it started from
    Attribute("plan", "", Flow.OUTPUT),
    Attribute("states_used", "", Flow.OUTPUT),
)


EXTERNAL = (
    # for the entities of users' simulators; voltage and loading are those of the interval before
    Attribute("external_p_set_mw", "MW", Flow.INPUT, "device"),
    Attribute("bus_vm_pu", "p.u.", Flow.INPUT, "bus"),
    Attribute("branch_loading_percent", "%", Flow.INPUT, "branch"),
    Attribute("node_price_eur_per_mwh", "EUR/MWh", Flow.INPUT, "bus"),
    # means of the interval, and by device and interval the plan that is announced
    *(Attribute(q.attribute, q.unit, Flow.OUTPUT, "device") for q in GIVEN),
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
