"""Sections, placement, trips and forecasts of electric vehicles."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from stackelgrid.controllers.devices.placement import Phase, Placed, Placement
from stackelgrid.controllers.devices.vehicles.data import VehicleData
from stackelgrid.profiles.arrays import Bools, Floats
from stackelgrid.profiles.section import (
    Efficiency,
    NonNegative,
    Positive,
    Section,
    Share,
    TableFile,
)

if TYPE_CHECKING:
    import pandas as pd

    from stackelgrid.controllers.devices.placement import Placing, SeriesMaker
    from stackelgrid.profiles.forecast_predictors import Predictor

VEHICLE = "vehicle"
"""Type of a storage of pandapower that is one."""
UNMET_EUR_PER_MWH = 700.0
"""Price of energy that is missing at a departure: charging on the road."""


def are_vehicles(storages: "pd.DataFrame") -> Bools:
    """Return which storages of a net are vehicles; those that are not controllable are none."""
    from stackelgrid.controllers.devices.elements import controllable

    types = [isinstance(v, str) and v.casefold() == VEHICLE for v in storages["type"]]
    return np.array(types, dtype=bool) & controllable(storages, "storage")


class VehicleSection(Placement):
    """Electric vehicles of one size, one at each bus, with a charging point of its own."""

    p_mw: Positive = 0.011
    """Largest charging power."""
    p_min_mw: NonNegative = 0.0
    """Least charging power unless zero: 0.00138 a phase for 6 A; above 0 it adds a binary."""
    p_back_mw: NonNegative = 0.0
    """Largest power fed back; 0 for a point that only charges."""
    e_mwh: Positive = 0.06
    """Usable energy of the battery."""
    efficiency_charge: Efficiency = 0.92
    """Stored energy per energy drawn from the grid."""
    efficiency_discharge: Efficiency = 0.92
    """Energy fed into the grid per stored energy."""
    soc_percent: Annotated[float, Field(ge=0.0, le=100.0)] = 60.0
    """State of charge before the first interval, of `e_mwh`."""
    reserve_percent: Annotated[float, Field(ge=0.0, lt=100.0)] = 20.0
    """Energy that should be left when the vehicle comes back from a trip, of `e_mwh`."""
    unmet_eur_per_mwh: NonNegative = UNMET_EUR_PER_MWH
    """Price of energy that is missing at a departure and charged elsewhere."""
    wear_eur_per_mwh: NonNegative = 0.0
    """Cost of wear per MWh charged plus fed back, at the charging point."""
    kwh_per_km: Annotated[float, Field(ge=0.0, le=5.0)] = 0.17
    """Consumption on the road at 20 °C and above."""
    file: TableFile | None = None
    """Trips instead of drawn ones: `vehicle`, `departure`, `arrival`, `energy_kwh`."""
    phase: Phase | None = None
    """Connection; without it that of the customer at the bus."""

    @model_validator(mode="after")
    def _powers(self) -> Self:
        if self.p_min_mw > self.p_mw:
            raise ValueError(
                f"p_min_mw = {self.p_min_mw:g} is above p_mw; at most {self.p_mw:g} is accepted"
            )
        return self


class VehicleDeviations(Section):
    """Trips that end late or do not happen; `level` of the section multiplies both."""

    late_h: Annotated[float, Field(ge=0.0, le=168.0)] = 0.0
    """Mean delay of arrivals, exponentially distributed, never into the next trip."""
    skipped: Share = 0.0
    """Share of trips that do not happen."""


class PlacedVehicles(VehicleData):
    """Placement and series of vehicles."""

    sections: ClassVar[Mapping[str, tuple[Any, Any]]] = {
        "vehicles": (tuple[VehicleSection, ...], ())
    }
    deviations: ClassVar[Mapping[str, tuple[Any, Any]]] = {
        "vehicles": (VehicleDeviations, VehicleDeviations())
    }

    @classmethod
    def place(cls, placing: "Placing") -> "tuple[Placed, ...]":
        """Add storages of type vehicle."""
        placed: list[Placed] = []
        first = int(are_vehicles(placing.net.storage).sum())
        for group, buses in placing.groups("vehicles", first):
            own = group.section
            placing.add(
                "storage", VEHICLE, buses, "vehicles", "vehicle", p_mw=0.0, type=VEHICLE,
                max_e_mwh=own.e_mwh, min_e_mwh=0.0, soc_percent=own.soc_percent,
                max_p_mw=own.p_mw, min_p_mw=-own.p_back_mw, controllable=True,
                p_least_mw=own.p_min_mw, efficiency_charge=own.efficiency_charge,
                efficiency_discharge=own.efficiency_discharge,
                reserve_mwh=own.reserve_percent / 100.0 * own.e_mwh,
                unmet_eur_per_mwh=own.unmet_eur_per_mwh, wear_eur_per_mwh=own.wear_eur_per_mwh,
                kwh_per_km=own.kwh_per_km, phase=placing.phases(own.phase, group.key, buses),
            )  # fmt: skip
            placed.append(group)
        return tuple(placed)

    def series(self, maker: "SeriesMaker", placed: "tuple[Placed, ...]") -> dict[str, Floats]:
        """Return connection, energy driven, energy wanted and energy for later trips."""
        return self._stays(maker, self.trips(maker, placed))

    def realised(
        self, maker: "SeriesMaker", placed: "tuple[Placed, ...]", deviations: Any
    ) -> dict[str, Floats]:
        from stackelgrid.profiles.trips import deviated_trips

        own, level = deviations.vehicles, deviations.level
        late, skipped = level * own.late_h, min(level * own.skipped, 1.0)
        if not (late or skipped or deviations.temperature_model.errs):
            return {}
        trips = self.trips(maker, placed)  # at the realised temperature
        generators = maker.deviation("vehicles").spawn(len(trips))
        real = [
            deviated_trips(planned, rng, late, skipped)
            for planned, rng in zip(trips, generators, strict=True)
        ]
        return self._stays(maker, real)

    def predictor(
        self,
        maker: "SeriesMaker",
        placed: "tuple[Placed, ...]",
        expected: Floats,
        realised: Floats,
        outdoor: "Predictor",
    ) -> "Predictor":
        from stackelgrid.profiles.trips import ExpectedStays

        return ExpectedStays(expected, realised)

    def _stays(self, maker: "SeriesMaker", trips: "Sequence[Sequence[Any]]") -> dict[str, Floats]:
        from stackelgrid.profiles.trips import stays_of

        stays = stays_of(
            trips, maker.axis, self.reserve_mwh, self.e_max_mwh,
            self.efficiency_charge * self.p_max_mw,
        )  # fmt: skip
        return {
            "vehicle_connected": stays.connected,
            "vehicle_driven_mwh": stays.driven_mwh,
            "vehicle_needed_mwh": stays.needed_mwh,
            "vehicle_required_mwh": stays.required_mwh,
        }

    def trips(self, maker: "SeriesMaker", placed: "tuple[Placed, ...]") -> list[tuple[Any, ...]]:
        """Return the planned trips of each vehicle: drawn, or read from the file of a section."""
        from stackelgrid.profiles.trip_table import read_trips
        from stackelgrid.profiles.trips import Fleet, draw_trips

        # a past before the run needs no trips of a file
        within = maker.axis if maker.variation("trips") is None else None
        found: list[tuple[Any, ...]] = [() for _ in self.index]
        first = min((part.first for part in placed), default=len(self.index))
        parts: list[tuple[str, str | None, range]] = [("net", None, range(first))]
        parts += [(p.key, p.section.file, range(p.first, p.first + p.count)) for p in placed]
        for key, file, at in parts:
            if file is not None:
                names, most_mwh = [self.name[k] for k in at], self.e_max_mwh[list(at)]
                read = maker.from_file(key, file, partial(read_trips, names, most_mwh, within))
                for k, name in zip(at, names, strict=True):
                    found[k] = read[name]
                continue
            generators = maker.generator("trips", key).spawn(len(at))
            for k, rng in zip(at, generators, strict=True):
                fleet, most = Fleet(kwh_per_km=float(self.kwh_per_km[k])), float(self.e_max_mwh[k])
                found[k] = draw_trips(
                    fleet, maker.axis, maker.temperature, rng, most, maker.site.holidays
                )
        return found
