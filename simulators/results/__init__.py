"""Tables of a run: columns, rows, totals, and the manifest of its files."""
