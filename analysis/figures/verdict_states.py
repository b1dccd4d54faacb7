"""States of a certificate in all pictures: order, names and colours.

A verdict (exact, feasible, infeasible, or none) is shown as a state. Where exactness does not apply
(a DC dispatch, the three-phase view), feasible is the best verdict and is shown as within limits.
"""

from stackelgrid.analysis import style
from stackelgrid.controllers.verdict import EXACT, FEASIBLE, INFEASIBLE

NONE, WITHIN = "", "within limits"
# the position of a state is its number in a colour scale
STATES = (NONE, EXACT, WITHIN, FEASIBLE, INFEASIBLE)
COLORS = tuple(style.VERDICTS[state] for state in STATES)
LABELS = {
    NONE: "no certificate",
    EXACT: "exact",
    WITHIN: "within limits (DC, phases: exactness is not asked)",
    FEASIBLE: "feasible, not exact",
    INFEASIBLE: "infeasible",
}


def state_of(verdict: object, exactness_asked: bool) -> str:
    """Return the state of a verdict; unknown values (a missing row) are none."""
    if verdict == FEASIBLE and not exactness_asked:
        return WITHIN
    return str(verdict) if verdict in (EXACT, FEASIBLE, INFEASIBLE) else NONE


def number(verdict: object, exactness_asked: bool) -> int:
    """Return the position of a verdict's state in STATES."""
    return STATES.index(state_of(verdict, exactness_asked))
