"""Order and inputs of the simulators' steps: agents, devices, grids from below, recorder.

Three levels: case30, one case33bw below its bus 7 and another of a hundredth of the load below
that one's bus 24. A user's controller records what it is told and says what to do.
"""

import json
import sys
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from support.scenario_texts import write_extending

from stackelgrid.scenarios.build.system import build_scenario
from stackelgrid.scenarios.cli import main as cli
from stackelgrid.scenarios.run.run import run_scenario
from stackelgrid.scenarios.schema.load import load_scenario
from stackelgrid.simulators.agents import AgentSimulator
from stackelgrid.simulators.devices import DeviceSimulator
from stackelgrid.simulators.grid import GridSimulator, SimulatedGrid
from stackelgrid.simulators.results.recorder import Recorder
from stackelgrid.simulators.results.tables import SCHEMAS, read_table

SCENARIO = """
name = "coupling"
seed = 5
controller = "%s"
[time]
intervals = 4
[horizon]
steps = [{ count = 2, minutes = 15 }]
[tariffs.any]
kind = "flat"
import = 75.0
export = 55.0
[[grids]]
name = "tn"
case = "case30"
level = "transmission"
loads = { mix = { household = 1.0 } }
[[grids]]
name = "mv1"
case = "case33bw"
level = "mv"
parent = "tn"
bus = 7
tariff = "any"
boundary = { kind = "oltc", sn_mva = 10.0, vk_percent = 8.0, vkr_percent = 0.4, \
vm_set_pu = 1.03, deadband_pu = 0.02, delay_s = 450.0 }
loads = { mix = { household = 1.0 } }
pv = [{ buses = [7, 13], p_mw = 0.4 }]
batteries = [{ buses = [7, 24], p_mw = 0.1, e_mwh = 0.2 }]
[[grids]]
name = "lv1"
case = "case33bw"
level = "lv"
parent = "mv1"
bus = 24
multiplicity = 2
tariff = "any"
boundary = { kind = "fixed_tap", sn_mva = 0.1, vk_percent = 4.0, vkr_percent = 1.0, tap_pos = -1 }
loads = { mix = { household = 1.0 }, scale = 0.01 }
batteries = [{ buses = [3], p_mw = 0.01, e_mwh = 0.02 }]
units = [{ bus = 5, p_max_mw = 0.01, c1_eur_per_mwh = 80.0 }]
"""

CONTROLLER = """
import numpy as np
from stackelgrid.controllers.decision import Decision
from stackelgrid.controllers.schedule import Plan, Schedule, SetPoints, SolveReport

SEEN = []


def set_points(devices, interval):
    \"\"\"Every interval and device its own values.\"\"\"
    def values(kind, first):
        return first * (interval + 1) * np.arange(1.0, len(kind.index) + 1)
    return SetPoints(
        battery_p_mw=values(devices.batteries, 0.002) * (-1) ** interval,
        pv_p_mw=values(devices.photovoltaics, 0.02),
        pv_q_mvar=values(devices.photovoltaics, 0.005),
        unit_p_mw=values(devices.units, 0.002),
    )


def plan(system, devices, interval, points):
    T = system.horizon.length
    hold = lambda v: np.repeat(np.ravel(v)[:, None], T, axis=1)
    rows = set_points(devices, interval)
    return Plan(
        Schedule(
            interval=interval, dt_h=system.horizon.dt_h,
            p_import_mw=np.zeros(T), q_import_mvar=np.zeros(T),
            charge_mw=np.maximum(hold(rows.battery_p_mw), 0.0),
            discharge_mw=np.maximum(-hold(rows.battery_p_mw), 0.0),
            battery_e_mwh=hold(devices.batteries.e_initial_mwh),
            pv_p_mw=hold(rows.pv_p_mw), pv_q_mvar=hold(rows.pv_q_mvar),
            unit_p_mw=hold(rows.unit_p_mw),
        ),
        points,
        SolveReport("by hand", "optimal", 0.0, 0.0, 0.0, 0, 0.0),
    )


class ByHand:
    def __init__(self, system, settings):
        self.system = system

    def decide(self, interval, measured):
        SEEN.append((interval, dict(measured)))
        plans = {}
        for feeder in self.system.feeders:
            if feeder.name == "mv1" and interval >= 2:
                continue  # says nothing more: its devices keep what they were told
            points = set_points(feeder.devices, interval)
            plans[feeder.name] = plan(self.system, feeder.devices, interval, points)
        return Decision(plans)
"""

# what a user's controller gets wrong, in interval 1, and what the line must name
BROKEN = {
    "nan": ("lv1", "battery_p_mw", "np.array([np.nan])", "finite values of shape (1,)"),
    "infinite": ("mv1", "pv_q_mvar", "np.array([0.0, np.inf])", "finite values of shape (2,)"),
    "too_many": ("mv1", "pv_p_mw", "np.zeros(3)", "finite values of shape (2,)"),
    "two_axes": ("mv1", "battery_p_mw", "np.zeros((2, 2))", "finite values of shape (2,)"),
    "scalar": ("lv1", "unit_p_mw", "0.001", "finite values of shape (1,)"),
    "not_for_the_grid": ("tn", "pv_p_mw", "np.zeros(1)", "finite values of shape (0,)"),
}
BREAK = """
import dataclasses

class Broken(ByHand):
    def decide(self, interval, measured):
        decision = super().decide(interval, measured)
        if interval < 1:
            return decision
        grids = {g.name: g for g in (self.system.transmission, *self.system.feeders)}
        devices = grids["GRID"].devices
        points = dataclasses.replace(set_points(devices, interval), QUANTITY=VALUE)
        wrong = plan(self.system, devices, interval, points)
        return Decision({**decision.plans, "NAME": wrong})

    def state(self):  # without it a run says that it cannot be saved
        return None

    def restore(self, state):
        pass
"""


@dataclass(frozen=True)
class Recorded:
    seen: list
    log: list
    tables: dict[str, pd.DataFrame]
    built: object
    summary: dict


@pytest.fixture(scope="module")
def user_module(tmp_path_factory):
    """Put a module of this text on the path; returns the directory it lies in."""
    folder = tmp_path_factory.mktemp("user")
    sys.path.insert(0, str(folder))
    written = []

    def write(name, text, controller):
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
        written.append(name)
        return write_extending(folder / name, "base", SCENARIO % f"{name}:{controller}")

    yield write
    sys.path.remove(str(folder))
    for name in written:
        sys.modules.pop(name, None)


def record_steps(patch):
    """Log (simulator, time, grids solved) of every step while the patch holds."""
    log, solved = [], []

    def wrap(kind):
        original = kind.step

        def step(self, time, inputs, max_advance):
            solved.clear()
            following = original(self, time, inputs, max_advance)
            log.append((kind.__name__, time, tuple(solved)))
            return following

        patch.setattr(kind, "step", step)

    for kind in (AgentSimulator, DeviceSimulator, GridSimulator, Recorder):
        wrap(kind)
    solve = SimulatedGrid.solve

    def logged(self):
        solved.append(self.name)
        return solve(self)

    patch.setattr(SimulatedGrid, "solve", logged)
    return log


@pytest.fixture(scope="module")
def recorded(user_module, tmp_path_factory):
    path = user_module("coupling_by_hand", CONTROLLER, "ByHand")
    loaded = load_scenario(str(path))
    out = tmp_path_factory.mktemp("coupling") / "out"
    with pytest.MonkeyPatch.context() as patch:
        log = record_steps(patch)
        result = run_scenario(loaded, out)
    seen = list(sys.modules["coupling_by_hand"].SEEN)
    tables = {name: read_table(out, name).to_pandas() for name in SCHEMAS}
    return Recorded(seen, log, tables, build_scenario(loaded), result.summary)


def device(recorded, k, grid, kind, column="p_mw"):
    frame = recorded.tables["device"]
    rows = frame[(frame.interval == k) & (frame.grid == grid) & (frame.kind == kind)]
    return rows[column].to_numpy()


def test_steps_within_an_interval(recorded):
    """Agents, devices, then grids until the interfaces rest, then the recorder; once each."""
    for k in range(4):
        steps = [(kind, solved) for kind, time, solved in recorded.log if time == 900 * k]
        kinds = [kind for kind, _ in steps]
        rounds = kinds.count("GridSimulator")
        assert kinds == [
            "AgentSimulator",
            "DeviceSimulator",
            *["GridSimulator"] * rounds,
            "Recorder",
        ]
        solved = [names for kind, names in steps if kind == "GridSimulator"]
        assert solved[:3] == [("lv1",), ("mv1",), ("tn",)]
        # voltages come down and are answered: every feeder is solved several times
        assert sum("lv1" in names for names in solved) >= 2
        assert sum("mv1" in names for names in solved) >= 2
    assert {time for _, time, _ in recorded.log} == {0, 900, 1800, 2700}
    times = [time for _, time, _ in recorded.log]
    assert times == sorted(times)


def test_recorded_rounds_are_those_that_were_solved(recorded):
    interval = recorded.tables["interval"]
    for row in interval.itertuples():
        solved = [names for _, time, names in recorded.log if time == 900 * row.interval]
        assert row.rounds == sum(row.grid in names for names in solved)
    assert recorded.summary["interface"]["max_rounds"] == interval.rounds.max()


def test_controller_is_asked_once_an_interval_about_every_grid(recorded):
    assert [k for k, _ in recorded.seen] == [0, 1, 2, 3]
    for _, measured in recorded.seen:
        assert set(measured) == {"tn", "mv1", "lv1"}


def test_controller_begins_with_the_initial_state(recorded):
    _, measured = recorded.seen[0]
    np.testing.assert_array_equal(measured["mv1"].battery_e_mwh, [0.1, 0.1])
    np.testing.assert_array_equal(measured["lv1"].battery_e_mwh, [0.01])
    assert measured["tn"].battery_e_mwh.shape == (0,)
    assert {n: m.tap_pos for n, m in measured.items()} == {"tn": 0, "mv1": 0, "lv1": -1}
    assert {n: m.vm_pu for n, m in measured.items()} == {"tn": 1.0, "mv1": 1.0, "lv1": 1.0}


def test_controller_sees_the_interval_before(recorded):
    boundary = recorded.tables["boundary"].set_index(["interval", "grid"])
    bus = recorded.tables["bus"].set_index(["interval", "grid", "bus"])
    for k, measured in recorded.seen[1:]:
        for grid in ("mv1", "lv1"):
            assert measured[grid].vm_pu == boundary.vm_pu[k - 1, grid]
            assert measured[grid].tap_pos == boundary.tap_pos[k - 1, grid]
            np.testing.assert_array_equal(
                measured[grid].battery_e_mwh, device(recorded, k - 1, grid, "battery", "e_mwh")
            )
        assert measured["tn"].vm_pu == bus.vm_pu[k - 1, "tn", 0] == 1.0
    # what is compared does move
    assert boundary.vm_pu.xs("lv1", level="grid").nunique() == 4
    assert len({m["lv1"].battery_e_mwh[0] for _, m in recorded.seen}) == 4


def test_tap_steps_that_the_delay_grants_are_seen(recorded):
    """900 s with a delay of 450 s: two steps an interval, until 1.02 p.u. is reached."""
    taps = [measured["mv1"].tap_pos for _, measured in recorded.seen]
    assert taps[:2] == [0, -2]
    assert all(abs(b - a) <= 2 for a, b in pairwise(taps))


def test_set_points_are_applied_in_their_own_interval(recorded):
    """Nothing cuts them: all lie within rated power, available sun and energy."""
    for k in range(4):
        np.testing.assert_allclose(
            device(recorded, k, "lv1", "battery"), [0.002 * (k + 1) * (-1) ** k], rtol=1e-12
        )
        np.testing.assert_allclose(
            device(recorded, k, "lv1", "unit"), [0.002 * (k + 1)], rtol=1e-12
        )
    for k in range(2):
        first = 0.002 * (k + 1) * (-1) ** k
        np.testing.assert_allclose(
            device(recorded, k, "mv1", "battery"), [first, 2.0 * first], rtol=1e-12
        )
        pv = 0.02 * (k + 1) * np.array([1.0, 2.0])
        assert (device(recorded, k, "mv1", "pv", "available_mw") > pv).all()
        np.testing.assert_allclose(device(recorded, k, "mv1", "pv"), pv, rtol=1e-12)
        np.testing.assert_allclose(device(recorded, k, "mv1", "pv", "q_mvar"), pv / 4.0, rtol=1e-12)


def test_grids_without_a_plan_keep_their_last_set_points(recorded):
    for k in (2, 3):
        np.testing.assert_allclose(
            device(recorded, k, "mv1", "battery", "asked_mw"), [-0.004, -0.008], rtol=1e-12
        )
        np.testing.assert_allclose(device(recorded, k, "mv1", "battery"), [-0.004, -0.008])
        np.testing.assert_allclose(device(recorded, k, "mv1", "pv"), [0.04, 0.08], rtol=1e-12)
        np.testing.assert_allclose(
            device(recorded, k, "mv1", "pv", "q_mvar"), [0.01, 0.02], rtol=1e-12
        )
    planned = recorded.tables["interval"].set_index(["grid", "interval"]).solver
    assert list(planned["mv1"]) == ["by hand", "by hand", "", ""]
    assert list(planned["lv1"]) == ["by hand"] * 4
    assert list(planned["tn"]) == [""] * 4
    schedule = recorded.tables["schedule"]
    assert set(schedule[schedule.grid == "mv1"].interval) == {0, 1}


def test_units_that_were_never_told_anything_rest(recorded):
    """The slack of case30 covers all of it when no plan dispatches the other five."""
    for k in range(4):
        unit = device(recorded, k, "tn", "unit")
        np.testing.assert_array_equal(unit[1:], np.zeros(5))
        assert unit[0] > 10.0


def test_energies_are_handed_over_exactly(recorded):
    assert recorded.summary["energy_handover_max_error_mwh"] == 0.0
    efficiency = 0.95
    e = 0.01
    for k in range(4):
        p = 0.002 * (k + 1) * (-1) ** k
        e += 0.25 * (p * efficiency if p > 0.0 else p / efficiency)
        assert device(recorded, k, "lv1", "battery", "e_mwh")[0] == pytest.approx(e, abs=1e-12)


def call(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["stackelgrid", *map(str, arguments), "--quiet"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code, capsys.readouterr()


def assert_ends_with_one_line(code, captured, out):
    assert code == 1
    lines = captured.err.splitlines()
    assert len(lines) == 1, captured.err
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert summary["status"] == "interrupted"
    assert summary["intervals_done"] == 1  # the first decision was good
    assert [path.name for path in out.glob("*.parquet")] == ["network.parquet"]
    assert set(read_table(out, "interval").to_pandas().interval) == {0}
    return lines[0]


@pytest.mark.parametrize("name", BROKEN)
def test_bad_set_points_are_refused(name, user_module, monkeypatch, capsys, tmp_path):
    grid, quantity, value, accepted = BROKEN[name]
    text = BREAK.replace("GRID", grid).replace("NAME", grid)
    text = text.replace("QUANTITY", quantity).replace("VALUE", value)
    path = user_module(f"coupling_broken_{name}", CONTROLLER + text, "Broken")
    out = tmp_path / "out"
    code, captured = call(monkeypatch, capsys, "run", path, "--out", out)
    line = assert_ends_with_one_line(code, captured, out)
    for part in ("controller Broken", quantity, f"grid {grid}", accepted):
        assert part in line


def test_plan_for_an_unknown_grid_is_refused(user_module, monkeypatch, capsys, tmp_path):
    text = BREAK.replace("GRID", "lv1").replace("NAME", "lv7")
    text = text.replace("QUANTITY", "unit_p_mw").replace("VALUE", "np.zeros(1)")
    path = user_module("coupling_broken_grid", CONTROLLER + text, "Broken")
    out = tmp_path / "out"
    code, captured = call(monkeypatch, capsys, "run", path, "--out", out)
    line = assert_ends_with_one_line(code, captured, out)
    assert "controller Broken: plan for unknown grid 'lv7'; known: tn, mv1, lv1" in line


def test_interruption_inside_a_step_is_not_a_finished_run(user_module, tmp_path):
    """mosaik swallows some interruptions; the run must not call itself done."""
    path = user_module("coupling_interrupted", CONTROLLER, "ByHand")
    original = DeviceSimulator.step

    def step(self, time, inputs, max_advance):
        if time == 1800:
            raise KeyboardInterrupt
        return original(self, time, inputs, max_advance)

    out = tmp_path / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DeviceSimulator, "step", step)
        with pytest.raises(KeyboardInterrupt):
            run_scenario(load_scenario(str(path)), out)
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert (summary["status"], summary["intervals_done"]) == ("interrupted", 2)
    assert set(read_table(out, "bus").to_pandas().interval) == {0, 1}


def test_a_controller_must_return_a_decision(user_module, monkeypatch, capsys, tmp_path):
    text = """
class Mute(ByHand):
    def decide(self, interval, measured):
        return super().decide(interval, measured) if interval < 1 else None

    def state(self):
        return None

    def restore(self, state):
        pass
"""
    path = user_module("coupling_mute", CONTROLLER + text, "Mute")
    out = tmp_path / "out"
    code, captured = call(monkeypatch, capsys, "run", path, "--out", out)
    line = assert_ends_with_one_line(code, captured, out)
    assert "controller Mute: decide returned NoneType; a Decision is accepted" in line
