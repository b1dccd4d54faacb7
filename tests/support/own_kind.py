"""Work of a user whose installed package adds a kind of device; prints JSON.

Run in a process of its own, since a process looks for kinds once: `python own_kind.py SCENARIO`.
"""

import contextlib
import io
import json
import sys
from pathlib import Path

import stackelgrid as sg
from stackelgrid.analysis.kpis.system import key_figures
from stackelgrid.analysis.view.data import LiveRun
from stackelgrid.analysis.view.series import series
from stackelgrid.analysis.view.source import Element
from stackelgrid.scenarios.cli import main as cli
from stackelgrid.scenarios.run.run import run_scenario
from stackelgrid.scenarios.schema.load import load_scenario


def command(*arguments):
    """Exit status and standard output of a command."""
    sys.argv = ["stackelgrid", *arguments]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        try:
            cli.main()
        except SystemExit as ended:
            return ended.code or 0, printed.getvalue()
    return 0, printed.getvalue()


def page(directory):
    """Lines by panel that the page of a run shows of its first electric boiler, in interval 0."""
    live = LiveRun(directory)
    (first, *_) = [d for g in live.grids for d in g.devices if d.kind == "electric_boiler"]
    shown = series(live, Element("electric_boiler", "mv1", first.index, first.element), 0)
    panels = {p.title: {n.name: list(n.values) for n in p.lines} for p in shown.panels}
    ahead = [n.name for p in shown.panels for n in p.lines if n.ahead]
    agent = [p for p in series(live, Element("agent", "mv1"), 0).panels if p.title == "own devices"]
    return {"panels": panels, "ahead": ahead, "kinds": [n.name for p in agent for n in p.lines]}


def stop(progress):
    """Interrupt a run after an interval."""
    raise KeyboardInterrupt


def main(source):
    """Validate, run, interrupt, resume and sweep a scenario."""
    found = {"validate": command("validate", source)}
    found["run"] = command("run", source, "--out", "whole", "--quiet")[0]
    found["report"] = command("report", "whole")[0]
    with contextlib.suppress(KeyboardInterrupt):
        run_scenario(load_scenario(source), Path("cut"), progress=stop)
    found["cut"] = sg.Run("cut").summary["status"]
    found["resume"] = command("run", "--resume", "cut", "--quiet")[0]
    found["page"] = page(Path("whole"))
    found["sweep"] = command("exactness", source, "--out", "sweep", "--quiet")[0]
    found["figures"] = {f.name: f.value for f in key_figures(sg.Run("whole"))}
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1])
