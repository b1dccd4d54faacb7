"""Simulators of the mosaik ecosystem as the package index has them, against their own sources."""

import numpy as np
import pandas as pd
import pytest
from mosaik_components.pv.pvpanel import PVpanel
from support.hosted import hosting

from stackelgrid.simulators.external.wiring import EntityGroup, FromEntity, Reading

START = "2026-06-20 12:00:00"  # of support.hosted
CSV, PV = "mosaik_csv:CSV", "mosaik_components.pv.pvsimulator:PVSimulator"
PANEL = {"latitude": 51.3, "area": 30.0, "efficiency": 0.2, "el_tilt": 30.0, "az_tilt": 0.0}


def table(path, minutes, **columns):
    """Write the file of mosaik-csv; the same as a frame with times in s."""
    count = len(next(iter(columns.values())))
    times = pd.date_range(START, periods=count, freq=f"{minutes}min")
    pd.DataFrame(columns, index=times.rename("Time")).to_csv(path)
    return pd.DataFrame(columns, index=60 * minutes * np.arange(count))


def test_powers_of_a_csv_file_are_its_values(tmp_path):
    rng = np.random.default_rng(4)
    values = table(tmp_path / "homes.csv", 5, a=rng.random(12), b=rng.random(12))
    columns = [
        EntityGroup(
            name, "Data", grid="lv1", positions=(i,), p=Reading(name, 1e-3), q=Reading(name, -1e-4)
        )
        for i, name in enumerate(values)
    ]
    parameters = {"sim_start": START, "datafile": "homes.csv"}
    with hosting(("file", CSV, parameters, *columns), folder=tmp_path) as hosted:
        found = [hosted.powers(k) for k in range(4)]
    quarters = values.groupby(values.index // 900).mean().to_numpy()
    assert np.array([f.p_mw for f in found]) == pytest.approx(1e-3 * quarters, rel=1e-13)
    assert np.array([f.q_mvar for f in found]) == pytest.approx(-1e-4 * quarters, rel=1e-13)


@pytest.mark.parametrize("step_s", [300, 1800])
def test_panels_of_mosaik_pv_under_the_sun_of_a_csv_file(tmp_path, step_s):
    """The sun changes every ten minutes, the panels are stepped at their own times."""
    dni = [800.0, 100.0, 650.0, 900.0, 0.0, 700.0]
    sun = table(tmp_path / "sun.csv", 10, **{"DNI[W/m2]": dni})
    inputs = {"DNI[W/m2]": ((FromEntity("sun", "Data", 0, "DNI[W/m2]"),),) * 2}
    panels = EntityGroup("panels", "PV", 2, PANEL, inputs, "lv1", (0, 1), Reading("P[MW]", -1.0))
    with hosting(
        ("sun", CSV, {"sim_start": START, "datafile": "sun.csv"}, EntityGroup("Data", "Data")),
        ("roofs", PV, {"start_date": START, "step_size": step_s}, panels),
        folder=tmp_path,
    ) as hosted:
        found = np.array([hosted.powers(k).p_mw for k in range(4)])

    panel, powers = PVpanel(start_date=START, **PANEL), []
    for second in range(0, 3600, step_s):
        powers += [panel.power(sun["DNI[W/m2]"].asof(second))] * step_s
        panel.step_time(step_s)
    quarters = -np.array(powers).reshape(4, 900).mean(axis=1)
    assert quarters.min() < -0.001
    assert found == pytest.approx(np.column_stack([quarters, quarters]), rel=1e-12)
