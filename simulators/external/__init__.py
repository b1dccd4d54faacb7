"""Users' mosaik simulators in the world: what is connected, and the host that drives them."""
