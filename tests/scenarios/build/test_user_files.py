"""A user's own grid, loads, sun and prices."""

import tomllib

import numpy as np
import pandapower as pp
import pandapower.networks as pn
import pandas as pd
import pytest

from stackelgrid.scenarios.api.inputs import placed
from stackelgrid.scenarios.build.system import build_scenario
from stackelgrid.scenarios.schema.load import load_scenario

INTERVALS = 11  # two, and a horizon of 2.5 hours that begins with the second


@pytest.fixture
def write_series(tmp_path):
    """Write a CSV with these columns over the whole scenario; returns it."""

    def write(name, columns):
        index = pd.date_range(
            "2025-06-21T11:00", periods=INTERVALS, freq="15min", tz="Europe/Berlin"
        )
        frame = pd.DataFrame(columns, index=index)
        frame.insert(0, "time", [t.isoformat() for t in index])
        frame.to_csv(tmp_path / name, index=False)
        return frame

    return write


def test_own_net_is_read_beside_the_scenario(
    write_scenario, run_of, tmp_path_factory, monkeypatch, tmp_path
):
    """case33bw as a user's JSON and as a name: the same grid, whatever the working directory."""
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    pp.to_json(pn.case33bw(), str(tmp_path / "my.json"))

    def own(data):
        data["grids"][0]["case"] = "my.json"

    builtin = run_of(write_scenario(), "time.intervals=1")
    users = run_of(write_scenario(change=own), "time.intervals=1")
    assert users.built.grids["mv1"].section.case == "my.json"
    np.testing.assert_allclose(
        users.tables["bus"].vm_pu, builtin.tables["bus"].vm_pu, atol=1e-12, rtol=0
    )
    assert builtin.tables["bus"].vm_pu.min() < 0.98
    np.testing.assert_allclose(
        users.tables["branch"].p_from_mw, builtin.tables["branch"].p_from_mw, atol=1e-12, rtol=0
    )


def test_own_loads_are_met_exactly(write_scenario, run_of, write_series):
    """Factor times the case's nominal power times the scale, active and reactive."""
    factors = np.linspace(0.1, 1.3, INTERVALS * 32).reshape(INTERVALS, 32)
    write_series("loads.csv", {f"load {i}_factor": factors[:, i] for i in range(32)})

    def change(data):
        data["grids"][0]["loads"] = {"file": "loads.csv", "scale": 0.5}

    run = run_of(write_scenario(change=change))
    nominal = pn.case33bw().load
    for k in (0, 1):
        rows = run.tables["device"].query("interval == @k and kind == 'load'")
        assert list(rows["index"]) == list(range(32))
        np.testing.assert_allclose(rows.p_mw, 0.5 * factors[k] * nominal.p_mw, rtol=1e-14, atol=0)
        np.testing.assert_allclose(
            rows.q_mvar, 0.5 * factors[k] * nominal.q_mvar, rtol=1e-14, atol=0
        )


def test_own_sun_and_prices(write_scenario, run_of, write_series):
    sun = {"pv 7_factor": np.linspace(0.2, 0.7, INTERVALS), "pv 13_factor": 0.25}
    write_series("sun.csv", sun)
    prices = np.linspace(80.0, 40.0, INTERVALS)
    write_series("prices.csv", {"import_eur_per_mwh": prices, "export_eur_per_mwh": prices - 20.0})

    def change(data):
        data["grids"][0]["pv"][0]["file"] = "sun.csv"
        data["tariffs"]["mv"] = {"kind": "series", "file": "prices.csv"}

    run = run_of(write_scenario(change=change))
    pv = run.tables["device"].query("kind == 'pv'")
    expected = 0.3 * np.array([[sun["pv 7_factor"][k], 0.25] for k in (0, 1)])
    np.testing.assert_allclose(
        pv.available_mw.to_numpy().reshape(2, 2), expected, rtol=1e-13, atol=0
    )
    interval = run.tables["interval"]
    assert (interval.p_import_mw > 0.0).all()
    np.testing.assert_allclose(
        interval.boundary_eur, 0.25 * prices[:2] * interval.p_import_mw, rtol=1e-13
    )


def test_powers_local_stamps_and_hourly_prices(write_scenario, write_series, tmp_path):
    """Loads in kW, PV in W and MW, stamps without an offset, prices that hold for an hour."""
    kw = np.linspace(1.0, 60.0, INTERVALS * 32).reshape(INTERVALS, 32)
    frames = {
        "loads.csv": write_series("loads.csv", {f"load {i}_kw": kw[:, i] for i in range(32)}),
        "sun.csv": write_series("sun.csv", {"pv 7_w": 120e3, "pv 13_mw": 0.2}),
    }
    hourly = {"time": [f"2025-06-21 {h}:00" for h in (11, 12, 13)]}
    prices = np.array([80.0, -10.0, 60.0])
    frames["prices.csv"] = pd.DataFrame(
        {**hourly, "import_eur_per_mwh": prices, "export_eur_per_mwh": prices - 5.0, "note": "x"}
    )
    for name, frame in frames.items():
        local = frame.assign(time=frame["time"].str[:19].str.removesuffix("+02:00"))
        local.to_csv(tmp_path / name, index=False)

    def change(data):
        data["grids"][0]["loads"] = {"file": "loads.csv", "scale": 0.5}
        data["grids"][0]["pv"][0]["file"] = "sun.csv"
        data["tariffs"]["mv"] = {"kind": "series", "file": "prices.csv"}

    series = build_scenario(load_scenario(str(write_scenario(change=change)))).series["mv1"]
    nominal = pn.case33bw().load
    np.testing.assert_allclose(series.load_p_mw, 0.5e-3 * kw, rtol=1e-13)
    np.testing.assert_allclose(
        series.load_q_mvar, 0.5e-3 * kw * (nominal.q_mvar / nominal.p_mw).to_numpy(), rtol=1e-13
    )
    np.testing.assert_allclose(series.pv_available_mw, [[0.12, 0.2]] * INTERVALS, rtol=1e-13)
    held = np.repeat(prices, 4)[:INTERVALS]
    np.testing.assert_array_equal(series.import_eur_per_mwh, held)
    np.testing.assert_array_equal(series.export_eur_per_mwh, held - 5.0)


def test_own_files_are_found_from_the_run_directory(write_scenario, run_of, write_series, tmp_path):
    """scenario.toml in a run directory can be run again, though the files lie elsewhere."""
    pp.to_json(pn.case33bw(), str(tmp_path / "my.json"))
    write_series("loads.csv", {f"load {i}_factor": 0.4 for i in range(32)})
    write_series("sun.csv", {"pv 7_factor": 0.5, "pv 13_factor": 0.25})
    write_series("prices.csv", {"import_eur_per_mwh": 80.0, "export_eur_per_mwh": 60.0})

    def change(data):
        data["grids"][0]["case"] = "my.json"
        data["grids"][0]["loads"] = {"file": "loads.csv"}
        data["grids"][0]["pv"][0]["file"] = "sun.csv"
        data["tariffs"]["mv"] = {"kind": "series", "file": "prices.csv"}

    first = run_of(write_scenario(change=change))
    again = run_of(first.directory / "scenario.toml")
    np.testing.assert_array_equal(first.tables["bus"].vm_pu, again.tables["bus"].vm_pu)
    np.testing.assert_array_equal(first.tables["device"].p_mw, again.tables["device"].p_mw)
    assert first.tables["device"].query("kind == 'pv'").available_mw.tolist() == [
        0.15, 0.075, 0.15, 0.075,
    ]  # fmt: skip


def test_reactive_powers_of_a_file_replace_the_nominal_ratio(write_scenario, write_series):
    columns = {f"load {i}_factor": 0.5 for i in range(32)}
    write_series("loads.csv", columns | {"load 3_kvar": -7.0, "load 4_q_factor": 0.25})

    def change(data):
        data["grids"][0]["loads"] = {"file": "loads.csv", "scale": 2.0}

    series = build_scenario(load_scenario(str(write_scenario(change=change)))).series["mv1"]
    expected = 2.0 * 0.5 * pn.case33bw().load.q_mvar.to_numpy()
    expected[3], expected[4] = -2.0 * 0.007, 0.5 * expected[4]
    np.testing.assert_allclose(series.load_q_mvar[5], expected, rtol=1e-13)
    np.testing.assert_allclose(series.load_p_mw[5], pn.case33bw().load.p_mw, rtol=1e-13)


def test_loads_without_a_nominal_power_have_that_of_the_file(
    write_scenario, write_series, tmp_path
):
    net = pn.case33bw()
    net.load.loc[5, ["p_mw", "q_mvar"]] = 0.0
    pp.to_json(net, str(tmp_path / "net.json"))
    columns = {f"load {i}_kw": 30.0 for i in range(32)}
    write_series("loads.csv", columns | {"load 5_kvar": 6.0})

    def change(data):
        data["grids"][0] |= {"case": "net.json", "loads": {"file": "loads.csv", "scale": 2.0}}

    series = build_scenario(load_scenario(str(write_scenario(change=change)))).series["mv1"]
    np.testing.assert_allclose(series.load_p_mw, 0.06, rtol=1e-13)
    np.testing.assert_allclose(series.load_q_mvar[:, 5], 0.012, rtol=1e-13)


@pytest.mark.parametrize("zone", [None, "Europe/Berlin", "UTC"])
def test_frames_in_memory_are_read_like_files(texts, tmp_path, monkeypatch, zone):
    """Hourly prices in ct/kWh, energies of the hour before, and a naive or aware index."""
    monkeypatch.chdir(tmp_path)
    hours = pd.date_range("2025-06-21T11:00", periods=4, freq="60min", tz="Europe/Berlin")
    hours = hours.tz_convert(zone) if zone else hours.tz_localize(None)
    content = tomllib.loads(texts["feeder"])
    energies = {f"load {i}_kwh": [10.0, 20.0, 30.0, 40.0] for i in range(32)}
    ends = (hours + pd.Timedelta(hours=1)).rename("time_end")
    content["grids"][0]["loads"] = {"file": pd.DataFrame(energies, index=ends)}
    prices = {"import_ct_per_kwh": [8.0, 6.0, 5.0, 4.0], "export_eur_per_kwh": 0.02}
    market = pd.DataFrame(prices, index=hours.rename("snapshot of the market"))
    content["tariffs"]["mv"] = {"kind": "series", "file": market}
    with placed(content, None, None, tmp_path / "out") as loaded:
        series = build_scenario(loaded).series["mv1"]
    np.testing.assert_allclose(series.load_p_mw[:8, 0], [0.01] * 4 + [0.02] * 4, rtol=1e-13)
    np.testing.assert_allclose(series.import_eur_per_mwh[:8], [80.0] * 4 + [60.0] * 4, rtol=1e-13)
    np.testing.assert_allclose(series.export_eur_per_mwh, 20.0, rtol=1e-13)
