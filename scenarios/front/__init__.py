"""Rolling-horizon transmission-distribution co-simulation with bilevel coordination.

    import stackelgrid as sg

    run = sg.run("quick", set={"time.intervals": 2})
    run.interval

Names are loaded at first use; everything else is in the subpackages.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stackelgrid.analysis.run import Run as Run
    from stackelgrid.profiles.errors import StackelgridError as StackelgridError
    from stackelgrid.scenarios.api.compare import compare as compare
    from stackelgrid.scenarios.api.ensemble import ensemble as ensemble
    from stackelgrid.scenarios.api.exactness import exactness as exactness
    from stackelgrid.scenarios.api.inputs import Scenario as Scenario
    from stackelgrid.scenarios.api.profiles import describe_profiles as describe_profiles
    from stackelgrid.scenarios.api.run import run as run
    from stackelgrid.scenarios.api.validate import validate as validate

    __version__: str

__all__ = [
    "Run",
    "Scenario",
    "StackelgridError",
    "__version__",
    "compare",
    "describe_profiles",
    "ensemble",
    "exactness",
    "run",
    "validate",
]

# module that defines each name
_HOMES = {
    "Run": "stackelgrid.analysis.run",
    "Scenario": "stackelgrid.scenarios.api.inputs",
    "StackelgridError": "stackelgrid.profiles.errors",
    "compare": "stackelgrid.scenarios.api.compare",
    "describe_profiles": "stackelgrid.scenarios.api.profiles",
    "ensemble": "stackelgrid.scenarios.api.ensemble",
    "exactness": "stackelgrid.scenarios.api.exactness",
    "run": "stackelgrid.scenarios.api.run",
    "validate": "stackelgrid.scenarios.api.validate",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("stackelgrid")
    elif name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
