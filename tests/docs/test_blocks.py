"""Every block of code in the documentation is executed; shell commands are at least parsed."""

import re
import shlex
import shutil
from typing import Any

import duckdb
import pytest
import typer
from plotly.basedatatypes import BaseFigure
from support.paths import ROOT

from stackelgrid.scenarios.cli.main import app
from stackelgrid.scenarios.schema.content import shipped_scenarios
from stackelgrid.scenarios.schema.load import load_scenario

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OWN = re.compile(r"(?:^|(?<=\$\())stackelgrid [^)|#]+")
# pages whose Python, TOML, SQL and console blocks a test executes
EXECUTED = {
    "tests/docs/test_examples.py": (
        *("tutorial.md", "library.md", "forecast.md", "scenario.md", "remote.md"),
        *("howto/grid.md", "howto/profiles.md", "howto/controller.md", "howto/bilevel.md"),
        "howto/objective.md",
        *("howto/solvers.md", "howto/simulators.md", "faq.md"),
        *(f"components/{page.name}" for page in DOCS.glob("components/*.md")),
    ),
    "tests/docs/test_readme.py": ("README.md",),
    "tests/docs/test_blocks.py": ("report.md", "resume.md", "ensemble.md"),
    "tests/scenarios/test_own_kind.py": ("howto/devices.md",),
}
# shell commands other than stackelgrid's, by their first word, and the reason why no test runs them
NOT_RUN = {
    "make": "targets of the Makefile; make test is this test",
    "python3": "creates an environment",
    "pip": "installs packages",
    "export": "sets the path for a module, which the test does in another way",
    "dask": "starts workers on other machines",
}


def name_of(page):
    return page.relative_to(DOCS if DOCS in page.parents else ROOT).as_posix()


def blocks_of(page, language):
    found = FENCE.findall(page.read_text(encoding="utf-8"))
    return [body for info, body in found if info.split(" ")[0] == language]


def shell_lines():
    """Page and line of every shell command; those of the tutorial are executed."""
    for page in PAGES:
        if page.name == "tutorial.md":
            continue
        for body in blocks_of(page, "sh"):
            for line in body.replace("\\\n", " ").splitlines():
                if line.split("#")[0].strip():
                    yield name_of(page), line


def test_every_block_names_its_language():
    known = {"python", "toml", "sql", "console", "sh", "text"}
    for page in PAGES:
        for info, _ in FENCE.findall(page.read_text(encoding="utf-8")):
            assert info.split(" ")[0] in known, f"{name_of(page)}: ```{info}"


def test_every_page_with_code_is_executed_by_a_test():
    listed = [page for pages in EXECUTED.values() for page in pages]
    assert len(listed) == len(set(listed))
    for page in PAGES:
        if any(blocks_of(page, language) for language in ("python", "toml", "sql", "console")):
            assert name_of(page) in listed
    for test, pages in EXECUTED.items():
        text = (ROOT / test).read_text(encoding="utf-8")
        named = [re.search(rf"\b{re.escape(page.split('/')[-1].split('.')[0])}\b", text)
                 for page in pages if not page.startswith("components/")]  # fmt: skip
        assert all(named)


def test_shell_commands_are_of_known_programs():
    for page, line in shell_lines():
        if not OWN.search(line):
            assert line.split()[0] in NOT_RUN, f"{page}: {line}"


@pytest.mark.parametrize(
    "line", sorted({m for _, line in shell_lines() for m in OWN.findall(line)})
)
def test_shell_commands_of_stackelgrid_are_accepted(line):
    """Verb and options exist, scenarios are shipped, and overrides suit them."""
    _, verb, *arguments = shlex.split(line)
    command = typer.main.get_command(app).commands[verb]
    found = command.make_context(verb, arguments).params
    scenario = found.get("scenario")
    if scenario and not scenario.endswith(".toml"):
        assert scenario in shipped_scenarios()
        load_scenario(
            scenario, [o for o in found.get("overrides") or () if "my_controller" not in o]
        )


@pytest.fixture
def runs(tmp_path, monkeypatch, quick, compared, swept, ensembled):
    """Folder in which the directories of the pages are."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(quick.directory, tmp_path / "runs" / "day")
    for directory, name in ((compared, "compared"), (swept, "sweep"), (ensembled, "ensemble")):
        directory.rename(tmp_path / "runs" / name)
    return tmp_path / "runs"


def test_figures_of_the_page_on_reports_are_drawn(runs, monkeypatch):
    shown, names = [], {}
    monkeypatch.setattr(BaseFigure, "show", lambda self: shown.append(len(self.data)))
    for body in blocks_of(DOCS / "report.md", "python"):
        exec(compile(body.replace("interval=40", "interval=2"), "report.md", "exec"), names)
    assert len(shown) >= 7
    assert min(shown) > 0
    run = names["run"]
    total = float(names["costs"].cost_kinds(run).to_numpy().sum())
    assert total == pytest.approx(run.summary["cost_eur"]["total"])
    assert "All is well." in (runs / "day" / "report.html").read_text(encoding="utf-8")


def test_class_of_the_page_on_resuming_has_the_two_methods():
    names = {"Any": Any}
    (body,) = blocks_of(DOCS / "resume.md", "python")
    exec(compile(body, "resume.md", "exec"), names)
    assert {"state", "restore"} <= set(vars(names["Mine"]))


def test_query_of_the_page_on_ensembles_reads_the_dataset(tmp_path, monkeypatch, quick):
    monkeypatch.chdir(tmp_path)
    member = (
        tmp_path / "runs/full/ensemble/error_level=1/scheme=bottom_up/variant=scenario/member=0"
    )
    member.mkdir(parents=True)
    shutil.copy(quick.directory / "interval.parquet", member)
    (body,) = blocks_of(DOCS / "ensemble.md", "sql")
    ((level, variant, apart),) = duckdb.sql(body).fetchall()
    table = quick.tables["interval"]
    assert (level, variant) == (1, "scenario")
    assert apart == pytest.approx((table.p_import_mw - table.p_import_planned_mw).abs().mean())
