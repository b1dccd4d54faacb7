"""The deciding parties: feeders' operators, their groups, upstream networks; free of mosaik."""

from stackelgrid.controllers.agents.feeder_agent import FeederAgent
from stackelgrid.controllers.agents.leader_group import GroupInputs, LeaderGroup
from stackelgrid.controllers.agents.mv_dispatch_agent import MvDispatchAgent
from stackelgrid.controllers.agents.tso import TsoAgent
from stackelgrid.controllers.agents.upstream import FollowerSolution, UpstreamAgent

__all__ = [
    "FeederAgent",
    "FollowerSolution",
    "GroupInputs",
    "LeaderGroup",
    "MvDispatchAgent",
    "TsoAgent",
    "UpstreamAgent",
]
