"""Construction of grids, series, forecasts and the controller's system from a scenario."""
