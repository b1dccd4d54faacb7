"""Pyomo models as conic programs: reader, cones, rows with names, joined models."""
