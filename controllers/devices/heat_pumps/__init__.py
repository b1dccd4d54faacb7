"""Heat pumps: one kind of device."""

from stackelgrid.controllers.devices.heat_pumps.heat_pumps import HeatPumps

__all__ = ["HeatPumps"]
