"""The controller of a tree of grids: its stages from the lowest one up."""
