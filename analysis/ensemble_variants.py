"""Variants that every ensemble has; the others are horizons that the scenario names."""

OWN = "scenario"
"""The scenario's own horizon, with the errors of the level."""
PERFECT = "perfect"
"""The same without a forecast: controllers know what happens."""
