"""What a controller knows of a grid: frozen dataclasses, and the only readers of pandapower nets."""






