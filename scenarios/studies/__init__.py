"""Studies: tasks of one scenario, evaluated by one runner (compare, exactness, ensemble)."""
