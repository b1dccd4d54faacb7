"""Examples of the how-tos, the tutorial and the reference pages, executed."""

import re
import runpy
import shlex
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from support.paths import ROOT

from stackelgrid.controllers.devices.devices import read_devices
from stackelgrid.scenarios.build.grids import build_grids
from stackelgrid.scenarios.build.system import axis_of, build_world, horizon_of
from stackelgrid.scenarios.cli import main as cli
from stackelgrid.scenarios.schema.load import load_scenario

DOCS = ROOT / "docs"
FENCE = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A fenced block; a title is the name of a file that holds it."""

    language: str
    title: str
    body: str


def blocks_of(path):
    return [Block(*found) for found in FENCE.findall(path.read_text(encoding="utf-8"))]


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Do what a reader types in an empty folder; returns what is printed.

    It ends well, unless the page shows that it is refused.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("MPLBACKEND", "Agg")

    def run(line, shown):
        program, *arguments = shlex.split(line)
        monkeypatch.setattr(sys, "argv", [program, *arguments])
        if program == "python":
            runpy.run_path(arguments[0], run_name="__main__")
        else:
            assert program == "stackelgrid", line
            with pytest.raises(SystemExit) as ended:
                cli.main()
        printed = capsys.readouterr()
        if program == "stackelgrid":
            refused = shown.startswith("stackelgrid: ")
            assert bool(ended.value.code) == refused, f"{line}: {printed.err}"
        return printed.out + printed.err

    return run


def follow(path, command, capsys, *, shell=False, change=lambda text: text):
    """Write files, type commands, run Python; printed text must be the page's where it has one.

    In a `console` block lines after a command are what it prints; a `text` block right after a
    `python` block is what that prints. With `shell` lines of `sh` blocks that begin with
    stackelgrid are typed as well.
    """
    names, done, blocks = {}, 0, blocks_of(path)
    for block, after in zip(blocks, [*blocks[1:], Block("", "", "")], strict=True):
        body = change(block.body)
        if block.title:
            Path(block.title).write_text(body, encoding="utf-8")
        elif block.language == "python":
            exec(compile(body, path.name, "exec"), names)
            printed = capsys.readouterr().out
            if after.language == "text" and not shell:
                assert printed.split() == after.body.split()
        elif block.language == "console":
            for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
                line, _, expected = part.partition("\n")
                printed = command(line, expected)
                if expected.strip():
                    assert printed.split() == expected.split()
        elif block.language == "sh" and shell:
            for line in body.splitlines():
                if line.startswith("stackelgrid "):
                    command(line.split("#")[0], after.body if after.language == "text" else "")
        elif block.language != "toml":
            continue
        done += 1
    return done


@pytest.mark.parametrize(
    ("page", "blocks"),
    [
        ("grid", 7),
        ("profiles", 3),
        ("controller", 3),
        ("bilevel", 1),
        ("objective", 3),
        ("simulators", 6),
    ],
)
def test_how_tos_do_what_they_say(page, blocks, command, capsys):
    assert follow(DOCS / "howto" / f"{page}.md", command, capsys) >= blocks


def test_the_simulator_of_the_how_to_is_the_one_that_is_shipped():
    (shown,) = [
        b.body for b in blocks_of(DOCS / "howto/simulators.md") if b.title == "household.py"
    ]
    assert shown == (ROOT / "scenarios/household.py").read_text(encoding="utf-8")


def test_tutorial_does_what_it_says(command, capsys):
    """Its days are two intervals long here, and only one run is reported."""

    def short(text):
        text = re.sub(r"--out runs/(quick|cloudy-day|plain|mended)", r"--no-report \g<0>", text)
        return text.replace("time.intervals=96", "time.intervals=2")

    assert follow(DOCS / "tutorial.md", command, capsys, shell=True, change=short) >= 10
    assert Path("first_day.png").is_file()
    assert Path("runs/first-day/report.html").is_file()


def test_page_of_the_library_does_what_it_says(command, capsys):
    assert follow(DOCS / "library.md", command, capsys) >= 9
    written = {p.name for p in Path().iterdir()}
    assert {"nets", "feeder.json", "quick.nc", "tables", "dispatch.pdf", "prices.pdf"} <= written
    assert Path("nets/lv1.json").is_file()


def test_named_solvers_are_accepted(command, capsys):
    follow(DOCS / "howto" / "solvers.md", command, capsys)
    solver = load_scenario("named_solvers.toml").scenario.solver
    assert (solver.conic, solver.mixed_integer) == ("clarabel", "misocp")


@pytest.mark.parametrize(
    ("page", "base"),
    [("forecast", "quick"), ("faq", "quick"), ("scenario", "messages"), ("remote", "messages")],
)
def test_examples_of_reference_pages_are_scenarios(page, base, tmp_path):
    snippets = [b.body for b in blocks_of(DOCS / f"{page}.md") if b.language == "toml"]
    assert snippets
    for number, snippet in enumerate(snippets):
        path = tmp_path / f"{number}.toml"
        path.write_text(f'name = "example"\nextends = "{base}"\n{snippet}', encoding="utf-8")
        load_scenario(str(path))


# devices of one kind at a grid in the example of a component
COUNTS = {"pv": ("lv1", "photovoltaics", 19), "battery": ("lv1", "batteries", 10),
          "unit": ("mv1", "units", 1), "vehicle": ("lv1", "vehicles", 18),
          "heat_pump": ("lv1", "heat_pumps", 24), "task": ("lv1", "tasks", 17),
          "sheddable": ("lv1", "sheddable_loads", 55), "cap": ("lv1", "caps", 55),
          "external": ("lv1", "externals", 23)}  # fmt: skip


@pytest.mark.parametrize(
    "page", sorted((DOCS / "components").glob("[!i]*.md")), ids=lambda page: page.stem
)
def test_example_of_a_component_is_a_scenario(page, tmp_path):
    """Each is complete; its grids, devices and series are built, without any program."""
    (example,) = [b.body for b in blocks_of(page) if b.language == "toml"]
    path = tmp_path / "example.toml"
    path.write_text(example, encoding="utf-8")
    loaded = load_scenario(str(path))
    scenario, horizon = loaded.scenario, horizon_of(loaded.scenario)
    grids = build_grids(loaded, lambda text: None)
    devices = {
        name: read_devices(grid.net, name, slack_is_unit=name == "tn", cost_factor=1.0)
        for name, grid in grids.items()
    }
    axis = axis_of(scenario, horizon)
    world = build_world(scenario, axis, horizon, grids, devices, loaded.folder)
    assert set(world.realised) == {grid.name for grid in scenario.grids}
    if page.stem in COUNTS:
        grid, plural, count = COUNTS[page.stem]
        assert len(getattr(devices[grid], plural).index) == count


def test_bilevel_program_of_the_how_to_is_solved():
    """At x = 6 demand is 9, so the dear generator sets the price: (30 - 60) 6 + 6^2 = -144.

    Up to x = 2 the price is 10 and the least cost (10 - 60) 2 + 2^2 = -96.
    """
    (body,) = [b.body for b in blocks_of(DOCS / "howto" / "bilevel.md") if b.language == "python"]
    names = {}
    exec(compile(body, "bilevel.md", "exec"), names)
    assert names["result"].status == "optimal"
    assert names["result"].follower_gap <= 1e-6
    assert names["result"].objective == pytest.approx(-144.0, abs=1e-4)
    assert names["m"].x.value == pytest.approx(6.0, abs=1e-4)
