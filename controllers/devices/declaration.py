"""Declaration of a kind of device: names, quantities, words and appearance."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from stackelgrid.controllers.devices.quantities import Quantity, Role
from stackelgrid.controllers.devices.terms import Snap
from stackelgrid.profiles.arrays import Floats, Ints


class Declaration:
    """Declaration of a kind of device, the same for all its devices."""

    kind: ClassVar[str]  # value of the column `kind`
    plural: ClassVar[str]  # attribute of Devices
    label: ClassVar[str]  # in plots and texts
    injects: ClassVar[bool] = False  # positive power is generation
    sweep: ClassVar[str] = ""  # name of the dimension KIND_scale of sweeps, empty for none
    colour: ClassVar[str] = "#999999"  # in plots
    symbol: ClassVar[str] = ""  # on maps: diamond, triangle or square; empty for none
    one_by_one: ClassVar[bool] = False  # plots show the power of each device
    consumes: ClassVar[bool] = False  # energy it stores is used, not given back
    is_load: ClassVar[bool] = False  # its power counts as load of the grid in relative losses
    capped: ClassVar[bool] = False  # a cap on a customer's power counts its consumption
    # rank among the kinds whose consumption recovery reduces, 1 first; 0 for those it never does
    turn_down: ClassVar[int] = 0
    # variables whose consumption may be reduced, and the quantities of a plan that they give
    reducible: ClassVar[Mapping[str, str]] = {}
    # columns of the table `device`: those that plots show, the parts of `p_mw`, and the share of
    # the interval in which a device can draw power
    bands: ClassVar[tuple[str, ...]] = ()
    parts: ClassVar[tuple[str, ...]] = ()
    presence: ClassVar[str] = ""
    uncontrolled: ClassVar[str] = ""  # what its consumers do without control, in words
    quantities: ClassVar[tuple[Quantity, ...]]
    cost_column: ClassVar[str] = ""  # column of the table `interval` with the cost in EUR
    cost_label: ClassVar[str] = ""  # of that cost, in plots
    cost_meaning: ClassVar[str] = ""  # of that column, for the documentation
    limits: ClassVar[Mapping[str, tuple[str, str]]] = {}  # rows and bounds: words and unit
    snaps: ClassVar[tuple[Snap, ...]] = ()
    data: ClassVar[tuple[str, ...]] = ()  # variables of the model that hold data
    chained: ClassVar[tuple[str, ...]] = ()  # variables that enter the equations of the next step
    prosumer: ClassVar[bool] = False  # a bus with such a device may trade
    transmission: ClassVar[bool] = False  # accepted on a transmission network
    # sections of a grid in a scenario by key: type and default, as fields of a pydantic model
    sections: ClassVar[Mapping[str, tuple[Any, Any]]] = {}
    # keys of the section `deviations` of a scenario, likewise
    deviations: ClassVar[Mapping[str, tuple[Any, Any]]] = {}

    if TYPE_CHECKING:  # fields or properties of the subclasses, (devices,)

        @property
        def index(self) -> tuple[int, ...]:
            """Indices in their tables of pandapower."""

        @property
        def name(self) -> tuple[str, ...]:
            """Names."""

        @property
        def bus(self) -> Ints:
            """Pandapower indices of their buses."""

        @property
        def table(self) -> tuple[str, ...]:
            """Table of pandapower that holds each device."""

        @property
        def phase(self) -> tuple[str, ...]:
            """Connection of each: a, b, c, abc (balanced three-phase), empty if not stated."""

    @classmethod
    def names(cls, role: Role) -> tuple[str, ...]:
        """Return the names of the quantities with a role."""
        return tuple(q.name for q in cls.quantities if role in q.roles)

    @classmethod
    def filling(cls, column: str) -> str:
        """Return the quantity that fills a column of the table `device`; empty for none."""
        return next((q.name for q in cls.quantities if q.column == column), "")

    @classmethod
    def stored(cls) -> str:
        """Return the quantity with the stored energy by which costs are corrected; "" for none."""
        return next((q.name for q in cls.quantities if q.total and q.unit == "MWh"), "")

    @staticmethod
    def spread(values: "np.typing.NDArray[Any]", like: "np.typing.NDArray[Any]") -> Any:
        """Return values (devices,) with the axes of `like` beyond the first added."""
        return values.reshape((-1,) + (1,) * (np.ndim(like) - 1))

    @staticmethod
    def up_to(share: Floats, power_mw: Floats) -> Floats:
        """Return upper limits in MW at a share (steps,) of a power; infinite for no limit."""
        free = np.isinf(share)
        limits: Floats = np.where(free, np.inf, np.where(free, 0.0, share) * power_mw)
        return limits

    def describe(self, part: str, at: int, size: Callable[[str], str]) -> str | None:
        """Return a limit in conflict in words; None for a row that is not of this kind.

        part: name of the variable or constraint.
        at: position of the device.
        size: returns the text of the amount in a unit.
        """
        if part not in self.limits:
            return None
        words, unit = self.limits[part]
        return f"{self.table[at]} {self.index[at]}: {words} {size(unit)}"
