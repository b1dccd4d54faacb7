"""Tables of negotiations: their rounds, the fate of their messages, the held schedules."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from stackelgrid.controllers.decision import Decision, Negotiation, Round
from stackelgrid.simulators.results.tables import TableWriter


class NegotiationRecorder:
    """Writes the negotiations of decisions; stages that do not negotiate leave no rows.

    A scheme that negotiates within one process has rounds, but no messages.
    """

    def __init__(self, writer: TableWriter, times: pd.DatetimeIndex) -> None:
        self._writer = writer
        self._times = times.tz_convert("UTC").as_unit("ms")

    def write(self, interval: int, decision: Decision) -> None:
        """Write the rows of one decision."""
        rounds = [
            _round_row(outcome.follower, one)
            for outcome in decision.outcomes
            for one in outcome.history
        ]
        by_messages = [
            (outcome.follower, outcome.negotiation)
            for outcome in decision.outcomes
            if outcome.negotiation is not None
        ]
        self._write("round", interval, rounds)
        self._write("negotiation", interval, [_negotiation_row(*pair) for pair in by_messages])
        commitments = [row for pair in by_messages for row in _commitment_rows(*pair)]
        self._write("commitment", interval, commitments)

    def _write(self, table: str, interval: int, rows: Sequence[dict[str, Any]]) -> None:
        if not rows:
            return
        columns: dict[str, Any] = {key: [row[key] for row in rows] for key in rows[0]}
        columns["interval"] = np.full(len(rows), interval, dtype=np.int32)
        columns["time"] = np.full(len(rows), self._times[interval].to_datetime64())
        self._writer.write_part(table, interval, columns)


def on_new(negotiation: Negotiation, agent: str) -> bool:
    """Return whether an agent holds the schedule that was committed for the interval."""
    return bool(negotiation.committed) and negotiation.held[agent] == negotiation.committed


def _round_row(follower: str, one: Round) -> dict[str, Any]:
    return {
        "grid": follower,
        "round": one.number,
        "fixed": one.fixed,
        "answers": one.answers,
        "open_share": one.open_share,
        "volume_mwh": one.volume_mwh,
        "cut_eur": one.cut_eur,
        "price_apart": one.price_apart,
        "price_moved": one.price_moved,
        "exchange_apart_mw": one.exchange_apart_mw,
        "penalty_min": one.penalty[0],
        "penalty_max": one.penalty[1],
        "limits": one.limits,
    }


def _negotiation_row(follower: str, told: Negotiation) -> dict[str, Any]:
    return {
        "grid": follower,
        "committed": told.committed,
        "reason": told.reason,
        "attempts": told.attempts,
        "rounds": told.rounds,
        # seconds of the network's clock; names that end in _s are kept for wall-clock times
        "agreement_after_sec": told.seconds,
        "members": len(told.members),
        "confirmed": len(told.confirmed),
        "silent": len(told.silent),
        "in_doubt": len(told.in_doubt),
        "settled": len(told.settled),
        "silent_agents": ", ".join(told.silent),
        "in_doubt_agents": ", ".join(told.in_doubt),
        "settled_agents": ", ".join(told.settled),
        "sent": told.sent,
        "delivered": told.delivered,
        "lost": told.lost,
        "in_outage": told.in_outage,
        "duplicated": told.duplicated,
        "reordered": told.reordered,
        "bytes_sent": told.bytes_sent,
        "refused": sum(told.refused.values()),
        "ignored": sum(told.ignored.values()),
        "mixtures": told.mixtures,
        "mixtures_checked": told.mixtures_checked,
        "worst_mixture_pu": told.worst_mixture_pu,
        "failures": "; ".join(told.failures),
    }


def _commitment_rows(follower: str, told: Negotiation) -> list[dict[str, Any]]:
    return [
        {
            "grid": agent,
            "follower": follower,
            "version": version,
            "on_new": on_new(told, agent),
            "in_doubt": agent in told.in_doubt,
            "silent": agent in told.silent,
        }
        for agent, version in told.held.items()
    ]
