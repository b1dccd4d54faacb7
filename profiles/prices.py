"""Retail tariffs: the import and export price of every step."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from stackelgrid.profiles._checks import finite_array
from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.errors import ProfileError
from stackelgrid.profiles.time_axis import TimeAxis, wall_clock_parts

_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
IMPORT_COLUMN = "import_eur_per_mwh"
EXPORT_COLUMN = "export_eur_per_mwh"
PRICE_NAMES = ("import", "export")


@dataclass(frozen=True, eq=False)
class Tariff:
    """Prices a customer pays for import and is paid for export, EUR/MWh, each of shape (n,).

    The export price never exceeds the import price: otherwise buying and selling at once would
    earn without limit. Negative prices are allowed. The arrays are read-only copies. `axis` is
    only used to name times in errors. Raises ProfileError naming the first offending step.
    """

    import_eur_per_mwh: Floats
    export_eur_per_mwh: Floats
    axis: TimeAxis | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Check both series and freeze copies of them."""
        length = None if self.axis is None else self.axis.length
        import_ = finite_array("Tariff", IMPORT_COLUMN, self.import_eur_per_mwh, length).copy()
        export = finite_array("Tariff", EXPORT_COLUMN, self.export_eur_per_mwh, import_.size).copy()
        above = np.flatnonzero(export > import_)
        if above.size:
            step = int(above[0])
            when = "" if self.axis is None else f" ({self.axis.index[step].isoformat()})"
            raise ProfileError(
                f"Tariff: at step {step}{when} export is {export[step]:g} and import "
                f"{import_[step]:g} EUR/MWh; export of at most the import price is accepted"
            )
        for name, array in ((IMPORT_COLUMN, import_), (EXPORT_COLUMN, export)):
            array.setflags(write=False)
            object.__setattr__(self, name, array)


def flat_tariff(axis: TimeAxis, import_: float, export: float) -> Tariff:
    """Return the tariff of constant prices in EUR/MWh; raises ProfileError as `Tariff` does."""
    return Tariff(np.full(axis.length, import_), np.full(axis.length, export), axis)


def time_of_use_tariff(axis: TimeAxis, periods: Sequence[tuple[str, float, float]]) -> Tariff:
    """Return a tariff of daily bands on the wall clock of the axis.

    `periods` are (start "HH:MM", import, export) in EUR/MWh; they are sorted, the first starts
    at 00:00 and each lasts until the next. A step across a band edge gets the mean over time.
    Raises ProfileError for other periods and as `Tariff` does.
    """
    if not periods:
        raise ProfileError(
            "time_of_use_tariff: periods is empty; at least one from 00:00 is accepted"
        )
    starts: list[int] = []
    prices = np.empty((len(periods), 2))
    for position, period in enumerate(periods):
        try:
            start, import_, export = period
            prices[position] = float(import_), float(export)
        except (TypeError, ValueError) as error:
            raise ProfileError(
                f"time_of_use_tariff: periods[{position}] is {period!r}; "
                '("HH:MM", import, export) with prices in EUR/MWh is accepted'
            ) from error
        clock = _CLOCK.fullmatch(start) if isinstance(start, str) else None
        if clock is None:
            raise ProfileError(
                f"time_of_use_tariff: periods[{position}] starts at {start!r}; "
                '"HH:MM" from 00:00 to 23:59 is accepted'
            )
        minute = 60 * int(clock[1]) + int(clock[2])
        if position == 0 and minute != 0:
            raise ProfileError(
                f"time_of_use_tariff: periods[0] starts at {start!r}; the first must start at 00:00"
            )
        if starts and minute <= starts[-1]:
            raise ProfileError(
                f"time_of_use_tariff: periods[{position}] starts at {start!r}, not after the one "
                f"before at {periods[position - 1][0]!r}; increasing starts are accepted"
            )
        starts.append(minute)
    wall, parts = wall_clock_parts(axis, starts)
    minute_of_day = np.asarray(wall.hour * 60 + wall.minute)
    band = np.searchsorted(starts, minute_of_day, side="right") - 1
    means = prices[band].reshape(axis.length, parts, 2).mean(axis=1)
    return Tariff(means[:, 0], means[:, 1], axis)


def series_tariff(axis: TimeAxis, frame: pd.DataFrame) -> Tariff:
    """Return the tariff of a table with one price pair per step, as `read_series` returns it.

    `frame` is indexed by the axis and has the columns import_eur_per_mwh and
    export_eur_per_mwh. Raises ProfileError for a missing column, another index and as `Tariff`.
    """
    for column in (IMPORT_COLUMN, EXPORT_COLUMN):
        if column not in frame.columns:
            raise ProfileError(
                f"series_tariff: column {column} is missing among "
                f"{', '.join(map(str, frame.columns)) or 'no columns'}; a table with "
                f"{IMPORT_COLUMN} and {EXPORT_COLUMN} is accepted"
            )
    if not frame.index.equals(axis.index):
        covered = f"{frame.index[0]} to {frame.index[-1]}" if len(frame) else "nothing"
        raise ProfileError(
            f"series_tariff: the table has {len(frame)} rows covering {covered}; the "
            f"{axis.length} steps from {axis.start.isoformat()} every {axis.step} are accepted"
        )
    return Tariff(
        frame[IMPORT_COLUMN].to_numpy(dtype=np.float64),
        frame[EXPORT_COLUMN].to_numpy(dtype=np.float64),
        axis,
    )
