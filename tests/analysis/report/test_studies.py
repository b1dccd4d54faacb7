"""Reports of studies: verdict sentences, notices, numbers, one file that needs no other."""

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from support.study_cases import COSTS, kpi_rows

from stackelgrid.analysis.comparison import CLOSED_LOOP, PLAN, Comparison
from stackelgrid.analysis.ensemble.statistics import EnsembleTables, statistics_of
from stackelgrid.analysis.exactness.analysis import SweepTables
from stackelgrid.analysis.kpis.indicators import TOTAL, Row, frame_of
from stackelgrid.analysis.report import comparison as of_schemes
from stackelgrid.analysis.report import ensemble as of_ensemble
from stackelgrid.analysis.report import exactness as of_sweep
from stackelgrid.analysis.report import qualities as of_qualities
from stackelgrid.analysis.report.kinds import study_page, write_study_report
from stackelgrid.analysis.studies import read_comparison
from stackelgrid.controllers.words import words

STUDIES = ("compared", "compared_qualities", "swept", "ensembled")


def change(directory, **content):
    path = directory / "summary.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | content))


def cells(page, title):
    """Rows of a table of a page by their first cell."""
    parts = [part for s in page.sections for part in (s, *s.folded)]
    table = next(t for part in parts for t in part.tables if t.title == title)
    return {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}


def charts(page):
    return {chart.title: chart for section in page.sections for chart in section.figures}


def made(basis=PLAN, cost="total_cost", **values):
    """A comparison of schemes by their cost; a dictionary holds more indicators."""
    c = Comparison("tariff")
    for scheme, given in values.items():
        told = given if isinstance(given, dict) else {cost: given}
        rows = [Row(TOTAL, k, v) for k, v in told.items()]
        c.add(basis, scheme, frame_of(rows, scheme, "tariff"), pd.DataFrame({"scheme": []}).assign(
            grid="", start_h=0.0, dt_h=0.0, p_mw=0.0
        ))  # fmt: skip
    return c


def test_the_cheapest_scheme_is_named_with_what_a_bound_proves(compared, comparison):
    sentence = (
        "integrated is cheapest in the plan with 1,000.00 EUR: 10.00 EUR (0.99 %) less than "
        "bottom-up and 250.00 EUR (20 %) less than uncoordinated, the dearest; the bound of "
        "integrated proves that no plan can cost less."
    )
    assert of_schemes.finding(comparison, PLAN) == sentence
    page = study_page(compared)
    assert page.verdict.state == "good"
    assert page.verdict.sentence == sentence
    assert page.notices == ()
    assert dict(page.facts)["Mixed-integer solver"] == "Clarabel with HiGHS (1.2)"
    row = cells(page, "All active networks together, all copies")["cost of the system, EUR"]
    assert [float(row[words(s)]) for s in COSTS] == list(COSTS.values())
    assert cells(page, "Every grid, all its copies")["mv1"]["bottom-up"] == "5.000"


@pytest.mark.parametrize(
    ("costs", "text"),
    [
        ({"a": 100.0, "b": 100.0 + 1e-6}, "All schemes cost the same in the plan: 100.00 EUR; no"),
        ({"a": 100.0, "b": 100.0, "c": 125.0}, "a and b are cheapest alike in the plan with"),
        ({"a": 100.0}, "a costs 100.00 EUR in the plan, with nothing to compare it to; no bound"),
        ({"a": -100.0, "b": -80.0}, "-100.00 EUR: 20.00 EUR (25 %) less than b; no bound"),
        ({"a": np.nan}, "No scheme ended with a cost of its own."),
        ({"a": 100.0, "b": 225.0}, "125.00 EUR (56 %) less than b"),
        (
            {"a": 100.0, "b": -125.0},
            "b is cheapest in the plan with -125.00 EUR: 225.00 EUR (225 %)",
        ),
    ],
)
def test_sentences_of_ties_and_single_schemes(costs, text):
    assert text in of_schemes.finding(made(**costs), PLAN)


def test_a_loose_bound_and_one_of_another_objective():
    known = {"total_cost": 100.0, "objective": 100.0, "bound": 99.0}
    text = of_schemes.finding(made(integrated=known, a=101.0), PLAN)
    assert text.endswith("the bound of integrated proves that no plan costs less than 99.00 EUR.")
    other = known | {"objective": 90.0, "bound": 90.0}
    assert "no bound on the total cost" in of_schemes.finding(made(integrated=other), PLAN)


def test_a_cost_below_the_bound_proves_that_one_of_the_two_is_wrong(compared):
    known = {"total_cost": 1000.0, "objective": 1000.0, "bound": 1000.0}
    refuted = made(integrated=known, a=950.0)
    text = of_schemes.finding(refuted, PLAN)
    assert text.startswith("a is cheapest in the plan with 950.00 EUR")
    assert text.endswith(
        "that is less than 1,000.00 EUR, the bound of integrated: one of the two is wrong."
    )
    study = read_comparison(compared)
    assert of_schemes.page_of_study(study).verdict.state == "good"
    page = of_schemes.page_of_study(replace(study, comparison=refuted))
    assert page.verdict.state == "warning"


def test_a_plan_that_fell_back_is_not_ranked():
    fallen = {"total_cost": 950.0, "fallbacks": 1.0}
    known = {"total_cost": 1000.0, "objective": 1000.0, "bound": 1000.0}
    text = of_schemes.finding(made(fallen=fallen, integrated=known, b=1010.0), PLAN)
    assert text.startswith("integrated is cheapest in the plan with 1,000.00 EUR: 10.00 EUR")
    assert text.endswith("proves that no plan can cost less.")
    assert "No scheme ended" in of_schemes.finding(made(fallen=fallen), PLAN)
    real = {"total_cost_corrected": 950.0, "fallbacks": 1.0}
    text = of_schemes.finding(made(CLOSED_LOOP, "total_cost_corrected", a=real, b=1e3), CLOSED_LOOP)
    assert text.startswith("a is cheapest in the closed loop")  # its cost is what happened


def test_runs_are_compared_by_cost_less_stored_energy():
    given = {
        "a": {"total_cost": 100.0, "total_cost_corrected": 90.0},
        "b": {"total_cost": 95.0, "total_cost_corrected": 95.0},
    }
    text = of_schemes.finding(made(CLOSED_LOOP, **given), CLOSED_LOOP)
    assert text.startswith("a is cheapest in the closed loop with 90.00 EUR: 5.00 EUR (5.3 %) less")
    assert text.endswith("a closed loop has no proven bound.")


def test_a_comparison_with_failures_fallbacks_and_open_gaps_says_so(compared, comparison):
    comparison.fail(PLAN, "top_down", "no luck")
    for scheme, cost, fallbacks in (("diagonalization", 1000.5, 0.0), ("fallen", 1000.2, 1.0)):
        rows = {"total_cost": cost, "gap_eur": 0.7, "fallbacks": fallbacks}
        own = frame_of([Row(TOTAL, k, v) for k, v in rows.items()], scheme, "tariff")
        comparison.add(PLAN, scheme, own, comparison.exchange.iloc[:0])
    study = replace(read_comparison(compared), comparison=comparison)
    page = of_schemes.page_of_study(study)
    assert page.verdict.state == "warning"
    assert page.notices[0] == "top-down, plan: failed: no luck"
    assert page.notices[1].startswith("fallen, plan: 1 plans with a fallback")
    assert page.notices[2].startswith("Plan: integrated and diagonalization differ by 0.50 EUR, ")
    assert "the 0.70 EUR that the solver leaves open" in page.notices[2]


def test_an_interrupted_comparison_is_partial(compared):
    schemes = {name: {} for name in [*COSTS, "top_down"]}
    change(compared, status="interrupted", schemes=schemes)
    page = study_page(compared)
    assert page.verdict.state == "warning"
    assert page.notices[0].startswith(
        "Partial: the study was interrupted. This report shows 3 of 4"
    )


def test_qualities_cost_against_the_first(compared_qualities):
    page = study_page(compared_qualities)
    assert page.verdict.sentence == (
        "Against perfect communication lossy costs 20.00 EUR (2 %) more; agents kept an old "
        "schedule 6 times with lossy."
    )
    assert page.verdict.state == "warning"
    assert page.notices == ("deaf: failed: nobody answers",)
    found = charts(page)["Extra cost against perfect"].figure
    assert list(found.data[0].x) == [0.0, 20.0]


def test_qualities_without_a_reference_compare_nothing():
    c = made(CLOSED_LOOP, lossy={"total_cost_corrected": 5.0})
    assert of_qualities.finding(c).startswith("Nothing can be compared")


def test_share_of_exact_points_and_predictions(swept):
    page = study_page(swept)
    assert page.verdict.sentence == (
        "The relaxation is exact at 3 of 6 solved points (50.0 %); the a priori conditions "
        "predicted 2 of them, and none wrongly."
    )
    assert page.verdict.state == "warning"
    found = cells(page, "Lines, percent of solved points")
    assert found == {"line 12": {"line": "line 12", "inexact at": "50.0 %", "C1 fails at": "0.0 %"}}
    assert "Where a line is inexact" in charts(page)
    assert "Where a line fails condition C1" not in charts(page)
    stops = cells(page, "PV scale up to which points are exact")
    assert stops["1.05"]["last exact"] == "1"
    assert stops["1.1"]["first inexact"] == "1"


def test_a_refuted_prediction_is_bad(swept):
    tables = SweepTables.read(swept)
    wrong = tables.points.assign(predicted_exact=True)
    assert of_sweep.finding(replace(tables, points=wrong)).endswith(
        "predicted 3 of them, and 3 more wrongly."
    )
    wrong.to_parquet(swept / "points.parquet")
    assert study_page(swept).verdict.state == "bad"


def test_points_without_a_solution_are_listed(swept):
    tables = SweepTables.read(swept)
    points = tables.points
    points.loc[1, ["verdict", "status", "reason"]] = ["", "infeasible", "vm_max_pu and load"]
    points.to_parquet(swept / "points.parquet")
    page = study_page(swept)
    assert "2 of 5 solved points" in page.verdict.sentence
    row = cells(page, "Points without a solution")["1"]
    assert (row["PV scale"], row["why"]) == ("1", "infeasible: vm_max_pu and load")
    points.assign(verdict="").to_parquet(swept / "points.parquet")
    page = study_page(swept)
    assert page.verdict.state == "bad"
    assert page.verdict.sentence.startswith("None of 6 points has a solution")


def test_an_unfinished_sweep_is_partial(swept):
    change(swept, status="running", points_planned=20)
    assert "shows 6 of 20 points" in study_page(swept).notices[0]


def test_what_errors_cost_with_its_interval(ensembled, ensemble_tables):
    # mean 20, Student's t of 2 degrees 4.3027 x standard error 10 / sqrt(3)
    sentence = (
        "Beyond perfect foresight, errors of level 1 cost 20.00 EUR (2 %; 95 % confidence: -4.84 "
        "to 44.84 EUR; not distinguishable from zero; 3 members) with bottom-up."
    )
    assert of_ensemble.finding(ensemble_tables) == sentence
    page = study_page(ensembled)
    assert page.verdict.sentence == sentence
    assert page.notices[0].startswith("3 members: intervals of Student's t are wide")
    row = next(t for s in page.sections for t in s.tables).rows[1]
    assert row[:6] == (
        "1",
        "bottom-up",
        "own horizon",
        "3",
        "1,020\u00a0±\u00a025",
        "20\u00a0±\u00a025",
    )


def test_one_member_has_no_interval_and_level_one_is_told():
    kpis = pd.DataFrame(kpi_rows((5.0,)) + kpi_rows((50.0,), level=2.0))
    tables = EnsembleTables(kpis, statistics_of(kpis))
    assert of_ensemble.finding(tables) == (
        "Beyond perfect foresight, errors of level 1 cost 5.00 EUR (0.5 %; one member: no "
        "confidence interval) with bottom-up."
    )


def test_failed_runs_of_an_ensemble_are_named(ensembled):
    failed = {"error_level": 1.0, "scheme": "bottom_up", "variant": "scenario", "member": 2}
    change(ensembled, status="failed", runs_failed=1, failed=[{**failed, "reason": "no\nluck"}])
    page = study_page(ensembled)
    assert page.verdict.state == "warning"
    assert page.notices[0].startswith("1 of 6 runs failed")
    assert page.sections[-1].tables[0].rows == (("1", "bottom-up", "own horizon", "2", "no luck"),)


def test_an_ensemble_without_a_run_is_bad(ensembled):
    change(ensembled, status="interrupted", runs_done=0)
    page = study_page(ensembled)
    assert page.verdict.state == "bad"
    assert "shows 0 of 6 runs" in page.notices[0]


@pytest.mark.parametrize("name", STUDIES)
def test_a_report_needs_nothing_but_itself(name, request):
    directory = request.getfixturevalue(name)
    path = write_study_report(directory)
    assert path == directory / "report.html"
    text = path.read_text(encoding="utf-8")
    own = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)  # plotly.js itself
    assert not re.search(r"(src|href)=[\"']?(https?:|//|[\w./]+\.(js|css|png))", own)
    assert "<h1>village: " in own
    assert str(directory) not in own
    assert own.count("<figure") == len(charts(study_page(directory))) > 2
    assert not list(directory.glob("*.tmp"))
