"""Kinds of devices: one file holds all that the project knows of a kind."""
