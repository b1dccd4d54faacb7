"""A user's term of the objective of a grid's agent, `objective = "package.module:function"`."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyomo.environ as pyo

from stackelgrid.controllers.devices.devices import Devices
from stackelgrid.controllers.errors import (
    ImportReferenceError,
    ModelError,
    ObjectiveTermError,
)
from stackelgrid.controllers.imports import imported
from stackelgrid.controllers.models.objective_checks import Role, refusal
from stackelgrid.controllers.networks.meshed import MeshedNetwork
from stackelgrid.controllers.networks.radial import RadialNetwork
from stackelgrid.controllers.schedule import Measurement
from stackelgrid.controllers.solvers import CompiledModel, compile_model
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.forecast import GridForecast
from stackelgrid.profiles.time_axis import Horizon, TimeAxis

EXPRESSION = "objective_term"
"""Name of the term in a model."""
_DATA = "term"  # block of the term's parameters


@dataclass(frozen=True)
class TermData:
    """Data of the agent at the start of an interval, for the values of a parameter.

    interval: number of the interval, from 0.
    times: beginnings of the steps of the horizon (steps,), in the time zone of the scenario.
    dt_h: lengths of the steps (steps,) in h.
    forecast: prices (steps,) and series of the devices (steps, devices), in pandapower's units.
    measured: voltage, tap position and states of the devices; None for a transmission grid.
    """

    interval: int
    times: pd.DatetimeIndex
    dt_h: Floats
    forecast: GridForecast
    measured: Measurement | None
    _mean: Callable[["pd.Series[float]"], Floats] = field(repr=False)

    def mean(self, series: "pd.Series[float]") -> Floats:
        """Return the means (steps,) of a series with a time index over the steps of the horizon.

        Values count until the next one. Raises ValueError for a series that does not cover the
        horizon.
        """
        return self._mean(series)


Values = Callable[[TermData], Any]


@dataclass(frozen=True)
class TermGrid:
    """Grid whose objective gets a term: data that do not change during a run.

    name: name of the grid.
    role: "leader" in the model of a feeder, "follower" in the dispatch over the grids below.
    network: buses and branches of the model in their order, per unit; `network.bus_index` holds
        the bus of pandapower at each position.
    devices: devices by kind, in MW; `devices.units.name` are those of `m.unit_p`.
    dt_h: lengths of the steps (steps,) in h.
    base_mva: MW that one unit of power of the model stands for.
    """

    name: str
    role: Role
    network: RadialNetwork | MeshedNetwork
    devices: Devices
    dt_h: Floats
    base_mva: float
    _model: Any = field(repr=False)
    _values: dict[str, tuple[Values, int]] = field(repr=False)

    def parameter(self, name: str, values: Values, *index: Any) -> Any:
        """Add a parameter to the model, with new values in every interval; return it.

        name: name of the parameter, for messages.
        values: function of the `TermData` of an interval, that returns a number for all members
            or an array of their values.
        index: sets of the model, such as `m.steps`; without any the parameter is one number.
        """
        block = self._model.component(_DATA)
        component = pyo.Var(*index)
        block.add_component(name, component)
        self._values[component.name] = values, len(component)
        return component

    def position(self, bus: int) -> int:
        """Return the position in the model of a bus of pandapower.

        A feeder's model has the buses with devices, loads and grids below, and branching ones.
        Raises ValueError for any other.
        """
        return self.network.bus_index.index(bus)


@dataclass(frozen=True, eq=False)
class ObjectiveTerm:
    """The term of one grid: its function, and how the parameters of its models get values.

    grid: name of the grid.
    reference: `package.module:function`.
    folder: folder that is searched for the module.
    axis: time of the run.
    interval: interval of the times in all decisions; None for that of the decision.

    Another process imports the function again.
    """

    grid: str
    reference: str
    folder: Path
    axis: TimeAxis
    interval: int | None = None
    _values: dict[str, tuple[Values, int]] = field(default_factory=dict, repr=False)

    def __reduce__(self) -> Any:
        """Return the term without functions."""
        own = (self.grid, self.reference, self.folder, self.axis, self.interval)
        return ObjectiveTerm, own

    def at(self, interval: int) -> "ObjectiveTerm":
        """Return the term with the times of one interval."""
        return replace(self, interval=interval, _values={})

    def function(self) -> Callable[[Any, TermGrid], Any]:
        """Import the function; raises ObjectiveTermError."""
        try:
            found = imported(self.reference, self.folder)
        except ImportReferenceError as error:
            raise self.error(str(error)) from error
        if not callable(found) or isinstance(found, type):
            what = f"{self.reference.partition(':')[2]!r} is a {type(found).__name__}"
            raise self.error(f"{what}; a function of (model, grid) is accepted")
        function: Callable[[Any, TermGrid], Any] = found
        return function

    def add(
        self,
        m: Any,
        data: Sequence[Any],
        role: Role,
        network: RadialNetwork | MeshedNetwork,
        devices: Devices,
        dt_h: Floats,
    ) -> list[Any]:
        """Add the term to the objective of a model; return all components that hold data.

        m: model of the grid, complete with its objective.
        data: components of the model that hold data.
        role: role of the grid in this model.
        network: network of the model.
        devices: devices of the grid.
        dt_h: lengths of the steps in h.

        Raises ObjectiveTermError, one line that names grid and function.
        """
        function, before = self.function(), {id(c) for c in m.component_objects()}
        block = pyo.Block()
        m.add_component(_DATA, block)
        grid = TermGrid(self.grid, role, network, devices, dt_h, network.base_mva, m, self._values)
        with self._errors(""):
            expression = function(m, grid)
        own = list(block.component_objects(pyo.Var))
        known = before | {id(block), *map(id, own)}
        added = [c for c in m.component_objects() if id(c) not in known]
        reason = refusal(expression, m, added, [*data, *own], role)
        if reason:
            raise self.error(reason)
        m.add_component(EXPRESSION, pyo.Expression(expr=expression))
        m.cost.set_value(m.cost.expr + m.component(EXPRESSION))
        return [*data, *own]

    def values(
        self,
        interval: int,
        horizon: Horizon,
        forecast: GridForecast,
        measured: Measurement | None,
    ) -> dict[str, Floats]:
        """Return the values of all parameters of the models in an interval.

        interval: first interval of the horizon.
        horizon: steps of the models.
        forecast: forecast of the grid over the horizon.
        measured: measurements of the grid; None without any.
        """
        if not self._values:
            return {}
        at = interval if self.interval is None else self.interval
        counts = horizon.intervals_per_step
        times = self.axis.index[at + np.cumsum(counts) - counts]

        def mean(series: "pd.Series[float]") -> Floats:
            window = self.axis.window(at, horizon.intervals_covered)
            return horizon.average(_on_axis(series, window), 0)

        seen = TermData(interval, times, horizon.dt_h, forecast, measured, mean)
        found = {}
        for name, (values, members) in self._values.items():
            label = name.removeprefix(f"{_DATA}.")
            with self._errors(f"parameter {label}: "):
                given = np.asarray(values(seen), dtype=float)
            if given.size not in (1, members):
                raise self.error(
                    f"parameter {label}: has {given.size} values; {members}, or one for all, are "
                    "accepted"
                )
            if not np.isfinite(given).all():
                raise self.error(f"parameter {label}: has a value that is not finite")
            found[name] = given
        return found

    def error(self, text: str) -> ObjectiveTermError:
        """Return the error that names grid and function."""
        return ObjectiveTermError(f"grids.{self.grid}.objective: {self.reference}: {text}")

    @contextmanager
    def _errors(self, where: str) -> Iterator[None]:
        """Turn every exception of the user's function into one line."""
        try:
            yield
        except ObjectiveTermError:
            raise
        except (Exception, SystemExit) as error:
            text = " ".join(f"{where}raised {type(error).__name__}: {error}".split())
            raise self.error(text[:300]) from error


def _on_axis(series: "pd.Series[float]", axis: TimeAxis) -> Floats:
    """Return the means over time of a series in the steps of an axis."""
    series = series.sort_index()
    index = series.index
    if not (isinstance(index, pd.DatetimeIndex) and index.tz is not None and len(index) > 1):
        raise ValueError("a series of several times with a time zone is accepted")
    last = index[-1] + (index[-1] - index[-2])
    if index[0] > axis.start or last < axis.end:
        raise ValueError(
            f"the series covers {index[0]} to {last}; {axis.start} to {axis.end} is needed"
        )
    since, at = _seconds(index, last), _seconds(axis.index, axis.end)
    total = np.concatenate([[0.0], np.cumsum(series.to_numpy(dtype=float) * np.diff(since))])
    means: Floats = np.diff(np.interp(at, since, total)) / np.diff(at)
    return means


def _seconds(times: pd.DatetimeIndex, end: pd.Timestamp) -> Floats:
    """Return times and an end in s."""
    values = np.append(times.as_unit("ns").asi8, end.as_unit("ns").value)
    return np.asarray(values / 1e9, dtype=np.float64)


def compile_with_term(
    m: Any,
    data: Sequence[Any],
    term: ObjectiveTerm | None,
    role: Role,
    network: RadialNetwork | MeshedNetwork,
    devices: Devices,
    dt_h: Floats,
    *,
    data_coefficients: bool = False,
) -> CompiledModel:
    """Compile the model of a grid, with the user's term where it has one.

    m: model of the grid.
    data: components that hold data.
    term: term of the grid; None without one.
    role: role of the grid in this model.
    network: network of the model.
    devices: devices of the grid.
    dt_h: lengths of the steps in h.
    data_coefficients: as in `compile_model`.

    Raises ObjectiveTermError for a term that the program cannot have.
    """
    if term is None:
        return compile_model(m, data, data_coefficients=data_coefficients)
    data = term.add(m, data, role, network, devices, dt_h)
    try:
        return compile_model(
            m, data, data_coefficients=data_coefficients, expressions=(EXPRESSION,)
        )
    except ModelError as error:
        raise term.error(str(error)) from error


def term_eur(compiled: CompiledModel, x: Floats, p: Floats) -> float | None:
    """Return the user's term at a point x and parameters p in EUR; None without a term."""
    term = compiled.expressions.get(EXPRESSION)
    return None if term is None else term.objective(x, term.data(p))
