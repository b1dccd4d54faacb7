"""States of a certificate: what a verdict is shown as, and in which colour."""

import pytest

from stackelgrid.analysis import style
from stackelgrid.analysis.figures.frame import state_cells
from stackelgrid.analysis.figures.verdict_states import (
    COLORS,
    LABELS,
    STATES,
    number,
    state_of,
)
from stackelgrid.controllers.verdict import exactness_asked


@pytest.mark.parametrize(
    ("verdict", "level", "state"),
    [
        ("exact", "mv", "exact"),
        ("feasible", "lv", "feasible"),
        ("feasible", "transmission", "within limits"),
        ("infeasible", "transmission", "infeasible"),
        ("", "mv", ""),
        (float("nan"), "mv", ""),
        (None, "transmission", ""),
    ],
)
def test_a_dc_dispatch_is_not_blamed_for_what_it_cannot_be(verdict, level, state):
    assert state_of(verdict, exactness_asked(level)) == state


def test_every_state_has_its_colour_at_its_number_in_the_scale():
    assert len(set(COLORS)) == len(STATES) == len(LABELS) == len(style.VERDICTS)
    cells = state_cells(["mv1"], [[0]], COLORS)
    assert (cells["zmin"], cells["zmax"]) == (-0.5, len(STATES) - 0.5)
    for verdict in ("exact", "feasible", "infeasible"):
        share = (number(verdict, True) + 0.5) / len(STATES)
        color = next(c for at, c in reversed(cells["colorscale"]) if at <= share)
        assert color == style.VERDICTS[verdict]
