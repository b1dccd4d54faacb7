"""Trips of vehicles: files, the seeded fleet, stays at home, deviations and what is expected."""

from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pandas as pd
import pytest

from stackelgrid.profiles.errors import ProfileError
from stackelgrid.profiles.time_axis import TimeAxis
from stackelgrid.profiles.trip_table import read_trips
from stackelgrid.profiles.trips import (
    WEEKDAY,
    WEEKEND,
    DayOfTrips,
    ExpectedStays,
    Fleet,
    Trip,
    deviated_trips,
    draw_trips,
    stays_of,
)

BERLIN = "Europe/Berlin"
HOUR = pd.Timedelta(hours=1)
MONDAY = pd.Timestamp("2025-01-13", tz=BERLIN)
NAMES, CAPACITY = ("ann", "bob"), np.array([0.05, 0.02])
GOOD = {
    "vehicle": ["bob", "ann", "ann"],
    "departure": ["2025-01-13T08:00", "2025-01-14T07:30", "2025-01-13T07:30"],
    "arrival": ["2025-01-13T18:00", "2025-01-14T17:00", "2025-01-13T16:15"],
    "energy_kwh": [20.0, 7.5, 0.0],
}


def at(text):
    return pd.Timestamp(text, tz=BERLIN)


def write(folder, ending="csv", **columns):
    frame, path = pd.DataFrame({**GOOD, **columns}), folder / f"trips.{ending}"
    if ending == "csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path)
    return path


def read(path):
    return read_trips(NAMES, CAPACITY, None, path, BERLIN)


# ---------------------------------------------------------------- files


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_trips_of_a_file_in_order_of_time(tmp_path, ending):
    found = read(write(tmp_path, ending))
    assert found["bob"] == (Trip(at("2025-01-13T08:00"), at("2025-01-13T18:00"), 0.02),)
    first, second = found["ann"]
    assert first == Trip(at("2025-01-13T07:30"), at("2025-01-13T16:15"), 0.0)
    assert second == Trip(at("2025-01-14T07:30"), at("2025-01-14T17:00"), 0.0075)


@pytest.mark.parametrize(("column", "factor"), [("energy_wh", 1e3), ("energy_MWh", 1e-3)])
def test_energies_of_trips_in_other_units(tmp_path, column, factor):
    path = write(tmp_path)
    frame = pd.read_csv(path).rename(columns={"energy_kwh": column})
    frame.assign(**{column: frame[column] * factor}).to_csv(path, sep=";", decimal=",", index=False)
    found = read(path)
    assert found["bob"][0].energy_mwh == pytest.approx(0.02)
    assert found["ann"][1].energy_mwh == pytest.approx(0.0075)
    frame.assign(energy_kwh=1.0).to_csv(path, index=False)
    with pytest.raises(ProfileError, match=f"has the columns {column} and energy_kwh; one of"):
        read(path)
    frame.rename(columns={column: "energy_mWh"}).to_csv(path, index=False)  # not megawatt-hours
    with pytest.raises(ProfileError, match="column 'energy_kwh' is missing"):
        read(path)


def test_times_of_parquet_with_and_without_a_zone(tmp_path):
    texts = [read(write(tmp_path))]
    for zone in (None, BERLIN, "UTC"):
        times = {}
        for name in ("departure", "arrival"):
            local = pd.DatetimeIndex(GOOD[name])
            times[name] = local if zone is None else local.tz_localize(BERLIN).tz_convert(zone)
        texts.append(read(write(tmp_path, "parquet", **times)))
    assert all(found == texts[0] for found in texts)


def test_a_vehicle_without_trips_and_names_of_digits(tmp_path):
    path = write(tmp_path, vehicle=["7", "7", "7"], energy_kwh=[1, 2, 3],
                 departure=["2025-01-13T01:00", "2025-01-13T03:00", "2025-01-13T05:00"],
                 arrival=["2025-01-13T02:00", "2025-01-13T04:00", "2025-01-13T06:00"])  # fmt: skip
    found = read_trips(("7", "8"), CAPACITY, None, path, BERLIN)
    assert [trip.energy_mwh for trip in found["7"]] == [0.001, 0.002, 0.003]
    assert found["8"] == ()


def test_a_trip_may_begin_when_the_one_before_ends(tmp_path):
    path = write(tmp_path, vehicle=["ann"] * 3,
                 departure=["2025-01-13T10:00", "2025-01-13T11:00", "2025-01-13T09:00"],
                 arrival=["2025-01-13T11:00", "2025-01-13T12:00", "2025-01-13T10:00"])  # fmt: skip
    assert [trip.departure.hour for trip in read(path)["ann"]] == [8, 9, 10]  # UTC


def test_local_times_of_the_night_in_which_clocks_change(tmp_path):
    # 26 October 2025: 02:00 to 03:00 occurs twice; the night from 01:30 to 03:30 has three hours
    path = write(tmp_path, vehicle=["ann", "bob", "bob"],
                 departure=["2025-10-26T01:30", "2025-10-26T01:30", "2025-10-27T01:30"],
                 arrival=["2025-10-26T03:30", "2025-10-26T03:30", "2025-10-27T03:30"])  # fmt: skip
    found = read(path)
    assert found["ann"][0].arrival - found["ann"][0].departure == 3 * HOUR
    assert found["bob"][1].arrival - found["bob"][1].departure == 2 * HOUR
    stated = ["2025-10-26T02:30+02:00", "2025-10-26T02:30+01:00", "2025-10-26T04:30+01:00"]
    path = write(tmp_path, vehicle=["ann", "ann", "bob"], departure=stated,
                 arrival=["2025-10-26T02:45+02:00", "2025-10-26T02:45+01:00",
                          "2025-10-26T05:00+01:00"])  # fmt: skip
    one, other = read(path)["ann"]
    assert other.departure - one.departure == HOUR


def cells(**changes):
    """Columns of `GOOD` with the cell of its last row changed."""
    return {name: [*GOOD[name][:2], value] for name, value in changes.items()}


REFUSED = {
    "unknown vehicle": (cells(vehicle="eve"), "data row 3: vehicle 'eve' is unknown; accepted: "),
    "arrival before departure": (
        cells(arrival="2025-01-13T07:00"),
        "data row 3: vehicle 'ann' arrives at 2025-01-13T07:00:00+01:00, not after its departure",
    ),
    "no time away": (cells(arrival="2025-01-13T07:30"), "data row 3: vehicle 'ann' arrives at"),
    "overlap": (
        cells(departure="2025-01-14T16:00", arrival="2025-01-14T18:00"),
        "data row 3: vehicle 'ann' leaves at 2025-01-14T16:00:00+01:00 before it arrives at "
        "2025-01-14T17:00:00+01:00 from the trip of data row 2;",
    ),
    "the same trip twice": (
        cells(departure=GOOD["departure"][1], arrival=GOOD["arrival"][1]),
        "data row 3: vehicle 'ann' leaves at",
    ),
    "negative energy": (
        cells(energy_kwh=-1.0),
        "data row 3: vehicle 'ann': energy_kwh is '-1.0'; 0 to 50, the usable energy",
    ),
    "energy above the battery": (
        {"energy_kwh": [20.5, 1.0, 1.0]},
        "data row 1: vehicle 'bob': energy_kwh is '20.5'; 0 to 20, the usable energy",
    ),
    "energy in Wh": (cells(energy_kwh=7500.0), "energy_kwh is '7500.0'; 0 to 50"),
    "no energy": (cells(energy_kwh=None), "data row 3: vehicle 'ann': energy_kwh is '"),
    "endless energy": (cells(energy_kwh=np.inf), "energy_kwh is 'inf'"),
    "energy in words": ({"energy_kwh": ["1", "2", "much"]}, "energy_kwh is 'much'; 0 to 50"),
    "no stamp": (cells(departure="soon"), "departure 'soon' in data row 3 is not a time stamp"),
    "empty stamp": (cells(arrival=None), "arrival"),
    "day as a number": ({"arrival": [1, 2, 3]}, "arrival"),
    "stamps with and without an offset": (
        cells(arrival="2025-01-13T16:15+01:00"), "mix stamps with and without an offset",
    ),
    "the hour that occurs twice": (
        cells(arrival="2025-10-26T02:30"),
        "arrival 2025-10-26 02:30:00 in data row 3 is ambiguous or skipped by a clock change in "
        "Europe/Berlin; stamps with an offset are accepted there",
    ),
    "the hour that is skipped": (
        cells(arrival="2025-03-30T02:30"), "arrival 2025-03-30 02:30:00 in data row 3",
    ),
}  # fmt: skip


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_of_a_file(tmp_path, name, ending):
    columns, said = REFUSED[name]
    path = write(tmp_path, ending, **columns)
    with pytest.raises(ProfileError) as error:
        read(path)
    text = str(error.value)
    assert text.startswith(f"{path}: ")
    assert said in text
    assert "\n" not in text


@pytest.mark.parametrize("wrong", ["energy_mw", "energy_j", "energy", "kwh"])
def test_energies_in_another_unit_are_refused_with_the_accepted_column(tmp_path, wrong):
    path = tmp_path / "trips.csv"
    pd.DataFrame(GOOD).rename(columns={"energy_kwh": wrong}).to_csv(path, index=False)
    with pytest.raises(ProfileError) as error:
        read(path)
    assert str(error.value) == (
        f"{path}: column 'energy_kwh' is missing; vehicle, departure, arrival, energy_kwh are "
        f"accepted; vehicle, departure, arrival, {wrong} present"
    )


@pytest.mark.parametrize("column", ["vehicle", "departure", "arrival"])
def test_a_missing_column_is_named(tmp_path, column):
    path = tmp_path / "trips.csv"
    pd.DataFrame(GOOD).drop(columns=column).to_csv(path, index=False)
    with pytest.raises(ProfileError, match=f"trips.csv: column '{column}' is missing; vehicle, "):
        read(path)


def test_a_file_without_rows_holds_no_trips(tmp_path):
    path = tmp_path / "trips.csv"
    pd.DataFrame(GOOD).iloc[:0].to_csv(path, index=False)
    assert read(path) == {"ann": (), "bob": ()}
    with pytest.raises(ProfileError, match=r"none.csv: no such file"):
        read(tmp_path / "none.csv")


# ---------------------------------------------------------------- the fleet


def axis_of(days, start=MONDAY, step=HOUR):
    return TimeAxis(start, step, round(pd.Timedelta(days=days) / step))


def drawn(axis, seed, outdoor=20.0, fleet=None, most=1.0):
    temperature = np.full(axis.length, outdoor)
    return draw_trips(fleet or Fleet(), axis, temperature, np.random.default_rng(seed), most)


def test_a_seed_gives_the_same_trips_and_another_one_others():
    axis = axis_of(14)
    assert drawn(axis, 1) == drawn(axis, 1)
    assert drawn(axis, 1) != drawn(axis, 2)


def test_a_longer_axis_continues_a_shorter_one():
    short, long = axis_of(5), axis_of(21)
    for seed in range(20):
        few, many = drawn(short, seed), drawn(long, seed)
        assert many[: len(few)] == few
        assert len(many) > len(few)


def test_holidays_have_the_trips_of_a_weekend():
    fleet = Fleet(weekday=replace(WEEKDAY, share=1.0), weekend=replace(WEEKEND, share=0.0))
    rng, holiday = np.random.default_rng(1), (MONDAY + pd.Timedelta(days=1)).date()
    trips = draw_trips(fleet, axis_of(4), np.full(96, 20.0), rng, 1.0, [holiday])
    days = [trip.departure.date() for trip in trips]
    assert days[:2] == [MONDAY.date(), (MONDAY + pd.Timedelta(days=2)).date()]
    assert holiday not in days


@pytest.fixture(scope="module")
def many_days():
    """Trips of 12 vehicles in 20 weeks at 20 degrees Celsius."""
    return [t for seed in range(12) for t in drawn(axis_of(140), seed)]


@pytest.mark.parametrize(("weekend", "days", "own"), [(False, 100, WEEKDAY), (True, 40, WEEKEND)])
def test_days_of_a_fleet_have_the_declared_shares_and_means(many_days, weekend, days, own):
    """Within four standard errors of a share, a mean, a median and a standard deviation."""
    end = MONDAY + pd.Timedelta(days=140)
    some = [t for t in many_days if (t.departure.dayofweek > 4) == weekend and t.departure < end]
    count, sigma = 12 * days, 1.0 / np.sqrt(len(some))
    error = np.sqrt(own.share * (1.0 - own.share) / count)
    assert len(some) / count == pytest.approx(own.share, abs=4.0 * error)
    hour = np.array([t.departure.hour + t.departure.minute / 60.0 for t in some])  # local
    away = np.array([(t.arrival - t.departure) / HOUR for t in some])
    distance = np.array([t.energy_mwh for t in some]) / 0.17e-3
    assert hour.mean() == pytest.approx(own.departure_h, abs=4.0 * own.departure_sigma_h * sigma)
    assert hour.std() == pytest.approx(own.departure_sigma_h, rel=4.0 * sigma)
    # hours away are cut at a quarter of an hour, which is 1 % of the weekend's
    assert away.mean() == pytest.approx(own.away_h, abs=0.02 + 4.0 * own.away_sigma_h * sigma)
    assert away.min() >= 0.25
    median_error = 4.0 * 1.25 * own.distance_sigma * sigma
    assert np.log(np.median(distance) / own.distance_km) == pytest.approx(0.0, abs=median_error)
    assert np.log(distance).std() == pytest.approx(own.distance_sigma, rel=4.0 * sigma)


def test_trips_of_a_vehicle_do_not_overlap():
    long = DayOfTrips(1.0, 12.0, 6.0, 20.0, 8.0, 30.0, 0.5)  # reach into the next day
    fleet = Fleet(weekday=long, weekend=long)
    for seed in range(50):
        trips = drawn(axis_of(14), seed, fleet=fleet)
        assert len(trips) == 14 + 3  # days of the axis, its end and two beyond
        assert all(t.departure < t.arrival for t in trips)
        assert all(one.arrival < other.departure for one, other in pairwise(trips))


def test_consumption_rises_with_the_cold():
    fleet = Fleet(kwh_per_km=0.2)
    assert fleet.consumption_mwh(100.0, 20.0) == pytest.approx(0.020, rel=1e-12)
    assert fleet.consumption_mwh(100.0, 35.0) == pytest.approx(0.020, rel=1e-12)
    # 30 K below 20 degrees at 1.2 % per K: 36 % more
    assert fleet.consumption_mwh(100.0, -10.0) == pytest.approx(0.0272, rel=1e-12)
    warm, cold = (drawn(axis_of(7), 3, outdoor) for outdoor in (20.0, -10.0))
    np.testing.assert_allclose([t.energy_mwh for t in cold], [1.36 * t.energy_mwh for t in warm])
    assert [t.departure for t in cold] == [t.departure for t in warm]


def test_the_temperature_at_the_departure_counts_and_the_battery_limits_it():
    axis = axis_of(7)
    outdoor = np.where(np.arange(axis.length) < 24, -10.0, 20.0)
    rng = np.random.default_rng(3)
    mixed = draw_trips(Fleet(), axis, outdoor, rng, 1.0)
    warm = drawn(axis, 3)
    ratio = [one.energy_mwh / other.energy_mwh for one, other in zip(mixed, warm, strict=True)]
    np.testing.assert_allclose(ratio, [1.36 if t.departure < at("2025-01-14") else 1.0
                                       for t in warm])  # fmt: skip
    assert max(t.energy_mwh for t in drawn(axis, 3, most=0.003)) == 0.003


@pytest.mark.parametrize(("kwh", "rise"), [(-0.1, 0.01), (0.2, 0.2), (np.nan, 0.01)])
def test_a_fleet_out_of_range_is_refused(kwh, rise):
    with pytest.raises(ProfileError, match=r"Fleet: (kwh_per_km|rise_per_k) is "):
        Fleet(kwh_per_km=kwh, rise_per_k=rise)


# ---------------------------------------------------------------- stays


def trip(first, last, energy=0.3):
    """A trip between two hours of the first Monday."""
    return Trip(MONDAY + first * HOUR, MONDAY + last * HOUR, energy)


def stays(trips, axis, reserve=0.1, full=1.0, power=0.1):
    return stays_of([trips], axis, *(np.array([v]) for v in (reserve, full, power)))


@pytest.mark.parametrize("step", [15, 30, 60, 120])
def test_shares_of_steps_at_home_add_up_to_the_time_at_home(step):
    axis = axis_of(1, step=pd.Timedelta(minutes=step))
    away = [(-5.0, 1.3), (6.1, 6.35), (7.25, 15.9), (16.0, 16.5), (23.2, 30.0)]
    found = stays([trip(*hours) for hours in away], axis).connected[:, 0]
    at_home = 24.0 - 1.3 - 0.25 - 8.65 - 0.5 - 0.8
    assert found.sum() * step / 60.0 == pytest.approx(at_home, rel=1e-9)
    minute = np.arange(24 * 60) / 60.0 + 1.0 / 120.0
    home = np.all([(minute < first) | (minute > last) for first, last in away], axis=0)
    np.testing.assert_allclose(found, home.reshape(-1, step).mean(axis=1), atol=1e-9)


def test_a_departure_within_a_step_counts_in_that_step():
    found = stays([trip(6.75, 9.5, 0.4)], axis_of(1))
    np.testing.assert_allclose(found.connected[5:11, 0], [1.0, 0.75, 0.0, 0.0, 0.5, 1.0])
    assert found.driven_mwh[6, 0] == 0.4
    assert found.needed_mwh[6, 0] == pytest.approx(0.5)
    assert np.count_nonzero(found.driven_mwh) == np.count_nonzero(found.needed_mwh) == 1
    # three quarters of an hour at home give 0.075 of the 0.5
    assert found.required_mwh[5, 0] == pytest.approx(0.5 - 0.075)


def test_a_need_is_at_most_a_full_battery_and_trips_before_the_run_count_nothing():
    found = stays([trip(-3.0, 2.0, 0.5), trip(8.0, 9.0, 0.95)], axis_of(1))
    assert found.needed_mwh[8, 0] == 1.0
    assert found.driven_mwh.sum() == 0.95
    assert (found.connected[:2] == 0.0).all()


def test_trips_of_one_step_want_their_energy_together_up_to_a_full_battery():
    found = stays([trip(6.0, 6.3, 0.3), trip(6.5, 6.8, 0.4)], axis_of(1))
    assert found.driven_mwh[6, 0] == pytest.approx(0.7)
    assert found.needed_mwh[6, 0] == pytest.approx(0.8)
    found = stays([trip(6.0, 6.3, 0.6), trip(6.5, 6.8, 0.7)], axis_of(1))
    assert found.driven_mwh[6, 0] == found.needed_mwh[6, 0] == 1.0


def meets(energy, first, home, driven, needed, filled):
    """Return whether full power from step `first` on meets all needs; no battery gets full."""
    for i in range(first, len(home)):
        energy = energy + home[i] * filled
        if energy < needed[i] - 1e-9:
            return False
        energy -= driven[i]
    return True


@pytest.mark.parametrize("seed", range(3))
def test_required_energies_are_the_least_that_suffice(seed):
    """Against bisection over simulations at full power, for needs that can be met."""
    rng, axis = np.random.default_rng(seed), axis_of(2)
    trips = []
    for day, hour in product(range(4), (7.2, 13.7)):
        first = 24.0 * day + hour + rng.uniform(-1.0, 1.0)
        trips.append(trip(first, first + rng.uniform(0.3, 4.0), rng.uniform(0.1, 0.35)))
    full = axis_of(4)
    found, later = stays(trips, axis), stays(trips, full)
    series = (later.connected, later.driven_mwh, later.needed_mwh)
    home, driven, needed = (values[:, 0] for values in series)
    for i in range(axis.length - 1):
        low, high = 0.0, 1.0
        for _ in range(40):
            middle = 0.5 * (low + high)
            ok = meets(middle, i + 1, home, driven, needed, 0.1)
            low, high = (low, middle) if ok else (middle, high)
        assert found.required_mwh[i, 0] == pytest.approx(high, abs=1e-6)


# ---------------------------------------------------------------- deviations


def test_without_deviations_trips_are_the_planned_ones():
    trips = drawn(axis_of(14), 5)
    assert deviated_trips(trips, np.random.default_rng(1), 0.0, 0.0) == trips


def test_trips_end_late_and_are_skipped_as_declared():
    planned = tuple(trip(24.0 * day, 24.0 * day + 1.0) for day in range(4000))
    rng = np.random.default_rng(2)
    real = deviated_trips(planned, rng, 0.5, 0.2)
    skipped = 1.0 - len(real) / len(planned)
    assert skipped == pytest.approx(0.2, abs=4.0 * np.sqrt(0.2 * 0.8 / 4000))
    delay = np.array([(t.arrival - t.departure) / HOUR - 1.0 for t in real])
    error = 0.5 / np.sqrt(len(real))  # mean and standard deviation of an exponential are equal
    assert delay.mean() == pytest.approx(0.5, abs=4.0 * error)
    assert delay.std() == pytest.approx(0.5, abs=8.0 * error)
    assert delay.min() >= 0.0
    assert {t.departure for t in real} <= {t.departure for t in planned}
    assert deviated_trips(planned, np.random.default_rng(3), 0.5, 1.0) == ()
    (lost,) = deviated_trips(planned[:1], np.random.default_rng(3), 1e9, 0.0)
    assert lost.arrival - planned[0].arrival <= pd.Timedelta(days=365)


def test_a_late_vehicle_is_back_before_its_next_trip():
    planned = tuple(trip(2.0 * k, 2.0 * k + 1.0) for k in range(500))
    real = deviated_trips(planned, np.random.default_rng(4), 5.0, 0.1)
    assert all(one.arrival < other.departure for one, other in pairwise(real))
    starts = {t.departure: k for k, t in enumerate(planned)}
    for one in real:
        k = starts[one.departure]
        assert one.arrival >= planned[k].arrival
        if k + 1 < len(planned):
            assert one.arrival <= planned[k + 1].departure - pd.Timedelta(minutes=15)


def test_more_trips_change_no_deviation_of_the_earlier_ones():
    planned = tuple(trip(24.0 * day, 24.0 * day + 1.0) for day in range(20))
    few, many = (deviated_trips(planned[:n], np.random.default_rng(6), 0.5, 0.2) for n in (10, 20))
    assert many[: len(few)] == few


# ---------------------------------------------------------------- expected stays


def columns(*connected):
    """Series of two vehicles: connections, and other columns that count from 1."""
    home = np.array(connected, dtype=float).T
    others = 1.0 + np.arange(6.0 * len(home)).reshape(len(home), 6)
    return np.hstack([home, others])


AWAY = [1, 0, 0, 0, 1, 1, 1, 0]
HOME = [1, 1, 1, 1, 1, 1, 1, 1]


def test_a_late_vehicle_is_expected_one_interval_later():
    expected = columns(AWAY, HOME)
    realised = columns([1, 0, 0, 0, 0, 0, 1, 0], HOME)
    source = ExpectedStays(expected, realised)
    np.testing.assert_array_equal(source.rows(4, 4, 4), expected[4:])  # nothing has been seen yet
    for issue in (5, 6):  # it should have been here in the interval before
        rows = source.rows(issue, issue, 8 - issue)
        assert rows[0, 0] == 0.0
        np.testing.assert_array_equal(rows[1:], expected[issue + 1 :])
        np.testing.assert_array_equal(rows[0, 1:], expected[issue, 1:])
    np.testing.assert_array_equal(source.rows(7, 7, 1), expected[7:])  # it has arrived


def test_a_vehicle_that_has_not_left_stays_until_its_planned_arrival():
    expected, realised = columns(AWAY, HOME), columns(HOME, HOME)
    source = ExpectedStays(expected, realised)
    np.testing.assert_array_equal(source.rows(1, 1, 7), expected[1:])  # seen at home before
    rows = source.rows(2, 2, 6)
    np.testing.assert_array_equal(rows[:, 0], [1, 1, 1, 1, 1, 0])  # and the next trip as planned
    np.testing.assert_array_equal(rows[:, 1:], expected[2:, 1:])
    # forecasts that are older than the interval in which they are used
    np.testing.assert_array_equal(source.rows(2, 3, 5)[:, 0], [1, 1, 1, 1, 0])
    np.testing.assert_array_equal(source.rows(2, 5, 3), expected[5:])


def test_expected_stays_never_see_the_future():
    rng = np.random.default_rng(8)
    expected = columns(*(rng.uniform(size=(2, 40)) > 0.4))
    real = columns(*(rng.uniform(size=(2, 40)) > 0.4))
    for issue in range(40):
        other = real.copy()
        other[issue:] = rng.uniform(size=other[issue:].shape)
        for first in (issue, min(issue + 3, 39)):
            count = 40 - first
            one = ExpectedStays(expected, real).rows(issue, first, count)
            np.testing.assert_array_equal(
                one, ExpectedStays(expected, other).rows(issue, first, count)
            )
