"""Limits of size of a scenario, its files and its parts, each with its reason.

Limits leave room for real use (a year of quarter hours, 35,040 intervals) and keep a mistyped
number from taking the memory of the machine. A refusal names the product of sizes and its limit.
"""

# characters of a scenario, which is read whole; the shipped ones have 2 to 10 kB
SCENARIO_BYTES = 1_000_000
# nesting depth of sections and lists of a scenario; the shipped ones have 5
SCENARIO_DEPTH = 32
# bytes of a net file, decoded in about ten times their memory; 906 buses take 1 MB
NET_BYTES = 64_000_000
NET_BUSES = 50_000
# cells of a table that a scenario names (profiles, prices, forecasts): 8 bytes each as numbers,
# about 60 as text
FILE_CELLS = 50_000_000
FILE_BYTES = 1_000_000_000

# numbers of a scenario in pandapower's units; above, products of two leave the range of a double
# or lose all digits beside others
QUANTITY = 1e12

# intervals: 28 years of quarter hours; one year is 35,040
INTERVALS = 1_000_000
# steps of the horizon; a week of quarter hours ahead has 672
HORIZON_STEPS = 10_000
# intervals that a horizon covers: a year of quarter hours ahead
HORIZON_INTERVALS = 35_136
# steps of the horizon x buses of a grid: about 5 kB each in an optimisation program
PROGRAM_CELLS = 400_000
# values of series, 8 bytes each: (intervals + horizon) x (devices and prices of all grids);
# building holds about four copies of one grid's
SERIES_CELLS = 100_000_000
# intervals x steps of the horizon x devices: planned values, about 16 bytes each in its tables
PLANNED_CELLS = 100_000_000_000
# copies of a grid; they only multiply its exchange
MULTIPLICITY = 1_000_000
# grids, which are simulated one by one
GRIDS = 1_000
# runs of an ensemble, each with a directory of its own
ENSEMBLE_RUNS = 100_000
# points of a sweep, each a solved program
SWEEP_POINTS = 100_000
