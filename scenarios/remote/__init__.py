"""Simulators of a scenario in other processes or on other hosts."""
