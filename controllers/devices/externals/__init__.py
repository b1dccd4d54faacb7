"""Devices whose power a simulator of the user computes while the world runs."""

from stackelgrid.controllers.devices.externals.externals import Externals
from stackelgrid.controllers.devices.externals.section import ExternalSection, PowerAttribute

__all__ = ["ExternalSection", "Externals", "PowerAttribute"]
