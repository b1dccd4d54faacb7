"""The decisions: networks, models, solvers, coordination, certificates. Knows nothing of mosaik."""
