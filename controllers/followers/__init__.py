"""Followers: the operators of networks above the feeders (TSO, MV operator)."""
