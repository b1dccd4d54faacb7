"""Runs and studies from Python, in scripts and notebooks."""
