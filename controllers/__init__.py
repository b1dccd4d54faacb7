"""Decisions: networks, models, solvers, coordination, certificates. Independent of mosaik."""
