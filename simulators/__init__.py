"""The physical world and its wiring, as mosaik simulators."""
