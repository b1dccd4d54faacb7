"""Forecast sources: what they say, when it is renewed, and that they never see the future."""

from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest
from support.records import grid_series

from stackelgrid.profiles.errors import ProfileError
from stackelgrid.profiles.forecast import (
    GridSeries,
    PerfectForecast,
    UpdatedForecast,
    Updates,
    columns_of,
    series_of,
)
from stackelgrid.profiles.forecast_errors import ErrorModel
from stackelgrid.profiles.forecast_predictors import (
    ClearSkyShare,
    Known,
    LastSeen,
    Observed,
    OutlookWithErrors,
    SameTimeDayBefore,
    Tabulated,
    deviated,
    require_day,
)
from stackelgrid.profiles.time_axis import Horizon, TimeAxis

DAY = 24  # hourly
N = 3 * DAY
HORIZON = Horizon((60, 60, 120, 240), 60)  # 8 intervals
LAST = N - HORIZON.intervals_covered
EVERY = Updates.every(1, N)
RATED = np.array([4.0, 2.0])


def clear_sky(length):
    hour = np.arange(length) % DAY
    bell = np.clip(np.sin((hour - 5.0) / 14.0 * np.pi).round(9), 0.0, None)
    return bell[:, None] * RATED * 0.9


def white(seed):
    return np.random.default_rng(seed).standard_normal(N)


def series(seed):
    rng = np.random.default_rng(seed)
    hour = np.arange(N) % DAY
    load = (1.0 + 0.5 * np.sin(hour / DAY * 2 * np.pi))[:, None] * rng.uniform(0.5, 1.5, (N, 3))
    price = 80.0 + 20.0 * np.cos(hour / DAY * 2 * np.pi) + rng.normal(0.0, 5.0, N)
    cloudy = rng.uniform(0.2, 1.0, (N, 1))
    return grid_series(load, 0.3 * load, clear_sky(N) * cloudy, price, price - 25.0)


NAMES = {"load": ("load_p_mw", "load_q_mvar"), "pv": ("pv_available_mw",)}


def columns(of):
    """Loads (active, then reactive), PV and prices, each (n, columns)."""
    return tuple(columns_of(of, NAMES).values())


def from_columns(load, pv, price):
    """The series of the columns that `columns` returns."""
    return series_of({"load": load, "pv": pv, "price": price}, NAMES)


OUTLOOK, PAST = series(1), series(2)
PAST_COLUMNS = tuple(values[:DAY] for values in columns(PAST))
UPPER = np.maximum(RATED, OUTLOOK.pv_available_mw)
DEVIATION = ErrorModel(0.3, 24.0, 0.9)


def realised(paths):
    load, pv, price = columns(OUTLOOK)
    return from_columns(
        deviated(load, paths[0], relative=True),
        deviated(pv, paths[1], relative=True, upper=UPPER),
        deviated(price, 30.0 * paths[2], relative=False),
    )


WORLD = realised([DEVIATION.path(white(s), 1.0).deviation for s in (3, 4, 5)])


def source(name, world=WORLD, level=1.0, updates=EVERY):
    """One kind of source in a world."""
    seen, told = columns(world), columns(OUTLOOK)
    if name == "day_before":
        parts = [SameTimeDayBefore(p, s) for p, s in zip(PAST_COLUMNS, seen, strict=True)]
    elif name == "last":
        parts = [LastSeen(p, s) for p, s in zip(PAST_COLUMNS, seen, strict=True)]
        parts[1] = SameTimeDayBefore(PAST_COLUMNS[1], seen[1], dark=clear_sky(N) == 0.0)
    elif name == "clear_sky":
        sky = ClearSkyShare(PAST_COLUMNS[1], seen[1], clear_sky(DAY), clear_sky(N), RATED)
        parts = [Known(told[0]), sky, Known(told[2])]
    elif name == "table":
        issued = np.array([-2, 6, 30])
        shifts = np.random.default_rng(6).uniform(-0.5, 0.1, (3, N))
        parts = [Tabulated(v, issued, shifts, k < 2) for k, v in enumerate(told)]
    else:
        errors = [
            ErrorModel(0.2 * scale, 24.0, 0.8).scaled(level).path(white(7 + k), 1.0)
            for k, scale in enumerate((1.0, 1.0, 30.0))
        ]
        observed = [
            Observed(s, v, 0.9, k < 2) for k, (s, v) in enumerate(zip(seen, told, strict=True))
        ]
        uppers = (None, UPPER, None)
        parts = [
            OutlookWithErrors(told[k], k < 2, errors[k], observed[k], uppers[k]) for k in range(3)
        ]
    load, pv, price = parts
    return UpdatedForecast({"load": load, "pv": pv}, price, NAMES, updates, HORIZON, N)


BLIND = ("autoregressive", "day_before", "last", "clear_sky", "table")


def equal(one, other):
    prices = ("import_eur_per_mwh", "export_eur_per_mwh")
    return one.devices.keys() == other.devices.keys() and all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in (*prices, *one.devices)
    )


@pytest.mark.parametrize("name", BLIND)
@pytest.mark.parametrize("k", [0, 1, 9, 30])
def test_the_forecast_never_sees_the_future(name, k):
    """Anything may happen from interval k on: what is told at k is the same, bit by bit."""
    before, after = columns(WORLD), []
    for values, factor in zip(before, (1.7, 0.4, 1.2), strict=True):
        changed = values.copy()
        changed[k:] *= factor
        after.append(changed)
    world, other = source(name), source(name, from_columns(*after))
    for interval in range(k + 1):
        assert equal(world.at(interval), other.at(interval))
    if name != "table":  # nothing that happens changes a table
        # the change is not empty: the next day's forecasts differ
        assert not equal(world.at(k + DAY), other.at(k + DAY))


def test_perfect_foresight_does_see_the_future():
    """What the test above would find in a source that looks ahead."""
    load, pv, price = (v.copy() for v in columns(WORLD))
    load[9:] *= 1.7
    other = PerfectForecast(from_columns(load, pv, price), HORIZON)
    assert not equal(PerfectForecast(WORLD, HORIZON).at(9), other.at(9))


@pytest.mark.parametrize("name", BLIND)
def test_sources_have_no_state(name):
    one, other = source(name), source(name)
    forwards = [one.at(k) for k in range(LAST + 1)]
    backwards = [other.at(k) for k in reversed(range(LAST + 1))]
    assert all(equal(a, b) for a, b in zip(forwards, reversed(backwards), strict=True))


@pytest.mark.parametrize("name", BLIND)
def test_forecasts_stay_possible(name):
    """PV is never negative, nothing at night and within its rating; import is above export."""
    night = clear_sky(N)[:, 0] == 0.0
    for k in range(LAST + 1):
        forecast = source(name).at(k)
        assert (forecast.pv_available_mw >= 0.0).all()
        assert (forecast.pv_available_mw <= np.maximum(RATED, UPPER.max(axis=0))).all()
        assert (forecast.load_p_mw >= 0.0).all()
        np.testing.assert_allclose(
            forecast.import_eur_per_mwh - forecast.export_eur_per_mwh, 25.0, rtol=1e-12
        )
        if night[k]:
            assert not forecast.pv_available_mw[0].any()
    assert night[: LAST + 1].sum() == 28  # two nights, and the third morning until 5 h


def test_forecasts_do_not_share_memory_with_the_world():
    for name in BLIND:
        forecast = source(name).at(9)
        for f in fields(GridSeries):
            assert not np.shares_memory(getattr(forecast, f.name), getattr(WORLD, f.name))
            assert not np.shares_memory(getattr(forecast, f.name), getattr(OUTLOOK, f.name))


def test_without_errors_and_deviations_the_outlook_is_told_as_perfect_foresight_would():
    told = source("autoregressive", OUTLOOK, level=0.0)
    for k in (0, 5, LAST):
        assert equal(told.at(k), PerfectForecast(OUTLOOK, HORIZON).at(k))


def test_errors_multiply_the_outlook_and_are_added_to_prices():
    told = source("autoregressive", OUTLOOK)
    path = ErrorModel(0.2, 24.0, 0.8).path(white(7), 1.0)
    forecast, perfect = told.at(9), PerfectForecast(OUTLOOK, HORIZON).at(9)
    np.testing.assert_allclose(
        forecast.load_p_mw[0], perfect.load_p_mw[0] * (1 + path.path[9] - 0.8 * path.path[8])
    )
    np.testing.assert_allclose(forecast.load_q_mvar, 0.3 * forecast.load_p_mw)
    price = ErrorModel(6.0, 24.0, 0.8).path(white(9), 1.0)
    shift = price.path[10] - 0.8**2 * price.path[8]
    assert forecast.import_eur_per_mwh[1] - perfect.import_eur_per_mwh[1] == pytest.approx(shift)
    assert forecast.export_eur_per_mwh[1] - perfect.export_eur_per_mwh[1] == pytest.approx(shift)


def test_what_was_seen_of_reality_dies_away_with_lead():
    """Conditional mean of an AR(1) deviation: 0.9 of it is left after each hour."""
    told = source("autoregressive", level=0.0)
    path = DEVIATION.path(white(3), 1.0).path
    forecast, outlook = told.at(30), PerfectForecast(OUTLOOK, HORIZON).at(30)
    ratio = forecast.load_p_mw[:2] / outlook.load_p_mw[:2]
    expected = 1.0 + path[29] * np.array([0.9, 0.81])
    np.testing.assert_allclose(ratio, np.repeat(expected[:, None], 3, axis=1), rtol=1e-12)
    assert abs(path[29]) > 0.02
    # nothing has been seen before the first interval
    assert equal(told.at(0), PerfectForecast(OUTLOOK, HORIZON).at(0))


def test_the_conditional_mean_of_deviations_errs_as_their_process_says():
    """Reality strays from the outlook: the error by lead is that of the deviations' model."""
    model, issue, paths = ErrorModel(0.2, 24.0, 0.7), 20, 3000
    outlook = np.ones((N, 1))
    draws = np.random.default_rng(8).standard_normal((paths, N))
    errors = np.empty((paths, 8))
    for row, drawn in enumerate(draws):
        world = deviated(outlook, model.path(drawn, 1.0).deviation, relative=True)
        told = OutlookWithErrors(outlook, True, observed=Observed(world, outlook, 0.7, True))
        errors[row] = (world[issue : issue + 8] - told.rows(issue, issue, 8))[:, 0]
    found = errors.std(axis=0)
    np.testing.assert_allclose(found, model.std_at(np.arange(1, 9)), rtol=4 / np.sqrt(2 * paths))


def test_at_night_the_deviation_of_the_last_daylight_is_remembered():
    seen, outlook = WORLD.pv_available_mw, OUTLOOK.pv_available_mw
    observed = Observed(seen, outlook, 0.9, True)
    last = int(np.flatnonzero(outlook[:DAY].sum(axis=1) > 0.0)[-1])
    ratio = seen[last].sum() / outlook[last].sum() - 1.0
    assert last + 3 < DAY  # asked at night
    np.testing.assert_allclose(
        observed.expected(last + 3, last + 3, 2), ratio * np.array([0.9**3, 0.9**4])
    )


def test_persistence_repeats_the_day_before():
    told = source("day_before")
    rows = told.devices["load"].rows(5, 5, 3 * DAY)
    loads = columns(WORLD)[0]
    np.testing.assert_array_equal(rows[: DAY - 5], PAST_COLUMNS[0][5:])  # yesterday
    np.testing.assert_array_equal(rows[DAY - 5 : DAY], loads[:5])  # seen this morning
    # beyond a day the latest value of that time again
    np.testing.assert_array_equal(rows[DAY : 2 * DAY], rows[:DAY])


def test_persistence_of_the_last_value():
    rows = source("last").devices["load"].rows(7, 9, 4)
    np.testing.assert_array_equal(rows, np.repeat(columns(WORLD)[0][6:7], 4, axis=0))
    first = source("last").devices["load"].rows(0, 0, 2)
    np.testing.assert_array_equal(first, np.repeat(PAST_COLUMNS[0][-1:], 2, axis=0))


def test_clear_sky_share_is_kept_over_the_night():
    sky = source("clear_sky").devices["pv"]
    seen, clear = WORLD.pv_available_mw, clear_sky(N)
    bright = clear.sum(axis=1) > 0.05 * clear.sum(axis=1).max()
    last = int(np.flatnonzero(bright[:DAY])[-1])
    share = seen[last].sum() / clear[last].sum()
    rows = sky.rows(DAY, DAY, DAY)  # at midnight, the day that comes
    np.testing.assert_allclose(rows, np.minimum(share * clear[:DAY], RATED))
    assert not rows[clear[:DAY, 0] == 0.0].any()
    noon = sky.rows(13, 13, 1)
    np.testing.assert_allclose(noon[0], seen[12].sum() / clear[12].sum() * clear[13])


# ---------------------------------------------------------------- updates


def test_between_updates_the_old_forecast_is_known():
    told = source("autoregressive", updates=Updates.every(6, N))
    issued = [told.updates.issue(k) for k in range(13)]
    assert issued == [0] * 6 + [6] * 6 + [12]
    hourly = source("autoregressive")
    # at 9 what was said at 6 of the intervals from 9 on
    expected = HORIZON.average(hourly.devices["load"].rows(6, 9, 8), 0)
    np.testing.assert_array_equal(told.at(9).load_p_mw, expected[:, :3])
    assert equal(told.at(6), hourly.at(6))
    assert not equal(told.at(9), hourly.at(9))


def test_leads_grow_between_updates():
    """The interval ahead is known worse before an update than after it."""
    model = ErrorModel(0.1, 24.0, 0.9)
    updates = Updates.every(6, N)
    draws = np.random.default_rng(9).standard_normal((2000, N))
    paths = [model.path(row, 1.0) for row in draws]
    found = {k: np.std([p.of(updates.issue(k), k, 1)[0] for p in paths]) for k in (12, 14, 17, 18)}
    for k, lead in ((12, 1), (14, 3), (17, 6), (18, 1)):
        assert found[k] == pytest.approx(float(model.std_at(lead)), rel=4 / np.sqrt(4000))


def test_updates_at_clock_times():
    start = pd.Timestamp("2025-06-21T10:30", tz="Europe/Berlin")
    axis = TimeAxis(start, pd.Timedelta(minutes=30), 60)
    # from 10:30: 12:00 is 3 intervals away, 18:10 rounds up to 18:30
    assert Updates.at_clock_times(axis, ("12:00", "18:10")).intervals == (0, 3, 16, 51)
    with pytest.raises(ProfileError, match="'24:00' is not a clock time"):
        Updates.at_clock_times(axis, ("24:00",))


def test_updates_keep_local_time_over_a_clock_change():
    start = pd.Timestamp("2025-10-25T00:00", tz="Europe/Berlin")  # the day after has 25 hours
    axis = TimeAxis(start, pd.Timedelta(hours=1), 60)
    intervals = Updates.at_clock_times(axis, ("06:00",)).intervals
    assert intervals == (0, 6, 31, 55)
    assert [axis.index[k].hour for k in intervals[1:]] == [6, 6, 6]


@pytest.mark.parametrize("intervals", [(), (1, 2), (0, 5, 5), (0, 6, 3)])
def test_bad_updates_are_refused(intervals):
    with pytest.raises(ProfileError, match="increasing ones from 0"):
        Updates(intervals)


def test_nothing_is_told_beyond_the_end():
    told = source("autoregressive")
    told.at(LAST)
    with pytest.raises(ProfileError, match=r"hold 72 intervals; interval 65 .* need 73"):
        told.at(LAST + 1)
    with pytest.raises(ProfileError, match="interval is -1"):
        told.at(-1)


def test_a_day_must_be_whole_intervals():
    assert require_day(15) == 96
    with pytest.raises(ProfileError, match="interval_min is 50"):
        require_day(50)


def test_a_gap_of_a_table_is_refused_when_asked_for():
    shifts = np.zeros((1, N))
    shifts[0, 12] = np.nan
    table = Tabulated(columns(OUTLOOK)[0], np.array([0]), shifts, True)
    told = source("table")
    told = replace(told, devices={**told.devices, "load": table})
    told.at(2)
    with pytest.raises(ProfileError, match="no value for interval 12 at the update of interval 5"):
        told.at(5)
