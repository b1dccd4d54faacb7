"""What a controller knows of a grid; the only readers of pandapower nets."""
