"""Matplotlib pictures of runs and studies, drawn without a display."""
