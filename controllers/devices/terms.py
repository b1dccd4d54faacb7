"""Terms by which kinds of devices and the layers around them exchange data."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from stackelgrid.profiles.arrays import Floats

Arrays = Mapping[str, Floats]


class Injection(NamedTuple):
    """Consumption of devices in a model, p.u., by device and step; generation is negative.

    p: active power of a device and step, as an expression of Pyomo.
    q: reactive power likewise; None without any.
    """

    p: Callable[[int, int], Any]
    q: Callable[[int, int], Any] | None = None


class Curtailed(NamedTuple):
    """A curtailed plan of one kind, and the power that is left out (steps,) in MW and MVAr."""

    plan: dict[str, Floats]
    lost_p_mw: Floats
    lost_q_mvar: Floats


class Snap(NamedTuple):
    """Rule to round a binary: 1 where the first variables reach the second ones.

    binary: name of the binary variable.
    first, second: names of the variables that are compared.
    threshold: attribute (devices,) in MW by which the first ones must exceed the second ones.
    counted: whether the binary is an event, whose sum over the steps is rounded instead.
    some: attribute (devices,) with the devices that have the binary; "" for all.
    """

    binary: str
    first: tuple[str, ...]
    second: tuple[str, ...]
    threshold: str = ""
    counted: bool = False
    some: str = ""


class DeviceOptions(Protocol):
    """Options of a scenario that equations and costs of devices depend on."""

    @property
    def curtailment_eur_per_mwh(self) -> float:
        """Price of available energy that is not fed in, EUR/MWh."""

    @property
    def terminal(self) -> str:
        """Rule for stored energy at the end of the horizon: `initial` or `value`."""

    @property
    def terminal_value_eur_per_mwh(self) -> float:
        """Value of stored energy at the end of the horizon, EUR/MWh."""
