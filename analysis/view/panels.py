"""Panels of the page on one interval: explanation of a verdict, trades, and the decision."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from dash import html
from dash.development.base_component import Component

from stackelgrid.analysis import style
from stackelgrid.analysis.figures.verdict_states import LABELS, NONE, state_of
from stackelgrid.analysis.results.axes import copies
from stackelgrid.analysis.view.data import LiveRun
from stackelgrid.controllers import tolerances
from stackelgrid.controllers.explanation import Row, explanation, worse_verdict
from stackelgrid.controllers.verdict import exactness_asked
from stackelgrid.controllers.words import words

_NOT_YET = "No interval is on record yet."
_MARKETS = {"grid": "with the grid", "inside": "inside the feeder", "across": "across feeders"}


def at_interval(run: LiveRun, table: str, interval: int, grids: Sequence[str]) -> pd.DataFrame:
    """Rows of an interval and of some grids."""
    frame = run.table(table)
    rows = frame[frame["interval"] == interval]
    return rows[rows["grid"].isin(list(grids))]


def why_text(row: Row) -> str:
    """Explain the verdict of a grid in an interval, from its row of the interval table."""
    text = explanation(row) or _good(row)
    return f"{text[0].upper()}{text[1:]}."


def _good(row: Row) -> str:
    """Describe the certificate of a plan that is as good as its level permits."""
    if exactness_asked(row["level"]):
        share, error = abs(row["fictitious_loss_share"]), row["voltage_error_pu"]
        text = (
            f"fictitious losses {share:.1e} of the load, voltages differ from AC by at most "
            f"{error:.1e} p.u.; no limit is exceeded"
        )
    else:
        text = (
            "AC power flow at the dispatched injections stays inside its limits; losses that DC "
            f"neglects are {row['loss_error_mw']:.3g} MW"
        )
    if row["verdict_three_phase"]:
        text += f"; nor phase by phase (unbalance {row['unbalance_percent']:.2f} %)"
    return text


def why(run: LiveRun, interval: int, grids: Sequence[str]) -> Component:
    """Explain the verdict of one grid, or of every grid that is not exact."""
    rows = at_interval(run, "interval", interval, grids)
    if rows.empty:
        return html.P(_NOT_YET)
    if len(rows) > 1:
        return _why_all(rows)
    row: Row = rows.to_dict("records")[0]
    facts = {
        "solver": f"{words(row['solver'])} ({words(row['status'])})" if row["solver"] else "none",
        "gap": f"{row['gap']:.1e}" if pd.notna(row["gap"]) else "none",
        "solve time": f"{row['solve_s']:.2f} s",
        "power flows until the interfaces agreed": f"{row['rounds']}",
        "voltages": f"{row['min_vm_pu']:.4f} to {row['max_vm_pu']:.4f} p.u.",
        "highest loading": f"{row['max_loading_percent']:.1f} %",
    }
    return html.Div([
        html.P([_badge(row), " ", why_text(row)]),
        html.Dl([html.Div([html.Dt(k), html.Dd(v)]) for k, v in facts.items()], className="facts"),
    ])  # fmt: skip


def _why_all(rows: pd.DataFrame) -> Component:
    worse = [row for row in rows.to_dict("records") if explanation(row)]
    if not worse:
        asked = rows["level"].map(exactness_asked)
        text = f"All {int(asked.sum())} feeders are exact"
        return html.P(text + ("." if asked.all() else "; the transmission grid is within limits."))
    return html.Ul([
        html.Li([f"{row['grid']} ", _badge(row), " ", why_text(row)]) for row in worse
    ])  # fmt: skip


def _badge(row: Row) -> Component:
    """State of a grid, in the worse of both views."""
    state = state_of(worse_verdict(row), exactness_asked(row["level"]))
    return html.Span(
        state or LABELS[NONE], className="badge", style={"borderColor": style.VERDICTS[state]}
    )


def trades(run: LiveRun, interval: int, grids: Sequence[str]) -> Component:
    """Power bought and sold by market, and by prosumer where one grid is shown."""
    if not run.done:
        return html.P(_NOT_YET)
    if run.table("trade").empty:
        return html.P(f"No prosumer trades in this run{' so far' if run.running else ''}.")
    rows = at_interval(run, "trade", interval, grids)
    rows = rows[rows["p_mw"] > tolerances.NO_TRADE_MW]
    if rows.empty:
        return html.P(f"No prosumer in {_names(run, grids)} trades in this interval.")
    many, count_of = len(grids) > 1, copies(run.run)
    factor = rows["grid"].astype(str).map(count_of) if many else 1
    summed = rows.assign(p_mw=rows["p_mw"] * factor)
    totals = [[_MARKETS[m], *_sides(summed[summed["market"] == m])] for m in _MARKETS]
    parts = [
        _table(["market", "bought, kW", "at EUR/MWh", "sold, kW", "at EUR/MWh"], totals),
    ]
    if max(count_of[g] for g in grids) > 1:
        parts.append(html.P("All copies." if many else f"One of {count_of[grids[0]]} copies."))
    count = len(rows.groupby(["grid", "bus"], observed=True))
    if many:  # hundreds of rows make the page slow and are not readable
        parts.append(html.P(f"{count} prosumers, {len(rows)} trades; choose a grid to see them."))
        return html.Div(parts)
    by_bus = rows.sort_values(["grid", "bus", "market", "side"])
    detail = [
        [
            f"bus {r.bus}",
            f"{'buys' if r.side == 'buy' else 'sells'} {_MARKETS[r.market]}",
            f"{1e3 * r.p_mw:.3f}",
            f"{r.price_eur_per_mwh:.2f}",
            f"{r.fee_eur_per_mwh:.2f}",
        ]
        for r in _records(by_bus)
    ]
    head = ["prosumer", "trade", "kW", "EUR/MWh", "fee, EUR/MWh"]
    parts.append(
        html.Details(
            [html.Summary(f"{count} prosumers, {len(detail)} trades"), _table(head, detail)]
        )
    )
    return html.Div(parts)


def _sides(rows: pd.DataFrame) -> list[str]:
    """Power and mean price, bought and sold."""
    texts = []
    for side in ("buy", "sell"):
        own = rows[rows["side"] == side]
        power = float(own["p_mw"].sum())
        paid = float((own["p_mw"] * own["price_eur_per_mwh"]).sum())
        texts += [f"{1e3 * power:.2f}", f"{paid / power:.2f}"] if power > 0.0 else ["0", ""]
    return texts


def decision(run: LiveRun, interval: int, grids: Sequence[str]) -> Component:
    """Show the origin of an interval's schedules: stages, negotiation, held versions.

    Of one grid: the stages that it leads or follows in.
    """
    if not run.done:
        return html.P(_NOT_YET)
    parts: list[Component] = []
    followers = _followers(run, grids)
    decided = run.table("stage")
    decided = decided[(decided["interval"] <= interval) & decided["grid"].isin(followers)]
    if len(decided):
        last = int(decided["interval"].max())
        if last != interval:
            parts.append(html.P(f"Decided at {run.times[last]:%d %b %H:%M}; held since."))
        rows = decided[decided["interval"] == last]
        first = rows.iloc[0]
        scheme, pricing = words(first["scheme"]), words(first["pricing"])
        parts.append(html.P(f"Scheme {scheme}, payment by {pricing}."))
        parts.append(_stages(rows))
        interval = last
    parts += _negotiations(run, interval, followers, grids)
    scenario = run.run.scenario
    kind = scenario.get("coordination", "central")
    if "ldd_admm" in (kind, scenario.get("controller")):
        parts += _rounds(run, interval, followers)
    else:
        parts.append(html.P(f"There are no negotiations in this run (coordination {words(kind)})."))
    return html.Div(parts)


def _followers(run: LiveRun, grids: Sequence[str]) -> set[str]:
    """Grids themselves, and those that they hang on: a stage is named after its follower."""
    parents = {run.run.grids[g].parent for g in grids}
    return {*grids, *(p for p in parents if p)}


def _stages(rows: pd.DataFrame) -> Component:
    head = ["follower", "leaders, EUR", "follower, EUR", "gap", "rounds", "solve, s"]
    return _table(head, [
        [
            r.grid, f"{r.leader_eur:.2f}", f"{r.follower_eur:.2f}",
            f"{r.gap:.1e}" if pd.notna(r.gap) else "", str(r.rounds), f"{r.solve_s:.2f}",
        ]
        for r in _records(rows)
    ])  # fmt: skip


def _negotiations(
    run: LiveRun, interval: int, followers: set[str], grids: Sequence[str]
) -> list[Component]:
    parts: list[Component] = []
    for r in _records(at_interval(run, "negotiation", interval, [*followers])):
        outcome = f"committed version {r.committed}" if r.committed else f"nothing ({r.reason})"
        after = f" after {r.agreement_after_sec:.1f} s" if pd.notna(r.agreement_after_sec) else ""
        parts.append(html.P(
            f"{r.grid}: {outcome}{after}; {r.confirmed} of {r.members} agents confirmed, "
            f"{r.silent} silent, {r.in_doubt} in doubt; {r.sent} messages sent, {r.lost} lost, "
            f"{r.in_outage} in an outage, {r.refused} refused."
        ))  # fmt: skip
    held = at_interval(run, "commitment", interval, list(run.run.grids))
    held = held[held["grid"].isin(list(grids)) | held["follower"].isin(list(grids))]
    old = held[~held["on_new"].astype(bool)]
    if len(held):
        names = ", ".join(str(g) for g in old["grid"])
        parts.append(
            html.P(
                f"On an old schedule: {names}." if names else "All agents hold the new schedule."
            )
        )
    return parts


def _rounds(run: LiveRun, interval: int, followers: set[str]) -> list[Component]:
    rows = at_interval(run, "round", interval, [*followers])
    if rows.empty:
        return [html.P("No round was held in this interval.")]
    head = ["follower", "round", "answers", "open trade, %", "price apart", "price moved",
            "exchange apart, kW"]  # fmt: skip
    body = [
        [
            r.grid, f"{r.round}{' (binaries fixed)' if r.fixed else ''}", str(r.answers),
            f"{100 * r.open_share:.2f}", f"{r.price_apart:.1e}", f"{r.price_moved:.1e}",
            f"{1e3 * r.exchange_apart_mw:.3f}",
        ]
        for r in _records(rows)
    ]  # fmt: skip
    return [html.Details([html.Summary(f"{len(body)} rounds"), _table(head, body)])]


def _records(frame: pd.DataFrame) -> list[Any]:
    """Rows with their columns as attributes."""
    return list(frame.itertuples(index=False))


def _table(head: list[str], body: list[list[str]]) -> Component:
    return html.Div(
        html.Table([
            html.Thead(html.Tr([html.Th(text, scope="col") for text in head])),
            html.Tbody([html.Tr([html.Td(text) for text in row]) for row in body]),
        ]),
        className="table", tabIndex=0,
    )  # fmt: skip


def _names(run: LiveRun, grids: Sequence[str]) -> str:
    return "the system" if len(grids) == len(run.grids) else ", ".join(grids)
