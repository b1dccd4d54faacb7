"""Base class and types of all sections of a scenario; unknown keys are refused."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from stackelgrid.profiles.errors import shown
from stackelgrid.profiles.file_names import FILE_NAME, FILE_NAME_LENGTH, NET_ENDINGS
from stackelgrid.profiles.size_limits import QUANTITY

# a name that is also used as the name of a file or folder
Name = Annotated[str, Field(pattern=FILE_NAME, max_length=FILE_NAME_LENGTH)]
Positive = Annotated[float, Field(gt=0.0, le=QUANTITY, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0.0, le=QUANTITY, allow_inf_nan=False)]
Finite = Annotated[float, Field(ge=-QUANTITY, le=QUANTITY, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
# index of an element or bus of pandapower
Index = Annotated[int, Field(ge=0, le=2**31 - 1)]
# position of a tap changer; real tap changers have some tens of positions
Tap = Annotated[int, Field(ge=-1000, le=1000)]
Shares = Annotated[dict[str, Positive], Field(min_length=1)]
Efficiency = Annotated[float, Field(gt=0.0, le=1.0)]


@dataclass(frozen=True)
class Named:
    """Mark of a text that names a file, a class or a function; Python accepts the object itself.

    what: the object.
    endings: ends of names of files; empty if every text is one, or none is.
    """

    what: Literal["net", "table", "class", "function"]
    endings: tuple[str, ...] = ()

    def file(self, text: str) -> bool:
        """Return whether a text is the name of a file."""
        return self.what in ("net", "table") and text.endswith(self.endings or "")


# types of keys that name something; without such a type a key takes no object in Python
TableFile = Annotated[str, Named("table")]
NetFile = Annotated[str, Named("net", NET_ENDINGS)]
IMPORT_NAME = r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$"
ClassName = Annotated[str, Named("class"), Field(pattern=IMPORT_NAME)]
FunctionName = Annotated[str, Named("function"), Field(pattern=IMPORT_NAME)]
CLOCK_TIME = r"^([01]\d|2[0-3]):[0-5]\d$"
ClockTime = Annotated[str, Field(pattern=CLOCK_TIME)]


def clock_hour(time: str) -> float:
    """Return the hour of a clock time HH:MM."""
    return int(time[:2]) + int(time[3:]) / 60.0


class Section(BaseModel):
    """Base of all sections: immutable, without unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, data: object) -> object:
        if isinstance(data, dict):
            accepted = [field.alias or name for name, field in cls.model_fields.items()]
            unknown = [shown(str(key)) for key in data if key not in accepted]
            if unknown:
                raise ValueError(f"unknown key {unknown[0]}; accepted: {', '.join(accepted)}")
            for key, field in zip(accepted, cls.model_fields.values(), strict=True):
                if _holds_flag(data.get(key)) and not _takes_flags(field.annotation):
                    raise ValueError(f"{key} = {shown(data[key])}: true and false are not accepted")
        return data


def _holds_flag(value: object) -> bool:
    entries = value if isinstance(value, list | tuple) else (value,)
    return any(isinstance(entry, bool) for entry in entries)


def _takes_flags(annotation: object) -> bool:
    """Return True if a type accepts true and false; numbers do not."""
    parts = get_args(annotation)
    return annotation in (bool, Any) or any(_takes_flags(part) for part in parts)
