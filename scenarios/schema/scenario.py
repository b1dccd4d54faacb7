"""Schema of a scenario in TOML: immutable, without unknown keys, in pandapower's units.

`scenarios/day.toml` is the commented example; docs/scenario.md and docs/components/ list every key.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from stackelgrid.profiles.section import Name, Named, Section
from stackelgrid.profiles.size_limits import GRIDS, HORIZON_INTERVALS
from stackelgrid.scenarios.schema.communication import (
    CommunicationSection,
    check_communication,
    check_controller,
)
from stackelgrid.scenarios.schema.ensemble import EnsembleSection
from stackelgrid.scenarios.schema.exactness import ExactnessSection
from stackelgrid.scenarios.schema.forecast import (
    DeviationsSection,
    ForecastSection,
    check_updates,
)
from stackelgrid.scenarios.schema.grid import GridSection
from stackelgrid.scenarios.schema.horizon import HorizonSection
from stackelgrid.scenarios.schema.prices import Costs, TariffSection
from stackelgrid.scenarios.schema.remote import RemoteSection, check_remote
from stackelgrid.scenarios.schema.simulators import (
    SimulatorSection,
    check_rated,
    check_simulators,
)
from stackelgrid.scenarios.schema.site import EmissionsSection, SiteSection, Weather
from stackelgrid.scenarios.schema.time import Time


class SolverSection(Section):
    """Solvers (auto: MOSEK if it has a licence), gap, reproducible limits and threads."""

    conic: Literal["auto", "clarabel", "mosek"] = "auto"
    """Solver of conic programs; `auto`: MOSEK with a licence, else Clarabel."""
    mixed_integer: Literal["auto", "misocp", "mosek", "scip", "gurobi", "xpress", "copt"] = "auto"
    """Solver of mixed-integer conic programs; `auto`: MOSEK, else the own driver."""
    gap: Annotated[float, Field(gt=0.0, lt=1.0)] = 1e-3
    """Relative gap to prove."""
    node_limit: Annotated[int, Field(ge=0, le=1_000_000_000)] = 500
    """Most nodes of a search."""
    round_limit: Annotated[int, Field(ge=0, le=1_000_000)] = 20
    """Most rounds of a search."""
    threads: Annotated[int, Field(ge=1, le=256)] = 2
    """Grids, or groups of grids, solved at the same time; changes no result."""


class TolerancesSection(Section):
    """Tolerances that a scenario may set."""

    interface_pu: Annotated[float, Field(gt=0.0, le=1e-3)] = 1e-7
    """Smallest change of a value at a boundary that is sent again."""


class CertificateSection(Section):
    """Certificates phase by phase for LV grids, and recovery of plans that are not good.

    Without `recovery` schedules are applied as the relaxation returns them.
    """

    three_phase: bool = False
    """Certify lv grids phase by phase as well; every device needs a phase."""
    recovery: bool = True
    """Recover schedules that are not exact or not feasible."""


class Scenario(Section):
    """A complete scenario; templates are merged into the grids before validation."""

    name: Name
    """Name of the run."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of every random choice: placement, customers, sky."""
    controller: Annotated[
        str, Named("class"), Field(pattern=r"^[A-Za-z_][\w.]*(:[A-Za-z_]\w*)?$")
    ] = "bottom_up"
    """Scheme, or `package.module:Class`."""
    coordination: Literal["central", "ldd_admm"] = "central"
    """Agents of a stage decide in one program, or by messages."""
    pricing: Literal["tariff", "lmp"] = "tariff"
    """Price at boundaries below a simulated grid: its tariff, or nodal prices."""
    baseline: bool = True
    """Simulate the same world without control once, for comparison."""
    time: Time
    """Simulated period."""
    horizon: HorizonSection
    """Steps of a plan."""
    site: SiteSection
    """Place, for the position of the sun."""
    weather: Weather = Weather()
    """Sky and outdoor temperature."""
    solver: SolverSection = SolverSection()
    """Solvers and their limits."""
    tolerances: TolerancesSection = TolerancesSection()
    """Tolerance of the coupling."""
    costs: Costs = Costs()
    """Prices outside of the tariffs."""
    emissions: EmissionsSection | None = None
    """Emissions of imported energy; required for `emission_eur_per_t`."""
    certificate: CertificateSection = CertificateSection()
    """Certificates and recovery."""
    tariffs: dict[str, TariffSection] = Field(default_factory=dict)
    """Tariffs by name."""
    grids: Annotated[tuple[GridSection, ...], Field(min_length=1)]
    """Grids with their devices."""
    forecast: ForecastSection | None = None
    """Forecasts of controllers; perfect foresight without it."""
    deviations: DeviationsSection | None = None
    """Deviations of reality from the profiles."""
    exactness: ExactnessSection | None = None
    """Sweep of `stackelgrid exactness`; `run` ignores it."""
    ensemble: EnsembleSection | None = None
    """Members of `stackelgrid ensemble`; `run` ignores it."""
    communication: CommunicationSection | None = None
    """Links between agents; with `coordination = "ldd_admm"`."""
    remote: RemoteSection | None = None
    """Grids and agents in other processes or on other hosts."""
    simulators: tuple[SimulatorSection, ...] = ()
    """Mosaik simulators of the user whose entities are devices."""

    @field_validator("grids")
    @classmethod
    def _tree(cls, grids: tuple[GridSection, ...]) -> tuple[GridSection, ...]:
        names = [g.name for g in grids]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise ValueError(f"grid name {twice[0]!r} used twice")
        roots = [g for g in grids if g.parent is None]
        if len(roots) != 1:
            raise ValueError(
                f"exactly one grid without parent is accepted, found "
                f"{', '.join(g.name for g in roots) or 'none'}"
            )
        levels = {"transmission": 0, "mv": 1, "lv": 2}
        by_name = {g.name: g for g in grids}
        for g in grids:
            if g.parent is None:
                continue
            if g.parent not in by_name:
                known = ", ".join(n for n in names if n != g.name)
                raise ValueError(f"grid {g.name!r}: parent {g.parent!r} unknown; known: {known}")
            if levels[by_name[g.parent].level] >= levels[g.level]:
                raise ValueError(
                    f"grid {g.name!r}: a {g.level} grid cannot be fed by a "
                    f"{by_name[g.parent].level} grid"
                )
        return grids

    @field_validator("horizon")
    @classmethod
    def _decided(cls, horizon: HorizonSection, info: ValidationInfo) -> HorizonSection:
        negotiated = info.data.get("coordination", "central") != "central"
        if horizon.resolve_every > 1 and negotiated:
            raise ValueError(
                f"resolve_every = {horizon.resolve_every}: agents that negotiate do so in every "
                "interval; 1 is accepted"
            )
        return horizon

    @field_validator("remote")
    @classmethod
    def _placed(cls, section: RemoteSection | None, info: ValidationInfo) -> RemoteSection | None:
        if section is not None and "grids" in info.data:
            check_remote(section, {grid.name: grid.level for grid in info.data["grids"]})
        return section

    @field_validator("simulators")
    @classmethod
    def _connected(
        cls, sections: tuple[SimulatorSection, ...], info: ValidationInfo
    ) -> tuple[SimulatorSection, ...]:
        if "grids" in info.data:
            check_simulators(sections, {grid.name: grid.level for grid in info.data["grids"]})
        if info.data.get("coordination", "central") != "central":
            check_rated(sections)
        return sections

    @field_validator("forecast")
    @classmethod
    def _renewed(cls, section: ForecastSection | None, info: ValidationInfo) -> object:
        if section is not None and "time" in info.data:
            check_updates(section, info.data["time"].interval_min)
        return section

    @field_validator("coordination")
    @classmethod
    def _negotiable(cls, coordination: str, info: ValidationInfo) -> str:
        if "controller" in info.data:
            check_controller(coordination, info.data["controller"])
        return coordination

    @field_validator("communication")
    @classmethod
    def _suitable(
        cls, section: CommunicationSection | None, info: ValidationInfo
    ) -> CommunicationSection | None:
        if section is not None and {"coordination", "time", "grids"} <= info.data.keys():
            check_communication(
                section,
                info.data["coordination"],
                60.0 * info.data["time"].interval_min,
                info.data["time"].start,
                {grid.name: grid.parent for grid in info.data["grids"]},
            )
        return section

    @model_validator(mode="after")
    def _tariffs_exist(self) -> Self:
        for g in self.grids:
            if g.tariff is not None and g.tariff not in self.tariffs:
                known = ", ".join(self.tariffs) or "none"
                raise ValueError(f"grid {g.name!r}: tariff {g.tariff!r} unknown; known: {known}")
        return self

    @model_validator(mode="after")
    def _emissions_known(self) -> Self:
        priced = [g.name for g in self.grids if g.emission_eur_per_t]
        if priced and self.emissions is None:
            raise ValueError(
                f"grid {priced[0]!r}: emission_eur_per_t needs the section emissions (kg_per_mwh, "
                "or a file)"
            )
        return self

    @model_validator(mode="after")
    def _sized(self) -> Self:
        if len(self.grids) > GRIDS:
            raise ValueError(f"{len(self.grids):,} grids; at most {GRIDS:,} are accepted")
        minutes = sum(step.count * step.minutes for step in self.horizon.steps)
        covered = minutes // self.time.interval_min
        if covered > HORIZON_INTERVALS:
            raise ValueError(
                f"horizon.steps: covers {minutes:,} min / {self.time.interval_min} min = "
                f"{covered:,} intervals; at most {HORIZON_INTERVALS:,} are accepted"
            )
        return self

    @property
    def links(self) -> CommunicationSection:
        """Section `communication`; default: perfect links and a gate of a quarter interval."""
        return self.communication or CommunicationSection(
            gate_s=15.0 * self.time.interval_min, qualities={}
        )

    @property
    def top_down(self) -> tuple[GridSection, ...]:
        """Grids, parents before children, otherwise in the order of the file."""
        ordered: list[GridSection] = []
        while len(ordered) < len(self.grids):
            placed = {g.name for g in ordered}
            ordered += [
                g
                for g in self.grids
                if g.name not in placed and (g.parent is None or g.parent in placed)
            ]
        return tuple(ordered)
