"""Ensembles of runs: key figures of members, means and confidence intervals."""
