"""A leader and its follower as one level: KKT, strong duality, branching, and the audit."""
