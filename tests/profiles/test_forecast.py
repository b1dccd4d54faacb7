"""Forecasts that controllers get."""

import numpy as np
import pytest

from stackelgrid.profiles.errors import ProfileError
from stackelgrid.profiles.forecast import GridForecast, GridSeries, PerfectForecast
from stackelgrid.profiles.time_axis import Horizon

N = 9
HORIZON = Horizon((15, 15, 30, 60), 15)  # 1, 1, 2 and 4 intervals


@pytest.fixture
def series():
    hours = np.arange(N, dtype=float)
    return GridSeries(
        load_p_mw=np.column_stack([hours, hours**2]),
        load_q_mvar=np.column_stack([-hours, np.ones(N)]),
        pv_available_mw=np.zeros((N, 0)),
        import_eur_per_mwh=100.0 - hours,
        export_eur_per_mwh=50.0 - 2.0 * hours,
    )


def test_perfect_forecast_averages_over_the_steps(series):
    forecast = PerfectForecast(series, HORIZON).at(0)
    assert isinstance(forecast, GridForecast)
    # intervals 0 | 1 | 2, 3 | 4 to 7
    np.testing.assert_allclose(forecast.load_p_mw[:, 0], [0.0, 1.0, 2.5, 5.5])
    np.testing.assert_allclose(forecast.load_p_mw[:, 1], [0.0, 1.0, (4 + 9) / 2, 126 / 4])
    np.testing.assert_allclose(forecast.load_q_mvar[:, 0], [0.0, -1.0, -2.5, -5.5])
    np.testing.assert_allclose(forecast.import_eur_per_mwh, [100.0, 99.0, 97.5, 94.5])
    np.testing.assert_allclose(forecast.export_eur_per_mwh, [50.0, 48.0, 45.0, 39.0])
    assert forecast.pv_available_mw.shape == (4, 0)


def test_perfect_forecast_moves_with_the_interval(series):
    forecast = PerfectForecast(series, HORIZON).at(1)
    np.testing.assert_allclose(forecast.load_p_mw[:, 0], [1.0, 2.0, 3.5, 6.5])


def test_first_step_is_what_happens(series):
    source = PerfectForecast(series, HORIZON)
    for k in (0, 1):
        np.testing.assert_array_equal(source.at(k).load_p_mw[0], series.load_p_mw[k])
        np.testing.assert_array_equal(source.at(k).load_q_mvar[0], series.load_q_mvar[k])


def test_energy_over_the_horizon_is_kept(series):
    forecast = PerfectForecast(series, HORIZON).at(1)
    energy = HORIZON.dt_h @ forecast.load_p_mw
    np.testing.assert_allclose(energy, 0.25 * series.load_p_mw[1:9].sum(axis=0), rtol=1e-14)


def test_nothing_is_known_beyond_the_end(series):
    source = PerfectForecast(series, HORIZON)
    with pytest.raises(ProfileError, match=r"hold 9 intervals; interval 2 .* need 10"):
        source.at(2)
    with pytest.raises(ProfileError, match="k is -1"):
        source.at(-1)


def test_a_forecast_does_not_share_memory_with_the_world(series):
    """A controller that writes into its forecast must not change what happens."""
    forecast = PerfectForecast(series, HORIZON).at(0)
    for name in ("load_p_mw", "load_q_mvar", "import_eur_per_mwh", "export_eur_per_mwh"):
        assert not np.shares_memory(getattr(forecast, name), getattr(series, name))
