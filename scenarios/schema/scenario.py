"""Schema of a scenario in TOML: immutable, without unknown keys, in pandapower's units.

`scenarios/day.toml` is the commented example; docs/scenario.md and docs/components/ list every key.
"""

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, ValidationInfo, create_model, field_validator, model_validator

from stackelgrid.controllers.devices.loads import LoadsSection, NetSgenSection
from stackelgrid.controllers.devices.registry import kinds
from stackelgrid.controllers.networks.sources.parts import PART, Level
from stackelgrid.profiles.section import (
    FunctionName,
    Index,
    Name,
    Named,
    NetFile,
    NonNegative,
    Positive,
    Section,
)
from stackelgrid.profiles.size_limits import GRIDS, HORIZON_INTERVALS, MULTIPLICITY
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.schema.boundary import BoundarySection, Rating
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
from stackelgrid.scenarios.schema.horizon import HorizonSection
from stackelgrid.scenarios.schema.prices import Costs, TariffSection, TradeSection
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


# sections of the kinds of devices, by key, beside those of every grid
_OF_EVERY_GRID = ("loads", "net_sgen")
_DEVICE_SECTIONS = {
    key: field
    for kind in kinds()
    for key, field in kind.sections.items()
    if key not in _OF_EVERY_GRID
}


class _GridSection(Section):
    """One grid and its place in the tree.

    `replaces_load`: the nominal load is subtracted from the load at the parent's bus.
    """

    name: Name
    """Name of the grid, in all tables."""
    case: NetFile
    """Net: a shipped name, a file, a function of pandapower or a SimBench code, see below."""
    part: Annotated[str, Field(pattern=PART)] | None = None
    """Part of the net: `"ext_grid N"` or `"trafo N"` supplies it; default: the whole, see below."""
    level: Level
    """Voltage level."""
    parent: str | None = None
    """Name of the grid above."""
    bus: Index | None = None
    """Bus of the parent (pandapower index)."""
    multiplicity: Annotated[int, Field(ge=1, le=MULTIPLICITY)] = 1
    """Number of identical grids that this one represents."""
    boundary: BoundarySection = BoundarySection(kind="ideal")
    """Connection to the parent, see below."""
    vm_pu: Positive | None = None
    """Voltage of the source, for the grid without parent."""
    vm_min_pu: Positive | None = None
    """Lower voltage limit of all buses; default: the net's."""
    vm_max_pu: Positive | None = None
    """Upper voltage limit of all buses; default: the net's."""
    line_max_i_ka: Positive | None = None
    """Rating of all lines; default: the net's."""
    ratings: tuple[Rating, ...] = ()
    """Ratings of single lines, see below."""
    open_loops: Literal["minimum_loss"] | None = None
    """Rule by which lines of a meshed mv or lv grid are opened, see below; default: refuse it."""
    capacity_eur_per_mw: NonNegative = 0.0
    """Price of the highest import of the run, part of the grid's objective."""
    emission_eur_per_t: NonNegative = 0.0
    """Price of the emissions of imported energy, part of the grid's objective."""
    objective: FunctionName | None = None
    """Term of your own in the objective of the grid's operator, `package.module:function`."""
    tariff: str | None = None
    """Name of a tariff of an mv or lv grid; default: the only one of the scenario."""
    loads: LoadsSection = LoadsSection()
    """Profiles of the loads; default: those that came with the net."""
    net_sgen: NetSgenSection | None = None
    """Profiles of the net's static generators that are not PV; default: the net's, or none."""
    replaces_load: bool = True
    """Subtract the nominal load from that of the parent's bus."""
    trade: TradeSection | None = None
    """Trade of the prosumers."""

    @model_validator(mode="after")
    def _place(self) -> Self:
        if (self.parent is None) != (self.bus is None):
            raise ValueError("parent and bus come together")
        if self.level == "transmission":
            if self.parent is not None:
                raise ValueError("a transmission grid has no parent")
            if any(getattr(self, key) for key in _DEVICE_SECTIONS):
                raise ValueError("devices are accepted on mv and lv grids")
            if self.tariff is not None or self.trade is not None:
                raise ValueError("a transmission grid has no tariff and no trade")
            if self.open_loops is not None:
                raise ValueError("open_loops is for mv and lv grids; a transmission grid is meshed")
            if self.capacity_eur_per_mw or self.emission_eur_per_t:
                raise ValueError("a transmission grid imports nothing that has a price")
        elif self.tariff is None:
            raise ValueError("an mv or lv grid needs a tariff")
        if self.parent is None and self.multiplicity != 1:
            raise ValueError("multiplicity needs a parent")
        if self.parent is None and self.trade and self.trade.fee_across_eur_per_mwh is not None:
            raise ValueError("trade across needs a parent that feeds other grids too")
        low, high = self.vm_min_pu, self.vm_max_pu
        if low is not None and high is not None and low >= high:
            raise ValueError(f"the voltage band [{low:g}, {high:g}] p.u. is empty")
        return self


for _key in _DEVICE_SECTIONS:
    if _key in _GridSection.model_fields:
        raise ScenarioError(f"kind of device: {_key!r} is a key of every grid; another is accepted")

if TYPE_CHECKING:
    GridSection = _GridSection
else:  # the kinds of devices bring their own sections
    GridSection = create_model(
        "GridSection", __base__=_GridSection, __doc__=_GridSection.__doc__, **_DEVICE_SECTIONS
    )


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
