"""The verb `export` on the command line."""

from pathlib import Path
from typing import Annotated

import typer

from stackelgrid.scenarios.cli.terminal import say_notice
from stackelgrid.scenarios.run.interrupts import loading


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
