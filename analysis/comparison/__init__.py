"""Comparisons of schemes and of qualities of communication: indicators side by side."""
