"""The deciding parties: leaders (DSO, LMO) and their groups, followers (TSO, MV dispatch)."""

from stackelgrid.controllers.agents.feeder_agent import FeederAgent
from stackelgrid.controllers.agents.leader_group import LeaderGroup
from stackelgrid.controllers.agents.mv_dispatch_agent import MvDispatchAgent
from stackelgrid.controllers.agents.tso import TsoAgent

__all__ = ["FeederAgent", "LeaderGroup", "MvDispatchAgent", "TsoAgent"]
