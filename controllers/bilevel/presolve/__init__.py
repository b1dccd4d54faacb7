"""Proofs before a search: bounds of slacks and multipliers, and pairs that cannot switch."""
