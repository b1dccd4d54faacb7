"""Exactness sweeps: evaluation of operating points, tables, and where exactness ends."""
