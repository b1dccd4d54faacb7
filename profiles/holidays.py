"""Public holidays by region, or as the user lists them; profiles treat them like Sundays."""

import datetime as dt
from collections.abc import Sequence

from stackelgrid.profiles.errors import ProfileError, shown


def check_region(code: str) -> None:
    """Raise ProfileError for a text that is no region with known holidays."""
    public_holidays(code, 2025, 2025)


def public_holidays(code: str, first: int, last: int) -> tuple[dt.date, ...]:
    """Return the public holidays of a region in the years from `first` to `last`.

    code: country, or country and subdivision, by ISO 3166: "DE", "DE-BY".

    Raises ProfileError for an unknown region. Source: package holidays.
    """
    import holidays

    country, _, part = code.partition("-")
    known = holidays.list_supported_countries(include_aliases=False)
    if country not in known:
        raise ProfileError(
            f"{shown(code)} is no known region; a country such as 'DE', a part of one such as "
            "'DE-BY' (ISO 3166), or a list of dates is accepted"
        )
    if part not in ("", *known[country]) or code.endswith("-"):
        parts = ", ".join([country, *(f"{country}-{name}" for name in known[country])])
        raise ProfileError(
            f"{shown(code)} is no known region; {parts}, or a list of dates is accepted"
        )
    found = holidays.country_holidays(country, subdiv=part or None, years=range(first, last + 1))
    return tuple(sorted(found))


def days_off(given: str | Sequence[dt.date] | None, first: int, last: int) -> tuple[dt.date, ...]:
    """Return the dates that are given, or the holidays of a region in some years."""
    if given is None:
        return ()
    return public_holidays(given, first, last) if isinstance(given, str) else tuple(given)
