"""Reports at the end of studies, and by the verb `report`; a report that fails fails nothing."""

import json

import pytest

from stackelgrid.analysis.report import kinds


@pytest.fixture(scope="module")
def source(tmp_path_factory, village_json, texts):
    path = village_json.parent / "compared.toml"
    path.write_text(texts["villages"], encoding="utf-8")
    return path


@pytest.fixture
def compare(command, source, tmp_path):
    """Compare two schemes of one follower through the command, into tmp_path/out."""

    def call(*options):
        if "--no-report" not in options:
            options = ("--report", *options)
        return command(
            "compare",
            source,
            "--schemes",
            "bottom_up,top_down",
            "--out",
            tmp_path / "out",
            *options,
        )

    return call


def test_a_comparison_ends_with_its_report_and_its_finding(compare, command, tmp_path):
    done = compare()
    assert done.status == 0, done.stderr
    report = tmp_path / "out" / "report.html"
    assert f"report: {report}" in done.stderr
    text = report.read_text(encoding="utf-8")
    sentence = next(line for line in done.stderr.splitlines() if "in the plan" in line)
    assert sentence.split(" EUR")[0] in text
    # the same page again; the directory is a study for the verb
    report.unlink()
    again = command("report", tmp_path / "out")
    assert (again.status, again.stdout.strip()) == (0, str(report))
    assert report.read_text(encoding="utf-8") == text


def test_a_report_that_fails_is_one_line_and_fails_nothing(compare, tmp_path, monkeypatch):
    def fail(directory):
        raise RuntimeError("no\nluck")

    monkeypatch.setattr(kinds, "write_study_report", fail)
    done = compare()
    assert done.status == 0
    told = [x for x in done.stderr.splitlines() if "no report was written" in x]
    assert told == [
        "no report was written: RuntimeError: no luck; stackelgrid report "
        f"{tmp_path / 'out'} tries again"
    ]
    log = (tmp_path / "out" / "log.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(log[-1])["event"] == "warning"
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["status"] == "done"
    assert not (tmp_path / "out" / "report.html").exists()


def test_what_an_interrupted_comparison_has_done_is_reported(
    compare, command, tmp_path, monkeypatch
):
    from stackelgrid.scenarios.studies import compare as module

    real, calls = module.decide_plan, []

    def decide(system, settings, scheme, *arguments):
        calls.append(scheme)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(system, settings, scheme, *arguments)

    monkeypatch.setattr(module, "decide_plan", decide)
    assert compare("--no-report").status == 130
    assert not (tmp_path / "out" / "report.html").exists()
    done = command("report", tmp_path / "out")
    assert done.status == 0, done.stderr
    text = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "Partial: the study was interrupted. This report shows 1 of 2 evaluations" in text


def test_a_directory_that_is_no_study_is_refused(command, tmp_path):
    (tmp_path / "summary.json").write_text('{"schemes": {}, "scenario": "x"}')
    done = command("report", tmp_path)
    assert done.status == 2
    assert done.stderr.count("\n") == 1
    assert "summary.json has no 'status'" in done.stderr
