"""Report of a comparison of qualities of communication."""

from stackelgrid.analysis.comparison import CLOSED_LOOP, DONE, Comparison, total_table
from stackelgrid.analysis.figures import compare, negotiation
from stackelgrid.analysis.report.page import Chart, Page, Section, Verdict
from stackelgrid.analysis.report.study import (
    facts_of,
    frame_table,
    listed,
    solver_sections,
    unfinished,
)
from stackelgrid.analysis.results.record import RunRecord
from stackelgrid.analysis.results.significant import significant
from stackelgrid.analysis.run import Run
from stackelgrid.analysis.studies import ComparisonStudy
from stackelgrid.controllers import tolerances
from stackelgrid.controllers.words import words
from stackelgrid.profiles.errors import StackelgridError


def page_of_study(study: ComparisonStudy) -> Page:
    """Return the report of a comparison of qualities."""
    comparison, summary = study.comparison, study.summary
    failed = [
        f"{words(name)}: {status}"
        for (_, name), status in comparison.status.items()
        if status != DONE
    ]
    planned = list(summary["qualities"])
    return Page(
        title=f"{summary['scenario']}: qualities of communication compared",
        subtitle=(
            f"{listed([words(q) for q in planned])}; "
            f"pricing at the boundary: {words(comparison.pricing)}"
        ),
        verdict=_verdict(study),
        facts=facts_of(summary),
        sections=(*_sections(comparison), *_negotiations(study), *solver_sections(summary)),
        notices=(
            *unfinished(summary, len(comparison.status), len(planned), "runs"),
            *failed,
        ),
    )


def finding(comparison: Comparison) -> str:
    """Return one sentence: the extra cost of each quality, and counts of old schedules kept."""
    first = comparison.schemes(CLOSED_LOOP)[0]
    extra = comparison.totals(CLOSED_LOOP, "extra_cost").dropna()
    share = comparison.totals(CLOSED_LOOP, "extra_cost_percent")
    cost = comparison.totals(CLOSED_LOOP, "total_cost_corrected")
    others = [str(q) for q in extra.index if q != first]
    if first not in extra.index or not others:
        return f"Nothing can be compared: {words(first)} and another run have to end."
    alike = tolerances.COST_ALIKE * max(abs(float(cost[first])), 1.0)
    texts = []
    for quality in others:
        value, percent = float(extra[quality]), abs(float(share[quality]))
        more = "more" if value > 0.0 else "less"
        text = f"{abs(value):,.2f} EUR ({significant(percent, 2)} %) {more}"
        texts.append(f"{words(quality)} costs {'the same' if abs(value) <= alike else text}")
    return f"Against {words(first)} communication {listed(texts)}; {_kept(comparison)}."


def _kept(comparison: Comparison) -> str:
    old = comparison.totals(CLOSED_LOOP, "agents_fallback").fillna(0.0)
    texts = [f"{n:.0f} times with {words(str(quality))}" for quality, n in old.items() if n]
    if not texts:
        return "no agent ever kept an old schedule"
    return f"agents kept an old schedule {listed(texts)}"


def _verdict(study: ComparisonStudy) -> Verdict:
    comparison = study.comparison
    if not comparison.done(CLOSED_LOOP):
        return Verdict("bad", "No run ended; the reasons follow.")
    beyond = comparison.totals(CLOSED_LOOP, "intervals_beyond_limits").fillna(0.0).any()
    whole = study.summary["status"] == DONE and not beyond
    return Verdict("good" if whole else "warning", finding(comparison))


def _sections(comparison: Comparison) -> list[Section]:
    totals = total_table(comparison, CLOSED_LOOP).reset_index()
    table = frame_table(totals, "All active networks together, all copies")
    charts: tuple[Chart, ...] = ()
    if comparison.done(CLOSED_LOOP):
        charts = tuple(
            Chart(title, figure, f"{title}, for each quality.", wide=False)
            for title, figure in compare.indicators(
                comparison, CLOSED_LOOP, compare.QUALITIES
            ).items()
        )
    text = (
        "The same scenario runs once over links of each quality. Costs are those of what AC power "
        "flow says happened, less the value of stored energy left.",
    )
    return [Section("What differs", text, charts, (table,))]


def _negotiations(study: ComparisonStudy) -> list[Section]:
    """Build a section on the negotiations of each finished run, from the run's directory."""
    sections = []
    for name in study.comparison.done(CLOSED_LOOP):
        try:
            run = Run(study.directory / name)
        except StackelgridError:  # leave out a run whose directory was moved
            continue
        rounds = [
            Chart.of(f"Rounds of the first negotiation at {g}", negotiation.rounds, run, str(g))
            for g in run.round["grid"].unique()
        ]
        charts = (*negotiation_charts(run), *rounds)
        if charts:
            sections.append(Section(f"Negotiations with {words(name)}", (), charts))
    return sections


def negotiation_charts(run: RunRecord) -> list[Chart]:
    """Charts of the schedules that agents held, and of the times to agreement, where there are."""
    charts = []
    if len(run.commitment):
        title = "Schedules held at the gate"
        charts.append(Chart.of(title, negotiation.schedules_held, run, wide=True))
    if run.negotiation["agreement_after_sec"].notna().any():
        charts.append(Chart.of("Time to agreement", negotiation.agreement, run))
    return charts
