"""Leaders: the agents of feeders (DSO, LMO) and the programs by which they decide."""
