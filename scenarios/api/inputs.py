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
from typing import Any

import numpy as np
import pandapower as pp
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pandapower.auxiliary import pandapowerNet
from pydantic import BaseModel

from stackelgrid.scenarios.errors import ScenarioError
from stackelgrid.scenarios.run.directory import INPUTS, check_out
from stackelgrid.scenarios.schema.content import override_of
from stackelgrid.scenarios.schema.load import LoadedScenario, load_content, load_scenario

# keys of a scenario that name a pandapower net, and a table
_NETS = ("case",)
_TABLES = ("file", "correlation_sites")
_UNSAFE = re.compile(r"[^\w.-]")


class Scenario:
    """A scenario from Python objects: the keys of a scenario file, as a mapping or by keyword.

    Keys that name a file also accept the object: a pandapower net as `case` of a grid, a pandas
    frame as `file` (profiles, tariffs, forecasts) or `correlation_sites`. File names are relative
    to the working directory. `extends` names a scenario to build on. Raises ScenarioError as for a
    scenario file with the same content.
    """

    def __init__(self, content: Mapping[str, Any] | None = None, /, **keys: Any) -> None:
        self.content: dict[str, Any] = {**(content or {}), **keys}
        checked = load_content(_Inputs(Path(INPUTS)).plain(self.content), {})
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
    """Write nets and tables in memory to files in the new directory `out`; yield the scenario.

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
    given = {key: inputs.value(value, (*key.split("."),)) for key, value in overrides.items()}
    if isinstance(source, Scenario):
        source = source.content
    if isinstance(source, Mapping):
        return load_content(inputs.plain(source), given, seed)
    return load_scenario(os.fspath(source), given, seed)


class _Inputs:
    """Objects of a scenario by the name of their file in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.objects: dict[str, pandapowerNet | pd.DataFrame] = {}

    def plain(self, content: Mapping[str, Any]) -> dict[str, Any]:
        """Return the content of a scenario with absolute file names in place of the objects."""
        found: dict[str, Any] = _absolute(self.value(content, ()))
        return found

    def value(self, value: Any, key: tuple[str, ...]) -> Any:
        """Return the plain value of a key; the schema refuses unknown keys later."""
        if isinstance(value, pandapowerNet):
            return self._file(value, key, _NETS, "a pandapower net", ".json")
        if isinstance(value, pd.DataFrame):
            return self._file(value, key, _TABLES, "a DataFrame", ".parquet")
        if isinstance(value, BaseModel):
            value = value.model_dump(by_alias=True, exclude_unset=True)
        if isinstance(value, Mapping):
            return {str(name): self.value(item, (*key, str(name))) for name, item in value.items()}
        if isinstance(value, list | tuple):
            labels = [v.get("name", i) if _section(v) else i for i, v in enumerate(value)]
            return [
                self.value(item, (*key, str(label)))
                for label, item in zip(labels, value, strict=True)
            ]
        if isinstance(value, np.ndarray | np.generic):
            return value.tolist()
        if isinstance(value, type) and key == ("controller",):
            return _class_name(value)
        return os.fspath(value) if isinstance(value, os.PathLike) else value

    def _file(
        self,
        value: pandapowerNet | pd.DataFrame,
        key: tuple[str, ...],
        accepted: tuple[str, ...],
        what: str,
        ending: str,
    ) -> str:
        if not key or key[-1] not in accepted:
            raise ScenarioError(
                f"scenario: {'.'.join(key) or 'scenario'}: is {what}; {what} is accepted as "
                f"{' or '.join(accepted)}"
            )
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
                    _write_table(value, path)
        except OSError as error:
            raise ScenarioError(f"{self.folder}: cannot be written ({error.strerror})") from error


def _write_table(frame: pd.DataFrame, path: Path) -> None:
    if isinstance(frame.index, pd.DatetimeIndex):
        frame = frame.rename_axis("time")
    elif frame.index.name is not None:
        frame = frame.reset_index()
    try:
        pq.write_table(pa.Table.from_pandas(frame), path, compression="zstd")
    except (pa.ArrowException, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ScenarioError(f"{path.stem}: cannot be written as Parquet ({reason})") from error


def _absolute(content: Any) -> Any:
    """Make file names absolute, as the extended scenario may be in another folder."""
    if isinstance(content, dict):
        return {key: _absolute_name(key, _absolute(value)) for key, value in content.items()}
    return [_absolute(item) for item in content] if isinstance(content, list) else content


def _absolute_name(key: str, value: Any) -> Any:
    net = key in _NETS and isinstance(value, str) and value.endswith(".json")
    table = key in _TABLES and isinstance(value, str)
    return str(Path.cwd() / value) if net or table else value


def _section(value: Any) -> bool:
    return isinstance(value, Mapping) and not isinstance(value, pandapowerNet)


def _class_name(kind: type) -> str:
    if kind.__module__ == "__main__" or "." in kind.__qualname__:
        raise ScenarioError(
            f"scenario: controller: class {kind.__qualname__} of {kind.__module__} cannot be "
            "imported again; a class at the top of a module is accepted"
        )
    return f"{kind.__module__}:{kind.__qualname__}"
