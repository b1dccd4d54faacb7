"""The command line: exit status 0 done, 2 bad input (one line, no traceback), 1 anything else.

Verbs import the computing modules only when they are called, so `--help` is fast.
"""

import sys
from collections.abc import Callable
from functools import wraps
from typing import Annotated

import typer

from stackelgrid.analysis.results.errors import ResultsError
from stackelgrid.controllers.errors import NetworkError, ObjectiveTermError
from stackelgrid.profiles.errors import ProfileError, StackelgridError
from stackelgrid.scenarios.cli.computing import compare, ensemble, exactness, run
from stackelgrid.scenarios.cli.options import ScenarioArgument, SetOption
from stackelgrid.scenarios.cli.profiles import profiles
from stackelgrid.scenarios.cli.results import export, report, view
from stackelgrid.scenarios.cli.serve import serve
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.run.interrupts import INTERRUPTED, loading

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Rolling-horizon transmission-distribution co-simulation.",
)
BAD_INPUT = (ScenarioError, ProfileError, NetworkError, ObjectiveTermError, ResultsError)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"stackelgrid {version('stackelgrid')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    pass


def validate(
    scenario: ScenarioArgument,
    overrides: SetOption = None,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain",
            help="List what was taken from each net, replaced, added, ignored and dropped.",
        ),
    ] = False,
) -> None:
    """Check a scenario without running it: build its grids, devices, profiles and models."""
    with loading():
        from stackelgrid.scenarios.api.validate import validate as built

    for line in built(scenario, set=overrides or (), explain=explain):
        print(line)


def solvers() -> None:
    """List the solvers with version and licence, and those that a run would use."""
    with loading():
        from stackelgrid.controllers.solvers.registry import solver_table

    print(solver_table())


def _interruptible(verb: Callable[..., None]) -> Callable[..., None]:
    """End a verb with one line at Ctrl-C, unless the verb handles Ctrl-C itself."""

    @wraps(verb)
    def call(*args: object, **options: object) -> None:
        try:
            verb(*args, **options)
        except KeyboardInterrupt:
            print("stackelgrid: interrupted", file=sys.stderr)
            raise typer.Exit(INTERRUPTED) from None

    return call


_VERBS = (
    run, compare, exactness, ensemble, report, export, view, serve, validate, profiles, solvers,
)  # fmt: skip
for _verb in _VERBS:
    app.command()(_interruptible(_verb))


def main() -> None:
    """Run the command `stackelgrid`."""
    try:
        sys.exit(app(standalone_mode=False))
    except typer.TyperException as error:  # a wrong option or argument
        message = error.format_message() if hasattr(error, "format_message") else str(error)
        if not message:  # without a command the help has been shown
            sys.exit(2)
        _fail(StackelgridError(message), 2)
    except BAD_INPUT as error:
        _fail(error, 2)
    except StackelgridError as error:
        _fail(error, 1)
    except OSError as error:  # a full disk, a directory that may not be read
        what = error.filename or "results"
        _fail(StackelgridError(f"{what}: {error.strerror or error}"), 1)


def _fail(error: Exception, status: int) -> None:
    text = " ".join(str(error).split())
    print(f"stackelgrid: {text}", file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    main()
