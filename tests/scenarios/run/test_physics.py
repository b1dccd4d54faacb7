"""The tables of a run against physics, recomputed here from the tables and the nets alone."""

import copy

import numpy as np
import pandapower as pp
import pandapower.networks as pn
import pandas as pd
import pvlib
import pytest

# the interface loop stops below 1e-7 p.u. of the lower grid's base: 1e-7 MW for a feeder
BALANCE_MW = 1e-6


def of(run, table, **where):
    """Rows of a table whose columns have the given values, in their order."""
    frame = run.tables[table]
    for column, value in where.items():
        frame = frame[frame[column] == value]
    return frame


def intervals(run):
    return range(run.summary["intervals_planned"])


def dt_h(run):
    return run.built.scenario.time.interval_min / 60.0


def sections(run):
    return {g.name: g for g in run.built.scenario.grids}


def slack_power(run, grid, k):
    """Active and reactive power entering at the slack bus."""
    if sections(run)[grid].level == "transmission":
        row = of(run, "device", interval=k, grid=grid, element="ext_grid").iloc[0]
        return row.p_mw, row.q_mvar
    row = of(run, "interval", interval=k, grid=grid).iloc[0]
    return row.p_import_mw, row.q_import_mvar


def consumed(devices):
    """Consumption of device rows: loads and storages count up, generation down."""
    sign = np.where(devices.element.isin(["load", "storage"]), 1.0, -1.0)
    return sign * devices.p_mw, sign * devices.q_mvar


def expected_bus_power(run, grid, k):
    """Bus consumption from device and boundary rows; gen and ext_grid inject on their own."""
    net = run.built.grids[grid].net
    p = pd.Series(0.0, index=net.bus.index)
    q = p.copy()
    devices = of(run, "device", interval=k, grid=grid)
    devices = devices[~devices.element.isin(["gen", "ext_grid"])]
    for total, values in zip((p, q), consumed(devices), strict=True):
        total += values.groupby(devices.bus).sum().reindex(p.index, fill_value=0.0)
    for lower in of(run, "boundary", interval=k, parent=grid).itertuples():
        p[lower.parent_bus] += lower.multiplicity * lower.p_mw
        q[lower.parent_bus] += lower.multiplicity * lower.q_mvar
    return p, q


def grids_and_intervals(run):
    return [(grid, k) for grid in sections(run) for k in intervals(run)]


def test_every_table_holds_every_grid_and_interval_once(run):
    names, count = sorted(sections(run)), len(intervals(run))
    rows = run.tables["interval"]
    assert sorted(zip(rows.grid, rows.interval, strict=True)) == sorted(
        (n, k) for n in names for k in range(count)
    )
    start = pd.Timestamp(run.built.scenario.time.start).tz_localize("Europe/Berlin")
    step = pd.Timedelta(minutes=run.built.scenario.time.interval_min)
    for table in ("bus", "branch", "device", "boundary", "schedule", "interval"):
        frame = run.tables[table]
        assert set(frame.interval) == set(range(count)), table
        expected = start + frame.interval * step
        assert (frame.time == expected.dt.tz_convert("UTC")).all(), table


def test_bus_power_is_that_of_devices_and_of_all_copies_below(run):
    lower = run.tables["boundary"]
    assert (lower.multiplicity > 1).all()
    for grid, k in grids_and_intervals(run):
        bus = of(run, "bus", interval=k, grid=grid).set_index("bus")
        p, q = expected_bus_power(run, grid, k)
        np.testing.assert_allclose(bus.p_mw, p.loc[bus.index], atol=BALANCE_MW, rtol=0)
        np.testing.assert_allclose(bus.q_mvar, q.loc[bus.index], atol=BALANCE_MW, rtol=0)


def test_kirchhoff_holds_at_every_bus(run):
    for grid, k in grids_and_intervals(run):
        net = run.built.grids[grid].net
        bus = of(run, "bus", interval=k, grid=grid).set_index("bus")
        p, q = -bus.p_mw.copy(), -bus.q_mvar.copy()
        branch = of(run, "branch", interval=k, grid=grid)
        ends = {"line": ("from_bus", "to_bus"), "trafo": ("hv_bus", "lv_bus")}
        for row in branch.itertuples():
            first, second = (net[row.element].at[row.index, e] for e in ends[row.element])
            p[first] -= row.p_from_mw
            p[second] -= row.p_to_mw
            q[first] -= row.q_from_mvar
            q[second] -= row.q_to_mvar
        for gen in of(run, "device", interval=k, grid=grid, element="gen").itertuples():
            p[gen.bus] += gen.p_mw
            q[gen.bus] += gen.q_mvar
        for shunt in net.shunt.itertuples():
            p[shunt.bus] -= shunt.p_mw * bus.vm_pu[shunt.bus] ** 2
            q[shunt.bus] -= shunt.q_mvar * bus.vm_pu[shunt.bus] ** 2
        slack_p, slack_q = slack_power(run, grid, k)
        p[net.ext_grid.bus.iloc[0]] += slack_p
        q[net.ext_grid.bus.iloc[0]] += slack_q
        assert np.abs(p).max() < BALANCE_MW
        assert np.abs(q).max() < BALANCE_MW


def test_energy_of_every_grid_balances(run):
    """Slack, generators and PV cover loads, batteries, lower grids and branch losses."""
    for grid, k in grids_and_intervals(run):
        devices = of(run, "device", interval=k, grid=grid)
        devices = devices[devices.element != "ext_grid"]
        lower = of(run, "boundary", interval=k, parent=grid)
        losses = of(run, "branch", interval=k, grid=grid).pl_mw.sum()
        needed = consumed(devices)[0].sum() + (lower.multiplicity * lower.p_mw).sum() + losses
        assert slack_power(run, grid, k)[0] == pytest.approx(needed, abs=BALANCE_MW)
        assert losses > 0.0
        row = of(run, "interval", interval=k, grid=grid).iloc[0]
        assert row.loss_mw == pytest.approx(losses, abs=1e-9)


def test_generators_and_slack_cover_load_and_losses(three_levels):
    for k in intervals(three_levels):
        devices = of(three_levels, "device", interval=k, grid="tn")
        units = devices[devices.kind == "unit"]
        assert len(units) == 6  # case30: five gen and the slack
        load = devices[devices.kind == "load"].p_mw.sum()
        feeders = of(three_levels, "boundary", interval=k, grid="mv1").iloc[0]
        losses = of(three_levels, "branch", interval=k, grid="tn").pl_mw.sum()
        assert feeders.multiplicity == 6
        assert units.p_mw.sum() == pytest.approx(load + 6 * feeders.p_mw + losses, abs=BALANCE_MW)
        scheduled = units[units.element == "gen"]
        np.testing.assert_allclose(scheduled.p_mw, scheduled.asked_mw, atol=1e-9)
        assert (scheduled.p_mw <= scheduled.available_mw + 1e-9).all()


def test_battery_energy_follows_from_its_power_and_is_handed_on(run):
    """E(k) = E(k-1) + dt (eta_c p+ - p- / eta_d), from the initial state of charge on."""
    moved = 0.0
    for grid in sections(run):
        net = run.built.grids[grid].net
        for index, battery in net.storage.iterrows():
            rows = of(run, "device", grid=grid, element="storage", index=index)
            assert list(rows.interval) == list(intervals(run))
            energy = battery.soc_percent / 100.0 * battery.max_e_mwh
            for row in rows.itertuples():
                charge, discharge = max(row.p_mw, 0.0), max(-row.p_mw, 0.0)
                energy += dt_h(run) * (
                    charge * battery.efficiency_charge - discharge / battery.efficiency_discharge
                )
                assert row.e_mwh == pytest.approx(energy, abs=1e-9)
                assert battery.min_e_mwh <= row.e_mwh <= battery.max_e_mwh
                assert row.soc_percent == pytest.approx(100.0 * energy / battery.max_e_mwh)
                energy = row.e_mwh
                moved = max(moved, abs(row.p_mw))
    assert moved > 1e-4  # MW: far above what 1e-9 MWh resolves
    assert run.summary["energy_handover_max_error_mwh"] == 0.0


def test_devices_do_what_the_first_step_of_the_schedule_says(run):
    """With perfect foresight no limit cuts a set point but by the solver's tolerance."""
    schedule = run.tables["schedule"]
    first = schedule[(schedule.step == 0) & schedule.element.isin(["storage", "sgen"])]
    device = run.tables["device"]
    key = ["interval", "grid", "element", "index"]
    both = first.merge(device, on=key, suffixes=("_plan", ""), validate="one_to_one")
    assert len(both) == len(first) > 0
    np.testing.assert_array_equal(both.p_mw_plan, both.asked_mw)
    np.testing.assert_allclose(both.p_mw, both.p_mw_plan, atol=1e-6)
    storage = both[both.element == "storage"]
    np.testing.assert_allclose(storage.e_mwh, storage.e_mwh_plan, atol=1e-6)


def test_interfaces_meet(run):
    """Both sides of every boundary have the same voltage and power."""
    for row in run.tables["boundary"].itertuples():
        child = run.built.grids[row.grid].net
        slack = child.ext_grid.bus.iloc[0]
        above = of(run, "bus", interval=row.interval, grid=row.parent, bus=row.parent_bus).iloc[0]
        below = of(run, "bus", interval=row.interval, grid=row.grid, bus=slack).iloc[0]
        assert row.vm_pu == pytest.approx(above.vm_pu, abs=1e-6)
        assert below.vm_pu == pytest.approx(above.vm_pu, abs=1e-6)
        assert below.va_degree == pytest.approx(above.va_degree, abs=np.rad2deg(1e-6))
        assert 0.0 <= row.mismatch_pu < 1e-6
    assert run.summary["interface"]["max_mismatch_pu"] == run.tables["boundary"].mismatch_pu.max()
    assert run.summary["interface"]["max_rounds"] == run.tables["interval"].rounds.max() > 1


def test_phase_shift_of_the_boundary_transformer_is_applied(three_levels):
    """150 degrees at the feeder's transformer: its buses lag by that and a few degrees of load."""
    bus = of(three_levels, "bus", grid="mv1", interval=0).set_index("bus")
    slack = three_levels.built.grids["mv1"].net.ext_grid.bus.iloc[0]
    lag = (bus.va_degree[slack] - bus.va_degree[0]) % 360.0
    assert lag == pytest.approx(150.0, abs=3.0)


def test_photovoltaics_stay_below_the_sun(run):
    pv = of(run, "device", kind="pv")
    assert (pv.p_mw <= pv.available_mw + 1e-12).all()
    assert (pv.p_mw >= 0.0).all()
    for grid in sections(run):
        net = run.built.grids[grid].net
        rows = of(run, "device", kind="pv", grid=grid)
        assert (rows.available_mw <= net.sgen.p_mw.loc[rows["index"]].to_numpy()).all()


def test_photovoltaics_rest_at_night_and_wake_with_the_sun(three_levels):
    """Solar elevation by pvlib at both ends of an interval says whether it is night."""
    pv = of(three_levels, "device", kind="pv")
    elevation = {}
    for time in pv.time.unique():
        ends = pd.DatetimeIndex([time, time + pd.Timedelta(minutes=30)])
        sun = pvlib.solarposition.get_solarposition(ends, 51.3, 9.5)
        elevation[time] = sun.apparent_elevation.max()
    highest = pv.time.map(elevation)
    night, day = pv[highest < 0.0], pv[highest > 5.0]
    assert set(night.interval) == {0, 1}  # 04:00 to 05:00; the sun rises at 05:06
    assert (night.available_mw == 0.0).all()
    assert (night.p_mw == 0.0).all()
    assert len(day)
    assert (day.p_mw > 0.0).all()


def test_tap_changer_brings_the_voltage_into_its_deadband(three_levels):
    """Set point 1.04, deadband 0.02; the delay of 60 s grants 30 steps an interval."""
    taps = of(three_levels, "boundary", grid="mv1")
    assert (taps.tap_pos != 0).all()  # it had to move from its initial position
    assert taps.tap_pos.between(-8, 8).all()
    regulated = of(three_levels, "bus", grid="mv1", bus=0)
    assert len(regulated) == 6
    assert regulated.vm_pu.between(1.03, 1.05).all()
    # one more step up in tap position would have left the lower edge: no step too many
    assert (regulated.vm_pu.to_numpy()[0] - 0.0125 * taps.vm_pu.to_numpy()[0]) < 1.03


def recorded_net(run, grid, k):
    """The built net with the injections of one interval, for pandapower's own power flow."""
    net = copy.deepcopy(run.built.grids[grid].net)
    devices = of(run, "device", interval=k, grid=grid)
    net.load["scaling"] = 1.0
    net.sgen["scaling"] = 1.0
    for element in ("load", "sgen", "storage", "gen"):
        rows = devices[devices.element == element]
        net[element].loc[rows["index"], "p_mw"] = rows.p_mw.to_numpy()
        if element != "gen":
            net[element].loc[rows["index"], "q_mvar"] = rows.q_mvar.to_numpy()
    for lower in of(run, "boundary", interval=k, parent=grid).itertuples():
        pp.create_load(
            net,
            lower.parent_bus,
            p_mw=lower.multiplicity * lower.p_mw,
            q_mvar=lower.multiplicity * lower.q_mvar,
        )
    slack = net.ext_grid.bus.iloc[0]
    bus = of(run, "bus", interval=k, grid=grid, bus=slack).iloc[0]
    net.ext_grid["vm_pu"], net.ext_grid["va_degree"] = bus.vm_pu, bus.va_degree
    own = of(run, "boundary", interval=k, grid=grid)
    if len(own) and own.kind.iloc[0] != "ideal":
        net.trafo.loc[net.trafo.hv_bus == slack, "tap_pos"] = own.tap_pos.iloc[0]
    return net


def test_pandapower_finds_the_recorded_voltages(run):
    last = len(intervals(run)) - 1
    for grid in sections(run):
        net = recorded_net(run, grid, last)
        pp.runpp(net, init="dc", calculate_voltage_angles=True, tolerance_mva=1e-10)
        bus = of(run, "bus", interval=last, grid=grid).set_index("bus")
        np.testing.assert_allclose(
            bus.vm_pu, net.res_bus.vm_pu.loc[bus.index], atol=1e-8, rtol=0, err_msg=grid
        )
        branch = of(run, "branch", interval=last, grid=grid)
        line = branch[branch.element == "line"].set_index("index")
        np.testing.assert_allclose(line.pl_mw, net.res_line.pl_mw.loc[line.index], atol=1e-7)
        np.testing.assert_allclose(line.i_ka, net.res_line.i_ka.loc[line.index], atol=1e-8)
        rated = line.index[line.loading_percent > 0.0]  # 0 where a case states no real rating
        assert len(rated) > len(line) / 2
        np.testing.assert_allclose(
            line.loading_percent[rated], net.res_line.loading_percent[rated], rtol=1e-6, atol=1e-5
        )


def test_cost_of_quick_is_its_energy_at_the_tariff(quick):
    """11 to 12 o'clock: 75 EUR/MWh for import at the root, 5 for wear, 1 for curtailment."""
    root = of(quick, "interval", grid="mv1")
    assert (root.p_import_mw > 0.0).all()
    total = 0.25 * 75.0 * root.p_import_mw.sum()
    device = quick.tables["device"]
    copies = device.grid.map({"mv1": 1.0, "lv1": 7.0})
    total += 0.25 * 5.0 * (copies * device.p_mw.abs())[device.kind == "battery"].sum()
    total += 0.25 * (copies * (device.available_mw - device.p_mw))[device.kind == "pv"].sum()
    assert quick.summary["cost_eur"]["total"] == pytest.approx(total, rel=1e-9)
    # the root feeder is the follower: its whole import and its own wear and curtailment
    lower = of(quick, "interval", grid="lv1")
    own = 7.0 * (lower.wear_eur + lower.curtailment_eur).sum()
    costs = quick.summary["cost_eur"]
    assert costs["follower"] == pytest.approx(total - own, rel=1e-9)
    assert costs["leader"] == pytest.approx(own + 7.0 * lower.boundary_eur.sum(), rel=1e-9)


def test_cost_with_a_transmission_grid_is_that_of_generation(three_levels):
    """Payments to the transmission grid are transfers; MATPOWER's costs count twenty times."""
    cost = pn.case30().poly_cost.set_index(["et", "element"])
    device = three_levels.tables["device"]
    follower = 0.0
    for row in of(three_levels, "device", grid="tn", kind="unit").itertuples():
        c = cost.loc[(row.element, row.index)]
        hourly = c.cp2_eur_per_mw2 * row.p_mw**2 + c.cp1_eur_per_mw * row.p_mw + c.cp0_eur
        follower += 0.5 * 20.0 * hourly
    assert three_levels.summary["cost_eur"]["follower"] == pytest.approx(follower, rel=1e-9)
    copies = device.grid.map({"tn": 1.0, "mv1": 6.0, "lv1": 42.0})
    unit = (device.grid == "mv1") & (device.kind == "unit")
    own = 0.5 * 80.0 * (copies * device.p_mw)[unit].sum()
    own += 0.5 * (copies * (device.available_mw - device.p_mw))[device.kind == "pv"].sum()
    assert own > 10.0
    assert three_levels.summary["cost_eur"]["total"] == pytest.approx(follower + own, rel=1e-9)
    feeder = of(three_levels, "interval", grid="mv1")
    price = np.array([70.0, 70.0, 120.0, 120.0, 120.0, 60.0])
    np.testing.assert_allclose(feeder.boundary_eur, 0.5 * price * feeder.p_import_mw, rtol=1e-12)
    paid = 6.0 * feeder.boundary_eur.sum()
    assert three_levels.summary["cost_eur"]["leader"] == pytest.approx(own + paid, rel=1e-9)
