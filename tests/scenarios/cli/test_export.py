"""Exports of finished runs: pandapower solves them to the same state, files are read back equal."""

import copy
import json
import shutil

import numpy as np
import pandapower as pp
import pandas as pd
import pytest
import xarray as xr
from support.run_cases import unlisted

from stackelgrid.analysis import Run
from stackelgrid.analysis.results.datasets import SHAPES, dataset, long_name
from stackelgrid.analysis.results.errors import ResultsError
from stackelgrid.analysis.results.record import TABLES
from stackelgrid.simulators.results.tables import SCHEMAS, TableWriter

# p.u.; the interfaces of a run have converged to 1e-7 p.u.
SAME_VOLTAGE = 1e-6
RESULTS = ("bus", "line", "trafo", "load", "sgen", "storage", "gen", "ext_grid", "shunt")


@pytest.fixture
def opened(run):
    return Run(run.directory)


def solved(net):
    """The net as pandapower's own power flow solves it."""
    net = copy.deepcopy(net)
    pp.runpp(net, tolerance_mva=1e-9, numba=False)
    return net


def angle_apart(a, b):
    return np.abs((a - b + 180.0) % 360.0 - 180.0)


def test_pandapower_finds_the_state_of_every_grid_again(opened):
    """Set points alone reproduce what the run recorded: the power flow starts from them."""
    seen = set()
    for interval in range(0, opened.intervals_done, 2):
        bus = opened.bus[opened.bus["interval"] == interval]
        for grid in opened.grids:
            net = opened.net(grid, interval=interval)
            again = solved(net)
            recorded = bus[bus["grid"] == grid].set_index("bus").loc[net.bus.index]
            assert np.abs(again.res_bus.vm_pu - recorded.vm_pu).max() < SAME_VOLTAGE
            assert angle_apart(again.res_bus.va_degree, recorded.va_degree).max() < 1e-4
            seen |= {(grid, int(b)) for b in net.bus.index}
    assert len(seen) == len(opened.bus.drop_duplicates(["grid", "bus"]))


def test_the_results_of_a_net_are_those_that_pandapower_would_write(opened):
    """Every result table: same columns, same rows, same values; from tables, without a solver."""
    compared = set()
    for grid in opened.grids:
        net = opened.net(grid, interval=opened.intervals_done - 1)
        again = solved(net)
        for element in RESULTS:
            ours, theirs = net[f"res_{element}"], again[f"res_{element}"]
            if not len(net[element]):
                continue
            assert list(ours.columns) == list(theirs.columns), (grid, element)
            assert ours.index.equals(theirs.index)
            assert np.isfinite(ours.to_numpy()).all()
            for column in ours:
                apart = np.abs(ours[column] - theirs[column])
                if "degree" in column:
                    apart = angle_apart(ours[column], theirs[column])
                scale = max(1.0, float(np.abs(theirs[column]).max()))
                assert apart.max() / scale < 1e-5, (grid, element, column)
                compared.add((element, column))
    assert {e for e, _ in compared} >= {"bus", "line", "load", "sgen", "storage", "ext_grid"}
    assert ("trafo", "i_hv_ka") in compared


def test_grids_fit_at_their_boundaries(opened):
    """A lower grid's slack has the voltage of its bus above; there it is a load of all copies."""
    last = opened.intervals_done - 1
    checked = 0
    for name, info in opened.grids.items():
        if info.parent is None:
            continue
        lower, upper = opened.net(name, interval=last), opened.net(info.parent, interval=last)
        at = upper.res_bus.loc[info.bus]
        assert lower.ext_grid.vm_pu.iloc[0] == pytest.approx(at.vm_pu, abs=SAME_VOLTAGE)
        assert angle_apart(lower.ext_grid.va_degree.iloc[0], at.va_degree) < 1e-4
        (load,) = upper.load[upper.load.name == f"{name} ({info.multiplicity} copies)"].itertuples()
        assert load.bus == info.bus
        exchange = lower.res_ext_grid.p_mw.iloc[0]
        assert load.p_mw == pytest.approx(info.multiplicity * exchange, rel=1e-9)
        assert solved(lower).res_ext_grid.p_mw.iloc[0] == pytest.approx(exchange, abs=1e-6)
        checked += 1
    assert checked == len(opened.grids) - 1


def test_taps_of_a_net_are_those_of_its_interval(three_levels):
    opened = Run(three_levels.directory)
    boundary = opened.boundary[opened.boundary["grid"] == "mv1"].set_index("interval")
    taps = [int(opened.net("mv1", interval=k).trafo.tap_pos.iloc[0]) for k in boundary.index]
    assert taps == boundary["tap_pos"].tolist()
    assert set(taps) != {int(opened.net("mv1").trafo.tap_pos.iloc[0])}


def test_loads_that_the_scenario_scales_are_exported_as_applied(run_of, write_scenario):
    path = write_scenario("feeder", lambda data: data["grids"][0]["loads"].update(scale=1.5))
    opened = Run(run_of(path).directory)
    (grid,) = opened.grids
    assert set(opened.net(grid).load.scaling) == {1.5}
    net = opened.net(grid, interval=1)
    assert set(net.load.scaling) == {1.0}
    assert np.abs(solved(net).res_bus.vm_pu - net.res_bus.vm_pu).max() < SAME_VOLTAGE


def test_the_net_of_no_interval_is_as_the_run_began_with_it(opened):
    for grid in opened.grids:
        net = opened.net(grid)
        assert not [t for t in net if t.startswith("res_") and len(net[t])]
        own = opened.network[opened.network["grid"] == grid]
        assert len(net.bus) == (own["element"] == "bus").sum()
        assert len(net.load) == (own["element"] == "load").sum()


def test_labelled_arrays_hold_every_row_of_every_table(opened):
    counted = 0
    for table in TABLES:
        data, frame = opened.to_xarray(table), opened.table(table)
        shape = SHAPES[table]
        if shape.label:
            label = frame["element"] + " " + frame["index"].astype(str)
            frame = frame.assign(**{shape.label: label})
        for column in data.data_vars:
            variable = data[column]
            where = {d: xr.DataArray(frame[d].to_numpy(), dims="row") for d in variable.dims}
            found = variable.sel(where).to_numpy()
            asked = frame[column].to_numpy()
            if asked.dtype == object:
                assert list(found) == list(frame[column].fillna("")), (table, column)
            else:
                np.testing.assert_array_equal(found, asked.astype(found.dtype), err_msg=column)
            counted += len(asked)
        named = {*data.data_vars, *data.coords}
        assert named >= set(frame.columns), table
    assert counted > 10_000


def test_labelled_arrays_have_units_names_and_times(quick):
    data = Run(quick.directory).to_xarray("bus")
    assert data.vm_pu.dims == ("interval", "grid", "bus")
    assert data.sizes["interval"] == 4
    assert list(data.grid.values) == ["mv1", "lv1"]
    assert (data.p_mw.attrs["long_name"], data.p_mw.attrs["units"]) == ("active power", "MW")
    assert data.attrs["Conventions"] == "CF-1.11"
    assert data.attrs["title"] == "quick, table bus"
    start = np.datetime64("2025-06-21T09:00", "ns")
    assert list(data.time.values) == [start + np.timedelta64(15 * k, "m") for k in range(4)]
    row = quick.tables["bus"].query("interval == 2 and grid == 'lv1' and bus == 906").iloc[0]
    assert float(data.vm_pu.sel(interval=2, grid="lv1", bus=906)) == row.vm_pu
    # a bus that only the other grid has
    assert np.isnan(float(data.vm_pu.sel(interval=2, grid="mv1", bus=906)))
    device = Run(quick.directory).to_xarray("device")
    assert device.kind.dims == ("grid", "device")
    assert str(device.kind.sel(grid="lv1", device="storage 0").values) == "battery"
    step = Run(quick.directory).to_xarray("schedule")
    assert step.dt_h.dims == ("interval", "step")
    assert step.dt_h.isel(interval=0).values.tolist() == [0.25] * 4 + [1.0] * 7


@pytest.mark.parametrize(
    ("column", "name"),
    [
        ("q_mvar", "reactive power"),
        ("e_mwh", "stored energy"),
        ("import_eur_per_mwh", "import"),
        ("vm_planned_pu", "voltage magnitude planned per unit"),
        ("fictitious_loss_share", "fictitious loss share"),
        ("agreement_after_sec", "agreement after"),
        ("verdict", "verdict"),
    ],
)
def test_names_of_axes_follow_from_the_column(column, name):
    assert long_name(column) == name


def test_every_variable_says_what_it_is_in_units_that_other_tools_read(quick):
    opened, units = Run(quick.directory), set()
    for table in TABLES:
        for name, variable in opened.to_xarray(table).data_vars.items():
            assert {"long_name", "description"} <= set(variable.attrs), (table, name)
            units |= {variable.attrs.get("units", "")}
    assert units == {
        "", "1", "percent", "degree", "MW", "Mvar", "MVA", "MW h", "kA", "kV", "km", "EUR",
        "EUR MW-1 h-1", "EUR MW-2", "s", "h", "degC", "K", "kg",
    }  # fmt: skip


def test_two_rows_of_one_key_are_refused(quick, tmp_path):
    directory = tmp_path / "run"
    shutil.copytree(quick.directory, directory)
    unlisted(directory)
    path = directory / "stage.parquet"
    frame = pd.read_parquet(path)
    pd.concat([frame, frame.head(1)]).to_parquet(path, index=False)
    with pytest.raises(ResultsError, match="table stage has two rows of one key"):
        dataset(Run(directory), "stage")


def test_netcdf_is_read_back_equal(command, quick, tmp_path):
    out = tmp_path / "new" / "quick.nc"
    tables = ("bus", "device", "trade", "schedule", "network")  # trade: without a row
    options = [text for table in tables for text in ("--table", table)]
    done = command("export", quick.directory, "--format", "netcdf", "--out", out, *options)
    assert (done.status, done.stdout.strip()) == (0, str(out))
    opened = Run(quick.directory)
    with xr.open_datatree(out, engine="h5netcdf") as tree:
        assert {g.strip("/") for g in tree.groups} - {""} == set(tables)
    for table in tables:
        with xr.open_dataset(out, group=table, engine="h5netcdf") as data:
            xr.testing.assert_identical(data.load(), opened.to_xarray(table))
    assert [p.name for p in out.parent.iterdir()] == ["quick.nc"]


def test_csv_is_read_back_equal(command, quick, tmp_path):
    out = tmp_path / "csv"
    done = command("export", quick.directory, "--format", "csv", "--out", out)
    assert done.status == 0
    assert {p.stem for p in out.iterdir()} == set(TABLES)
    for table in SCHEMAS:
        asked = quick.tables[table]
        numbers = asked.select_dtypes("number").columns
        told = pd.read_csv(
            out / f"{table}.csv", parse_dates=["time"], keep_default_na=False,
            na_values={c: [""] for c in numbers}, float_precision="round_trip",
        )  # fmt: skip
        assert list(told.columns) == list(asked.columns)
        for column in asked if len(asked) else ():
            if column == "time":
                assert (told[column] == asked[column]).all()
            elif asked[column].dtype == object:
                assert told[column].astype(str).tolist() == asked[column].tolist()
            else:
                np.testing.assert_array_equal(told[column].to_numpy(), asked[column].to_numpy())
    chosen = tmp_path / "chosen"
    chosen.mkdir()  # an empty directory is as good as none
    tables = ("--table", "bus", "--table", "boundary")
    done = command("export", quick.directory, "--format", "csv", "--out", chosen, *tables)
    assert done.status == 0
    assert sorted(p.name for p in chosen.iterdir()) == ["boundary.csv", "bus.csv"]


def test_nets_are_written_as_files_that_pandapower_reads(command, quick, tmp_path):
    out = tmp_path / "nets"
    assert command("export", quick.directory, "--format", "pandapower", "--out", out).status == 0
    assert sorted(p.name for p in out.iterdir()) == ["lv1.json", "mv1.json"]
    last = pp.from_json(str(out / "lv1.json"))
    assert last.name == "lv1, interval 3 of quick"
    assert np.abs(solved(last).res_bus.vm_pu - last.res_bus.vm_pu).max() < SAME_VOLTAGE
    one = tmp_path / "one.json"
    done = command(
        "export", quick.directory, "--format", "pandapower", "--out", one, "--grid", "mv1",
        "--interval", 0,
    )  # fmt: skip
    assert done.status == 0
    first = pp.from_json(str(one))
    recorded = quick.tables["bus"].query("interval == 0 and grid == 'mv1'").set_index("bus")
    pd.testing.assert_series_equal(first.res_bus.vm_pu, recorded.vm_pu, check_names=False,
                                   check_index_type=False)  # fmt: skip


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--format", "hdf", "--out", "x"), "--format 'hdf' is unknown; accepted: pandapower, "),
        (("--format", "csv"), "Missing option '--out'"),
        (("--out", "x"), "Missing option '--format'"),
        (("--format", "csv", "--out", "there"), "--out there: exists already"),
        (("--format", "netcdf", "--out", "there/file"), "--out there/file: exists already"),
        (("--format", "pandapower", "--out", "there"), "--out there: exists already"),
        (("--format", "csv", "--out", "there/file/x"), "--out there/file/x: cannot be written"),
        (("--format", "csv", "--out", "x", "--table", "buss"), "table 'buss' is unknown"),
        (("--format", "csv", "--out", "x", "--grid", "mv1"), "--grid: belongs to pandapower"),
        (("--format", "netcdf", "--out", "x", "--interval", "1"), "--interval: belongs to panda"),
        (("--format", "pandapower", "--out", "x", "--table", "bus"), "--table: belongs to netcdf"),
        (("--format", "pandapower", "--out", "x", "--grid", "tn"), "accepted: mv1, lv1"),
        (("--format", "pandapower", "--out", "x", "--interval", "4"), "0 to 3 are accepted"),
        (("--format", "pandapower", "--out", "x", "--interval", "-1"), "interval -1 is not on"),
        (("--format", "pandapower", "--out", "x.json"), "one file holds one grid"),
    ],
)
def test_what_cannot_be_exported_is_refused_in_one_line(
    command, quick, tmp_path, monkeypatch, options, why
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").write_text("kept")
    done = command("export", quick.directory, *options)
    assert done.status == 2
    assert why in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["there"]
    assert (tmp_path / "there" / "file").read_text() == "kept"


def test_a_directory_of_a_study_names_the_verb_that_shows_it(command, tmp_path):
    """Each verb for runs says what the directory holds and what to do with it."""
    run = tmp_path / "bottom_up"
    run.mkdir()
    (run / "summary.json").write_text("{}", encoding="utf-8")
    (tmp_path / "summary.json").write_text(json.dumps({"schemes": {}}), encoding="utf-8")
    export = ("export", tmp_path, "--format", "csv", "--out", tmp_path / "x")
    for verb in (export, ("view", tmp_path)):
        done = command(*verb)
        assert (done.status, len(done.stderr.splitlines())) == (2, 1)
        told = f"holds a comparison of schemes, not a run; stackelgrid report {tmp_path} shows it"
        assert told in done.stderr
        assert done.stderr.endswith(f"its runs are {run}\n")
    done = command("run", "--resume", tmp_path)
    assert "holds a comparison of schemes, not a run; stackelgrid compare begins" in done.stderr
    (tmp_path / "summary.json").unlink()
    done = command("view", tmp_path)
    assert done.status == 2
    assert f"holds no results (summary.json is missing); accepted: {run}" in done.stderr


def unfinished(quick, directory, done):
    """The run as it was after some of its intervals: parts instead of whole tables."""
    directory.mkdir()
    shutil.copytree(quick.directory / "grids", directory / "grids")
    for name in ("scenario.toml", "network.parquet"):
        shutil.copy(quick.directory / name, directory)
    writer = TableWriter(directory)
    for table in SCHEMAS:
        rows = quick.tables[table]
        for interval in range(done):
            writer.write_part(table, interval, rows[rows["interval"] == interval])
    summary = quick.summary | {"status": "interrupted", "intervals_done": done}
    (directory / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    (directory / "manifest.jsonl").touch()
    return unlisted(directory)


def test_an_unfinished_run_is_exported_as_far_as_it_is(command, quick, tmp_path):
    directory = unfinished(quick, tmp_path / "run", 2)
    assert not (directory / "bus.parquet").exists()
    tables, nets = tmp_path / "tables", tmp_path / "nets"
    assert command("export", directory, "--format", "csv", "--out", tables).status == 0
    again = pd.read_csv(tables / "bus.csv", float_precision="round_trip")
    bus = quick.tables["bus"].query("interval < 2")
    assert set(again.interval) == {0, 1}
    np.testing.assert_array_equal(again.vm_pu, bus.vm_pu)
    told = ("--format", "pandapower", "--out", nets, "--grid", "mv1")
    assert command("export", directory, *told).status == 0
    last = bus.query("interval == 1 and grid == 'mv1'").set_index("bus").vm_pu
    net = pp.from_json(str(nets / "mv1.json"))
    np.testing.assert_allclose(net.res_bus.vm_pu, last[net.bus.index], rtol=1e-12)


def test_a_run_without_an_interval_has_no_nets(command, quick, tmp_path):
    directory = unfinished(quick, tmp_path / "run", 0)
    out = tmp_path / "nets"
    done = command("export", directory, "--format", "pandapower", "--out", out)
    assert (done.status, "none is done yet" in done.stderr) == (2, True)
