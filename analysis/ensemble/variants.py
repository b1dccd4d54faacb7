"""Variants of every ensemble; further variants are horizons named in the scenario."""

OWN = "scenario"
"""The scenario's own horizon, with the errors of the level."""
PERFECT = "perfect"
"""The scenario's own horizon with perfect foresight: controllers know the realised series."""
