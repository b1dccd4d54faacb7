"""Static data of grids, and the only readers of pandapower nets."""
