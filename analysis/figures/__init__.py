"""Plotly figures of results, one theme a file; each function returns a Figure.

In a notebook: `power.balance(Run("runs/day"), "mv").show()`.
"""
