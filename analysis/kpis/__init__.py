"""Indicators of plans, runs and negotiations."""
