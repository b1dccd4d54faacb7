"""Schema of a scenario, and the reader of scenario files."""
