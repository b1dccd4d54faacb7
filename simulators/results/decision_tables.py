"""Tables of decisions: their stages, the rounds, messages and commits of negotiations."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from stackelgrid.controllers.decision import Negotiation, Outcome, Round
from stackelgrid.simulators.results.columns import KEY, Table, count, flag, label, number, table

SEPARATOR = "; "  # between the texts of a column

STAGE: Table[Outcome] = table(
    "stage",
    "How each stage of the decision was decided: one row for each follower (`grid`) in the "
    "interval of the decision (a day-ahead run has one). Money is over the horizon and counts all "
    "copies of the leaders.",
    *KEY,
    label("scheme", "order of decision"),
    label("pricing", "price at the boundary: tariff or lmp"),
    number("objective_eur", "EUR", "of the program that the scheme solved", lambda s: s.objective),
    number("bound_eur", "EUR", "its proven bound", lambda s: s.bound),
    number("gap", "1", "relative gap between the two"),
    number("leader_eur", "EUR", "cost of the leaders with their boundary payments"),
    number("payment_eur", "EUR", "these payments alone", lambda s: sum(s.payment_eur.values())),
    number("follower_eur", "EUR", "least cost of the follower at the leaders' exchange, solved "
           "again", lambda s: s.follower_cost_eur),
    number("total_eur", "EUR", "follower plus leaders without the payments between them"),
    number("follower_returned_eur", "EUR", "what a program over both levels returned for the "
           "follower"),
    number("follower_min_eur", "EUR", "least cost that the exchange leaves open "
           "(`feasibility_only`)"),
    number("follower_max_eur", "EUR", "largest cost that it leaves open"),
    number("follower_gap", "1", "audit: what the dispatch costs more than the optimum of an "
           "independent solver, relative; empty where that solver found none"),
    count("rounds", "rounds of a negotiation"),
    label("message", "messages of the scheme", lambda s: SEPARATOR.join(s.messages)),
    number("solve_s", "s", "wall-clock time of the solves"),
)  # fmt: skip

ROUND: Table[Round] = table(
    "round",
    'One row for each round of a negotiation (scheme `ldd_admm`, or `coordination = "ldd_admm"`), '
    "as the coordinator of a follower (`grid`) saw it.",
    *KEY,
    count("round", "number, from 1", lambda s: s.number),
    flag("fixed", "whether the binaries were fixed"),
    count("answers", "agents that answered in time"),
    number("open_share", "1", "trade across that does not clear over the traded volume"),
    number("volume_mwh", "MWh", "that volume, over the horizon"),
    number("cut_eur", "EUR", "most that cutting the long side of trade can cost at public prices"),
    number("price_apart", "1", "residual: how far agents and clearing are apart, times the "
           "penalty; root mean square over the steps, as a share of the price range"),
    number("price_moved", "1", "residual: how far the clearing moved, in the same terms"),
    number("exchange_apart_mw", "MW", "largest distance between an exchange and what the follower "
           "can serve"),
    number("penalty_min", "EUR/MW^2", "smallest penalty of trade across over the steps: EUR/MW per "
           "MW of a step", lambda s: s.penalty[0]),
    number("penalty_max", "EUR/MW^2", "largest penalty over the steps", lambda s: s.penalty[1]),
    flag("limits", "whether exchanges carry a price: always with nodal prices, else once limits of "
         "the follower bind"),
)  # fmt: skip

NEGOTIATION: Table[Negotiation] = table(
    "negotiation",
    "What became of the messages of one stage (`grid`: its follower, the coordinator) in an "
    "interval; no rows without messages. Messages and copies count from the gate of its "
    "negotiation before: later arrivals are in the next row, after the last gate in none.",
    *KEY,
    label("committed", "version of the new schedules (interval.attempt); empty where the old ones "
          "stay"),
    label("reason", "reason why they stay"),
    count("attempts", "two-phase commits begun"),
    count("rounds", "rounds before them"),
    number("agreement_after_sec", "s", "on the network's simulated clock from the opening to the "
           "decision to commit, empty without one: no wall-clock time, the same for the same seed",
           lambda s: s.seconds),
    count("members", "agents asked in the last attempt", lambda s: len(s.members)),
    count("confirmed", "those whose acknowledgement came before the gate",
          lambda s: len(s.confirmed)),
    count("silent", "those left out because they did not answer", lambda s: len(s.silent)),
    count("in_doubt", "agents with an unconfirmed commit or vote at the gate",
          lambda s: len(s.in_doubt)),
    count("settled", "agents whose doubt of an earlier gate was settled", lambda s: len(s.settled)),
    label("silent_agents", "their names", lambda s: ", ".join(s.silent)),
    label("in_doubt_agents", "their names", lambda s: ", ".join(s.in_doubt)),
    label("settled_agents", "their names", lambda s: ", ".join(s.settled)),
    count("sent", "messages of the stage handed to the network"),
    count("delivered", "delivered copies"),
    count("lost", "copies lost at random"),
    count("in_outage", "copies lost in an outage"),
    count("duplicated", "second copies that the network made"),
    count("reordered", "copies delivered after a later message"),
    count("bytes_sent", "bytes of all messages sent"),
    count("refused", "messages dropped as bad (why: log.jsonl)", lambda s: sum(s.refused.values())),
    count("ignored", "late, repeated or unexpected ones", lambda s: sum(s.ignored.values())),
    number("mixtures", "", "mixtures of old and new schedules that the last check covered"),
    count("mixtures_checked", "power flows it took"),
    number("worst_mixture_pu", "p.u.", "largest violation among them; infinite where a power flow "
           "collapses"),
    label("failures", "errors of agents: one that fails on an offer does not answer, one that "
          "fails on its binding answer votes no",
          lambda s: SEPARATOR.join(text.replace(SEPARATOR, ", ") for text in s.failures)),
)  # fmt: skip


class Committed(NamedTuple):
    """Agent of a negotiation, its coordinator's grid and the result."""

    agent: str
    follower: str
    told: Negotiation


COMMITMENT: Table[Committed] = table(
    "commitment",
    "One row for each agent (`grid`) of a negotiation by messages.",
    *KEY,
    label("follower", "grid that it negotiates under"),
    label("version", "of the schedule that it holds from the interval on; empty: the one from "
          "before any commit", lambda s: s.told.held[s.agent]),
    flag("on_new", "whether the held schedule is the one committed for this interval",
         lambda s: bool(s.told.committed) and s.told.held[s.agent] == s.told.committed),
    flag("in_doubt", "whether the agent is in doubt at the gate",
         lambda s: s.agent in s.told.in_doubt),
    flag("silent", "whether it was left out", lambda s: s.agent in s.told.silent),
)  # fmt: skip


def negotiation_events(interval: int, outcome: Outcome) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield log events of one stage: no agreement, bad messages by reason, failures of agents."""
    told = outcome.negotiation
    if told is None:
        return
    where = {"interval": interval, "grid": outcome.follower}
    if not told.committed:
        why = {"reason": told.reason, "rounds": told.rounds, "attempts": told.attempts}
        yield "no_agreement", {**where, **why, "silent": list(told.silent)}
    for reason, messages in sorted(told.refused.items()):
        yield "refused", {**where, "reason": reason, "messages": messages}
    for text in told.failures:
        yield "agent_failed", {**where, "text": text}
