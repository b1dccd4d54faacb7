"""Shiftable loads: one kind of device."""

from stackelgrid.controllers.devices.tasks.tasks import Tasks

__all__ = ["Tasks"]
