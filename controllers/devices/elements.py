"""Reader of the elements of a pandapower net for kinds of devices."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

import numpy as np
import pandas as pd
from pandapower.auxiliary import pandapowerNet

from stackelgrid.controllers.devices.costs import ElementCosts
from stackelgrid.controllers.devices.kind import DeviceKind
from stackelgrid.controllers.errors import NetworkError
from stackelgrid.controllers.networks.naming import named
from stackelgrid.controllers.networks.phases import CONNECTIONS
from stackelgrid.profiles.arrays import Bools, Floats


class NetElements:
    """Elements of a normalised and checked net, each the device of one kind.

    net: pandapower net; net_columns.py declares the treatment of each column.
    grid: name of the grid, for messages.
    slack_is_unit: whether the ext_grid is a generator (a transmission network) or the boundary to
        the grid above (a feeder).
    cost_factor: factor of the costs of generation.
    kinds: kinds that claim elements; the first one to claim an element has it.
    """

    def __init__(
        self,
        net: pandapowerNet,
        grid: str,
        slack_is_unit: bool,
        cost_factor: float,
        kinds: Iterable[type[DeviceKind]],
    ) -> None:
        self.net, self.grid, self.slack_is_unit = net, grid, slack_is_unit
        self._cost_factor = cost_factor
        self._claims: dict[type[DeviceKind], Mapping[str, Bools]] = {}
        taken: dict[str, Bools] = {}
        for kind in kinds:
            mine = {}
            for table, mask in kind.claims(self).items():
                before = taken.get(table, np.zeros(len(net[table]), dtype=bool))
                if table == "load":  # columns make a load a device of a kind: of one only
                    self._refuse_second(kind, mask & before)
                mine[table], taken[table] = mask & ~before, mask | before
            self._claims[kind] = mine
        self._taken = taken

    def _refuse_second(self, kind: type[DeviceKind], twice: Bools) -> None:
        """Raise NetworkError for loads with the columns of another kind besides."""
        for other, claims in self._claims.items():
            both = twice & claims.get("load", np.zeros(len(twice), dtype=bool))
            text = f"has columns of {other.label} and of {kind.label}; those of one are accepted"
            self.refuse(self.net.load, "load", ~both, text)

    @cached_property
    def costs(self) -> ElementCosts:
        """Costs of generation by element; raises NetworkError for costs that are not accepted."""
        return ElementCosts(self.net, self.grid, self._cost_factor)

    def of(self, kind: type[DeviceKind], table: str) -> pd.DataFrame:
        """Return the elements of a table that are devices of a kind."""
        found: pd.DataFrame = self.net[table][self._claims[kind][table]]
        return found

    def unclaimed(self, table: str) -> pd.DataFrame:
        """Return the elements of a table that no kind claims."""
        frame: pd.DataFrame = self.net[table]
        return frame[~self._taken[table]] if table in self._taken else frame

    def controllable(self, table: str, frame: pd.DataFrame | None = None) -> Bools:
        """Return whether elements are controllable, all of a table or those of `frame`.

        Without a statement gen and storage are, others are not.
        """
        return controllable(self.net[table] if frame is None else frame, table)

    @staticmethod
    def index(frame: pd.DataFrame) -> tuple[int, ...]:
        """Return the indices of elements."""
        return tuple(int(i) for i in frame.index)

    @staticmethod
    def names(frame: pd.DataFrame, prefix: str) -> tuple[str, ...]:
        """Return the names of elements; `prefix` and the index where there is none."""
        return tuple(
            str(n) if isinstance(n, str) and n else f"{prefix} {i}"
            for n, i in zip(frame.name, frame.index, strict=True)
        )

    @staticmethod
    def values(frame: pd.DataFrame, column: str, missing: float) -> Floats:
        """Return a column of numbers; `missing` for empty cells and without the column."""
        if column not in frame:
            return np.full(len(frame), missing)
        values = frame[column].to_numpy(dtype=float)
        return np.where(np.isnan(values), missing, values)

    def filled(self, table: str, *columns: str) -> Bools:
        """Return which elements of a table have a number or text in one of some columns."""
        frame: pd.DataFrame = self.net[table]
        found = np.zeros(len(frame), dtype=bool)
        for column in columns:
            if column in frame:
                cells = frame[column]
                found |= (cells.notna() & (cells != "")).to_numpy(dtype=bool)
        return found

    def choices(
        self, frame: pd.DataFrame, table: str, column: str, accepted: Sequence[str]
    ) -> "np.typing.NDArray[np.object_]":
        """Return a column of texts, the first accepted one where it is empty.

        Raises NetworkError for other texts.
        """
        if column not in frame:
            return np.full(len(frame), accepted[0], dtype=object)
        values = np.array(
            [accepted[0] if pd.isna(v) or not v else v for v in frame[column]], object
        )
        good = np.isin(values, accepted)
        self.refuse(frame, table, good, f"needs {column} {' or '.join(accepted)}")
        return values

    @classmethod
    def scaling(cls, frame: pd.DataFrame) -> Floats:
        """Return the factors of power; 1 where none is given."""
        return cls.values(frame, "scaling", 1.0)

    def phases(self, frame: pd.DataFrame, table: str) -> tuple[str, ...]:
        """Return the column `phase`; raises NetworkError for other phases than CONNECTIONS."""
        if "phase" not in frame:
            return ("",) * len(frame)
        values = ["" if pd.isna(value) else value for value in frame.phase]
        for element, value in zip(frame.index, values, strict=True):
            if value not in ("", *CONNECTIONS):
                raise NetworkError(
                    f"{named(self.grid, table, [element])} has phase {value!r}; accepted: "
                    f"{', '.join(CONNECTIONS)} (three-phase), or empty if not known"
                )
        return tuple(values)

    def refuse_reactive(self, frame: pd.DataFrame, table: str, label: str) -> None:
        """Raise NetworkError for elements with reactive power, or whose limits demand some."""
        none = f"{label} give no reactive power"
        low, high = (self.values(frame, c, 0.0) for c in ("min_q_mvar", "max_q_mvar"))
        zero = self.values(frame, "q_mvar", 0.0) == 0.0
        self.refuse(frame, table, zero, f"needs q_mvar = 0: {none}")
        contain = (low <= 0.0) & (high >= 0.0)
        self.refuse(frame, table, contain, f"needs min_q_mvar <= 0 <= max_q_mvar: {none}")

    def refuse_power(self, frame: pd.DataFrame, table: str, label: str) -> None:
        """Raise NetworkError for elements with a power or scaling, of kinds that decide it."""
        own = self.values(frame, "p_mw", 0.0), self.values(frame, "q_mvar", 0.0)
        zero = (own[0] == 0.0) & (own[1] == 0.0)
        self.refuse(frame, table, zero, f"needs p_mw = q_mvar = 0: the power of {label} is decided")
        alone = self.scaling(frame) == 1.0
        self.refuse(frame, table, alone, f"needs scaling = 1: the power of {label} is decided")

    def refuse(self, frame: pd.DataFrame, table: str, good: Bools, text: str) -> None:
        """Raise NetworkError that names the elements which are not good.

        Of the columns that `text` names it adds the values of the first one.
        """
        if not good.all():
            first = frame.loc[~good].iloc[0]
            held = [c for c in re.findall(r"\w+", text) if c in frame and c != "bus"]
            values = ", ".join(f"{column} = {_shown(first[column])}" for column in held)
            found = f"; found {values}" if values else ""
            raise NetworkError(f"{named(self.grid, table, frame.index[~good])} {text}{found}")


def _shown(value: object) -> str:
    """Return the value of a cell as text."""
    value = value.item() if isinstance(value, np.generic) else value
    empty = value is None or (isinstance(value, float) and np.isnan(value))
    return "nothing" if empty else f"{value:g}" if isinstance(value, float) else repr(value)


def controllable(frame: pd.DataFrame, table: str) -> Bools:
    """Return whether each element of a table is controllable; by default gen and storage are."""
    assumed = table in ("gen", "storage")
    if "controllable" not in frame:
        return np.full(len(frame), assumed)
    values = [assumed if pd.isna(value) else bool(value) for value in frame["controllable"]]
    return np.array(values, dtype=bool)
