"""Plotly figures of results, one theme a file; each function returns a Figure.

In a notebook: `balance(Run("runs/day")).show()`.
"""
