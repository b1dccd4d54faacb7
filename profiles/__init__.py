"""Time series a scenario feeds on: loads, photovoltaics, prices and their time axis."""
