"""Report of a comparison of coordination schemes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from stackelgrid.analysis.comparison import (
    CLOSED_LOOP,
    DONE,
    PLAN,
    TITLES,
    Comparison,
    follower_ranges,
    grid_table,
    proven_bound,
    total_table,
)
from stackelgrid.analysis.figures import compare as figures
from stackelgrid.analysis.report import qualities
from stackelgrid.analysis.report.page import Chart, Choice, Page, ReportTable, Section, Verdict
from stackelgrid.analysis.report.study import (
    facts_of,
    frame_table,
    listed,
    solver_sections,
    unfinished,
)
from stackelgrid.analysis.results.significant import significant
from stackelgrid.analysis.studies import ComparisonStudy, read_comparison
from stackelgrid.controllers import tolerances
from stackelgrid.controllers.words import words

_WHAT = {
    PLAN: (
        "Each scheme decides once, at interval 0, over the whole horizon; every plan is judged "
        "alike: its exchange is handed to the follower, who is solved again."
    ),
    CLOSED_LOOP: (
        "Each scheme runs through all intervals of the co-simulation; costs are those of what AC "
        "power flow says happened, less the value of stored energy left."
    ),
}


def page_of(directory: str | Path) -> Page:
    """Return the report of a comparison of schemes or of qualities; raises ResultsError."""
    study = read_comparison(directory)
    if study.kind == "qualities":
        return qualities.page_of_study(study)
    return page_of_study(study)


def page_of_study(study: ComparisonStudy) -> Page:
    """Return the report of a comparison of schemes."""
    comparison, summary = study.comparison, study.summary
    ended = [b for b in comparison.bases if comparison.done(b)]
    parts = [part for b in reversed(comparison.bases) for part in _sections(comparison, b)]
    return Page(
        title=f"{summary['scenario']}: coordination schemes compared",
        subtitle=(
            f"{listed([words(s) for s in summary['schemes']])}; "
            f"pricing at the boundary: {words(comparison.pricing)}"
        ),
        verdict=_verdict(study, ended),
        facts=facts_of(summary),
        sections=(*parts, *solver_sections(summary)),
        notices=(*_unfinished(study), *_failures(comparison), *_open(comparison)),
    )


def finding(comparison: Comparison, basis: str) -> str:
    """Return one sentence: the cheapest scheme of a basis, the difference, and the proven bound."""
    costs = _ranked(comparison, basis)
    if costs.empty:
        return "No scheme ended with a cost of its own."
    lowest = float(costs.iloc[0])
    alike = _alike(lowest)
    best = [words(str(s)) for s in costs.index[costs <= lowest + alike]]
    rest = costs[costs > lowest + alike]
    where = "the plan" if basis == PLAN else "the closed loop"
    if len(costs) == 1:
        text = f"{best[0]} costs {lowest:,.2f} EUR in {where}, with nothing to compare it to"
    elif rest.empty:
        text = f"All schemes cost the same in {where}: {lowest:,.2f} EUR"
    else:
        verb = "is cheapest" if len(best) == 1 else "are cheapest alike"
        text = f"{listed(best)} {verb} in {where} with {lowest:,.2f} EUR: {_below(lowest, rest)}"
    return f"{text}; {_proof(comparison, basis, lowest)}."


def _ranked(comparison: Comparison, basis: str) -> "pd.Series[float]":
    """Return costs in ascending order, without plans that are a fallback."""
    costs = comparison.totals(basis, figures.cost_name(basis)).dropna()
    if basis == PLAN:
        fallbacks = comparison.totals(basis, "fallbacks").fillna(0.0)
        costs = costs[fallbacks[costs.index] == 0.0]
    return costs.sort_values(kind="stable")


def _below(lowest: float, rest: "pd.Series[float]") -> str:
    """Describe the distance to the next and to the most expensive scheme."""
    texts = [f"{_less(lowest, float(rest.iloc[0]))} less than {words(str(rest.index[0]))}"]
    if len(rest) > 1:
        name = words(str(rest.index[-1]))
        dearest = f"{_less(lowest, float(rest.iloc[-1]))} less than {name}, the dearest"
        texts.append(dearest)
    return " and ".join(texts)


def _less(lowest: float, other: float) -> str:
    difference = other - lowest
    share = f" ({significant(100.0 * difference / abs(other), 2)} %)" if other else ""
    amount = f"{difference:,.2f}" if abs(difference) >= 0.005 else significant(difference, 2)
    return f"{amount} EUR{share}"


def _proof(comparison: Comparison, basis: str, lowest: float) -> str:
    if basis == CLOSED_LOOP:
        return "a closed loop has no proven bound"
    bound = proven_bound(comparison, basis)
    if np.isnan(bound):
        return "no bound on the total cost was proven (scheme integrated has one)"
    if _contradicted(comparison, basis):
        return (
            f"that is less than {bound:,.2f} EUR, the bound of integrated: one of the two is wrong"
        )
    if lowest - bound <= _alike(lowest):
        return "the bound of integrated proves that no plan can cost less"
    return f"the bound of integrated proves that no plan costs less than {bound:,.2f} EUR"


def _alike(lowest: float) -> float:
    """Return the difference in EUR below which costs count as equal."""
    return tolerances.COST_ALIKE * max(abs(lowest), 1.0)


def _contradicted(comparison: Comparison, basis: str) -> bool:
    """Return True if a plan costs less than the proven bound; False without a bound (NaN)."""
    bound, costs = proven_bound(comparison, basis), _ranked(comparison, basis)
    return any(bound - cost > _alike(cost) for cost in costs)


def _verdict(study: ComparisonStudy, ended: list[str]) -> Verdict:
    comparison = study.comparison
    if not ended:
        return Verdict("bad", "No scheme ended; the reasons follow.")
    basis = ended[-1]  # prefer realised costs to planned ones
    fallbacks = comparison.totals(basis, "fallbacks").fillna(0.0)
    whole = study.summary["status"] == DONE and not fallbacks.any()
    whole = whole and not any(_contradicted(comparison, b) for b in ended)
    return Verdict("good" if whole else "warning", finding(comparison, basis))


def _unfinished(study: ComparisonStudy) -> list[str]:
    planned = len(study.summary["schemes"]) * (2 if study.summary.get("closed_loop") else 1)
    return unfinished(study.summary, len(study.comparison.status), planned, "evaluations")


def _failures(comparison: Comparison) -> list[str]:
    failed = [
        f"{words(scheme)}, {TITLES[basis].lower()}: {status}"
        for (basis, scheme), status in comparison.status.items()
        if status != DONE
    ]
    for basis in comparison.bases:
        count = comparison.totals(basis, "fallbacks").fillna(0.0)
        unit = "plans" if basis == PLAN else "intervals"
        failed += [
            f"{words(str(scheme))}, {TITLES[basis].lower()}: {n:.0f} {unit} with a fallback "
            "instead of a decision; its costs are no result of the scheme"
            for scheme, n in count.items()
            if n
        ]
    return failed


def _open(comparison: Comparison) -> list[str]:
    """Return notices for schemes whose difference is below the solver's open gap."""
    found = []
    for basis in comparison.bases:
        costs = _ranked(comparison, basis)
        gaps = comparison.totals(basis, "gap_eur").fillna(0.0)
        cheapest = [str(s) for s in costs.index[:2]]
        if len(cheapest) < 2:
            continue
        difference, left = float(costs[cheapest].diff().iloc[1]), float(gaps[cheapest].sum())
        if _alike(float(costs.iloc[0])) < difference < left:
            found.append(
                f"{TITLES[basis]}: {listed([words(s) for s in cheapest])} differ by "
                f"{difference:,.2f} EUR, less than the {left:,.2f} EUR that the solver leaves "
                "open of their own objectives."
            )
    return found


def _sections(comparison: Comparison, basis: str) -> list[Section]:
    """Build the sections of a basis: costs, their table, what differs, exchange; all numbers."""
    title = TITLES[basis]
    totals = total_table(comparison, basis).reset_index()
    tables = [frame_table(totals, "All active networks together, all copies")]
    by_grid = grid_table(comparison, basis).reset_index()
    if len(by_grid):
        tables.append(frame_table(by_grid, "Every grid, all its copies"))
    numbers = Section("All numbers", (), (), tuple(tables))
    if not comparison.done(basis):
        return [Section(title, (_WHAT[basis], "No scheme ended."), folded=(numbers,))]
    text = (
        (_WHAT[basis], finding(comparison, basis)) if len(comparison.bases) > 1 else (_WHAT[basis],)
    )
    charts, alike = _costs(comparison, basis)
    cost = (_cost_table(comparison, basis),)
    sections = [Section(f"{title}: cost", (*text, *alike), charts, cost, (numbers,))]
    sections += _differences(comparison, basis)
    if len(comparison.exchange[comparison.exchange["basis"] == basis]):
        sections.append(Section(f"{title}: exchange", (), (_exchange(comparison, basis),)))
    return sections


def _cost_table(comparison: Comparison, basis: str) -> ReportTable:
    """Build the table of costs with a row for each scheme, the cheapest first."""
    total = comparison.totals(basis, figures.cost_name(basis))
    beyond = total - total.min()
    leader, follower = (
        comparison.totals(basis, figures.cost_name(basis, which))
        for which in ("leader", "follower")
    )
    order = total.sort_values(kind="stable", na_position="last").index
    rows = tuple(
        (words(str(s)), *(_euros(of[s]) for of in (total, beyond, leader, follower))) for s in order
    )
    columns = ("scheme", "system", "beyond the lowest", "leaders", "follower")
    return ReportTable("Cost in EUR", columns, rows, compact=True)


def _euros(value: float) -> str:
    return "-" if np.isnan(value) else f"{round(value, 2) + 0.0:,.2f}"


def _exchange(comparison: Comparison, basis: str) -> Chart | Choice:
    """Build the chart of exchange, with a choice of differences if there are several schemes."""
    chart = Chart.of(
        "Power",
        figures.exchange,
        comparison,
        basis,
        note="All copies of a grid together. Lines of schemes that agree coincide.",
        wide=True,
    )
    title = "Exchange with the grid above, import above zero"
    if len(comparison.done(basis)) < 2:
        return replace(chart, title=title)
    against = figures.reference(comparison, basis)
    difference = Chart(
        f"Difference to {words(against)}",
        figures.exchange(comparison, basis, against=against),
        f"Exchange of every scheme less that of {words(against)}, MW.",
        "All copies of a grid together; above zero a grid draws more.",
    )
    return Choice(title, "Shown", (chart, difference))


def _costs(comparison: Comparison, basis: str) -> tuple[tuple[Chart, ...], tuple[str, ...]]:
    """Build the charts of costs that differ, and a sentence for each that does not."""
    charts, alike = [], []
    for which, title, note in (
        (
            "total",
            "Total cost",
            "The follower's and the leaders' cost; payments between them are transfers and "
            "left out.",
        ),
        ("leader", "Cost of the leaders", "With their payments at the boundary."),
        ("follower", "Cost of the follower", "Of the root, at the leaders' exchange."),
    ):
        values = comparison.totals(basis, figures.cost_name(basis, which)).dropna()
        if len(values) > 1 and values.max() - values.min() <= _alike(float(values.min())):
            alike.append(f"{title}: {values.min():,.2f} EUR with every scheme.")
        elif len(values) > 1:
            described = f"{title} of every scheme beyond that of the cheapest, in EUR."
            figure = figures.costs(comparison, basis, which)
            charts.append(Chart(title, figure, described, note, wide=which == "total"))
    if len(follower_ranges(comparison, basis)):
        chart = Chart(
            "Range left open by feasibility alone",
            figures.follower_range(comparison, basis),
            "Range of the follower's cost without the requirement of optimality, in EUR.",
            "A program that only requires a feasible follower may return any cost of the bar.",
        )
        charts.append(chart)
    return tuple(charts), tuple(alike)


def _differences(comparison: Comparison, basis: str) -> list[Section]:
    """Build the section of indicators that differ between schemes, and name those that do not."""
    if len(comparison.done(basis)) < 2:
        return []
    same = figures.same(comparison, basis)
    charts = tuple(
        Chart(title, figure, f"{title} of every scheme.", wide=False)
        for title, figure in figures.indicators(comparison, basis).items()
        if title not in same
    )
    text = [
        "Where values are close to each other, bars show the difference to "
        f"{words(figures.reference(comparison, basis))}; the values stand beside the names."
    ]
    if same:
        listing = "; ".join(f"{title.lower()} {value}" for title, value in same.items())
        text.append(f"The same with every scheme: {listing}.")
    title = f"{TITLES[basis]}: what differs between the schemes"
    return [Section(title, tuple(text if charts else text[1:]), charts)]
