"""Simulators in other processes, and the supervision of them."""
