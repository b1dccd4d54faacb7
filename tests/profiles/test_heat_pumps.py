"""Heat pumps: published coefficients of performance, heating curve, temperature of the ground."""

import numpy as np
import pytest

from stackelgrid.profiles.errors import ProfileError
from stackelgrid.profiles.heat_pumps import flow_temperature, ground_c, heat_pump_cop

# COP of hplib 1.9, `HeatPump.simulate` of the generic machines with a regulated compressor (groups
# 1 and 2), https://doi.org/10.5281/zenodo.5521597: outdoor air or brine, flow, COP
AIR = [
    (-15.0, 35.0, 1.669857), (-7.0, 35.0, 2.902254), (2.0, 35.0, 4.288701), (7.0, 35.0, 5.058949),
    (12.0, 35.0, 5.829197), (-7.0, 55.0, 1.150921), (7.0, 55.0, 3.307615), (-20.0, 55.0, 1.0),
]  # fmt: skip
# the same, with the outdoor temperature in third place
GROUND = [
    (0.0, 35.0, 0.0, 4.672652), (0.0, 45.0, 2.0, 3.686787), (0.0, 55.0, -10.0, 2.702452),
    (5.0, 35.0, 7.0, 5.164709), (-5.0, 35.0, 0.0, 4.179829),
]  # fmt: skip


def cop(source, outdoor, daily, flow):
    return heat_pump_cop(source, *(np.array([v]) for v in (outdoor, daily, flow)))[0]


@pytest.mark.parametrize(("outdoor", "flow", "published"), AIR)
def test_published_coefficients_of_performance_of_outdoor_air(outdoor, flow, published):
    assert cop("air", outdoor, 99.0, flow) == pytest.approx(published, abs=1e-6)


def day_with_brine(brine):
    """Mean outdoor temperature of a day at which the ground has a temperature."""
    days = np.linspace(-9.0, 30.0, 400_001)
    return days[np.argmin(np.abs(ground_c(days) - brine))]


@pytest.mark.parametrize(("brine", "flow", "outdoor", "published"), GROUND)
def test_published_coefficients_of_performance_of_the_ground(brine, flow, outdoor, published):
    if brine < 3.2:  # colder than the ground ever is: by the slope of 0.098565 per K
        warm = cop("ground", outdoor, day_with_brine(4.0), flow)
        assert warm - (4.0 - brine) * 0.098565 == pytest.approx(published, abs=2e-5)
    else:
        found = cop("ground", outdoor, day_with_brine(brine), flow)
        assert found == pytest.approx(published, abs=2e-5)


@pytest.mark.parametrize(
    ("source", "temperature", "flow", "least", "most"),
    [
        # 5 % and 95 % of the 366 air/water and 53 brine/water machines of the Keymark data base
        # that hplib 1.9 holds, each by its own regression
        ("air", -7.0, 35.0, 2.36, 3.43),
        ("air", 2.0, 35.0, 3.75, 4.77),
        ("air", 7.0, 35.0, 4.35, 5.71),
        ("air", 7.0, 55.0, 2.64, 3.89),
        ("ground", 5.0, 35.0, 4.63, 5.49),
    ],
)
def test_mean_machines_lie_among_those_of_the_data_base(source, temperature, flow, least, most):
    outdoor = temperature if source == "air" else 2.0
    daily = temperature if source == "air" else day_with_brine(temperature)
    assert least < cop(source, outdoor, daily, flow) < most


def test_a_coefficient_of_performance_is_never_below_one():
    outdoor = np.linspace(-40.0, 20.0, 61)
    for flow in (35.0, 55.0, 70.0):
        for source in ("air", "ground"):
            found = heat_pump_cop(source, outdoor, outdoor, np.full(61, flow))
            assert found.min() >= 1.0
    assert heat_pump_cop("air", outdoor, outdoor, np.full(61, 55.0)).min() == 1.0


def test_the_ground_follows_the_mean_of_a_day_and_not_the_hour():
    # field study of Fraunhofer ISE, as hplib has it: -0.0003 t^3 + 0.0086 t^2 + 0.3047 t + 5.0647
    assert ground_c(np.array([0.0, 10.0])) == pytest.approx([5.0647, 8.6717], abs=1e-9)
    assert np.diff(ground_c(np.linspace(-40.0, 40.0, 801))).min() >= 0.0  # also beyond the fit
    day = np.full(3, 5.0)
    hours = heat_pump_cop("ground", np.array([0.0, 5.0, 10.0]), day, np.full(3, 35.0))
    assert np.ptp(hours) < 0.01
    days = heat_pump_cop("ground", day, np.array([0.0, 5.0, 10.0]), np.full(3, 35.0))
    assert np.diff(days).min() > 0.1
    air = heat_pump_cop("air", np.array([0.0, 5.0]), np.array([0.0, 9.0]), np.full(2, 35.0))
    assert air[1] - air[0] == pytest.approx(5.0 * 0.15405, rel=1e-4)


@pytest.mark.parametrize(
    ("heating", "coldest_flow", "exponent"), [("radiators", 55.0, 1.3), ("floor", 35.0, 1.1)]
)
def test_a_heating_curve_from_the_coldest_day_to_the_heating_limit(heating, coldest_flow, exponent):
    days = np.array([-14.0, 3.0, 20.0, 25.0])
    found = flow_temperature(heating, days, 20.0, -14.0)
    # DIN V 4701-10: (part of the largest load) ^ (1 / exponent) of the largest excess temperature
    half = 20.0 + 0.5 ** (1.0 / exponent) * (coldest_flow - 20.0)
    np.testing.assert_allclose(found, [coldest_flow, half, 20.0, 20.0], atol=1e-9)
    assert flow_temperature(heating, days[:1], 20.0, -20.0)[0] < coldest_flow


@pytest.mark.parametrize("days", [np.zeros(0), np.array([5.0])])
def test_series_of_any_length(days):
    assert len(flow_temperature("floor", days, 20.0, -14.0)) == len(days)
    assert len(heat_pump_cop("ground", days, days, np.full(len(days), 35.0))) == len(days)


def test_another_source_or_heating_is_refused():
    one = np.zeros(1)
    with pytest.raises(ProfileError, match="source is 'water'; air or ground is accepted"):
        heat_pump_cop("water", one, one, one)
    with pytest.raises(ProfileError, match="heating is 'wall'; radiators or floor is accepted"):
        flow_temperature("wall", one, 20.0, -14.0)
