"""Data that a coordinator receives of its agents, and its state between intervals."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stackelgrid.controllers.negotiation.served_exchange import ServedState
from stackelgrid.profiles.arrays import Floats

__all__ = ["Answer", "CoordinatorState", "PublicTerms"]


@dataclass(frozen=True)
class Answer:
    """Exchange and trade across (steps,) of one copy in MW, imports and purchases positive."""

    exchange_mw: Floats
    trade_mw: Floats


@dataclass(frozen=True)
class PublicTerms:
    """Public data of an agent: copies, tariff (steps,) and charges in EUR/MWh.

    `trades` states whether it may trade across.
    """

    copies: float
    import_eur_per_mwh: Floats
    export_eur_per_mwh: Floats
    retail_margin: float
    fee_across: float
    trades: bool


@dataclass(frozen=True)
class CoordinatorState:
    """State of a coordinator: public terms, state of trade and of the exchange."""

    public: Mapping[str, PublicTerms]
    trade: Mapping[str, Any]
    exchange: ServedState | None
