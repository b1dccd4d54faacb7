"""Three hours around noon of the stressed day, with and without recovery."""

import pytest

from stackelgrid.scenarios.run.run import run_scenario
from stackelgrid.scenarios.schema.load import load_scenario
from stackelgrid.simulators.results.tables import read_table

NOON = ("time.start=2025-06-20T10:30:00", "time.intervals=12")


@pytest.fixture(scope="module")
def noon(tmp_path_factory):
    """`noon(recovery)`: summary and interval table of the run."""

    def run(recovery):
        out = tmp_path_factory.mktemp("stressed") / "run"
        key = f"certificate.recovery={'true' if recovery else 'false'}"
        result = run_scenario(load_scenario("stressed_day", (*NOON, key)), out)
        return result.summary, read_table(out, "interval").to_pandas()

    return run


@pytest.mark.slow
def test_without_recovery_the_stressed_day_is_neither_exact_nor_feasible(noon):
    summary, table = noon(recovery=False)
    bad = table[
        (table.verdict == "infeasible")
        | (table.verdict_three_phase == "infeasible")
        | (table.fictitious_loss_share > 1e-3)
    ]
    assert bad.interval.nunique() >= 10
    assert summary["certificate"]["recovered"] == 0


@pytest.mark.slow
def test_with_recovery_every_interval_of_it_is_feasible(noon):
    summary, table = noon(recovery=True)
    certificate = summary["certificate"]
    assert certificate["infeasible"] == 0
    assert certificate["three_phase"]["infeasible"] == 0
    assert certificate["max_violation_pu"] <= 1e-4
    assert certificate["three_phase"]["max_violation_pu"] <= 1e-4
    assert certificate["recovery"]["infeasible_before"] >= 10
    assert certificate["recovered"] >= 10
    mended = table[table.recovery != ""]
    assert mended.recovery_eur.notna().all()
