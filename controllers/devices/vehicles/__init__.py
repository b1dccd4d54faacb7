"""Electric vehicles: one kind of device."""

from stackelgrid.controllers.devices.vehicles.vehicles import Vehicles

__all__ = ["Vehicles"]
