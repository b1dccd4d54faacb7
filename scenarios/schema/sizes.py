"""Refuse scenarios whose size alone exceeds the limits of `profiles/size_limits.py`."""

from typing import TYPE_CHECKING

from stackelgrid.profiles.size_limits import ENSEMBLE_RUNS, GRIDS, HORIZON_INTERVALS

if TYPE_CHECKING:
    from stackelgrid.scenarios.schema.scenario import Scenario


def check_scenario_sizes(scenario: "Scenario") -> None:
    """Refuse too many grids and a horizon that covers too many intervals; raises ValueError."""
    if len(scenario.grids) > GRIDS:
        raise ValueError(f"{len(scenario.grids):,} grids; at most {GRIDS:,} are accepted")
    minutes = sum(step.count * step.minutes for step in scenario.horizon.steps)
    covered = minutes // scenario.time.interval_min
    if covered > HORIZON_INTERVALS:
        raise ValueError(
            f"horizon.steps: covers {minutes:,} min / {scenario.time.interval_min} min = "
            f"{covered:,} intervals; at most {HORIZON_INTERVALS:,} are accepted"
        )


def check_ensemble_runs(members: int, levels: int, schemes: int, variants: int) -> None:
    """Refuse an ensemble of too many runs; raises ValueError."""
    runs = members * levels * schemes * variants
    if runs > ENSEMBLE_RUNS:
        raise ValueError(
            f"{members:,} members x {levels:,} error levels x {schemes:,} schemes x {variants:,} "
            f"horizons = {runs:,} runs; at most {ENSEMBLE_RUNS:,} are accepted"
        )
