"""Named arrays of devices: series, states, set points and plans of all kinds."""

from collections.abc import Mapping

from stackelgrid.profiles.arrays import Floats


class WithQuantities:
    """Base of records with arrays of devices in a field `devices`, by the names of quantities.

    `record.NAME` reads `record.devices["NAME"]`; kinds of devices declare the names, with unit and
    sign (controllers/devices/).
    """

    devices: Mapping[str, Floats]

    def __getattr__(self, name: str) -> Floats:
        """Return the array of a quantity; raises AttributeError for a name that is not given."""
        values = {} if name == "devices" else self.__dict__.get("devices", {})
        if name in values:
            return values[name]  # type: ignore[no-any-return]
        known = f"; it holds {', '.join(values)}" if values else ""
        raise AttributeError(f"{type(self).__name__} has no {name}{known}")


def given(quantities: Mapping[str, Floats | None]) -> dict[str, Floats]:
    """Return the quantities that are not None."""
    return {name: values for name, values in quantities.items() if values is not None}
