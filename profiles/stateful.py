"""Protocol of objects that carry values from one interval to the next.

A run can be saved between two intervals and continued in another process: each object with values
to carry returns them (`state`) and takes them back after it was built anew (`restore`). Everything
that is not in a state must be a function of present data: caches, solvers, models.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, runtime_checkable

__all__ = ["Carrying", "Stateful"]


@runtime_checkable
class Stateful(Protocol):
    """Can be saved between two intervals.

    A state is plain data: numbers, texts, arrays, containers and dataclasses of the project. It may
    share objects with its owner, so it is written before the owner continues.
    """

    def state(self) -> Any:
        """Return the values that the object carries to the next interval."""
        ...

    def restore(self, state: Any) -> None:
        """Restore the state of an object built from the same scenario."""
        ...


class Carrying:
    """Carries the attributes listed in `carried`: plain data, or objects that carry themselves."""

    carried: ClassVar[tuple[str, ...]] = ()

    def state(self) -> Mapping[str, Any]:
        """Return the values of the carried attributes, by name."""
        values = {name: getattr(self, name) for name in self.carried}
        return {n: v.state() if isinstance(v, Carrying) else v for n, v in values.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore the values of the carried attributes."""
        for name in self.carried:
            own = getattr(self, name)
            if isinstance(own, Carrying):
                own.restore(state[name])
            else:
                setattr(self, name, state[name])
