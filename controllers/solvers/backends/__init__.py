"""One file a solver: Clarabel, HiGHS, SCIP, MOSEK, and those behind Pyomo."""
