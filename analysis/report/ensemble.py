"""Report of an ensemble of runs with forecast errors."""

from pathlib import Path

import numpy as np
import pandas as pd

from stackelgrid.analysis.ensemble.statistics import EnsembleTables, overview
from stackelgrid.analysis.ensemble.variants import OWN, variant_words
from stackelgrid.analysis.figures import ensemble as figures
from stackelgrid.analysis.report.page import Chart, Page, ReportTable, Section, Verdict
from stackelgrid.analysis.report.study import (
    facts_of,
    frame_table,
    listed,
    solver_sections,
    unfinished,
)
from stackelgrid.analysis.results.significant import significant
from stackelgrid.analysis.studies import EnsembleStudy, read_ensemble
from stackelgrid.controllers.words import words

_MOST_FAILURES = 20


def page_of(directory: str | Path) -> Page:
    """Return the report of an ensemble; raises ResultsError."""
    study = read_ensemble(directory)
    s, tables = study.summary, study.tables
    sections: list[Section] = []
    if tables is not None:
        sections += [_regret(tables), _figures(tables)]
        sections += [_horizons(tables)] if tables.horizons else []
    if s["runs_failed"]:
        sections.append(_failures(study))
    levels = listed([f"{v:g}" for v in s.get("error_levels", [])])
    return Page(
        title=f"{s['scenario']}: cost of forecast errors",
        subtitle=(
            f"{s['members']} members; error levels {levels}; "
            f"{listed([words(name) for name in s.get('schemes', [])])}"
        ),
        verdict=_verdict(study),
        facts=_facts(study),
        sections=(*sections, *solver_sections({"solver": study.solver})),
        notices=tuple(_notices(study)),
    )


def finding(tables: EnsembleTables) -> str:
    """Return one sentence: the cost of errors above perfect foresight, with confidence intervals.

    For error level 1, or the largest level; one clause for each scheme.
    """
    rows = _shown(tables)
    if rows.empty:
        return "No member has ended both with its errors and with perfect foresight."
    level = float(rows["error_level"].iloc[0])
    share = tables.of("regret_percent")
    share = share[(share["variant"] == OWN) & (share["error_level"] == level)]
    percent = share.set_index("scheme")["mean"]
    clauses = [
        f"{_clause(row, float(percent.get(scheme, np.nan)))} with {words(str(scheme))}"
        for scheme, (_, row) in zip(rows["scheme"], rows.iterrows(), strict=True)
    ]
    return f"Beyond perfect foresight, errors of level {level:g} cost {listed(clauses)}."


def _shown(tables: EnsembleTables) -> pd.DataFrame:
    """Return the regret with the scenario's own horizon at level 1 or the largest, by scheme."""
    rows = tables.of("regret")
    rows = rows[(rows["variant"] == OWN) & rows["mean"].notna()]
    level = 1.0 if (rows["error_level"] == 1.0).any() else rows["error_level"].max()
    return rows[rows["error_level"] == level]


def _clause(row: "pd.Series[float]", percent: float) -> str:
    """Describe a mean with its share of the cost and its confidence interval."""
    parts = [] if np.isnan(percent) else [f"{significant(percent, 2)} %"]
    if np.isnan(row["low"]):
        parts.append("one member: no confidence interval")
    else:
        parts.append(f"95 % confidence: {row['low']:,.2f} to {row['high']:,.2f} EUR")
        if row["low"] <= 0.0 <= row["high"]:
            parts.append("not distinguishable from zero")
        parts.append(f"{int(row['members'])} members")
    return f"{row['mean']:,.2f} EUR ({'; '.join(parts)})"


def _verdict(study: EnsembleStudy) -> Verdict:
    tables = study.tables
    if tables is None:
        return Verdict("bad", "No run has ended; there is nothing to analyse.")
    beyond = tables.of("intervals_beyond_limits")
    kept = not (beyond.loc[beyond["variant"] == OWN, "mean"] > 0.0).any()
    rows = _shown(tables)
    sure = len(rows) and ((rows["low"] > 0.0) | (rows["high"] <= 0.0)).all()
    whole = study.summary["status"] == "done"
    return Verdict("good" if whole and kept and sure else "warning", finding(tables))


def _facts(study: EnsembleStudy) -> tuple[tuple[str, str], ...]:
    s = study.summary
    return (
        *facts_of({**s, "solver": study.solver}),
        ("Runs", f"{s['runs_done']:,} of {s['runs_planned']:,} done, {s['runs_failed']:,} failed"),
        ("Workers", str(s.get("workers", "unknown"))),
    )


def _notices(study: EnsembleStudy) -> list[str]:
    s, tables = study.summary, study.tables
    found = unfinished(s, int(s["runs_done"]), int(s["runs_planned"]), "runs")
    if s["runs_failed"]:
        found.append(
            f"{s['runs_failed']:,} of {s['runs_planned']:,} runs failed and are not in the "
            "figures; the last section lists them. stackelgrid ensemble --resume repeats them."
        )
    if tables is None:
        return found
    beyond = tables.of("intervals_beyond_limits")
    beyond = beyond[(beyond["variant"] == OWN) & (beyond["mean"] > 0.0)]
    found += [
        f"{words(str(row['scheme']))}, level {row['error_level']:g}: "
        f"{significant(row['mean'], 2)} intervals of a run are beyond a limit on the average."
        for _, row in beyond.iterrows()
    ]
    few = int(tables.of("cost")["members"].min())
    if 1 < few < 5:
        found.append(
            f"{few} members: intervals of Student's t are wide, and hold for normal values only."
        )
    return found


def _regret(tables: EnsembleTables) -> Section:
    text = (
        "Regret is the cost of a run with errors beyond that of the same member, level and scheme "
        "under perfect foresight: realised values are the same, and controllers know them. Its "
        "interval is that of the differences, much narrower than that of two means.",
    )
    chart = Chart.of(
        "Regret against perfect foresight",
        figures.members,
        tables,
        note="Dots are members; the bar is the 95 % interval of Student's t for the mean.",
        wide=True,
    )
    title = "Mean and 95 % confidence interval of the members"
    note = "statistics.csv has all key figures, and those of every grid."
    table = frame_table(overview(tables), title, note)
    return Section("What errors cost", text, (chart,), (table,))


def _figures(tables: EnsembleTables) -> Section:
    drawn = {
        title: figure
        for title, figure in figures.key_figures(tables).items()
        if not title.startswith("Regret")
    }
    always = figures.unchanged(tables)
    charts = [
        Chart(title, figure, f"{title}: mean and confidence interval by error level.", wide=False)
        for title, figure in drawn.items()
        if title not in always
    ]
    if tables.boundaries:
        note = "All copies of a boundary together."
        charts.append(Chart.of("Imbalance by boundary", figures.imbalance, tables, note=note))
    text = [
        "Mean over members with the 95 % confidence interval; hollow marks are perfect foresight."
    ]
    if always:
        listing = "; ".join(f"{title.lower()} {value}" for title, value in always.items())
        text.append(f"The same in every run: {listing}.")
    return Section("Key figures", tuple(text), tuple(charts))


def _horizons(tables: EnsembleTables) -> Section:
    text = "Cost of another horizon beyond that of the scenario's own, with the same errors."
    charts = tuple(
        Chart.of(f"Other horizons with {words(s)}", figures.horizons, tables, s, wide=True)
        for s in tables.schemes
    )
    return Section("Other horizons", (text,), charts)


def _failures(study: EnsembleStudy) -> Section:
    failed = study.summary.get("failed", [])
    rows = tuple(
        (
            f"{f['error_level']:g}", words(str(f["scheme"])), variant_words(str(f["variant"])),
            str(f["member"]),
            " ".join(str(f["reason"]).split()),
        )
        for f in failed[:_MOST_FAILURES]
    )  # fmt: skip
    more = f"The first {_MOST_FAILURES} of {len(failed)}." if len(failed) > _MOST_FAILURES else ""
    columns = ("error level", "scheme", "horizon", "member", "reason")
    return Section("Runs that failed", (), (), (ReportTable("Failures", columns, rows, more),))
