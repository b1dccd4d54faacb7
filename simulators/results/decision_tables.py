"""Tables of decisions: their stages, the rounds, messages and commits of negotiations."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from stackelgrid.controllers.decision import Negotiation, Outcome, Round
from stackelgrid.simulators.results.columns import KEY, Table, count, flag, label, number, table

SEPARATOR = "; "  # between the texts of a column

STAGE: Table[Outcome] = table(
    "stage",
    "Decisions of the stages: one row for each follower (`grid`) in the interval of the decision "
    "(a day-ahead run has one). Money is over the horizon and counts all copies of the leaders.",
    *KEY,
    label("scheme", "order of decision"),
    label("pricing", "price at the boundary: tariff or lmp"),
    number("objective_eur", "EUR", "objective of the scheme's program", lambda s: s.objective),
    number("bound_eur", "EUR", "its proven bound", lambda s: s.bound),
    number("gap", "1", "relative gap between the two"),
    number("leader_eur", "EUR", "cost of the leaders with their boundary payments"),
    number("payment_eur", "EUR", "these payments alone", lambda s: sum(s.payment_eur.values())),
    number("follower_eur", "EUR", "least cost of the follower at the leaders' exchange, solved "
           "again", lambda s: s.follower_cost_eur),
    number("total_eur", "EUR", "follower plus leaders without the payments between them"),
    number("follower_returned_eur", "EUR", "follower's cost returned by a program over both "
           "levels"),
    number("follower_min_eur", "EUR", "least cost of the follower at this exchange, without "
           "optimality (`feasibility_only`)"),
    number("follower_max_eur", "EUR", "largest such cost"),
    number("follower_gap", "1", "audit: relative excess of the dispatch's cost over the optimum "
           "of an independent solver; empty without one"),
    count("rounds", "rounds of a negotiation"),
    label("message", "messages of the scheme", lambda s: SEPARATOR.join(s.messages)),
    number("solve_s", "s", "wall-clock time of the solves"),
)  # fmt: skip

ROUND: Table[Round] = table(
    "round",
    'One row for each round of a negotiation (scheme `ldd_admm`, or `coordination = "ldd_admm"`), '
    'from the view of the coordinator of a follower (`grid`).',
    *KEY,
    count("round", "number, from 1", lambda s: s.number),
    flag("fixed", "whether the binaries were fixed"),
    count("answers", "agents that answered in time"),
    number("open_share", "1", "trade across that does not clear, as a share of the traded volume"),
    number("volume_mwh", "MWh", "that volume, over the horizon"),
    number("cut_eur", "EUR", "upper bound of the cost of cutting the long side of trade, at "
           "public prices"),
    number("price_apart", "1", "residual: difference between agents and clearing, times the "
           "penalty; root mean square over the steps, as a share of the price range"),
    number("price_moved", "1", "residual: change of the clearing, in the same terms"),
    number("exchange_apart_mw", "MW", "largest distance between an exchange and the nearest one "
           "that is feasible for the follower"),
    number("penalty_min", "EUR/MW^2", "smallest penalty of trade across over the steps: EUR/MW per "
           "MW of a step", lambda s: s.penalty[0]),
    number("penalty_max", "EUR/MW^2", "largest penalty over the steps", lambda s: s.penalty[1]),
    flag("limits", "whether exchanges carry a price: always with nodal prices, else once limits of "
         "the follower bind"),
)  # fmt: skip

NEGOTIATION: Table[Negotiation] = table(
    "negotiation",
    "Outcome and messages of the negotiation of one stage (`grid`: its follower, the coordinator) "
    "in an interval; no rows without messages. Messages and copies are counted from the gate of "
    "its previous negotiation: later arrivals are in the next row, after the last gate in none.",
    *KEY,
    label("committed", "version of the new schedules (interval.attempt); empty if the old ones "
          "are held"),
    label("reason", "reason for holding the old ones"),
    count("attempts", "two-phase commits started"),
    count("rounds", "rounds before them"),
    number("agreement_after_sec", "s", "simulated time from the opening to the decision to "
           "commit, empty without one: no wall-clock time, the same for the same seed",
           lambda s: s.seconds),
    count("members", "agents in the last attempt", lambda s: len(s.members)),
    count("confirmed", "agents with an acknowledgement before the gate",
          lambda s: len(s.confirmed)),
    count("silent", "agents excluded because they did not answer", lambda s: len(s.silent)),
    count("in_doubt", "agents with an unconfirmed commit or vote at the gate",
          lambda s: len(s.in_doubt)),
    count("settled", "agents in doubt at an earlier gate, decided since", lambda s: len(s.settled)),
    label("silent_agents", "their names", lambda s: ", ".join(s.silent)),
    label("in_doubt_agents", "their names", lambda s: ", ".join(s.in_doubt)),
    label("settled_agents", "their names", lambda s: ", ".join(s.settled)),
    count("sent", "messages that the stage sent"),
    count("delivered", "delivered copies"),
    count("lost", "copies lost at random"),
    count("in_outage", "copies lost in an outage"),
    count("duplicated", "second copies made by the network"),
    count("reordered", "copies delivered after a later message"),
    count("bytes_sent", "bytes of all messages sent"),
    count("refused", "invalid messages, dropped (reasons in "
          "log.jsonl)", lambda s: sum(s.refused.values())),
    count("ignored", "late, repeated or unexpected messages", lambda s: sum(s.ignored.values())),
    number("mixtures", "", "mixtures of old and new schedules covered by the last check"),
    count("mixtures_checked", "power flows of that check"),
    number("worst_mixture_pu", "p.u.", "largest violation of a mixture; infinite if a power flow "
           "diverges"),
    label("failures", "errors of agents: after an error at an offer an agent does not answer, "
          "after one at its binding answer it votes no",
          lambda s: SEPARATOR.join(text.replace(SEPARATOR, ", ") for text in s.failures)),
)  # fmt: skip


class Committed(NamedTuple):
    """Agent of a negotiation, its coordinator's grid and the result."""

    agent: str
    follower: str
    result: Negotiation


COMMITMENT: Table[Committed] = table(
    "commitment",
    "One row for each agent (`grid`) of a negotiation by messages.",
    *KEY,
    label("follower", "grid above, its coordinator"),
    label("version", "version of the schedule held from the interval on; empty: a schedule from "
          "before any commit", lambda s: s.result.held[s.agent]),
    flag("on_new", "whether the held schedule is the one committed for this interval",
         lambda s: bool(s.result.committed) and s.result.held[s.agent] == s.result.committed),
    flag("in_doubt", "whether the agent is in doubt at the gate",
         lambda s: s.agent in s.result.in_doubt),
    flag("silent", "whether the agent was excluded", lambda s: s.agent in s.result.silent),
)  # fmt: skip


def negotiation_events(interval: int, outcome: Outcome) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield log events of one stage: no agreement, bad messages by reason, failures of agents."""
    result = outcome.negotiation
    if result is None:
        return
    where = {"interval": interval, "grid": outcome.follower}
    if not result.committed:
        why = {"reason": result.reason, "rounds": result.rounds, "attempts": result.attempts}
        yield "no_agreement", {**where, **why, "silent": list(result.silent)}
    for reason, messages in sorted(result.refused.items()):
        yield "refused", {**where, "reason": reason, "messages": messages}
    for text in result.failures:
        yield "agent_failed", {**where, "text": text}
