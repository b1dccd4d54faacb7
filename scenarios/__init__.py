"""Scenario schema, construction of the simulated world, command line and Python functions."""
