"""Arguments and options that several verbs share."""

from typing import Annotated

import typer

ScenarioArgument = Annotated[
    str, typer.Argument(help="Path of a TOML file, or the name of a shipped scenario.")
]
OptionalScenarioArgument = Annotated[
    str | None, typer.Argument(help="Path of a TOML file, or the name of a shipped scenario.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key, e.g. weather.sky=cloudy."),
]
SeedOption = Annotated[int | None, typer.Option("--seed", min=0, help="Override the seed.")]
ReportOption = Annotated[
    bool, typer.Option("--report/--no-report", help="Write report.html at the end.")
]
QuietOption = Annotated[
    bool, typer.Option("--quiet", help="Print only errors and the directory of the results.")
]
JsonOption = Annotated[
    bool,
    typer.Option(
        "--json", help="Print one JSON object on stdout: the directory and its summary.json."
    ),
]
