"""Records of a feeder's agent: variants of its model, points, data of a decision, state."""

from collections.abc import Mapping
from dataclasses import dataclass

from stackelgrid.controllers.schedule import Measurement, Schedule, SolveReport
from stackelgrid.controllers.solvers.amendment import Amendment
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.forecast import GridForecast


@dataclass(frozen=True)
class Variant:
    """Variant of a feeder's model: with the tariff at its boundary, with trade across."""

    tariff: bool = True
    across: bool = True


TARIFF = Variant()
UNPRICED = Variant(tariff=False)


@dataclass(frozen=True)
class FeederPoint:
    """A point of one feeder's model in the columns of a variant; x is None for a held schedule."""

    x: Floats | None
    report: SolveReport
    variant: Variant = TARIFF


@dataclass(frozen=True)
class FeederInstance:
    """Data of one decision: values of the model's parameters, and where they came from.

    Loads (loaded buses, steps) in MW and MVAr, states of the devices, head voltage (steps,) in p.u.
    behind the ideal part of the boundary transformer. `amendment` changes prices and bounds of the
    program where an earlier schedule was not exact; reported costs never contain it.
    """

    interval: int
    measured: Measurement
    values: Mapping[str, Floats]
    forecast: GridForecast
    load_p_mw: Floats
    load_q_mvar: Floats
    states: Mapping[str, Floats]
    head_vm_pu: Floats
    amendment: Amendment | None = None


@dataclass(frozen=True)
class FeederState:
    """State of an agent: the last adopted schedule, the last one that was AC feasible."""

    last: Schedule | None
    last_good: Schedule | None
    certificate_s: float
