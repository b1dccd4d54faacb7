"""Objects that carry something from one interval to the next, and how they hand it over.

A run can be saved between two intervals and go on in another process: whatever carries something
says what (`state`), and takes it back into a freshly built object (`restore`). What is not in a
state must be a function of present data: caches, solvers, models.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, runtime_checkable

__all__ = ["Carrying", "Stateful"]


@runtime_checkable
class Stateful(Protocol):
    """Can be saved between two intervals.

    A state is plain data: numbers, texts, arrays, containers and dataclasses of the project. It may
    share what it holds with its object, so it is written before the object goes on.
    """

    def state(self) -> Any:
        """What the object carries to the next interval."""
        ...

    def restore(self, state: Any) -> None:
        """Take what an object built from the same scenario carried."""
        ...


class Carrying:
    """Carries the attributes that its class names in `carried`; all of them are plain data."""

    carried: ClassVar[tuple[str, ...]] = ()

    def state(self) -> Mapping[str, Any]:
        """Values of the carried attributes, by name."""
        return {name: getattr(self, name) for name in self.carried}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take the values of the carried attributes."""
        for name in self.carried:
            setattr(self, name, state[name])
