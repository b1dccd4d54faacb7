"""States of a certificate as every picture shows them: order, names and colours in one place.

A verdict (exact, feasible, infeasible, or none) becomes a state: where exactness is not asked (a DC
dispatch, the three-phase view) feasible is the best there is, and is shown as within limits.
"""

from typing import Any

from stackelgrid.analysis import style
from stackelgrid.controllers import tolerances
from stackelgrid.controllers.verdict import EXACT, FEASIBLE, INFEASIBLE

NONE, WITHIN = "", "within limits"
# a state's place here is its number in a colour scale
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
    """State that a verdict is shown as; anything unknown (no row of a table) is none."""
    if verdict == FEASIBLE and not exactness_asked:
        return WITHIN
    return str(verdict) if verdict in (EXACT, FEASIBLE, INFEASIBLE) else NONE


def number(verdict: object, exactness_asked: bool) -> int:
    """Place of a verdict's state among STATES."""
    return STATES.index(state_of(verdict, exactness_asked))


def exactness_asked(level: str) -> bool:
    """Whether plans of a grid of this level can be exact; DC dispatches transmission grids."""
    return level != "transmission"


def beyond_in_reality(rows: Any) -> Any:
    """Whether what happened is beyond a limit: of the interval table, or of one row of it."""
    return rows["realised_violation_pu"] > tolerances.AC_LIMIT_PU


def color_scale() -> list[tuple[float, str]]:
    """Colours of STATES as a Plotly scale of steps, for numbers from -0.5 to len(STATES) - 0.5."""
    n = len(STATES)
    return [((k + end) / n, color) for k, color in enumerate(COLORS) for end in (0, 1)]
