"""Tables and lines that the command line prints on the results of each verb."""

from collections.abc import Iterator, Mapping, Sequence
from functools import singledispatch
from typing import Any

import pandas as pd
from rich.table import Table

from stackelgrid.analysis.comparison import TITLES
from stackelgrid.analysis.ensemble.statistics import headline_overview
from stackelgrid.analysis.exactness.analysis import (
    CONDITION_NAMES,
    PREDICTED,
    conditions_table,
    judged,
    stops_table,
)
from stackelgrid.analysis.headlines import QUALITIES, SCHEMES, headlines
from stackelgrid.analysis.report import comparison, ensemble, exactness, qualities
from stackelgrid.analysis.report.study import duration
from stackelgrid.analysis.results.axes import clock
from stackelgrid.analysis.results.findings import findings, sentence
from stackelgrid.analysis.run import Run
from stackelgrid.analysis.studies import ComparisonStudy, EnsembleStudy, SweepStudy
from stackelgrid.controllers.networks.naming import counted
from stackelgrid.controllers.words import words
from stackelgrid.scenarios.cli.tables import result_table

_LEAST_STORED_MWH = 5e-4  # a smaller difference is not visible in the line
_TIMED = {
    "solve": "solve", "build": "build", "power flow": "power_flow",
    "co-simulation": "cosimulation", "state": "state", "other": "other",
}  # fmt: skip
_MOST_ROWS = 24
_MOST_PARTS = 3  # of the time of a run


@singledispatch
def texts_of(found: object) -> Iterator[Table | str]:
    """Yield tables and lines on a run or study."""
    raise TypeError(found)


@texts_of.register
def _run(run: Run) -> Iterator[str]:
    s = run.summary
    yield sentence(findings(run), clock(run))
    stored, corrected = s["stored_energy"], s["cost_eur"]["total_corrected"]
    changed = abs(stored["end_mwh"] - stored["start_mwh"]) >= _LEAST_STORED_MWH
    if changed and corrected is not None:
        yield (
            f"cost corrected by stored energy ({stored['start_mwh']:,.3f} to "
            f"{stored['end_mwh']:,.3f} MWh): {corrected:,.2f} EUR"
        )
    yield from _against_baseline(s, ", corrected alike" if changed else "")
    phases = s["certificate"]["three_phase"]
    if phases is not None:
        yield (
            f"phase by phase: {_counts(phases, ('feasible', 'infeasible'))}; at most "
            f"{phases['max_unbalance_pu']:.3f} p.u. from the balanced voltage"
        )
    yield from negotiation_lines(s["negotiation"])
    timings: Mapping[str, Any] = s["timings"]
    parts = sorted(((timings[f"{key}_s"], name) for name, key in _TIMED.items()), reverse=True)
    spent = ", ".join(f"{name} {value:.1f}" for value, name in parts[:_MOST_PARTS])
    yield f"time {s['wall_s']:.1f} s, most for: {spent}"


def _counts(counts: Mapping[str, Any], names: Sequence[str]) -> str:
    """List counts by name, without those that are zero."""
    return ", ".join(f"{counts[name]} {name}" for name in names if counts[name])


def _against_baseline(s: Mapping[str, Any], how: str) -> Iterator[str]:
    """Yield the line on the cost against the baseline without control, where a run has one.

    `how` states how the cost of the baseline is corrected.
    """
    baseline = s.get("baseline")  # of runs of this version
    if baseline is None or baseline["status"] != "done":
        return
    before, cost = (c["cost_eur"]["total_corrected"] for c in (baseline, s))
    if before is not None and cost is not None:
        saved = before - cost
        share = f" ({100.0 * abs(saved) / abs(before):.1f} %)" if before else ""
        more = "saves" if saved >= 0.0 else "costs another"
        yield f"without control {before:,.2f} EUR{how}; control {more} {abs(saved):,.2f} EUR{share}"


def negotiation_lines(section: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield lines on the section `negotiation` of a summary; none for runs without messages."""
    if section is None or section["negotiations"] is None:
        return
    negotiations = counted(section["negotiations"], "negotiation")
    yield (
        f"{section['agreements']} of {negotiations} agreed, in {section['rounds_mean']:.1f} rounds "
        f"on average ({section['rounds_max']} at most)"
    )
    if section["agreement_mean_sec"] is not None:
        yield (
            f"agreement after {section['agreement_mean_sec']:.1f} s of simulated time on average "
            f"({section['agreement_max_sec']:.1f} s at most)"
        )
    lost = section["lost"] + section["in_outage"]
    yield (
        f"{counted(section['messages'], 'message')}, {section['bytes'] / 1e3:,.1f} kB, {lost} lost"
    )
    if section["fallbacks"]:
        reasons = section["intervals_fallback_by_reason"]
        why = ", ".join(f"{kind} in {count}" for kind, count in reasons.items())
        yield f"agents held old schedules {section['fallbacks']} times (intervals: {why})"
    if section["in_doubt"]:
        yield (
            f"agents were in doubt at a gate {section['in_doubt']} times, "
            f"{section['settled']} of these were settled later"
        )
    if section["refused"] or section["failures"]:
        yield (
            f"{section['refused']} messages refused, {section['failures']} failures of agents; "
            "reasons in log.jsonl"
        )


@texts_of.register
def _comparison(study: ComparisonStudy) -> Iterator[Table | str]:
    """Yield headlines of every basis, one row a scheme or quality, and the findings."""
    found, name = study.comparison, study.summary["scenario"]
    of_schemes = study.kind == "schemes"
    for basis in found.bases:
        columns = SCHEMES[basis] if of_schemes else QUALITIES
        texts = headlines(found, basis, columns)
        what = f"{TITLES[basis].lower()}, {words(found.pricing)} at the boundary"
        yield result_table(f"{name}: {what}", texts.heads, texts.rows, (0,), "\n".join(texts.notes))
        yield comparison.finding(found, basis) if of_schemes else qualities.finding(found)


@texts_of.register
def _sweep(study: SweepStudy) -> Iterator[Table | str]:
    """Yield the table of conditions, where exactness ends along the first dimension, and lines."""
    tables, name = study.tables, study.summary["scenario"]
    if judged(tables.points):
        yield _conditions(study, name)
    if tables.varied:
        stops = stops_table(tables.points, tables.varied)
        if len(stops):
            yield _stops(stops, name)
    yield exactness.finding(tables)
    yield from _sweep_lines(study.summary)


def _conditions(study: SweepStudy, name: str) -> Table:
    headings = (
        "of", "condition", "holds,\nexact", "holds,\nnot exact", "fails,\nexact",
        "fails,\nnot exact", "alone fails,\nexact", "alone fails,\nnot exact",
    )  # fmt: skip
    rows = []
    for row in conditions_table(study.tables.points, study.tables.steps).itertuples(index=False):
        basis, condition, *counts = row
        alone = ("", "") if condition == PREDICTED else counts[4:]
        rows.append((f"{basis}s", CONDITION_NAMES[str(condition)], *counts[:4], *alone))
    title = f"{name}: a priori conditions against the certificate"
    return result_table(title, headings, rows, (0, 1))


def _stops(stops: pd.DataFrame, name: str) -> Table:
    along = str(stops["along"].iloc[0])
    others = [c for c in stops.columns if c in list(stops.columns)[: list(stops).index("along")]]
    more = f" (first {_MOST_ROWS} of {len(stops)} rows)" if len(stops) > _MOST_ROWS else ""
    title = f"{name}: {words(along)} up to which points are exact and predicted to be{more}"
    numbers = ("last_exact", "first_inexact", "last_predicted", "first_not_predicted")
    failing = "conditions that fail there"
    rows = []
    for _, row in stops.head(_MOST_ROWS).iterrows():
        cells = ["-" if pd.isna(row[c]) else f"{row[c]:g}" for c in (*others, *numbers)]
        rows.append((*cells, row["failing_conditions"] or "-"))
    headings = (*map(words, (*others, *numbers)), failing)
    return result_table(title, headings, rows, (len(headings) - 1,))


def _sweep_lines(s: Mapping[str, Any]) -> Iterator[str]:
    t, count = s["timings"], s["predicted_exact"]
    predicted = "" if count is None else f" ({count} predicted)"
    others = _counts(
        {**s, "without a solution": s["unsolved"]}, ("feasible", "infeasible", "without a solution")
    )
    yield (
        f"{counted(s['points_done'], 'point')} of {s['grid']}: {s['exact']} exact{predicted}"
        + (f", {others}" if others else "")
    )
    yield (
        f"time {duration(s['wall_s'])} on {counted(s['workers'], 'worker')}: "
        f"build {t['build_s']:.1f}, solve {t['solve_s']:.1f}, certify {t['certify_s']:.1f} s"
    )


@texts_of.register
def _ensemble(study: EnsembleStudy) -> Iterator[Table | str]:
    """Yield key figures with their confidence intervals, and lines."""
    s, tables = study.summary, study.tables
    if tables is not None:
        of = counted(s["members"], "member")
        for scheme in tables.schemes:
            title = f"{s['scenario']}, {words(scheme)}: mean of {of}, 95 % confidence"
            texts = headline_overview(tables, scheme)
            yield result_table(title, texts.columns, texts.itertuples(index=False), (1,))
        yield ensemble.finding(tables)
    yield (
        f"{s['runs_done']} of {counted(s['runs_planned'], 'run')} in {duration(s['wall_s'])} "
        f"on {counted(s['workers'], 'worker')}"
    )
