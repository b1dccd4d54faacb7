"""The deciding parties: feeder operators (DSO, LMO), their groups and the TSO; free of mosaik."""

from stackelgrid.controllers.agents.feeder_agent import FeederAgent
from stackelgrid.controllers.agents.leader_group import GroupInputs, LeaderGroup
from stackelgrid.controllers.agents.tso import TsoAgent

__all__ = ["FeederAgent", "GroupInputs", "LeaderGroup", "TsoAgent"]
