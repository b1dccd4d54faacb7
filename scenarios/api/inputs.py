"""Nets and tables in memory in place of file names in a scenario.

Each object is written as a file below the directory of results, and the scenario names that file.
The run reads these files, so it can be repeated from them.
"""

import os
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
import pandapower as pp
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pandapower.auxiliary import pandapowerNet
from pydantic import BaseModel

from stackelgrid.controllers.errors import NetworkError
from stackelgrid.profiles.errors import ProfileError
from stackelgrid.profiles.tables.stamp_forms import stamp_column
from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.run.directory import INPUTS, check_out
from stackelgrid.scenarios.schema.content import override_of
from stackelgrid.scenarios.schema.load import (
    LoadedScenario,
    absolute_names,
    load_content,
    load_scenario,
)
from stackelgrid.scenarios.schema.named import SCENARIO, Place, keys_that_accept

_UNSAFE = re.compile(r"[^\w.-]")


class Scenario:
    """A scenario from Python objects: the keys of a scenario file, as a mapping or by keyword.

    Keys that name something also accept the object: a pandapower net as `case` of a grid, a pandas
    frame or a named series wherever a table is read (`file`, `correlation_sites`), a class as
    `controller`. File names are relative to the working directory. `extends` names a scenario to
    build on. Raises ScenarioError as for a scenario file with the same content.
    """

    def __init__(self, content: Mapping[str, Any] | None = None, /, **keys: Any) -> None:
        self.content: dict[str, Any] = {**(content or {}), **keys}
        inputs = _Inputs(Path(INPUTS))
        checked = load_content(inputs.plain(self.content), {}, nets=inputs.nets)
        self.name = checked.scenario.name

    def __repr__(self) -> str:
        return f"Scenario({self.name!r})"


Overrides = Mapping[str, Any] | Sequence[str]
Source = str | os.PathLike[str] | Scenario | Mapping[str, Any]


def check_source(source: Source, overrides: Overrides | None, seed: int | None) -> LoadedScenario:
    """Validate a scenario before the directory for its objects in memory exists."""
    return _load(_Inputs(Path(INPUTS)), source, overrides or {}, seed)


@contextmanager
def placed(
    source: Source, overrides: Overrides | None, seed: int | None, out: Path
) -> Iterator[LoadedScenario]:
    """Write nets and tables in memory to files in a new directory; yield the scenario.

    source, overrides, seed: the scenario, keys to override, and a seed that replaces its own.
    out: the directory.

    The files are removed if no run begins in the directory. Raises ScenarioError.
    """
    check_out(out)
    inputs = _Inputs(out.resolve() / INPUTS)
    loaded = _load(inputs, source, overrides or {}, seed)
    if not inputs.objects:
        yield loaded
        return
    new = not out.exists()
    try:
        inputs.write()
        yield loaded
    except (ScenarioError, ProfileError, NetworkError) as error:
        text = inputs.in_memory(str(error))
        if text == str(error):
            raise
        raise type(error)(text) from error
    finally:
        if not (out / "scenario.toml").exists():
            shutil.rmtree(inputs.folder, ignore_errors=True)
            if new:
                with suppress(OSError):
                    out.rmdir()


def _load(
    inputs: "_Inputs", source: Source, overrides: Overrides, seed: int | None
) -> LoadedScenario:
    if not isinstance(overrides, Mapping):
        overrides = dict(map(override_of, overrides))
    given = {
        key: inputs.value(value, (*key.split("."),), SCENARIO.at(key))
        for key, value in overrides.items()
    }
    if isinstance(source, Scenario):
        source = source.content
    if isinstance(source, Mapping):
        content = inputs.plain(source)
        return load_content(content, given, seed, inputs.nets)
    return load_scenario(os.fspath(source), given, seed, inputs.nets)


class _Inputs:
    """Objects of a scenario by the name of their file in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.objects: dict[str, pandapowerNet | pd.DataFrame | pd.Series] = {}

    @property
    def nets(self) -> dict[str, pandapowerNet]:
        """Nets by the absolute name of their file."""
        place = self.folder.absolute()
        nets = {n: v for n, v in self.objects.items() if isinstance(v, pandapowerNet)}
        return {str(place / name): net for name, net in nets.items()}

    def in_memory(self, text: str) -> str:
        """Return a message with objects in place of their files, which are removed."""
        for name, value in self.objects.items():
            what = "net" if isinstance(value, pandapowerNet) else "frame"
            text = text.replace(str(self.folder / name), f"{what} in memory")
        return text

    def plain(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """Return the content of a scenario with absolute file names in place of the objects."""
        plain = self.value(content, (), SCENARIO)
        # the scenario that it extends may be in another folder
        found: dict[str, Any] = absolute_names(plain, Path.cwd())
        return found

    def value(self, value: Any, key: tuple[str, ...], place: Place) -> Any:
        """Return the plain value at a place; the schema refuses unknown keys later."""
        if isinstance(value, pandapowerNet):
            _check(place, "net", key, "is a pandapower net")
            return self._file(value, key, ".json")
        if isinstance(value, pd.DataFrame | pd.Series):
            _check(place, "table", key, f"is a {type(value).__name__}")
            if isinstance(value, pd.Series) and not isinstance(value.name, str):
                raise ScenarioError(
                    f"scenario: {_text(key)}: is a Series without the name of a column; "
                    "series.rename('outdoor_c') gives one"
                )
            return self._file(value, key, ".parquet")
        if isinstance(value, BaseModel):
            value = value.model_dump(by_alias=True, exclude_unset=True)
        if isinstance(value, np.ndarray | np.generic):
            value = value.tolist()
        if place.accepts("table") and not isinstance(value, str | os.PathLike | float | int):
            self._refuse_table(value, key, place)
        if isinstance(value, Mapping):
            return {
                str(name): self.value(item, (*key, str(name)), place.key(str(name)))
                for name, item in value.items()
            }
        if isinstance(value, list | tuple):
            labels = [v.get("name", i) if _section(v) else i for i, v in enumerate(value)]
            return [
                self.value(item, (*key, str(label)), place.entry())
                for label, item in zip(labels, value, strict=True)
            ]
        if isinstance(value, type | FunctionType):
            what = "class" if isinstance(value, type) else "function"
            _check(place, what, key, f"is a {what}")
            return _importable_name(value, what, key)
        return os.fspath(value) if isinstance(value, os.PathLike) else value

    @staticmethod
    def _refuse_table(value: Any, key: tuple[str, ...], place: Place) -> None:
        """Refuse objects that are no table; a list is a matrix where the key accepts one."""
        if value is None or (isinstance(value, list | tuple) and place.entries):
            return
        raise ScenarioError(
            f"scenario: {_text(key)}: is a {type(value).__name__}; a DataFrame, a Series with the "
            "name of its column, or the name of a file is accepted"
        )

    def _file(
        self,
        value: "pandapowerNet | pd.DataFrame | pd.Series[Any]",
        key: tuple[str, ...],
        ending: str,
    ) -> str:
        for name, known in self.objects.items():
            if known is value:
                return str(self.folder / name)
        stem = _UNSAFE.sub("_", ".".join(key))
        name, n = f"{stem}{ending}", 1
        while name in self.objects:
            n += 1
            name = f"{stem}-{n}{ending}"
        self.objects[name] = value
        return str(self.folder / name)

    def write(self) -> None:
        """Write all objects; raises ScenarioError for a table that cannot be written as Parquet."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for name, value in self.objects.items():
                path = self.folder / name
                if isinstance(value, pandapowerNet):
                    path.write_text(pp.to_json(value), encoding="utf-8")
                else:
                    write_table(value, path)
        except OSError as error:
            raise ScenarioError(f"{self.folder}: cannot be written ({error.strerror})") from error


def write_table(table: "pd.DataFrame | pd.Series[Any]", path: Path) -> None:
    """Write a table with its index of stamps as Parquet; raises ScenarioError."""
    frame = table.to_frame() if isinstance(table, pd.Series) else table
    frame = frame.set_axis([str(name) for name in frame.columns], axis="columns")
    if isinstance(frame.index, pd.PeriodIndex):
        frame = frame.to_timestamp()  # profiles have the beginning of every step
    if isinstance(frame.index, pd.DatetimeIndex):
        if stamp_column(str(frame.index.name or "")) is None:
            frame = frame.rename_axis("time")
    elif frame.index.name is not None:
        frame = frame.reset_index()
    try:
        pq.write_table(pa.Table.from_pandas(frame), path, compression="zstd")
    except (pa.ArrowException, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ScenarioError(f"{path.stem}: cannot be written as Parquet ({reason})") from error


def _section(value: Any) -> bool:
    return isinstance(value, Mapping) and not isinstance(value, pandapowerNet)


def _text(key: tuple[str, ...]) -> str:
    return ".".join(key) or "scenario"


# objects in words
_WORDS = {
    "net": "a pandapower net",
    "table": "a DataFrame",
    "class": "a class",
    "function": "a function",
}


def _check(place: Place, what: str, key: tuple[str, ...], found: str) -> None:
    """Refuse an object where the schema does not accept it."""
    if not place.accepts(what):
        keys = " or ".join(keys_that_accept(what))
        accepted = f"{_WORDS[what]} is accepted as {keys}"
        raise ScenarioError(f"scenario: {_text(key)}: {found}; {accepted}")


def _importable_name(value: Any, what: str, key: tuple[str, ...]) -> str:
    if value.__module__ == "__main__" or "." in value.__qualname__ or "<" in value.__qualname__:
        raise ScenarioError(
            f"scenario: {_text(key)}: {what} {value.__qualname__} of {value.__module__} cannot be "
            f"imported again; a {what} at the top of a module is accepted"
        )
    return f"{value.__module__}:{value.__qualname__}"
