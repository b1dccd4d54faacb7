"""Time series of a scenario: loads, photovoltaics, prices and their time axis."""
