"""Places of a scenario that name a file, a class or a function, by the types of the schema."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel

from stackelgrid.profiles.section import Named
from stackelgrid.scenarios.schema.grid import GridSection
from stackelgrid.scenarios.schema.levels import LOWER
from stackelgrid.scenarios.schema.scenario import Scenario


@dataclass(frozen=True)
class Place:
    """Place of a scenario, and what the schema accepts there.

    marks: objects that Python accepts there.
    sections: models of a section.
    entries: types of the entries of a list.
    values: types of the values of names.
    """

    marks: tuple[Named, ...] = ()
    sections: tuple[type[BaseModel], ...] = ()
    entries: tuple[Any, ...] = ()
    values: tuple[Any, ...] = ()

    def key(self, name: str) -> "Place":
        """Return the place of a key; an empty one for an unknown key."""
        if self.sections == (Scenario,) and name == "templates":  # merged into the grids
            return Place(values=(GridSection,))
        if self.sections == (GridSection,) and name == LOWER:  # sections of the grids below
            return self
        fields = (
            field
            for section in self.sections
            for label, field in section.model_fields.items()
            if (field.alias or label) == name
        )
        found = [place_of(field.annotation, field.metadata) for field in fields]
        return _joined([*found, *map(place_of, self.values)])

    def entry(self) -> "Place":
        """Return the place of an entry of a list."""
        return _joined([place_of(entry) for entry in self.entries])

    def at(self, path: str) -> "Place":
        """Return the place of a key `a.b`, in which entries of lists have any name."""
        place = self
        for part in path.strip().split("."):
            place = place.entry() if place.entries else place.key(part)
        return place

    def accepts(self, what: str) -> bool:
        """Return whether Python accepts such an object here."""
        return any(mark.what == what for mark in self.marks)


SCENARIO = Place(sections=(Scenario,))


def place_of(annotation: Any, metadata: Any = ()) -> Place:
    """Return what a type of the schema accepts."""
    marks = tuple(mark for mark in metadata if isinstance(mark, Named))
    origin, parts = get_origin(annotation), get_args(annotation)
    if hasattr(annotation, "__metadata__"):
        inner = place_of(annotation.__origin__, annotation.__metadata__)
        return _joined([Place(marks), inner])
    if origin in (Union, UnionType):
        return _joined([Place(marks), *map(place_of, parts)])
    if origin in (tuple, list):
        return Place(marks, entries=tuple(p for p in parts if p is not Ellipsis))
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        return Place(marks, values=parts[1:])
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return Place(marks, sections=(annotation,))
    return Place(marks)


def _joined(places: list[Place]) -> Place:
    return Place(
        tuple(mark for place in places for mark in place.marks),
        tuple(section for place in places for section in place.sections),
        tuple(entry for place in places for entry in place.entries),
        tuple(value for place in places for value in place.values),
    )


def with_names(content: Any, change: Callable[[str, Named], str], place: Place = SCENARIO) -> Any:
    """Return plain content in which `change` has replaced every text at a marked place."""
    if isinstance(content, Mapping):
        return {name: with_names(v, change, place.key(name)) for name, v in content.items()}
    if isinstance(content, list | tuple):
        return [with_names(value, change, place.entry()) for value in content]
    if isinstance(content, str):
        for mark in place.marks:
            content = change(content, mark)
    return content


def keys_that_accept(what: str) -> tuple[str, ...]:
    """Return the names of the keys that accept such an object, in the order of the schema."""
    return tuple(dict.fromkeys(_marked(what, SCENARIO, ())))


def _marked(what: str, place: Place, above: tuple[type[BaseModel], ...]) -> Iterator[str]:
    for section in place.sections:
        if section in above:
            continue
        for label, field in section.model_fields.items():
            name = field.alias or label
            own = place_of(field.annotation, field.metadata)
            if own.accepts(what) or own.entry().accepts(what):
                yield name
            yield from _marked(what, own, (*above, section))
    for inner in (*place.entries, *place.values):
        yield from _marked(what, place_of(inner), above)
