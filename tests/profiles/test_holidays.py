"""Public holidays of regions."""

import datetime as dt

import pytest

from stackelgrid.profiles.errors import ProfileError
from stackelgrid.profiles.holidays import days_off, public_holidays

# the nine holidays of all parts of Germany; Easter Sunday was 20 April 2025
GERMANY = {
    "2025-01-01", "2025-04-18", "2025-04-21", "2025-05-01", "2025-05-29", "2025-06-09",
    "2025-10-03", "2025-12-25", "2025-12-26",
}  # fmt: skip
BAVARIA = GERMANY | {"2025-01-06", "2025-06-19", "2025-11-01"}


def test_holidays_of_a_country_and_of_a_part():
    assert {str(day) for day in public_holidays("DE", 2025, 2025)} == GERMANY
    assert {str(day) for day in public_holidays("DE-BY", 2025, 2025)} == BAVARIA
    assert len(public_holidays("DE", 2024, 2026)) == 27


def test_given_dates_are_taken_as_they_are():
    own = (dt.date(2025, 6, 20),)
    assert days_off(own, 2025, 2025) == own
    assert days_off(None, 2025, 2025) == ()


@pytest.mark.parametrize(
    ("code", "accepted"),
    [
        ("Germany", "a country such as 'DE'"),
        ("de", "a country such as 'DE'"),
        ("", "a country such as 'DE'"),
        ("DE-XX", "DE, DE-BB, DE-BE"),
        ("DE-", "DE, DE-BB, DE-BE"),
    ],
)
def test_unknown_regions_are_refused(code, accepted):
    with pytest.raises(ProfileError, match=accepted) as caught:
        public_holidays(code, 2025, 2025)
    assert repr(code) in str(caught.value)
    assert "\n" not in str(caught.value)
