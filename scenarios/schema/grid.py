"""Section of a grid in a scenario; the kinds of devices bring their own sections."""

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, create_model, model_validator

from stackelgrid.controllers.devices.loads import LoadsSection, NetSgenSection
from stackelgrid.controllers.devices.registry import kinds
from stackelgrid.controllers.networks.levels import PART, Level
from stackelgrid.profiles.section import (
    FunctionName,
    Index,
    Name,
    NetFile,
    NonNegative,
    Positive,
    Section,
)
from stackelgrid.profiles.size_limits import MULTIPLICITY
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.schema.boundary import BoundarySection, Rating
from stackelgrid.scenarios.schema.prices import TradeSection

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
else:
    GridSection = create_model(
        "GridSection", __base__=_GridSection, __doc__=_GridSection.__doc__, **_DEVICE_SECTIONS
    )
