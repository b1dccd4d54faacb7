"""Section `time` of a scenario: the simulated period."""

from contextlib import suppress
from datetime import date, datetime
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from stackelgrid.profiles.errors import shown
from stackelgrid.profiles.section import Section
from stackelgrid.profiles.size_limits import INTERVALS

# years covered by the profiles, the position of the sun and the time stamps of tables
_FIRST, _END = datetime(1900, 1, 1), datetime(2200, 1, 1)
_MINUTES_A_DAY = 1440


def _moment(value: object) -> object:
    """Refuse texts that are no date, and numbers, which would be seconds since an epoch."""
    known = isinstance(value, date)
    if isinstance(value, str):
        with suppress(ValueError):
            known = bool(datetime.fromisoformat(value))
    if not known:
        raise ValueError(
            f"{shown(value)}: a local date, or date and time such as 2025-06-21T16:00, is accepted"
        )
    return value


Moment = Annotated[datetime | date, BeforeValidator(_moment)]


class Time(Section):
    """The simulated period, in the local time of `timezone`."""

    start: Moment
    """Local time of the first interval."""
    timezone: str
    """IANA name, such as `Europe/Berlin`."""
    intervals: Annotated[int, Field(ge=1)]
    """Number of intervals."""
    interval_min: Annotated[int, Field(ge=1, le=_MINUTES_A_DAY)] = 15
    """Length of an interval."""

    @model_validator(mode="after")
    def _naive(self) -> Self:
        start = self.start
        if not isinstance(start, datetime):
            start = datetime(start.year, start.month, start.day)
        if start.tzinfo is not None:
            raise ValueError("start must be a local time without offset (zone: timezone)")
        if self.intervals > INTERVALS:
            raise ValueError(
                f"intervals = {self.intervals:,}: at most {INTERVALS:,} are accepted (28 years of "
                "quarter hours)"
            )
        left_min = (_END - start).total_seconds() / 60.0
        if start < _FIRST or self.intervals * self.interval_min > left_min:
            raise ValueError(
                f"start = {self.start}: {self.intervals:,} intervals of {self.interval_min} min "
                f"from there are not within the years {_FIRST.year} to {_END.year - 1}, which are "
                "accepted"
            )
        return self
