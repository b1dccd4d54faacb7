"""Sweeps scale vehicles, heat pumps, tasks and shedding; 0 leaves them out."""

import tomllib

import pandas as pd
import pytest
import tomli_w

from stackelgrid.scenarios.schema.load import load_scenario
from stackelgrid.scenarios.studies.exactness import sweep_exactness
from stackelgrid.scenarios.studies.exactness_design import sweep_of

KINDS = ("vehicle", "heat_pump", "task", "sheddable")
KEYS = ("vehicles", "heat_pumps", "tasks", "sheddable")


@pytest.fixture(scope="module")
def swept(tmp_path_factory, texts, village_json):
    """`swept(change, dimensions)`: points of a sweep of the homes, by number."""

    def sweep(dimensions, change=lambda grid: None):
        folder = tmp_path_factory.mktemp("sweep")
        (folder / "village.json").write_bytes(village_json.read_bytes())
        data = tomllib.loads(texts["homes"])
        data["solver"] |= {"threads": 1, "gap": 1e-6}
        data["exactness"] = {"design": "grid", **dimensions}
        change(data["grids"][0])
        path = folder / "scenario.toml"
        path.write_text(tomli_w.dumps(data), encoding="utf-8")
        loaded = load_scenario(str(path))
        sweep_exactness(loaded, sweep_of(loaded), folder / "out")
        return pd.read_parquet(folder / "out" / "points.parquet")

    return sweep


@pytest.fixture(scope="module")
def points(swept):
    """All kinds at once at 0, 1 and 2 times their size, and none of the load."""
    scales = {f"{kind}_scale": [0.0, 2.0] for kind in ("vehicle", "heat_pump")}
    scales |= {f"{kind}_scale": [0.0] for kind in ("task", "sheddable")}
    return swept(scales).set_index(["vehicle_scale", "heat_pump_scale"])


def test_every_point_of_a_sweep_of_homes_is_solved_and_exact(points):
    assert points.index.tolist() == [(v, h) for v in (0.0, 2.0) for h in (0.0, 2.0)]
    assert (points.status == "optimal").all()
    assert (points.verdict == "exact").all()


def test_without_devices_the_sweep_is_that_of_a_grid_without_them(points, swept):
    def bare(grid):
        for key in (*KEYS, "caps"):
            grid[key] = []

    (alone,) = swept({"pv_scale": [1.0]}, bare).objective_eur
    assert points.objective_eur[0.0, 0.0] == pytest.approx(alone, rel=1e-5)


def test_twice_the_heat_pumps_draw_more_at_the_same_temperatures(points):
    more = points.import_mwh[0.0, 2.0] - points.import_mwh[0.0, 0.0]
    # 4 heat pumps of 6 + 3 kW, twice, over 9 hours; about 4 kW of heat each at a COP near 3.5
    assert 0.03 < more < 0.3
    assert points.objective_eur[0.0, 2.0] > points.objective_eur[0.0, 0.0]
    assert points.import_mwh[2.0, 2.0] > points.import_mwh[0.0, 2.0]


def test_a_grid_without_pv_curtails_nothing(swept):
    own = swept({"vehicle_scale": [1.0]}, lambda grid: grid.update(pv=[], batteries=[]))
    assert (own.verdict.item(), own.curtailed_mwh.item()) == ("exact", 0.0)


def test_a_point_without_load_has_a_picture(swept):
    own = swept({"load_scale": [0.0, 1.0], "task_scale": [1.0]})
    assert (own.status == "optimal").all()
