"""META of a user's simulator: its type, its models, and how their attributes behave in time."""

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from mosaik.async_scenario import parse_attrs

from stackelgrid.simulators.external.errors import WiringError

_TYPES = ("time-based", "event-based", "hybrid")
_API = "3"


@dataclass(frozen=True)
class Model:
    """A model of META.

    listed: its attributes, for messages.
    params: accepted parameters.
    inputs, triggers: attributes that may be inputs, and those that start a step.
    outputs, events: attributes that may be read, and those that hold for one instant only.
    """

    name: str
    public: bool
    listed: tuple[str, ...]
    params: tuple[str, ...]
    inputs: Container[str]
    triggers: Container[str]
    outputs: Container[str]
    events: Container[str]


class SimulatorMeta:
    """META of the simulator called `name`; raises WiringError where it does not follow API 3."""

    def __init__(self, name: str, content: object) -> None:
        self.name = name
        if not isinstance(content, Mapping) or not isinstance(content.get("models"), Mapping):
            self._refuse(f"its META is {content!r:.60}; a META of mosaik's API 3 is accepted")
        version = str(content.get("api_version", _API))
        if version.split(".")[0] != _API:
            self._refuse(f"its META has the api_version {version}; 3.0 is accepted")
        self.type = str(content.get("type", "time-based"))
        if self.type not in _TYPES:
            self._refuse(f"its META has the type {self.type!r}; {', '.join(_TYPES)} are accepted")
        self.extra_methods = frozenset(content.get("extra_methods") or ())
        self._models = dict(content["models"])

    def model(self, name: str, *, public: bool = True) -> Model:
        """Return a model; raises WiringError for unknown ones, and private ones if `public`."""
        own = self._models.get(name)
        if not isinstance(own, Mapping) or (public and not own.get("public", True)):
            known = [n for n, m in self._models.items() if not public or m.get("public", True)]
            self._refuse(f"model {name!r} is unknown; accepted: {_listed(known)}")
        try:
            measured, triggers, held, events = parse_attrs(own, self.type)
        except (ValueError, TypeError) as error:
            self._refuse(f"META of model {name}: {error}")
        return Model(
            name,
            bool(own.get("public", True)),
            tuple(own.get("attrs") or ()),
            tuple(own.get("params") or ()),
            measured | triggers,
            triggers,
            held | events,
            events,
        )

    def check_parameters(self, model: Model, parameters: Mapping[str, Any]) -> None:
        """Refuse parameters that the model does not have; raises WiringError."""
        for name in parameters:
            if name not in model.params:
                self._refuse(
                    f"parameter {name!r} of model {model.name} is unknown; accepted: "
                    f"{_listed(model.params)}"
                )

    def check_attribute(self, model: Model, attribute: str, among: Container[str]) -> None:
        """Refuse an attribute that the model does not have; raises WiringError."""
        if attribute not in among:
            self._refuse(
                f"attribute {attribute!r} of model {model.name} is unknown; accepted: "
                f"{_listed(model.listed)}"
            )

    def _refuse(self, text: str) -> NoReturn:
        raise WiringError(f"simulator {self.name}: {text}")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
