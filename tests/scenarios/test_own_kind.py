"""A package adds a kind of device by one file, that of docs/howto/devices.md."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from support import own_kind
from support.paths import ROOT
from support.scenario_texts import TEXTS, write_extending

from stackelgrid.simulators.results.tables import TABLES

PAGE = (ROOT / "docs" / "howto" / "devices.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r'^```\w+ title="([^"]+)"\n(.*?)^```$', PAGE, re.MULTILINE | re.DOTALL))
COSTS = ("boundary_eur", "wear_eur", "curtailment_eur", "generation_eur", "gas_eur")
DT_H, GAS_MW, SERVED_MW = 0.25, 0.2, 0.1
# electricity costs 75 EUR/MWh at the head, and more at the buses, gas 70 or 500
SCENARIO = """
[[grids]]
name = "mv1"
electric_boilers = [
  { buses = [17, 24], heat_mw = 0.1, gas_eur_per_mwh = 70.0 },
  { count = 2, heat_mw = 0.05, gas_eur_per_mwh = 500.0 },
]
[exactness]
design = "grid"
electric_boiler_scale = [0.0, 1.0, 4.0]
"""


def install(folder, value="electric_boilers:ElectricBoilers"):
    """What pip leaves of the package: its module, and its entry point."""
    (folder / "electric_boilers.py").write_text(BLOCKS["electric_boilers.py"], encoding="utf-8")
    known = folder / "electric_boilers-1.0.dist-info"
    known.mkdir()
    (known / "METADATA").write_text("Metadata-Version: 2.1\nName: electric-boilers\nVersion: 1.0\n")
    (known / "entry_points.txt").write_text(f"[stackelgrid.devices]\nelectric_boiler = {value}\n")


def python(folder, *arguments):
    path = os.pathsep.join([str(folder), str(ROOT / "tests")])
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env={**os.environ, "PYTHONPATH": path},
        capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip


@pytest.fixture(scope="module")
def worked(tmp_path_factory):
    """Folder and results of a run, a resumed run and a sweep with electric boilers."""
    folder = tmp_path_factory.mktemp("own_kind")
    install(folder)
    path = write_extending(folder, "feeder", SCENARIO)
    done = python(folder, own_kind.__file__, path.name)
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout.splitlines()[-1])


def read(folder, name):
    return pd.read_parquet(folder / f"{name}.parquet")


def test_the_file_is_short():
    lines = len(BLOCKS["electric_boilers.py"].splitlines())
    assert lines <= 150
    assert f"The file has {lines} lines." in PAGE


def test_a_scenario_has_the_section(worked):
    _, found = worked
    status, printed = found["validate"]
    assert status == 0
    assert ", 4 electric boilers" in printed


def test_key_figures_name_the_kind_and_close(worked):
    folder, found = worked
    figures = found["figures"]
    device = read(folder / "whole", "device").query("kind == 'electric_boiler'")
    assert figures["electric boilers not served"] == pytest.approx(
        DT_H * (device.available_mw - device.p_mw).sum()
    )
    assert figures["exported"] == 0.0
    assert figures["self-consumption"] == pytest.approx(100.0)  # of PV, which all is used
    supply = figures["generated"] + figures["imported"]
    assert supply == pytest.approx(figures["used"] + figures["lost in lines and transformers"])


def test_boilers_use_electricity_where_it_costs_less_than_gas(worked):
    folder, found = worked
    assert found["run"] == 0
    devices = read(folder / "whole", "device")
    own = devices[devices["kind"] == "electric_boiler"]
    assert len(own) == 2 * 4
    cheap = own["bus"].isin([17, 24])
    assert set(own["element"]) == {"load"}
    np.testing.assert_allclose(own["available_mw"], np.where(cheap, 0.1, 0.05))
    np.testing.assert_allclose(own["p_mw"], np.where(cheap, 0.0, 0.05), atol=1e-6)
    np.testing.assert_allclose(own["asked_mw"], own["p_mw"], atol=1e-8)


def test_plan_totals_and_costs_are_recorded(worked):
    folder, _ = worked
    interval, schedule = (read(folder / "whole", name) for name in ("interval", "schedule"))
    np.testing.assert_allclose(interval["boiler_heat_mw"], GAS_MW + SERVED_MW)
    np.testing.assert_allclose(interval["boiler_p_mw"], SERVED_MW, atol=1e-5)
    np.testing.assert_allclose(interval["gas_eur"], DT_H * 70.0 * GAS_MW, rtol=1e-3)
    summary = json.loads((folder / "whole" / "summary.json").read_text())
    parts = interval[list(COSTS)].sum().sum()
    assert summary["cost_eur"]["total"] == pytest.approx(parts, rel=1e-12)
    first = schedule[(schedule["element"] == "load") & (schedule["interval"] == 0)]
    assert len(first) == 4 * 4  # boilers x steps
    balance = interval["balance_error_mw"].abs().max()
    assert balance < 1e-6


def test_the_plan_is_certified_with_the_boilers_at_their_buses(worked):
    folder, _ = worked
    interval = read(folder / "whole", "interval")
    assert set(interval["verdict"]) == {"exact"}
    # AC import against the planned one: heat from gas is missing in both
    np.testing.assert_allclose(interval["p_import_mw"], interval["p_import_planned_mw"], atol=1e-4)


def test_report_shows_the_kind(worked):
    folder, found = worked
    assert found["report"] == 0
    assert "electric boilers" in (folder / "whole" / "report.html").read_text(encoding="utf-8")


def test_a_resumed_run_has_the_same_bits(worked):
    folder, found = worked
    assert (found["cut"], found["resume"]) == ("interrupted", 0)
    for name in TABLES:
        if (folder / "whole" / f"{name}.parquet").exists():
            whole, again = read(folder / "whole", name), read(folder / "cut", name)
            kept = [c for c in whole if not c.endswith("_s")]
            pd.testing.assert_frame_equal(whole[kept], again[kept], check_exact=True)


def test_a_sweep_scales_the_kind(worked):
    folder, found = worked
    assert found["sweep"] == 0
    points = read(folder / "sweep", "points").sort_values("electric_boiler_scale")
    assert points["electric_boiler_scale"].tolist() == [0.0, 1.0, 4.0]
    # the horizon is two quarters and two hours; SERVED_MW is imported beside the other loads
    grown = points["import_mwh"].diff().to_numpy()[1:]
    assert grown == pytest.approx(2.5 * SERVED_MW * np.array([1.0, 3.0]), rel=0.1)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("electric_boilers:Nothing", "cannot be loaded"),
        ("json:dumps", "a subclass of DeviceKind is accepted"),
        ("stackelgrid.controllers.devices.units:Units", "which Units has"),
    ],
)
def test_bad_entry_points_are_refused_in_one_line(value, text, tmp_path):
    install(tmp_path, value)
    (tmp_path / "boilers.toml").write_text(TEXTS["feeder"], encoding="utf-8")
    done = python(tmp_path, "-m", "stackelgrid", "validate", "boilers.toml")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"entry point electric_boiler = {value} of stackelgrid.devices" in done.stderr
    assert text in done.stderr


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("pv", "uses pv, which Photovoltaics has; other names are accepted"),
        ("case", "'case' is a key of every grid; another is accepted"),
    ],
)
def test_a_section_that_a_grid_has_is_refused_in_one_line(key, text, tmp_path):
    install(tmp_path)
    module = tmp_path / "electric_boilers.py"
    source = module.read_text(encoding="utf-8")
    own = '"electric_boilers": (tuple'
    assert source.count(own) == 1
    module.write_text(source.replace(own, f'"{key}": (tuple'), encoding="utf-8")
    done = python(tmp_path, "-m", "stackelgrid", "validate", "quick")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert text in done.stderr


def test_the_page_shows_its_devices_beside_their_plan(worked):
    folder, found = worked
    page = found["page"]
    device = read(folder / "whole", "device").query("kind == 'electric_boiler'")
    first = device[device["index"] == device["index"].iloc[0]]
    lines = page["panels"]["consumption"]
    assert set(lines) == {"available", "reality", "plan"}
    np.testing.assert_allclose(lines["reality"], 1e3 * first["p_mw"])  # kW
    np.testing.assert_allclose(lines["available"], 1e3 * first["available_mw"])
    assert page["ahead"] == ["plan"]
    assert "electric boilers" in page["kinds"]
