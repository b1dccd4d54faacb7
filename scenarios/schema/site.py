"""Sections `site`, `weather` and `emissions` of a scenario."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from stackelgrid.profiles.section import NonNegative, Section, TableFile


class SiteSection(Section):
    """Geographic site for the position of the sun."""

    latitude: Annotated[float, Field(ge=-90.0, le=90.0)]
    """Degrees north."""
    longitude: Annotated[float, Field(ge=-180.0, le=180.0)]
    """Degrees east."""
    altitude_m: Annotated[float, Field(ge=-500.0, le=9000.0)] = 0.0
    """Height above the sea."""
    ambient_c: Annotated[float, Field(ge=-60.0, le=60.0)] = 15.0
    """Temperature of the air where `weather.temperature` states none."""


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
