"""Branching on complementarity pairs: tree, nodes, propagation, the follower's response."""
