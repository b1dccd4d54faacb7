"""Schemes of coordination: who decides first, and what the others take from it."""
