"""The verb `report` on the command line."""

from pathlib import Path
from typing import Annotated

import typer

from stackelgrid.scenarios.cli.terminal import say_notice
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
        from stackelgrid.analysis.results.files import read_summary
        from stackelgrid.analysis.results.held import notice_of

    path = (write_study_report if is_study(directory) else write_run_report)(directory)
    say_notice(notice_of(directory, read_summary(directory)))
    print(path)
