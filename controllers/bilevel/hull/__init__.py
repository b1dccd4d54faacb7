"""Hull of disjunctions: relaxation of a follower's blocks, refined and branched."""

from stackelgrid.controllers.bilevel.hull.relaxation import FollowerCost
from stackelgrid.controllers.bilevel.hull.search import HullOptions, HullSearch, HullSolution

__all__ = ["FollowerCost", "HullOptions", "HullSearch", "HullSolution"]
