"""Forecasts of users' simulators from files."""

from typing import TYPE_CHECKING

import numpy as np

from stackelgrid.profiles.arrays import Floats
from stackelgrid.profiles.errors import ProfileError
from stackelgrid.profiles.sources import read_series

if TYPE_CHECKING:
    from stackelgrid.controllers.devices.placement import Placed, SeriesMaker


def profile_mw(maker: "SeriesMaker", group: "Placed", names: tuple[str, ...]) -> Floats:
    """Return the power (n, devices) of a file in MW, of each device or the same for all."""
    file = group.section.forecast.file
    frame = maker.from_file(
        f"{group.key}.forecast",
        file,
        lambda path, zone: read_series(path, maker.axis, "mw", None, zone),
    )
    own = [f"{name}_mw" for name in names]
    if len(frame.columns) == 1:
        return np.repeat(frame.to_numpy(dtype=np.float64), group.count, axis=1)
    missing = [column for column in own if column not in frame]
    if missing:
        present = ", ".join(str(column) for column in frame.columns)
        raise ProfileError(
            f"{group.key}.forecast.file: {file}: column {missing[0]} is missing; one column for "
            f"all devices, or one for each is accepted; {present} present"
        )
    return frame[own].to_numpy(dtype=np.float64)
