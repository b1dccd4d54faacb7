"""Quantities of devices: name, unit and uses."""

from dataclasses import dataclass
from enum import Flag, auto

from stackelgrid.profiles.time_axis import Over


class Role(Flag):
    """Use of a quantity of devices."""

    SERIES = auto()  # profile over time, an input of forecasts
    STATE = auto()  # measured at the end of an interval, the start of the next decision
    PLAN = auto()  # part of a schedule, (devices, steps)
    SET_POINT = auto()  # sent to the devices for one interval
    OPTIONAL = auto()  # may be missing in a plan or in set points
    OUTPUT = auto()  # result of the devices in one interval
    GIVEN = auto()  # of one interval, from another simulator, to the devices


@dataclass(frozen=True)
class Quantity:
    """One quantity of a kind of device.

    name: unique among all kinds; the first word is the kind's where it can be.
    unit: MW, MVAr, MWh, ...
    roles: uses of the quantity.
    meaning: for the documentation.
    attribute: name among the attributes of the simulators: of a set point, or of what is given.
    column: column of the table `device` that an output fills.
    variable: variable of the model that a plan is read from.
    total: meaning of the column of the table `interval` with the sum over the devices; "" for none.
    over: value of a series over a step of several intervals.
    lacked: what consumers did not get, in words, for key figures; "" for other quantities.
    between: columns of the table `device` with the lower and the upper limit that is wanted.
    """

    name: str
    unit: str
    roles: Role
    meaning: str = ""
    attribute: str = ""
    column: str = ""
    variable: str = ""
    total: str = ""
    over: Over = Over.MEAN
    lacked: str = ""
    between: tuple[str, ...] = ()
