"""Report of an exactness sweep."""

from dataclasses import replace
from pathlib import Path

import pandas as pd

from stackelgrid.analysis.exactness.analysis import (
    CONDITION_NAMES,
    PREDICTED,
    SweepTables,
    conditions_table,
    judged,
    levels_table,
    line_shares,
    pairs_by_effect,
    stops_table,
)
from stackelgrid.analysis.figures import exactness as figures
from stackelgrid.analysis.report.page import Chart, Choice, Page, ReportTable, Section, Verdict
from stackelgrid.analysis.report.study import (
    duration,
    facts_of,
    frame_table,
    number,
    solver_sections,
    unfinished,
)
from stackelgrid.analysis.studies import SweepStudy, read_sweep
from stackelgrid.analysis.study_columns import DIMENSIONS
from stackelgrid.controllers.explanation import point_explanation
from stackelgrid.controllers.verdict import EXACT, INFEASIBLE
from stackelgrid.controllers.words import words

_NOT_COVERED = "the a priori conditions do not cover feeders with charging, iron losses or shunts"
_MOST_ROWS = 24
_MOST_LINES = 12


def page_of(directory: str | Path) -> Page:
    """Return the report of a sweep; raises ResultsError."""
    study = read_sweep(directory)
    summary, tables = study.summary, study.tables
    planned, done = int(summary["points_planned"]), len(tables.points)
    size = f", size {summary['size']}" if summary.get("size") else ""
    solved = int((tables.points["verdict"] != "").sum())
    sections = [_conditions(tables)]
    if solved:
        sections = [*_where(tables), *sections, *_lines(study)]
    sections += _not_good(tables)
    return Page(
        title=f"{summary['scenario']}: where the relaxation is exact",
        subtitle=f"feeder {summary['grid']}{size}: {_design(study)}",
        verdict=_verdict(study),
        facts=_facts(study),
        sections=(*sections, *solver_sections(summary)),
        notices=tuple(unfinished(summary, done, planned, "points")),
    )


def finding(tables: SweepTables) -> str:
    """Return one sentence: the share of exact points, and the predictions of the conditions."""
    points = tables.points
    solved = points[points["verdict"] != ""]
    if solved.empty:
        return f"None of {len(points):,} points has a solution, so no statement is possible."
    exact = int((solved["verdict"] == EXACT).sum())
    share = 100.0 * exact / len(solved)
    found = f"The relaxation is exact at {exact:,} of {len(solved):,} solved points ({share:.1f} %)"
    if not judged(points):
        return f"{found}; {_NOT_COVERED}."
    all_three = conditions_table(points, tables.steps).iloc[0]
    right, wrong = int(all_three["holds_exact"]), int(all_three["holds_inexact"])
    refuted = f"{wrong:,} more wrongly" if wrong else "none wrongly"
    return f"{found}; the a priori conditions predicted {right:,} of them, and {refuted}."


def _verdict(study: SweepStudy) -> Verdict:
    points = study.tables.points
    solved = points[points["verdict"] != ""]
    wrong = (solved[PREDICTED].astype(bool) & (solved["verdict"] != EXACT)).any()
    sentence = finding(study.tables)
    if solved.empty or wrong:
        return Verdict("bad", sentence)
    whole = study.summary["status"] == "done" and len(solved) == len(points)
    good = whole and (solved["verdict"] == EXACT).all()
    return Verdict("good" if good else "warning", sentence)


def _design(study: SweepStudy) -> str:
    """Describe the varied dimensions with their ranges."""
    texts = []
    for name, d in study.summary["dimensions"].items():
        levels = f" in {d['levels']} levels" if d.get("levels") else ""
        texts.append(f"{DIMENSIONS[name]} {d['from']:g} to {d['to']:g}{levels}")
    return "; ".join(texts) or "one point"


def _facts(study: SweepStudy) -> tuple[tuple[str, str], ...]:
    s, points = study.summary, study.tables.points
    timed = ", ".join(
        f"{name.removesuffix('_s')} {duration(float(points[name].sum()))}"
        for name in ("build_s", "solve_s", "certify_s")
    )
    design = words(str(s.get("design", "grid")))
    return (
        *facts_of(s),
        ("Points", f"{len(points):,} of {s['points_planned']:,} ({design})"),
        ("Worker processes", str(s.get("workers", "unknown"))),
        ("Time of all workers", timed),
    )


def _where(tables: SweepTables) -> list[Section]:
    """Build sections on the limits of exactness, by dimension and by pairs of dimensions."""
    charts = tuple(
        Chart.of(f"By {DIMENSIONS[dimension].split(',')[0]}", figures.along, tables, dimension)
        for dimension in tables.varied
    )
    text = (
        "Verdicts are those of a point's worst step: exact (no fictitious losses, AC agrees, "
        "limits kept), feasible (not exact, but AC within limits), infeasible (AC beyond a limit).",
    )
    if not charts:
        return []
    numbers = (_levels(tables), *_stops(tables))
    sections = [Section("Along each dimension", text, charts, numbers)]
    pairs = pairs_by_effect(tables)
    if pairs:
        sections.append(_pairs(tables, pairs))
    return sections


def _pairs(tables: SweepTables, pairs: list[tuple[str, str]]) -> Section:
    """Build the section of heat maps, with a choice of the pair if there are several."""
    named = {
        f"{DIMENSIONS[across].split(',')[0]} and {DIMENSIONS[up].split(',')[0]}": (across, up)
        for across, up in pairs
    }
    loss = "log10 of the share of a step's load; neutral colour: the limit of the verdict exact."
    shown: list[Chart | Choice] = []
    for title, figure, note in (
        ("Exact points", figures.exact_share, ""),
        ("Largest fictitious loss", figures.fictitious_loss, loss),
    ):
        charts = tuple(Chart.of(name, figure, tables, *pair) for name, pair in named.items())
        if len(charts) == 1:
            shown.append(replace(charts[0], title=f"{title} by {charts[0].title}", note=note))
        else:
            shown.append(Choice(title, "By", charts, note, wide=False))
    text = "All other dimensions together; the pair that explains exactness best comes first."
    return Section("By pairs of dimensions", (text,), tuple(shown))


def _conditions(tables: SweepTables) -> Section:
    if not judged(tables.points):
        return Section("What was predicted", (f"Nothing: {_NOT_COVERED}.",))
    text = (
        "Before a point is solved, three conditions are checked for each of its steps (Gan, Li, "
        "Topcu and Low 2015, theorem 1). They are sufficient together: where all three hold the "
        "relaxation has to be exact, and a red bar of all three would refute that. Where they "
        "fail nothing is promised; each alone promises nothing.",
    )
    charts = tuple(
        Chart.of(f"Conditions against the certificate, {basis}s", figures.conditions, tables, basis)
        for basis in ("point", "step")
    )
    found = conditions_table(tables.points, tables.steps)
    names = {
        "holds_exact": "holds, exact", "holds_inexact": "holds, not exact",
        "fails_exact": "fails, exact", "fails_inexact": "fails, not exact",
        "only_fails_exact": "alone fails, exact", "only_fails_inexact": "alone fails, not exact",
    }  # fmt: skip
    counts = found[list(names)].astype(int).map("{:,}".format).rename(columns=names)
    for column in ("alone fails, exact", "alone fails, not exact"):  # not of all three
        counts[column] = counts[column].where(found["condition"] != PREDICTED, "")
    counts.insert(0, "condition", found["condition"].map(CONDITION_NAMES))
    counts.insert(0, "of", found["basis"] + "s")
    return Section("What was predicted", text, charts, (frame_table(counts, "Counts"),))


def _levels(tables: SweepTables) -> ReportTable:
    found = levels_table(tables.points, tables.varied)
    share = found["max_fictitious_loss_share"]
    texts = pd.DataFrame({
        "dimension": found["dimension"].map(DIMENSIONS),
        "from": found["from"].map(number),
        "to": found["to"].map(number),
        **{
            name: found[name].astype(int).map("{:,}".format)
            for name in ("points", "solved", "exact")
        },
        "predicted exact": found[PREDICTED].astype(int).map("{:,}".format),
        "largest fictitious loss": share.map(lambda v: "-" if pd.isna(v) else f"{v:.1e}"),
    })  # fmt: skip
    note = "Fictitious loss as a share of a step's load."
    return frame_table(texts, "Points by level", note)


def _stops(tables: SweepTables) -> list[ReportTable]:
    """Build the table of limits of exactness along the first dimension, for points on a grid."""
    stops = stops_table(tables.points, tables.varied)
    if stops.empty:
        return []
    along = str(stops["along"].iloc[0])
    others = list(stops.columns)[: list(stops).index("along")]
    shown = stops.head(_MOST_ROWS)
    columns = [*others, "last_exact", "first_inexact", "last_predicted", "first_not_predicted"]
    texts = shown[columns].map(number)
    texts["fails at the first inexact point"] = shown["failing_conditions"].replace("", "-")
    texts = texts.rename(columns=words)
    more = f"The first {_MOST_ROWS} of {len(stops)} rows; stops.csv has all."
    note = more if len(stops) > _MOST_ROWS else ""
    return [frame_table(texts, f"{DIMENSIONS[along]} up to which points are exact", note)]


def _lines(study: SweepStudy) -> list[Section]:
    """Build the section on inexact lines: the feeder as a tree, and the worst lines."""
    shares = line_shares(study.tables)
    shares = shares[(shares > 0.0).any(axis=1)].sort_values(
        ["inexact", "c1_fails"], ascending=False, kind="stable"
    )
    if shares.empty:
        return [Section("Lines", ("No line is inexact at any point, and C1 holds at all.",))]
    charts = []
    for column, what in (("inexact", "is inexact"), ("c1_fails", "fails condition C1")):
        if study.tree is not None and (shares[column] > 0.0).any():
            of = (study.tables, study.tree, column)
            charts.append(Chart.of(f"Where a line {what}", figures.feeder_tree, *of, wide=True))
    texts = (100.0 * shares.head(_MOST_LINES)).map("{:.1f} %".format)
    texts.insert(0, "line", texts.index)
    names = {"inexact": "inexact at", "c1_fails": "C1 fails at"}
    more = f"The worst {_MOST_LINES} of {len(shares)} lines; lines.parquet has all."
    note = more if len(shares) > _MOST_LINES else ""
    table = frame_table(texts.rename(columns=names), "Lines, percent of solved points", note)
    text = "A line is inexact where its own fictitious loss exceeds 1e-6 of the load in some step."
    return [Section("Lines", (text,), tuple(charts), (table,))]


def _not_good(tables: SweepTables) -> list[Section]:
    """Build the sections on points without a solution and beyond a limit, with the reasons."""
    points = tables.points
    unsolved, infeasible = points["verdict"] == "", points["verdict"] == INFEASIBLE
    sections = []
    if unsolved.any():
        text = f"{int(unsolved.sum()):,} points are not counted elsewhere."
        table = _why(tables, points[unsolved], "Points without a solution")
        sections.append(Section("Without a solution", (text,), (), (table,)))
    if infeasible.any():
        worst = points[infeasible].sort_values(
            "max_violation_pu", ascending=False, na_position="first", kind="stable"
        )
        table = _why(tables, worst, "Points beyond a limit, the worst first")
        sections.append(Section("Beyond a limit", (), (), (table,)))
    return sections


def _why(tables: SweepTables, points: pd.DataFrame, title: str) -> ReportTable:
    shown = points.head(_MOST_ROWS)
    texts = shown[list(tables.varied)].map(number).rename(columns=DIMENSIONS)
    texts.insert(0, "point", shown["point"].astype(str))
    texts["why"] = [point_explanation(row) for row in shown.to_dict("records")]
    return frame_table(texts, title, f"The first {_MOST_ROWS}." if len(points) > len(shown) else "")
