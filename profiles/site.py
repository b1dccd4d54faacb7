"""Site of a scenario: position and constant weather."""

from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

from stackelgrid.profiles._checks import require_number
from stackelgrid.profiles.errors import ProfileError


@dataclass(frozen=True)
class Site:
    """Place of a scenario under the sun: degrees north and east, metres above the sea.

    `ambient_c` (degrees Celsius) and `wind_m_per_s` are constants, because a co-simulation
    scenario contains no weather: 10 K of air temperature change the feed-in by about 4 %.
    `holidays` are treated like Sundays. Raises ProfileError for values out of range or an unknown
    time zone.
    """

    latitude: float
    longitude: float
    altitude_m: float
    timezone: str
    ambient_c: float = 15.0
    wind_m_per_s: float = 1.0
    holidays: tuple[date, ...] = ()

    def __post_init__(self) -> None:
        """Validate latitude, longitude and altitude."""
        require_number("Site", "latitude", self.latitude, -90.0, 90.0)
        require_number("Site", "longitude", self.longitude, -180.0, 180.0)
        require_number("Site", "altitude_m", self.altitude_m, -430.0, 8850.0)
        require_number("Site", "ambient_c", self.ambient_c, -60.0, 60.0)
        require_number("Site", "wind_m_per_s", self.wind_m_per_s, 0.0, 60.0)
        try:
            ZoneInfo(self.timezone)
        # ZoneInfoNotFoundError is a KeyError; odd keys end in ValueError, TypeError or OSError.
        except (KeyError, ValueError, TypeError, AttributeError, OSError) as error:
            raise ProfileError(
                f"Site: timezone is {self.timezone!r}; an IANA name such as 'Europe/Berlin' "
                "is accepted"
            ) from error
