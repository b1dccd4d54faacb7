"""Nets of a scenario by the form of its key `case`: shipped grids, files, functions, codes."""
