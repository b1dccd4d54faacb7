"""Sections of a grid's devices and trade: loads, PV, batteries, units, prosumers."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from stackelgrid.scenarios.schema.base import (
    Efficiency,
    Finite,
    Index,
    NonNegative,
    Positive,
    Section,
    Share,
    Shares,
)

Phase = Literal["a", "b", "c", "abc"]


class Diversity(Section):
    """Variation of customers around a standard profile; see profiles/loads.py."""

    level_sigma: NonNegative = 0.35
    shift_min_sigma: NonNegative = 45.0
    noise_sigma: NonNegative = 0.25
    noise_correlation_h: Positive = 1.0


class LoadsSection(Section):
    """Profiles of the uncontrolled loads.

    `mix` blends standard profiles into one shape for all loads, `assign` gives each load one of
    them by share, `file` holds a column for each load (docs/howto/profiles.md). `equal` shares the
    grid's total nominal power equally; `scale` multiplies it.
    """

    mix: Shares | None = None
    assign: Shares | None = None
    file: str | None = None
    diversity: Diversity = Diversity()
    equal: bool = False
    scale: Positive = 1.0

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum(v is not None for v in (self.mix, self.assign, self.file)) != 1:
            raise ValueError("exactly one of mix, assign and file is accepted")
        return self


class Placement(Section):
    """Buses of devices: explicit `buses`, or a random choice of `count` or `share` of buses.

    The seeded choice is among the buses with loads, or with PV (`among = "pv"`).
    """

    buses: tuple[Index, ...] | None = None
    count: Annotated[int, Field(ge=1)] | None = None
    share: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    among: Literal["loads", "pv"] = "loads"

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        if sum(v is not None for v in (self.buses, self.count, self.share)) != 1:
            raise ValueError("exactly one of buses, count and share is accepted")
        if self.buses is not None and not self.buses:
            raise ValueError("buses is empty")
        return self


class PvPlane(Section):
    """Orientation of PV systems, or a `file` with one column for each system.

    `azimuth_degree` is clockwise from north; without it systems face the equator.
    """

    tilt_degree: Annotated[float, Field(ge=0.0, le=90.0)] = 30.0
    azimuth_degree: Annotated[float, Field(ge=0.0, le=360.0)] | None = None
    file: str | None = None


class PvSection(PvPlane, Placement):
    """PV systems of one size; without `phase` each is connected like the customer at its bus."""

    p_mw: Positive
    sn_mva: Positive | None = None
    min_power_factor: Share = 0.0
    phase: Phase | None = None


class BatterySection(Placement):
    """Batteries of one size; without `phase` each is connected like the customer at its bus."""

    p_mw: Positive
    e_mwh: Positive
    e_min_mwh: NonNegative = 0.0
    soc_percent: Annotated[float, Field(ge=0.0, le=100.0)] = 50.0
    efficiency_charge: Efficiency = 0.95
    efficiency_discharge: Efficiency = 0.95
    wear_eur_per_mwh: NonNegative = 0.0
    phase: Phase | None = None

    @model_validator(mode="after")
    def _energies(self) -> Self:
        if self.e_min_mwh >= self.e_mwh:
            raise ValueError(f"e_min_mwh must be below e_mwh = {self.e_mwh:g}")
        if self.soc_percent / 100.0 * self.e_mwh < self.e_min_mwh:
            raise ValueError(f"soc_percent lies below e_min_mwh = {self.e_min_mwh:g}")
        return self


class TradeSection(Section):
    """Peer-to-peer trade of the prosumers (buses with PV or a battery), EUR/MWh.

    Without `fee_across_eur_per_mwh` prosumers do not trade with other grids of the same parent.
    """

    retail_margin_eur_per_mwh: NonNegative
    fee_inside_eur_per_mwh: NonNegative
    fee_across_eur_per_mwh: NonNegative | None = None


class UnitSection(Section):
    """A dispatchable unit with cost c2 p^2 + c1 p (EUR/h, p in MW)."""

    bus: Index
    p_max_mw: Positive
    p_min_mw: NonNegative = 0.0
    c1_eur_per_mwh: Finite
    c2_eur_per_mw2h: NonNegative = 0.0

    @model_validator(mode="after")
    def _limits(self) -> Self:
        if self.p_min_mw > self.p_max_mw:
            raise ValueError(f"p_min_mw must be at most p_max_mw = {self.p_max_mw:g}")
        return self
