"""A generator of constant power is no load: no error, deviation or scale of loads touches it."""

import numpy as np
import pandapower as pp
import pandapower.networks as pn
import pandas as pd
import pytest

from stackelgrid.analysis.exactness.evaluation import PointForecasts
from stackelgrid.scenarios.build.forecasts import build_world
from stackelgrid.scenarios.build.system import build_scenario
from stackelgrid.scenarios.schema.load import load_scenario
from stackelgrid.scenarios.studies.exactness_design import points_of, study_of, sweep_of

FIXED_MW, FIXED_MVAR = 1.5, 0.2
STRAY = {"std": 0.5, "lead_h": 1.0, "phi": 0.5}
FORECASTS = (
    {"model": "autoregressive", "load": STRAY},
    {"model": "persistence"},
    {"model": "perfect", "file": "told.csv", "load": {"model": "file"}},
)


@pytest.fixture
def load(write_scenario, tmp_path):
    """`load(sections)`: the scenario of the small feeder with a generator of 1.5 MW."""
    net = pn.case33bw()
    pp.create_sgen(net, 20, FIXED_MW, FIXED_MVAR, type=None)
    pp.to_json(net, str(tmp_path / "fixed.json"))

    def make(sections):
        def change(data):
            data.update(sections)
            data["grids"][0]["case"] = "fixed.json"
            data["grids"][0]["loads"]["scale"] = 2.0

        return load_scenario(str(write_scenario(change=change)))

    return make


def test_constant_power_stays_what_it_is(load, tmp_path):
    stamps = pd.date_range("2025-06-21T11:00", periods=13, freq="15min", tz="Europe/Berlin")
    rows = pd.DataFrame({"valid_time": [t.isoformat() for t in stamps], "factor": 1.25})
    rows["issue_time"], rows["grid"], rows["quantity"] = stamps[0].isoformat(), "mv1", "load"
    rows.to_csv(tmp_path / "told.csv", index=False)
    plain = build_scenario(load({}))
    (feeder,) = plain.system.feeders
    loads = plain.devices["mv1"].loads
    at = loads.table.index("sgen")
    others = np.arange(len(loads.table)) != at
    known = feeder.forecast.at(1).load_p_mw[:, others]
    for section in FORECASTS:
        loaded = load({"deviations": {"load": STRAY}, "forecast": section})
        world = build_world(
            loaded.scenario, plain.axis, plain.horizon, plain.grids, plain.devices, tmp_path
        )
        happens, source = world.realised["mv1"], world.forecasts["mv1"]
        for told in (happens, source.at(0), source.at(1)):
            np.testing.assert_array_equal(told.load_p_mw[:, at], -FIXED_MW)
            np.testing.assert_array_equal(told.load_q_mvar[:, at], -FIXED_MVAR)
        assert world.load_peak_mw["mv1"][at] == FIXED_MW
        # while the loads do stray, and are forecast with errors
        assert np.abs(source.at(1).load_p_mw[:, others] / known - 1.0).max() > 0.1
        ratio = happens.load_p_mw / plain.series["mv1"].load_p_mw
        assert np.abs(ratio[:, others] - 1.0).max() > 0.1


def test_a_sweep_over_loads_leaves_constant_power_alone(load):
    loaded = load({"exactness": {"grid": "mv1", "design": "grid", "load_scale": [0.5, 3.0]}})
    sweep = sweep_of(loaded)
    points = points_of(sweep)
    study = study_of(build_scenario(loaded), sweep, points)
    at = study.feeder.devices.loads.table.index("sgen")
    forecasts = PointForecasts(study, {p.number: p for p in points})
    low, high = forecasts.at(0), forecasts.at(1)
    for told in (low, high):
        np.testing.assert_array_equal(told.load_p_mw[:, at], -FIXED_MW)
        np.testing.assert_array_equal(told.load_q_mvar[:, at], -FIXED_MVAR)
    others = np.arange(low.load_p_mw.shape[1]) != at
    np.testing.assert_allclose(high.load_p_mw[:, others], 6.0 * low.load_p_mw[:, others])
