import pytest

from stackelgrid.analysis.results.significant import significant


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (125.0, "125"), (1234.5, "1,234"), (12.5, "12"), (5.26, "5.3"), (2.0, "2"), (0.99, "0.99"),
        (-0.0346, "-0.035"), (0.0, "0"), (float("nan"), "nan"), (float("inf"), "inf"),
    ],
)  # fmt: skip
def test_two_digits_are_shown_without_a_power_of_ten(value, text):
    assert significant(value, 2) == text
