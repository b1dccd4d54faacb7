"""A Pyomo model with a follower block as leader and follower programs."""
