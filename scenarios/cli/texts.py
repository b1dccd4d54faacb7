"""Tables and lines that the command line prints on the results of each verb."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import singledispatch
from typing import Any

import pandas as pd
from rich.table import Table

from stackelgrid.analysis.comparison import TITLES, total_table
from stackelgrid.analysis.ensemble.statistics import overview
from stackelgrid.analysis.exactness.analysis import (
    CONDITION_NAMES,
    PREDICTED,
    conditions_table,
    judged,
    stops_table,
)
from stackelgrid.analysis.report import comparison, ensemble, exactness, qualities
from stackelgrid.analysis.run import Run
from stackelgrid.analysis.studies import ComparisonStudy, EnsembleStudy, SweepStudy
from stackelgrid.scenarios.run.progress import counted

_LEAST_STORED_MWH = 5e-4  # a smaller difference is not visible in the line
_MOST_ROWS = 24


@singledispatch
def texts_of(found: object) -> Iterator[Table | str]:
    """Yield tables and lines on a run or study."""
    raise TypeError(found)


@texts_of.register
def _run(run: Run) -> Iterator[str]:
    s = run.summary
    c, t = s["certificate"], s["timings"]
    yield (
        f"{s['scenario']}: {counted(s['intervals_done'], 'interval')} in {s['wall_s']:.1f} s "
        f"(build {t['build_s']:.1f}, solve {t['solve_s']:.1f}, power flow {t['power_flow_s']:.1f}, "
        f"co-simulation {t['cosimulation_s']:.1f}, state {t['state_s']:.1f}, "
        f"other {t['other_s']:.1f})"
    )
    yield (
        f"cost {s['cost_eur']['total']:.2f} EUR; certificate: {c['exact']} exact, "
        f"{c['feasible']} feasible, {c['infeasible']} infeasible; {c['recovered']} recovered; "
        f"{counted(s['intervals_fallback'], 'interval')} by fallback"
    )
    stored = s["stored_energy"]
    if abs(stored["end_mwh"] - stored["start_mwh"]) >= _LEAST_STORED_MWH:
        yield (
            f"stored energy: {stored['start_mwh']:.3f} MWh at the start, "
            f"{stored['end_mwh']:.3f} MWh at the end; cost corrected by its worth "
            f"{s['cost_eur']['total_corrected']:.2f} EUR"
        )
    phases = c["three_phase"]
    if phases is not None:
        yield (
            f"phase by phase: {phases['feasible']} feasible, {phases['infeasible']} infeasible; "
            f"at most {phases['max_unbalance_pu']:.3f} p.u. from the balanced voltage"
        )
    yield from negotiation_lines(s["negotiation"])


def negotiation_lines(section: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield lines on the section `negotiation` of a summary; none for runs without messages."""
    if section is None or section["negotiations"] is None:
        return
    line = (
        f"messages: {section['agreements']} of {section['negotiations']} negotiations agreed, "
        f"{section['rounds_mean']:.1f} rounds on average (at most {section['rounds_max']})"
    )
    if section["agreement_mean_sec"] is not None:
        line += (
            f", after {section['agreement_mean_sec']:.1f} s (at most "
            f"{section['agreement_max_sec']:.1f} s) of simulated time"
        )
    lost = section["lost"] + section["in_outage"]
    yield f"{line}; {section['messages']} messages, {section['bytes'] / 1e3:.1f} kB, {lost} lost"
    if section["fallbacks"]:
        reasons = section["intervals_fallback_by_reason"]
        why = ", ".join(f"{kind} in {count}" for kind, count in reasons.items())
        yield (
            f"old schedules: held {section['fallbacks']} times by an agent (intervals: {why}); "
            f"{section['in_doubt']} times in doubt at a gate, {section['settled']} of these "
            "settled later"
        )
    if section["refused"] or section["failures"]:
        yield (
            f"{section['refused']} messages refused, {section['failures']} failures of agents; "
            "reasons in log.jsonl"
        )


@texts_of.register
def _comparison(study: ComparisonStudy) -> Iterator[Table | str]:
    """Yield the totals of every basis, one column a scheme or quality, and the findings."""
    found = study.comparison
    for basis in found.bases:
        title = f"{study.summary['scenario']}: {TITLES[basis]}, total"
        texts = total_table(found, basis)
        yield _table(title, ("indicator", *texts.columns), texts.itertuples(), ("indicator",))
    if study.kind == "qualities":
        yield qualities.finding(found)
    else:
        for basis in found.bases:
            yield comparison.finding(found, basis)


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
    yield from _sweep_lines(study.summary)
    yield exactness.finding(tables)


def _conditions(study: SweepStudy, name: str) -> Table:
    headings = (
        "of", "condition", "holds, exact", "holds, not exact", "fails, exact", "fails, not exact",
        "alone fails, exact", "alone fails, not exact",
    )  # fmt: skip
    rows = []
    for row in conditions_table(study.tables.points, study.tables.steps).itertuples(index=False):
        basis, condition, *counts = row
        alone = ("", "") if condition == PREDICTED else counts[4:]
        rows.append((f"{basis}s", CONDITION_NAMES[str(condition)], *counts[:4], *alone))
    title = f"{name}: a priori conditions against the certificate"
    return _table(title, headings, rows, ("of", "condition"))


def _stops(stops: pd.DataFrame, name: str) -> Table:
    along = str(stops["along"].iloc[0])
    others = [c for c in stops.columns if c in list(stops.columns)[: list(stops).index("along")]]
    more = f" (first {_MOST_ROWS} of {len(stops)} rows)" if len(stops) > _MOST_ROWS else ""
    title = f"{name}: {along} up to which points are exact, and are predicted to be{more}"
    numbers = ("last_exact", "first_inexact", "last_predicted", "first_not_predicted")
    failing = "conditions that fail at the first inexact point"
    rows = []
    for _, row in stops.head(_MOST_ROWS).iterrows():
        cells = ["-" if pd.isna(row[c]) else f"{row[c]:g}" for c in (*others, *numbers)]
        rows.append((*cells, row["failing_conditions"] or "-"))
    headings = (*others, *(name.replace("_", " ") for name in numbers), failing)
    return _table(title, headings, rows, (failing,))


def _sweep_lines(s: Mapping[str, Any]) -> Iterator[str]:
    t = s["timings"]
    count = s["predicted_exact"]
    predicted = "" if count is None else f" ({count} predicted)"
    yield (
        f"{s['scenario']}: {s['points_done']} points of {s['grid']} in {s['wall_s']:.1f} s "
        f"(workers: {s['workers']}; build {t['build_s']:.1f}, solve {t['solve_s']:.1f}, "
        f"certify {t['certify_s']:.1f} s)"
    )
    yield (
        f"{s['exact']} exact{predicted}, {s['feasible']} feasible, "
        f"{s['infeasible']} infeasible, {s['unsolved']} without a solution"
    )


@texts_of.register
def _ensemble(study: EnsembleStudy) -> Iterator[Table | str]:
    """Yield key figures with their confidence intervals, and lines."""
    s = study.summary
    if study.tables is not None:
        title = "mean and 95 % confidence interval of the members (scenario: its own horizon)"
        texts = overview(study.tables)
        yield _table(f"{s['scenario']}: {title}", texts.columns, texts.itertuples(index=False))
        yield ensemble.finding(study.tables)
    yield (
        f"{s['scenario']}: {s['runs_done']} of {s['runs_planned']} runs in {s['wall_s']:.1f} s "
        f"({s['workers']} workers)"
    )


def _table(
    title: str, headings: Iterable[str], rows: Iterable[Iterable[object]], left: Sequence[str] = ()
) -> Table:
    """Return a table of the console; columns of text are aligned `left`."""
    table = Table(title=title, title_justify="left")
    for heading in headings:
        table.add_column(str(heading), justify="left" if heading in left else "right")
    for row in rows:
        table.add_row(*map(str, row))
    return table
