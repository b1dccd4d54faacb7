"""Cells of a notebook, in a real kernel: its event loop runs while a cell does."""

import json
import re

import pytest

from stackelgrid.analysis import Run

pytest.importorskip("ipykernel")
manager = pytest.importorskip("jupyter_client.manager")

QUICK = """
import stackelgrid as sg
run = sg.run("quick", out="first", set={"time.intervals": 2}, report=False)
print(type(run).__name__, run.summary["status"], len(run.interval), len(run.bus))
"""
INTERRUPTED = """
try:
    sg.run("quick", out="second", set={"time.intervals": 200}, report=False)
except KeyboardInterrupt as error:
    print("stopped:", error)
"""
QUIET = """
try:
    sg.run("quick", out="first", quiet=True)
except sg.StackelgridError as error:
    print("refused:", error)
"""


class Cell:
    """What a cell shows: its text, its displays as they are replaced, its errors."""

    def __init__(self, client, code, seen=lambda text: None):
        self.text, self.drawn, self.errors, self._seen = "", [], [], seen
        reply = client.execute_interactive(code, output_hook=self._take, timeout=120)
        self.status = reply["content"]["status"]

    def _take(self, message):
        kind, content = message["header"]["msg_type"], message["content"]
        if kind == "stream":
            self.text += content["text"]
        elif kind in ("display_data", "update_display_data"):
            assert "<pre" in content["data"]["text/html"]
            self.drawn.append(content["data"]["text/plain"])
            self._seen(self.drawn[-1])
        elif kind == "error":
            self.errors.append(content["evalue"])


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    """A kernel in an empty folder: its manager, its client and the folder."""
    folder = tmp_path_factory.mktemp("notebook")
    running, client = manager.start_new_kernel(kernel_name="python3", cwd=str(folder))
    yield running, client, folder
    client.stop_channels()
    running.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def first(kernel):
    _, client, folder = kernel
    return Cell(client, QUICK), folder / "first"


def test_a_cell_runs_quick_and_shows_its_progress(first):
    cell, directory = first
    assert (cell.status, cell.errors) == ("ok", [])
    run = Run(directory)
    assert len(run.bus) == 2 * (34 + 206)  # one row a bus and interval
    assert f"Run done 4 {len(run.bus)}\n" in cell.text
    assert "quick: 2 intervals of 15 min from 2025-06-21 11:00, seed 1\n" in cell.text
    assert "quick: building" in cell.drawn[0]
    assert any(re.search(r"quick: building (grids|programs): ", text) for text in cell.drawn)
    assert "quick: done" in cell.drawn[-1]
    assert "interval 2 of 2" in cell.drawn[-1]


def test_an_interrupted_cell_leaves_a_run_that_goes_on(kernel, first):
    running, client, folder = kernel
    told = []

    def interrupt(text):
        if re.search(r"interval [1-9]\d* of 200", text) and not told:
            told.append(text)
            running.interrupt_kernel()

    cell = Cell(client, INTERRUPTED, interrupt)
    assert told
    assert "stopped: interrupted; resume='second' goes on\n" in cell.text
    assert "quick: interrupted" in cell.drawn[-1]
    summary = json.loads((folder / "second" / "summary.json").read_text(encoding="utf-8"))
    assert summary["status"] == "interrupted"
    assert 1 <= summary["intervals_done"] < 20
    assert (folder / "second" / "state.bin").exists()
    assert Cell(client, "print(1 + 1)").text == "2\n"  # the kernel lives


def test_a_refusal_is_the_one_of_the_command_line(kernel, first):
    _, client, _ = kernel
    cell = Cell(client, QUIET)
    assert cell.text == (
        "refused: --out first: holds a run; a new or empty directory is accepted\n"
    )
    assert cell.drawn == []
