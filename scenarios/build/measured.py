"""Measurements at the start of a run, and terms of users with them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from stackelgrid.controllers.models.objective_term import ObjectiveTerm
from stackelgrid.controllers.schedule import Measurement

if TYPE_CHECKING:
    from stackelgrid.scenarios.build.system import BuiltScenario


def first_measured(built: "BuiltScenario") -> dict[str, Measurement]:
    """Return the measurements that agents receive at interval 0, as in a run."""
    return {
        name: Measurement(
            vm_pu=built.simulated[name].vm_pu,
            tap_pos=built.simulated[name].tap_pos,
            devices=built.fleets[name].states,
        )
        for name in built.grids
    }


def check_terms(built: "BuiltScenario", terms: Mapping[str, ObjectiveTerm]) -> None:
    """Raise ObjectiveTermError for values of a parameter that cannot be used at interval 0."""
    measured = first_measured(built) if terms else {}
    root = built.system.transmission
    for name, term in terms.items():
        seen = None if root is not None and root.name == name else measured[name]
        term.values(0, built.horizon, built.system.forecast(name).at(0), seen)
