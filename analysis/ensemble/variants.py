"""Variants of every ensemble; further variants are horizons named in the scenario."""

from stackelgrid.controllers.words import words

OWN = "scenario"
"""The scenario's own horizon, with the errors of the level."""
PERFECT = "perfect"
"""The scenario's own horizon with perfect foresight: controllers know the realised series."""


def variant_words(variant: str) -> str:
    """Return the name of a variant in words."""
    return {OWN: "own horizon", PERFECT: "perfect foresight"}.get(variant) or words(variant)
