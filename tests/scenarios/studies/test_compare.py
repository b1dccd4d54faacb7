"""The verb `compare` around schemes that stand in for the real ones."""

import errno
import json
import os
from dataclasses import replace

import pandas as pd
import pytest
from support.typed_summary import mismatches

from stackelgrid.analysis.comparison import CLOSED_LOOP, PLAN
from stackelgrid.analysis.kpis.indicators import TOTAL
from stackelgrid.analysis.results.summaries import ComparisonSummary
from stackelgrid.controllers.cascade.cascade import Cascade
from stackelgrid.controllers.decision import Outcome
from stackelgrid.scenarios.build.measured import first_measured
from stackelgrid.scenarios.build.system import build_scenario
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.run.summary import stored_energy_prices
from stackelgrid.scenarios.schema.load import load_scenario
from stackelgrid.scenarios.schema.scheme_names import pricing_name, scheme_names
from stackelgrid.scenarios.studies import compare, study
from stackelgrid.scenarios.studies.compare import (
    CompareOptions,
    compare_schemes,
    steps_of,
)

TABLES = {"compare.parquet", "compare.csv", "compare.md", "compare_exchange.parquet"}
FILES = TABLES | {"scenario.toml", "summary.json", "log.jsonl", "manifest.jsonl"}
PICTURES = {"costs.png", "indicators.png", "exchange.png"}


def decide(system, settings, scheme, pricing, measured):
    """Plans of the tariff controller, told as one outcome for each follower."""
    if scheme == "top_down":
        raise RuntimeError("no luck")
    plans = Cascade(system, settings).decide(0, measured).plans
    followers = {f.boundary.parent for f in system.feeders if f.boundary.parent}
    outcomes = []
    for follower in followers:
        below = [f.name for f in system.children(follower)]
        cost = {n: system.copies(n) * plans[n].report.objective_eur for n in below}
        outcome = Outcome(
            scheme=scheme,
            pricing=pricing,
            follower=follower,
            plans={n: plans[n] for n in (follower, *below)},
            leader_cost_eur=cost,
            payment_eur={n: 0.5 * v for n, v in cost.items()},
            follower_cost_eur=plans[follower].report.objective_eur,
            objective=1.0,
            bound=1.0,
            gap=0.0,
            follower_gap=0.0,
            solve_s=0.1,
        )
        outcomes.append(outcome)
    return outcomes


@pytest.fixture
def stand_in(monkeypatch):
    """Plan by the stand-in in place of the real schemes."""
    monkeypatch.setattr(compare, "decide_plan", decide)


@pytest.fixture
def tariff_runs(monkeypatch):
    """Run every scheme by the tariff controller; gives the controllers that were asked for."""
    asked = []
    real = compare.run_scenario

    def run(loaded, out, *arguments):
        asked.append(loaded.scenario.controller)
        known = loaded.scenario.model_copy(update={"controller": "bottom_up"})
        return real(replace(loaded, scenario=known), out, *arguments)

    monkeypatch.setattr(compare, "run_scenario", run)
    return asked


def total(table, basis, scheme, indicator, grid=TOTAL):
    t = table[(table["basis"] == basis) & (table["scheme"] == scheme) & (table["grid"] == grid)]
    return float(t.set_index("indicator").loc[indicator, "value"])


@pytest.mark.usefixtures("stand_in")
def test_plans_and_runs_of_quick(tmp_path, tariff_runs):
    loaded = load_scenario("quick")
    options = CompareOptions(("bottom_up", "top_down"), closed_loop=True)
    out, seen, said = tmp_path / "out", [], []
    result = compare_schemes(loaded, out, options, seen.append, said.append)
    runs = {"bottom_up", "top_down"}
    closed = {f"{p.removesuffix('.png')}_closed_loop.png" for p in PICTURES}
    assert {p.name for p in out.iterdir()} == FILES | PICTURES | closed | runs
    assert tariff_runs == ["bottom_up", "top_down"]
    for name in runs:  # one run without control beside each would be the same
        found = json.loads((out / name / "summary.json").read_text(encoding="utf-8"))["baseline"]
        assert (found["status"], found["reason"]) == ("off", "baseline = false")
    assert steps_of(loaded, options) == 2 * (1 + 4)
    assert [p.done for p in seen] == sorted(p.done for p in seen)
    assert (seen[-1].done, seen[-1].failed) == (10, 1)
    assert "top-down, closed loop" in {p.running for p in seen}

    # a scheme that failed says why, and the other is there
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert summary == json.loads(json.dumps(result.summary))
    assert mismatches(summary, ComparisonSummary) == []
    assert summary["status"] == "failed"
    assert summary["schemes"]["top_down"][PLAN] == {
        "status": "failed: RuntimeError: no luck",
        "total_cost_eur": None,
    }
    assert summary["schemes"]["top_down"][CLOSED_LOOP]["status"] == "done"
    assert "top-down, plan: failed: RuntimeError: no luck" in said
    events = [json.loads(x) for x in (out / "log.jsonl").read_text().splitlines()]
    assert "Traceback" in next(e for e in events if e["event"] == "failed_scheme")["traceback"]

    # realised costs are those of the run
    table = pd.read_parquet(out / "compare.parquet")
    own = json.loads((out / "bottom_up" / "summary.json").read_text(encoding="utf-8"))
    indicators = {
        "total_cost": "total", "leader_cost": "leader", "follower_cost": "follower",
        "total_cost_corrected": "total_corrected",
    }  # fmt: skip
    for indicator, key in indicators.items():
        compared = total(table, CLOSED_LOOP, "bottom_up", indicator)
        assert compared == pytest.approx(own["cost_eur"][key], rel=1e-12), indicator
    assert min(own["cost_eur"]["leader"], own["cost_eur"]["follower"]) != 0.0
    interval = pd.read_parquet(out / "bottom_up" / "interval.parquet")
    lv = interval[interval["grid"] == "lv1"].set_index("interval")
    start = build_scenario(loaded).fleets["lv1"].states["battery_e_mwh"].sum()
    value = total(table, CLOSED_LOOP, "bottom_up", "stored_energy_value", "lv1")
    assert value == pytest.approx(7 * 220.0 * (lv["battery_e_mwh"][3] - start), abs=1e-9)
    stored = own["stored_energy"]["grids"]["lv1"]
    assert stored["start_mwh"] == pytest.approx(7 * start, rel=1e-12)
    assert stored["end_mwh"] == pytest.approx(7 * lv["battery_e_mwh"][3], rel=1e-12)
    assert value > 0.1
    # under a sunny noon the community exports, and uses the rest of its PV
    assert total(table, CLOSED_LOOP, "bottom_up", "export") == pytest.approx(
        0.25 * 7 * -lv["p_import_mw"].sum()
    )
    assert 0.1 < total(table, CLOSED_LOOP, "bottom_up", "self_consumption") < 0.9


@pytest.mark.usefixtures("stand_in")
def test_plan_alone(tmp_path):
    options = CompareOptions(("bottom_up",))
    result = compare_schemes(load_scenario("quick"), tmp_path / "out", options)
    assert {p.name for p in (tmp_path / "out").iterdir()} == FILES | PICTURES
    assert result.summary["status"] == "done"
    exchange = result.tables.exchange
    assert list(exchange["grid"].unique()) == ["lv1"]
    imported = total(result.tables.indicators, PLAN, "bottom_up", "import")
    energy = (exchange["dt_h"] * exchange["p_mw"].clip(lower=0.0)).sum()
    assert imported == pytest.approx(energy)
    assert "# Schemes compared on quick" in (tmp_path / "out" / "compare.md").read_text()


def test_first_measurements_are_those_of_a_run():
    built = build_scenario(load_scenario("quick"))
    measured = first_measured(built)
    assert measured["lv1"].tap_pos == -1
    assert measured["mv1"].vm_pu == 1.0
    assert list(measured["lv1"].battery_e_mwh) == list(built.devices["lv1"].batteries.e_initial_mwh)


@pytest.mark.parametrize(
    ("overrides", "price"),
    [((), {"mv1": 75.0, "lv1": 220.0}), (("costs.stored_energy_eur_per_mwh=40",), 40.0)],
)
def test_price_of_stored_energy(overrides, price):
    prices = stored_energy_prices(build_scenario(load_scenario("quick", overrides)))
    assert prices == (price if isinstance(price, dict) else {"mv1": price, "lv1": price})


def test_scheme_names():
    assert scheme_names("top_down, bottom_up") == ("top_down", "bottom_up")
    with pytest.raises(ScenarioError, match="--schemes top: no such scheme; accepted: bottom_up"):
        scheme_names("bottom_up,top")
    with pytest.raises(ScenarioError, match="--schemes top_down: given twice"):
        scheme_names("top_down,top_down")
    with pytest.raises(ScenarioError, match="is empty"):
        scheme_names(" , ")


def test_pricing_is_checked():
    assert [pricing_name(name) for name in ("tariff", "lmp")] == ["tariff", "lmp"]
    with pytest.raises(ScenarioError, match="--pricing flat: unknown; accepted: tariff, lmp"):
        pricing_name("flat")


@pytest.mark.usefixtures("stand_in")
def test_command_prints_the_table_and_fails_at_the_end(command, tmp_path):
    out = tmp_path / "out"
    ended = command("compare", "quick", "--schemes", "bottom_up,top_down", "--out", out)
    assert ended.status == 1
    lines = ended.stdout.splitlines()
    assert max(map(len, lines[:-1])) <= 80
    assert lines[0].startswith("quick: plan, tariff at the boundary")
    assert lines[1].split() == ["system", "leaders", "follower", "curtailed", "proven", "solve"]
    assert lines[2].split() == ["EUR", "EUR", "EUR", "MWh", "gap", "s"]
    assert [line.split()[0] for line in lines[4:6]] == ["bottom-up", "top-down"]
    assert "failed: RuntimeError: no luck" in " ".join(ended.stdout.split())
    assert ended.stdout.split()[-1] == str(out)
    assert ended.stderr.splitlines()[-1].startswith("stackelgrid: 1 of 2 schemes failed (top_down)")
    assert "Traceback" not in ended.stderr


@pytest.mark.usefixtures("stand_in")
def test_command_ends_well(command, tmp_path):
    out = tmp_path / "out"
    arguments = ("quick", "--schemes", "bottom_up", "--out", out, "--seed", 4)
    ended = command("compare", *arguments, "--json", "--quiet")
    assert (ended.status, ended.stderr) == (0, "")
    summary = json.loads((out / "summary.json").read_text())
    assert summary["seed"] == 4
    assert json.loads(ended.stdout) == {"directory": str(out), **summary}


@pytest.mark.usefixtures("stand_in")
def test_command_refuses(command, tmp_path, write_scenario):
    full = tmp_path / "full"
    full.mkdir()
    (full / "file").touch()
    cases = [
        (("quick", "--schemes", "fastest"), "--schemes fastest: no such scheme"),
        (("quick", "--schemes", "top_down,top_down"), "given twice"),
        (("quick", "--out", full), "is not empty; a new or empty directory is accepted"),
        ((write_scenario("feeder"), "--out", tmp_path / "new"), "no grid has a parent"),
    ]
    for arguments, text in cases:
        ended = command("compare", *arguments)
        assert ended.status == 2, ended.stderr
        assert len(ended.stderr.splitlines()) == 1
        assert text in ended.stderr
    assert not (tmp_path / "new").exists()


@pytest.mark.usefixtures("stand_in")
def test_a_full_disk_is_said_in_one_line(command, tmp_path, monkeypatch):
    """Neither tables nor log nor summary can be written from the first scheme on."""
    disk = []
    for module, name in ((compare, "write_tables"), (study, "write_summary")):
        real = getattr(module, name)

        def write(*arguments, name=name, real=real):
            disk.append(name)
            if "write_tables" in disk:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            real(*arguments)

        monkeypatch.setattr(module, name, write)
    out = tmp_path / "out"
    ended = command("compare", "quick", "--schemes", "bottom_up", "--out", out, "--quiet")
    assert disk == ["write_summary", "write_tables", "write_summary"]
    assert ended.status == 1
    told = f"stackelgrid: {out}: cannot be written (No space left on device)"
    assert ended.stderr.splitlines() == [told]
