"""Studies: many runs or plans of one scenario (compare, exactness, ensemble)."""
