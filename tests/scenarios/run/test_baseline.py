"""The baseline of a run: the same world without control, computed once, and what it leaves."""

import json
import shutil

import numpy as np
import pandapower as pp
import pytest
from support.resume_cases import differences, without_times
from support.scenario_texts import write_extending

from stackelgrid.analysis import Run
from stackelgrid.analysis.kpis.runs import against_baseline
from stackelgrid.analysis.results.baseline import why_not_compared
from stackelgrid.analysis.results.errors import ResultsError
from stackelgrid.scenarios.run.resume import resumable, resume_run
from stackelgrid.scenarios.run.run import run_scenario
from stackelgrid.scenarios.schema.load import load_scenario
from stackelgrid.simulators.results.manifest import Manifest
from stackelgrid.simulators.results.tables import SCHEMAS

DT_H = 0.25
# the village's tariff, EUR/MWh
IMPORT, EXPORT = 300.0, 80.0


@pytest.fixture(scope="module")
def run(three_levels):
    """Three levels, all kinds of devices, an OLTC; its baseline is on."""
    return Run(three_levels.directory)


@pytest.fixture(scope="module")
def village(tmp_path_factory, village_json):
    """Path of the village, its baseline on."""
    folder = tmp_path_factory.mktemp("village")
    shutil.copy(village_json, folder)
    return write_extending(folder, "village", "baseline = true\n")


@pytest.fixture(scope="module")
def villagers(village):
    """A finished run of the village."""
    run_scenario(load_scenario(str(village)), village.parent / "out")
    return Run(village.parent / "out")


def section(directory):
    return json.loads((directory / "summary.json").read_text(encoding="utf-8"))["baseline"]


def test_devices_are_at_rest(run):
    device, first = run.baseline.device, run.device[run.device.interval == 0]
    assert len(device) == len(run.device)
    battery, pv = (device[device.kind == kind] for kind in ("battery", "pv"))
    assert (battery.p_mw == 0.0).all()
    assert battery.groupby(["grid", "index"]).e_mwh.nunique().eq(1).all()  # as at the start
    assert len(first[first.kind == "battery"]) == battery.groupby(["grid", "index"]).ngroups == 14
    assert pv.p_mw.max() > 0.02
    assert (pv.p_mw == pv.available_mw).all()
    assert (pv.q_mvar == 0.0).all()
    unit = device[(device.grid == "mv1") & (device.kind == "unit")]
    assert len(unit) == 6
    assert (unit.p_mw == 0.0).all()
    assert run.device[run.device.kind == "battery"].p_mw.abs().max() > 0.01  # under control


def test_the_world_is_the_same(run):
    same = ["interval", "grid", "element", "index"]
    for table, kind, columns in (("device", "load", ["p_mw", "q_mvar"]),
                                 ("device", "pv", ["available_mw"])):  # fmt: skip
        own, other = (
            r.table(table)[r.table(table).kind == kind].set_index(same)[columns]
            for r in (run, run.baseline)
        )
        assert len(own)
        assert own.equals(other)
    prices = ["interval", "grid", "import_eur_per_mwh", "export_eur_per_mwh"]
    assert run.boundary[prices].equals(run.baseline.boundary[prices])
    assert run.network.equals(run.baseline.network)


def test_voltages_are_those_of_pandapower(run):
    for grid in run.grids:
        net = run.baseline.net(grid, interval=4)
        found = net.res_bus[["vm_pu", "va_degree"]].copy()
        pp.runpp(net, tolerance_mva=1e-10)
        assert np.abs(net.res_bus.vm_pu - found.vm_pu).max() < 1e-7
        assert np.abs(net.res_bus.va_degree - found.va_degree).max() < 1e-4


def test_taps_of_the_transformer_move_without_control_too(run):
    rows = run.baseline.interval
    rows = rows[rows.grid == "mv1"].set_index("interval")
    low, high = 1.03, 1.05  # vm_set_pu and deadband_pu of the boundary
    bus = run.baseline.bus
    head = run.baseline.net("mv1").trafo.lv_bus.iloc[0]
    vm = bus[(bus.grid == "mv1") & (bus.bus == head)].set_index("interval").vm_pu
    assert ((vm > low) & (vm < high)).all()
    assert rows.tap_pos.ne(0).any()


def test_generators_are_dispatched_at_equal_marginal_cost(run):
    # case30: c2 and c1 of its six generators times generation_factor = 20
    net = run.baseline.net("tn")
    cost = net.poly_cost.set_index(["et", "element"])
    device = run.baseline.device
    rows = device[(device.grid == "tn") & (device.kind == "unit") & (device.interval == 4)]
    margin = []
    for row in rows[rows.element != "ext_grid"].itertuples():
        top = net[row.element].max_p_mw.at[row.index]
        if 1e-3 < row.p_mw < top - 1e-3:
            c = cost.loc[(row.element, row.index)]
            margin.append(2.0 * c.cp2_eur_per_mw2 * row.p_mw + c.cp1_eur_per_mw)
    assert len(margin) >= 2
    assert np.ptp(margin) < 1e-3 * np.mean(margin)


def test_plans_of_feeders_are_no_fallback_and_have_no_certificate(run):
    rows = run.baseline.interval
    feeders = rows[rows.level != "transmission"]
    assert not rows.fallback.any()
    assert set(feeders.solver) == {"at rest"}
    assert set(rows.verdict) == {""}
    assert run.baseline.certificate.empty


def test_cost_of_a_feeder_is_its_import_at_the_tariff(villagers):
    cost = 0.0
    for k in range(villagers.intervals_done):
        net = villagers.baseline.net("lv1", interval=k)
        pp.runpp(net, tolerance_mva=1e-10)
        x = net.res_ext_grid.p_mw.sum()
        losses = net.res_line.pl_mw.sum() + net.res_trafo.pl_mw.sum()
        own = net.res_load.p_mw.sum() - net.res_sgen.p_mw.sum()  # the battery idles
        assert x == pytest.approx(own + losses, abs=1e-9)
        cost += DT_H * (IMPORT * max(x, 0.0) + EXPORT * min(x, 0.0))
    assert cost != 0.0
    assert villagers.summary["baseline"]["cost_eur"]["total"] == pytest.approx(cost, abs=1e-7)


def test_indicators_stand_beside_those_of_the_baseline(run):
    found = against_baseline(run).set_index(["grid", "indicator"])
    assert (found.difference.dropna() == (found.value - found.baseline).dropna()).all()
    total, base = found.loc["total"], run.baseline
    assert total.baseline["total_cost"] == pytest.approx(
        run.summary["baseline"]["cost_eur"]["total"], abs=1e-9
    )
    assert total.baseline["battery_throughput"] == total.baseline["stored_energy"] == 0.0
    assert total.value["battery_throughput"] > 0.1
    assert why_not_compared(run) == ""
    assert total.difference["consumption"] == pytest.approx(0.0, abs=1e-12)
    rows = base.interval[base.interval.grid == "mv1"]
    bought = 0.5 * 6 * rows.p_import_mw.clip(lower=0.0).sum()  # half hours, six copies
    assert total.baseline["import"] == pytest.approx(bought, abs=1e-9)


def test_standalone_run_of_the_baseline_has_the_same_tables(villagers, tmp_path):
    run_scenario(load_scenario(str(villagers.directory / "baseline" / "scenario.toml")),
                 tmp_path / "alone")  # fmt: skip
    assert differences(villagers.directory / "baseline", tmp_path / "alone") == []
    own, alone = villagers.baseline.summary, Run(tmp_path / "alone").summary
    assert without_times(own | {"folder": ""}) == without_times(alone | {"folder": ""})


def test_files_are_listed_and_complete(villagers):
    manifest = Manifest(villagers.directory / "baseline")
    manifest.check(tuple(SCHEMAS), done=2)
    names = {p.relative_to(manifest.directory).as_posix()
             for p in manifest.directory.rglob("*") if p.is_file()}  # fmt: skip
    assert names == {*manifest.base, "summary.json", "manifest.jsonl"}
    assert villagers.baseline.status == "done"
    assert villagers.baseline.baseline is None


def test_run_without_a_baseline_says_why(village, villagers):
    out = village.parent / "off"
    run_scenario(load_scenario(str(village), ["baseline=false"]), out)
    assert section(out) == {"status": "off", "reason": "baseline = false", "intervals_done": 0,
                            "cost_eur": None, "wall_s": None}  # fmt: skip
    assert not (out / "baseline").exists()
    assert Run(out).baseline is None
    assert against_baseline(Run(out)) is None
    assert why_not_compared(Run(out)) == "baseline = false"
    assert differences(villagers.directory, out) == []  # the run itself is the same


def test_missing_baseline_is_an_error(villagers, tmp_path):
    shutil.copytree(villagers.directory, tmp_path / "copy")
    shutil.rmtree(tmp_path / "copy" / "baseline")
    with pytest.raises(ResultsError, match="baseline: does not exist"):
        Run(tmp_path / "copy").baseline  # noqa: B018


def interrupted_at(where, village, out):
    """Run the village until a text of its progress contains `where`."""

    def progress(text):
        if where in str(text):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_scenario(load_scenario(str(village)), out, progress=progress, building=progress)


def test_interrupted_in_the_baseline_begins_again(village, villagers, tmp_path):
    out = tmp_path / "out"
    interrupted_at("1 of 2 intervals", village, out)
    assert section(out) is None
    assert Run(out).status == "interrupted"
    assert Run(out).baseline is None
    (out / "baseline" / "bus.parquet.tmp").write_bytes(b"of a process that was killed")
    resume_run(resumable(out))
    check_resumed(villagers, out)


def test_interrupted_after_the_baseline_keeps_it(village, villagers, tmp_path):
    out = tmp_path / "out"
    interrupted_at("intervals_done=1", village, out)
    made = (out / "baseline" / "bus.parquet").stat().st_mtime_ns
    assert section(out)["status"] == "done"
    assert Run(out).baseline.status == "done"
    resume_run(resumable(out))
    assert (out / "baseline" / "bus.parquet").stat().st_mtime_ns == made
    check_resumed(villagers, out)


def test_resumed_run_repairs_a_changed_baseline(village, villagers, tmp_path):
    out = tmp_path / "out"
    interrupted_at("intervals_done=1", village, out)
    (out / "baseline" / "bus.parquet").write_bytes(b"changed")
    resume_run(resumable(out))
    check_resumed(villagers, out)


def check_resumed(whole, out):
    assert differences(whole.directory, out) == []
    assert differences(whole.directory / "baseline", out / "baseline") == []
    assert without_times(section(out)) == without_times(whole.summary["baseline"])
    assert not list(out.rglob("*.tmp"))


def test_failed_baseline_is_recorded_and_the_run_goes_on(village, tmp_path):
    # two PV systems of 300 MW in a street of 0.1 MVA: at the first sun the control curtails them
    dawn = ["grids.lv1.pv=[{count=2,p_mw=300.0}]", "time.start=2025-06-21T05:30:00"]
    said = []
    run_scenario(load_scenario(str(village), dawn), tmp_path / "out", say=said.append)
    run = Run(tmp_path / "out")
    found = run.summary["baseline"]
    reason = "without control the power flow of lv1 diverges at 2025-06-21 05:45"
    assert (run.status, found["status"], found["reason"]) == ("done", "failed", reason)
    assert reason in said
    assert {"event": "notice", "text": reason} in run.events
    assert found["intervals_done"] == 1
    assert found["cost_eur"] is None
    assert run.baseline.status == "interrupted"
    assert set(run.baseline.bus.interval) == {0}
    assert against_baseline(run) is None
    assert why_not_compared(run) == reason
