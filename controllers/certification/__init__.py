"""Exactness and AC feasibility of schedules."""
