"""The verb `report` on the command line, and the report at the end of a run."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from stackelgrid.scenarios.cli.console import Output, interruptible, say_notice
from stackelgrid.scenarios.run.interrupts import loading

ReportOption = Annotated[
    bool, typer.Option("--report/--no-report", help="Write report.html at the end.")
]


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


def report_of_run(directory: Path, output: Output) -> None:
    """Write the report of a finished run; a failure is printed and logged, the run stays done.

    Ctrl-C leaves the run as it is.
    """
    with interruptible(directory, f"the run is done; stackelgrid report {directory} reports it"):
        from stackelgrid.analysis.report.run import write_run_report

        try_report(write_run_report, directory, output)


def report_of_study(directory: Path, output: Output) -> None:
    """Write the report of a comparison, sweep or ensemble, as `report_of_run` does."""
    with interruptible(directory, f"the study is done; stackelgrid report {directory} reports it"):
        from stackelgrid.analysis.report.kinds import write_study_report

        try_report(write_study_report, directory, output)


def try_report(write: Callable[[Path], Path], directory: Path, output: Output) -> None:
    """Write a report; print and log a failure."""
    try:
        path = write(directory)
    except Exception as error:  # the results are complete without the report
        from stackelgrid.scenarios.run.directory import RunLog

        text = " ".join(f"no report was written: {type(error).__name__}: {error}".split())
        output.say(f"{text}; stackelgrid report {directory} tries again")
        with suppress(OSError):  # a full disk may be the reason
            RunLog(directory).event("warning", text=text)
        return
    output.say(f"report: {path}")
