"""The user's tables of time series: reading, time stamps, units and resampling."""
