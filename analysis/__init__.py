"""Studies and summaries of runs."""
