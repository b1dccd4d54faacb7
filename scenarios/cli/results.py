"""The verbs on results, on the command line: report, export, view."""

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from stackelgrid.scenarios.cli.terminal import say_notice
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.run.interrupts import loading


def report(
    directory: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="Directory of a run (finished or not) or of a study, with results."
        ),
    ],
) -> None:
    """Write report.html, one page that needs no network, and print its path."""
    with loading():
        from stackelgrid.analysis.report.kinds import is_study, write_study_report
        from stackelgrid.analysis.report.run import write_run_report
        from stackelgrid.analysis.results.files import notice_of, read_summary

    path = (write_study_report if is_study(directory) else write_run_report)(directory)
    say_notice(notice_of(directory, read_summary(directory)))
    print(path)


def export(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Directory of a run, finished or not.")
    ],
    form: Annotated[
        str, typer.Option("--format", metavar="FORMAT", help="pandapower, netcdf or csv.")
    ],
    out: Annotated[
        Path,
        typer.Option("--out", help="New directory; a file for netcdf, or one grid (.json)."),
    ],
    interval: Annotated[
        int | None,
        typer.Option("--interval", help="pandapower: of the results; default the last."),
    ] = None,
    grids: Annotated[
        list[str] | None,
        typer.Option("--grid", metavar="NAME", help="pandapower: grid; default all. Repeatable."),
    ] = None,
    tables: Annotated[
        list[str] | None,
        typer.Option("--table", metavar="NAME", help="Others: table; default all. Repeatable."),
    ] = None,
) -> None:
    """Write results of a run for other tools: pandapower nets, netCDF or CSV."""
    with loading():
        from stackelgrid.analysis.export import export as write
        from stackelgrid.analysis.run import Run

    run = Run(directory)
    write(run, form, out, tables=tables or (), grids=grids or (), interval=interval)
    say_notice(run.notice)
    print(out)


def view(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Directory of a run.")],
    port: Annotated[
        int | None,
        typer.Option("--port", min=0, max=65535, help="Port; default 8050, or a free one."),
    ] = None,
    host: Annotated[
        str, typer.Option("--host", help="Address to bind to; needed for access from other hosts.")
    ] = "127.0.0.1",
    open_browser: Annotated[bool, typer.Option("--open", help="Open a browser at once.")] = False,
) -> None:
    """Show a running or finished run in the browser. Writes nothing; Ctrl-C ends it.

    Only this machine can open the page. With --host ADDRESS every host that reaches the address
    can.
    """
    if not host:
        raise ScenarioError("--host is empty; an address is accepted")
    # refuse a directory that holds no run before loading the page's libraries
    with loading():
        from stackelgrid.analysis.run import Run

    notice = Run(directory).notice
    with loading():
        from stackelgrid.analysis.view.data import LiveRun
        from stackelgrid.analysis.view.server import EVERYWHERE, address, application, bind

    app = application(LiveRun(directory), host)
    try:
        server = bind(app, host, port)
    except OSError as error:
        wanted = f"--host {host}" + ("" if port is None else f" --port {port}")
        raise ScenarioError(f"{wanted}: cannot be bound ({error.strerror})") from error
    say_notice(notice)
    shown = address(host, server.port)
    others = "; other hosts reach it, too" if host in EVERYWHERE else ""
    print(f"{directory}: {shown} (Ctrl-C ends{others})", flush=True)
    if open_browser:
        webbrowser.open(shown)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()
