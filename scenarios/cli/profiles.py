"""The verb `profiles` on the command line."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from stackelgrid.scenarios.cli.terminal import print_table
from stackelgrid.scenarios.run.interrupts import loading


def profiles(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="CSV or Parquet file of a time series.")
    ],
    timezone: Annotated[
        str | None,
        typer.Option("--timezone", metavar="NAME", help="Zone of stamps without an offset."),
    ] = None,
    scenario: Annotated[
        str | None,
        typer.Option("--scenario", help="Scenario that uses the file: zone, coverage and names."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print how a file of profiles is understood: stamps, step, units, ranges, problems."""
    with loading():
        from stackelgrid.scenarios.api.profiles import describe_profiles
        from stackelgrid.scenarios.cli.profile_texts import profile_texts
        from stackelgrid.scenarios.run.directory import json_text

    found = describe_profiles(file, timezone=timezone, scenario=scenario)
    if as_json:
        print(json_text(asdict(found)))
        return
    for text in profile_texts(found):
        if isinstance(text, str):
            print(text)
        else:
            print_table(text, sys.stdout)
