from dataclasses import replace

import numpy as np
import pytest

from stackelgrid.analysis.figures.frame import Clock
from stackelgrid.analysis.findings import Findings, Place, sentence

WHEN = Clock(
    np.arange(96),
    np.datetime64("2025-06-20T00:00", "s") + np.arange(97) * np.timedelta64(900, "s"),
    "time (Europe/Berlin)",
)
GOOD = Findings(
    planned=96,
    done=96,
    status="done",
    cost_eur=12345.4,
    beyond_in_reality=0,
    infeasible=0,
    infeasible_phases=0,
    inexact=0,
    uncertified=0,
    fallbacks=0,
    recovered=0,
    worst=None,
)
WORST = Place("reality", 73, "mv2", "bus 17", 0.007, "1.0570 p.u. against 1.05 p.u.")
COST = "; cost 12,345 EUR."


@pytest.mark.parametrize(
    ("change", "state", "told"),
    [
        ({}, "good", f"All 96 intervals were exact and within limits{COST}"),
        (
            {"recovered": 3},
            "good",
            f"All 96 intervals were exact and within limits, 3 after a recovery{COST}",
        ),
        (
            {"beyond_in_reality": 3, "worst": WORST},
            "bad",
            "3 of 96 intervals beyond limits in reality (worst: bus 17 of mv2 at 18:15, "
            f"1.0570 p.u. against 1.05 p.u.){COST}",
        ),
        (
            {"infeasible_phases": 2, "worst": replace(WORST, view="phases")},
            "bad",
            "Plan beyond limits phase by phase in 2 of 96 intervals (worst: bus 17 of mv2 at "
            f"18:15, 1.0570 p.u. against 1.05 p.u.){COST}",
        ),
        (
            {"fallbacks": 1, "inexact": 2},
            "warning",
            "1 of 96 intervals by fallback, 2 of 96 intervals feasible but not exact, all within "
            f"limits{COST}",
        ),
        (
            {"uncertified": 96},
            "warning",
            f"96 of 96 intervals without a certificate, all within limits{COST}",
        ),
        (
            {"done": 28, "status": "interrupted"},
            "warning",
            "Interrupted after 28 of 96 intervals: all 28 intervals were exact and within limits"
            f"{COST}",
        ),
        (
            {"done": 1, "status": "running"},
            "good",
            f"Going on, 1 of 96 intervals done: the interval was exact and within limits{COST}",
        ),
        (
            {"done": 0, "status": "interrupted"},
            "warning",
            "Interrupted after 0 of 96 intervals: no interval is on record yet.",
        ),
    ],
)
def test_the_verdict_says_what_is_wrong_and_where(change, state, told):
    found = replace(GOOD, **change)
    assert found.state == state
    assert sentence(found, WHEN) == told
