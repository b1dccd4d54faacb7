"""Time series of a scenario: loads, sun, prices and their time axis."""
