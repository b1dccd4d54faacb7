"""The verb `compare --qualities`: one scenario over links of several qualities."""

import json

import pandas as pd
import pytest
from support.scenario_texts import write_extending
from support.typed_summary import mismatches

from stackelgrid.analysis import Run
from stackelgrid.analysis.results.summaries import ComparisonSummary, RunSummary
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.schema.load import load_scenario
from stackelgrid.scenarios.schema.scheme_names import quality_names
from stackelgrid.scenarios.studies import compare as module
from stackelgrid.scenarios.studies.compare_qualities import compare_qualities, with_quality

# a link on which every message is lost: nobody ever agrees
DEAF = """[communication.qualities.deaf]
loss = 1.0
"""
FILES = {
    "qualities.parquet", "qualities.csv", "qualities.md", "qualities.png", "scenario.toml",
    "summary.json", "log.jsonl", "manifest.jsonl", "perfect", "deaf",
}  # fmt: skip


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_extending(tmp_path_factory.mktemp("qualities"), "connected", DEAF)


@pytest.fixture(scope="module")
def result(source, tmp_path_factory):
    loaded = load_scenario(str(source), ("time.intervals=2",))
    out = tmp_path_factory.mktemp("compared") / "out"
    seen = []
    return compare_qualities(loaded, out, ("perfect", "deaf"), seen.append), seen


@pytest.fixture(scope="module")
def totals(result):
    table = pd.read_parquet(result[0].directory / "qualities.parquet")
    return table[table["grid"] == "total"].pivot_table(
        index="indicator", columns="quality", values="value"
    )


def test_files_and_progress(result):
    compared, seen = result
    assert {p.name for p in compared.directory.iterdir()} == FILES
    assert seen[-1].done == 4
    assert [p.done for p in seen] == sorted(p.done for p in seen)
    summary = json.loads((compared.directory / "summary.json").read_text(encoding="utf-8"))
    assert summary == json.loads(json.dumps(compared.summary))
    assert summary["status"] == "done"
    assert mismatches(summary, ComparisonSummary) == []
    for quality in ("perfect", "deaf"):  # negotiations by messages
        assert mismatches(Run(compared.directory / quality).summary, RunSummary) == []
    assert list(summary["qualities"]) == ["perfect", "deaf"]
    text = (compared.directory / "qualities.md").read_text(encoding="utf-8")
    assert "| indicator | perfect | deaf |" in text


def test_each_run_has_its_quality(result):
    for name in ("perfect", "deaf"):
        own = load_scenario(str(result[0].directory / name / "scenario.toml"))
        assert own.scenario.communication.quality == name


def test_extra_costs_are_against_the_first(result, totals):
    cost = totals.loc["total_cost_corrected"]
    assert totals.loc["extra_cost", "perfect"] == 0.0
    extra = cost["deaf"] - cost["perfect"]
    assert totals.loc["extra_cost", "deaf"] == pytest.approx(extra, abs=1e-9)
    percent = totals.loc["extra_cost_percent", "deaf"]
    assert percent == pytest.approx(100.0 * extra / cost["perfect"])
    told = result[0].summary["qualities"]["deaf"]
    assert told["extra_cost_eur"] == pytest.approx(extra, abs=1e-9)
    # without coordination the leaders pay more: they trade, and use their batteries, for profit
    leaders = totals.loc["leader_cost_corrected"]
    assert leaders["deaf"] > leaders["perfect"] + 1.0


def test_a_deaf_network_agrees_on_nothing(totals):
    assert totals.loc["agreements", "deaf"] == 0.0
    assert totals.loc["agents_fallback", "deaf"] == 4.0
    assert totals.loc["messages_lost", "deaf"] == totals.loc["messages", "deaf"] > 0.0
    assert totals.loc["p2p_across", "deaf"] == totals.loc["p2p_inside", "deaf"] == 0.0
    assert totals.loc["agreements", "perfect"] >= 1.0
    assert totals.loc["messages_lost", "perfect"] == 0.0
    assert totals.loc["bytes", "perfect"] > 1000.0
    assert totals.loc["intervals_beyond_limits"].tolist() == [0.0, 0.0]


def test_runs_that_fail_are_told(source, tmp_path, monkeypatch):
    real = module.run_scenario

    def run(loaded, out, *arguments):
        if loaded.scenario.communication.quality == "perfect":
            raise RuntimeError("no luck")
        return real(loaded, out, *arguments)

    monkeypatch.setattr(module, "run_scenario", run)
    loaded = load_scenario(str(source), ("time.intervals=1",))
    found = compare_qualities(loaded, tmp_path / "out", ("perfect", "deaf"))
    assert found.summary["status"] == "failed"
    assert found.summary["qualities"]["perfect"] == {"status": "failed: RuntimeError: no luck"}
    deaf = found.summary["qualities"]["deaf"]
    assert deaf["status"] == "done"
    assert deaf["total_cost_eur"] > 0.0
    assert deaf["extra_cost_eur"] is None  # there is no first one to compare with
    events = [json.loads(x) for x in (tmp_path / "out" / "log.jsonl").read_text().splitlines()]
    failed = next(e for e in events if e["event"] == "failed_quality")
    assert failed["quality"] == "perfect"
    assert "Traceback" in failed["traceback"]


def test_the_command_prints_the_table(command, source, tmp_path):
    out = tmp_path / "out"
    ended = command(
        "compare", source, "--qualities", "deaf", "--out", out, "--set", "time.intervals=1"
    )
    assert ended.status == 0, ended.stderr
    assert max(len(line) for line in ended.stdout.splitlines()[:-1]) <= 80
    assert "extra cost" in ended.stdout
    assert "old plans" in ended.stdout
    assert ended.stdout.split()[-1] == str(out)


def test_the_command_refuses(command, source, tmp_path):
    new = tmp_path / "new"
    cases = [
        ((source, "--qualities", "awful"), "--qualities awful: no such quality; accepted: perfect"),
        ((source, "--qualities", "deaf,deaf"), "--qualities deaf: given twice"),
        ((source, "--qualities", ","), "--qualities ',': is empty"),
        (
            (source, "--qualities", "deaf", "--schemes", "bottom_up"),
            "--schemes and --qualities: one of them is accepted, not both",
        ),
        (
            (source, "--qualities", "deaf", "--closed-loop"),
            "--closed-loop: is accepted with --schemes",
        ),
        (("quick", "--qualities", "perfect"), "quick: communication: is missing"),
    ]
    for arguments, text in cases:
        ended = command("compare", *arguments, "--out", new)
        assert ended.status == 2, ended.stderr
        assert len(ended.stderr.splitlines()) == 1, ended.stderr
        assert text in ended.stderr
    assert not new.exists()


def test_a_link_that_does_not_suit_a_quality_is_refused(tmp_path):
    lossy = "[communication.qualities.lossy]\nduplication = 0.0\nreordering = 0.1\n"
    link = '[[communication.links]]\nagents = ["mv1"]\nreordering = 0.2\njitter_s = 1.0\n'
    path = write_extending(tmp_path, "connected", DEAF + lossy + link)
    with pytest.raises(ScenarioError, match=r"--qualities perfect: links\.0 on quality 'perfect'"):
        with_quality(load_scenario(str(path), ("communication.quality=lossy",)), "perfect")


def test_names_of_qualities():
    assert quality_names("lossy, perfect") == ("lossy", "perfect")
