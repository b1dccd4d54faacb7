"""The verb `view`: a local page of a running or finished run."""

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from stackelgrid.scenarios.cli.terminal import say_notice
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.run.interrupts import loading


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
