"""Sections `site`, `weather` and `emissions` of a scenario."""

from datetime import date, datetime
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from stackelgrid.profiles.errors import ProfileError, shown
from stackelgrid.profiles.holidays import check_region
from stackelgrid.profiles.section import NonNegative, Section, TableFile


def _holidays(value: object) -> object:
    """Refuse unknown regions, and entries that are no dates."""
    if isinstance(value, str):
        try:
            check_region(value)
        except ProfileError as error:
            raise ValueError(str(error)) from error
        return value
    try:
        return None if value is None else tuple(map(_day, value))  # type: ignore[call-overload]
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{shown(value)}: a region such as 'DE-BY' or a list of dates such as 2025-12-25 is "
            "accepted"
        ) from error


def _day(value: object) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if isinstance(value, str):
        return date.fromisoformat(value)
    raise ValueError(value)


Holidays = Annotated[str | tuple[date, ...], BeforeValidator(_holidays)]


class SiteSection(Section):
    """Geographic site for the position of the sun, and its public holidays."""

    latitude: Annotated[float, Field(ge=-90.0, le=90.0)]
    """Degrees north."""
    longitude: Annotated[float, Field(ge=-180.0, le=180.0)]
    """Degrees east."""
    altitude_m: Annotated[float, Field(ge=-500.0, le=9000.0)] = 0.0
    """Height above the sea."""
    ambient_c: Annotated[float, Field(ge=-60.0, le=60.0)] = 15.0
    """Temperature of the air where `weather.temperature` states none."""
    holidays: Holidays | None = None
    """Days like Sundays: a region by ISO 3166 (`DE`, `DE-BY`) or dates; default: none."""


class TemperatureSection(Section):
    """Outdoor temperature: a daily course with slow weather changes, or a file."""

    mean_c: Annotated[float, Field(ge=-60.0, le=60.0)] | None = None
    """Mean of the run."""
    daily_range_k: Annotated[float, Field(ge=0.0, le=60.0)] = 8.0
    """Warmest less coldest hour of a mean day."""
    sigma_k: Annotated[float, Field(ge=0.0, le=30.0)] = 0.0
    """Standard deviation of slow weather changes."""
    correlation_h: NonNegative = 48.0
    """Their correlation time."""
    file: TableFile | None = None
    """File with a column `outdoor_c` instead of `mean_c`."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.mean_c is None) == (self.file is None):
            raise ValueError("exactly one of mean_c and file is accepted")
        return self


class EmissionsSection(Section):
    """Emissions of energy from the grid above, a number or a file."""

    kg_per_mwh: NonNegative | None = None
    """Emissions of imported energy; 1 kg/MWh is 1 g/kWh."""
    file: TableFile | None = None
    """File with a column `import_kg_per_mwh` (or `import_g_per_kwh`) instead."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.kg_per_mwh is None) == (self.file is None):
            raise ValueError("exactly one of kg_per_mwh and file is accepted")
        return self


class Weather(Section):
    """Sky of the day: `clear`, `sunny` (rare clouds) or `cloudy`; outdoor temperature."""

    sky: Literal["clear", "sunny", "cloudy"] = "sunny"
    """Cloudless, rare clouds, or clouds."""
    temperature: TemperatureSection | None = None
    """Outdoor temperature; default: `site.ambient_c`, constant."""
