"""Coordination schemes, one file a scheme."""
