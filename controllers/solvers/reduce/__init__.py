"""Exact reductions of conic programs, scaling, and bounds that multipliers prove."""
